package capture

import (
	"context"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

// track makes the kernel track, without NAT.
const track = `table inet t { chain o { type filter hook output priority 0; ct state new accept; }; }
`

// nat binds every flow, and rewrites those that a case asks for.
const nat = `table inet n {
 chain d { type nat hook output priority -100;
  meta l4proto { tcp, udp, udplite, sctp } th dport 81 dnat ip to 192.0.2.81:8081
  meta l4proto { tcp, udp, udplite, sctp } th dport 82 dnat ip6 to [2001:db8::82]:8082
  ip daddr 192.0.2.9 dnat ip to 192.0.2.90
  ip6 daddr 2001:db8::9 dnat ip6 to 2001:db8::90
 }
 chain s { type nat hook postrouting priority 100;
  meta l4proto { tcp, udp, udplite, sctp } th sport 5000 snat ip to 198.51.100.1:5001
  meta l4proto { tcp, udp, udplite, sctp } th sport 6000 snat ip6 to [2001:db8:ff::1]:6001
  ip saddr 192.0.2.3 snat ip to 198.51.100.1
  ip6 saddr 2001:db8::3 snat ip6 to 2001:db8:ff::1
 }
}
`

// Flows in every combination of NAT, one for each family.
var (
	plain4 = plain(end{"192.0.2.1", 4000}, end{"192.0.2.2", 80})
	plain6 = plain(end{"2001:db8::1", 4000}, end{"2001:db8::2", 80})
	dnat4  = conversation{end{"192.0.2.1", 4001}, end{"192.0.2.2", 81}, end{"192.0.2.81", 8081}, end{"192.0.2.1", 4001}}
	dnat6  = conversation{end{"2001:db8::1", 4001}, end{"2001:db8::2", 82}, end{"2001:db8::82", 8082}, end{"2001:db8::1", 4001}}
	snat4  = conversation{end{"192.0.2.1", 5000}, end{"192.0.2.2", 80}, end{"192.0.2.2", 80}, end{"198.51.100.1", 5001}}
	snat6  = conversation{end{"2001:db8::1", 6000}, end{"2001:db8::2", 80}, end{"2001:db8::2", 80}, end{"2001:db8:ff::1", 6001}}
	both4  = conversation{end{"192.0.2.1", 5000}, end{"192.0.2.2", 81}, end{"192.0.2.81", 8081}, end{"198.51.100.1", 5001}}
	both6  = conversation{end{"2001:db8::1", 6000}, end{"2001:db8::2", 82}, end{"2001:db8::82", 8082}, end{"2001:db8:ff::1", 6001}}
)

// kinds are the flows of which the kernel makes entries: what makes them, and
// how many entries that are.
var kinds = []struct {
	name  string
	rules string
	send  func(w *wire)
	n     int
	// what at least one of them has
	has    host.Present
	status host.Status
}{
	{"udp", nat, func(w *wire) { everyNAT(func(v conversation) { w.udp(host.ProtoUDP, v, true) }) }, 8, host.HasStart | host.HasCounters, host.StatusSeenReply | host.StatusSrcNAT | host.StatusDstNAT},
	{"udp without an answer", nat, func(w *wire) { everyNAT(func(v conversation) { w.udp(host.ProtoUDP, v, false) }) }, 8, 0, natDone},
	{"udp before nat", track, func(w *wire) { w.udp(host.ProtoUDP, plain4, true); w.udp(host.ProtoUDP, plain6, false) }, 2, 0, 0},
	{"udplite", nat, func(w *wire) { everyNAT(func(v conversation) { w.udp(host.ProtoUDPLite, v, true) }) }, 8, 0, host.StatusSrcNAT | host.StatusDstNAT},
	{"tcp", nat, func(w *wire) { everyNAT(func(v conversation) { w.tcp(v, tcpWays["ESTABLISHED"]) }) }, 8, host.HasTCPFlags | host.HasTCPScale, host.StatusAssured | host.StatusSrcNAT | host.StatusDstNAT},
	{"tcp before nat", track, func(w *wire) { w.tcp(plain4, tcpWays["ESTABLISHED"]) }, 1, 0, host.StatusAssured},
	{"sctp", nat, func(w *wire) { everyNAT(func(v conversation) { w.sctp(v, sctpWays["ESTABLISHED"]) }) }, 8, host.HasVTags, host.StatusSrcNAT | host.StatusDstNAT},
	{"icmp", nat, func(w *wire) { everyEcho(w, true) }, 6, 0, host.StatusSeenReply | host.StatusSrcNAT | host.StatusDstNAT},
	{"icmp without an answer", nat, func(w *wire) { everyEcho(w, false) }, 6, 0, natDone},
	{"icmp before nat", track, func(w *wire) { w.query("192.0.2.1", "192.0.2.2", 7) }, 1, 0, 0},
	{"other protocols", nat, func(w *wire) { everyOther(w, 253, nil) }, 6, 0, host.StatusSrcNAT | host.StatusDstNAT},
	{"other protocols before nat", track, func(w *wire) { w.packet(253, "192.0.2.1", "192.0.2.2", nil) }, 1, 0, 0},
	{"dccp", nat, func(w *wire) { everyOther(w, host.ProtoDCCP, make([]byte, 24)) }, 6, 0, natDone},
	{"gre", nat, func(w *wire) { everyOther(w, host.ProtoGRE, make([]byte, 24)) }, 6, 0, host.StatusSrcNAT | host.StatusDstNAT},
	{"esp", nat, func(w *wire) { everyOther(w, 50, make([]byte, 16)) }, 6, 0, natDone},
	{"marks", nat + marksRules, func(w *wire) { everyNAT(func(v conversation) { w.udp(host.ProtoUDP, v, true) }) }, 8, host.HasMark, host.StatusDstNAT},
	{"labels", nat + labelsRules, func(w *wire) { everyNAT(func(v conversation) { w.tcp(v, tcpWays["ESTABLISHED"]) }) }, 8, host.HasLabels, host.StatusDstNAT},
	{"zones", nat + zonesRules, func(w *wire) { everyNAT(func(v conversation) { w.udp(host.ProtoUDP, v, false) }) }, 8, 0, host.StatusDstNAT},
	{"zones of the original direction", nat + origZonesRules, func(w *wire) { everyNAT(func(v conversation) { w.udp(host.ProtoUDP, v, true) }) }, 8, host.HasZoneOrig, host.StatusDstNAT},
	{"zones of the reply direction", nat + replyZonesRules, func(w *wire) { everyNAT(func(v conversation) { w.udp(host.ProtoUDP, v, false) }) }, 8, host.HasZoneReply, host.StatusDstNAT},
	{"ftp", nat + ftpRules, func(w *wire) { w.ftp(plain(end{"192.0.2.1", 4000}, end{"192.0.2.2", 21})) }, 2, host.HasHelper, host.StatusHelper},
	{"ftp with snat", nat + ftpRules, func(w *wire) {
		w.ftp(conversation{end{"192.0.2.1", 5000}, end{"192.0.2.2", 21}, end{"192.0.2.2", 21}, end{"198.51.100.1", 5001}})
	}, 2, host.HasHelper | host.HasSeqAdj, host.StatusSrcNAT | host.StatusSeqAdjust},
	{"ftp before nat", track + ftpRules, func(w *wire) { w.ftp(plain(end{"192.0.2.1", 4000}, end{"192.0.2.2", 21})) }, 2, host.HasMaster, host.StatusExpected},
}

// Rules that put more into an entry than its tuples.
const (
	marksRules = `table inet m { chain o { type filter hook output priority 0; ct mark set 0xdeadbeef; }; }
`
	labelsRules = `table inet l { chain o { type filter hook output priority 0; ct label set 3; ct label set 127; }; }
`
	zonesRules = `table inet z { chain o { type filter hook output priority -300; ct zone set 7; }; }
`
	origZonesRules = `table inet z { chain o { type filter hook output priority -300; ct original zone set 7; }; }
`
	replyZonesRules = `table inet z { chain o { type filter hook output priority -300; ct reply zone set 7; }; }
`
	ftpRules = `table inet f {
 ct helper ftp { type "ftp" protocol tcp; }
 chain o { type filter hook output priority 0; tcp dport 21 ct helper set "ftp"; }
}
`
)

// everyEcho sends queries and, when reply, the answers to what the kernel made
// of them: a DNAT chooses another id.
func everyEcho(w *wire, reply bool) {
	for _, v := range [][2]string{{"192.0.2.1", "192.0.2.2"}, {"192.0.2.1", "192.0.2.9"}, {"192.0.2.3", "192.0.2.2"}, {"2001:db8::1", "2001:db8::2"}, {"2001:db8::1", "2001:db8::9"}, {"2001:db8::3", "2001:db8::9"}} {
		w.query(v[0], v[1], 7)
	}
	if !reply {
		return
	}
	flows, _ := flowsOf(w.t, openHere(w.t, ""), Filter{})
	for _, f := range flows {
		r := f.Reply
		w.packet(r.Proto, r.Src.String(), r.Dst.String(), append([]byte{byte(r.DstPort >> 8), 0, 0, 0}, ports(r.SrcPort, 1)...))
	}
}

func everyOther(w *wire, proto uint8, body []byte) {
	for _, v := range [][2]string{{"192.0.2.1", "192.0.2.2"}, {"192.0.2.1", "192.0.2.9"}, {"192.0.2.3", "192.0.2.9"}, {"2001:db8::1", "2001:db8::2"}, {"2001:db8::1", "2001:db8::9"}, {"2001:db8::3", "2001:db8::9"}} {
		w.packet(proto, v[0], v[1], body)
	}
}

// ftpAsks opens a control connection on which the client asks for active mode.
func (w *wire) ftpAsks(v conversation) {
	w.t.Helper()
	w.tcp(v, tcpWays["ESTABLISHED"])
	const user = "USER x\r\n"
	w.say(v, 0, user)
	w.say(v, uint32(len(user)), "PORT 192,0,2,1,19,141\r\n") // port 5005
}

// ftp has the server open the data connection that was expected, too.
func (w *wire) ftp(v conversation) {
	w.t.Helper()
	w.ftpAsks(v)
	w.tcp(plain(end{v.c.addr, 20}, end{v.d.addr, 5005}), tcpWays["SYN_SENT"])
}

func everyNAT(f func(conversation)) {
	for _, v := range []conversation{plain4, plain6, dnat4, dnat6, snat4, snat6, both4, both6} {
		f(v)
	}
}

func TestInsertKinds(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			flows := madeAgain(t, k.rules, k.send, k.n)
			if !slices.ContainsFunc(flows, func(f host.Flow) bool { return f.Has&k.has == k.has && f.Status.Has(k.status) }) {
				t.Errorf("none has %b and status %v: %+v", k.has, k.status.Names(), flows)
			}
		})
	}
	state := func(proto string, ways map[string]string, send func(w *wire, way string)) {
		for _, name := range slices.Sorted(maps.Keys(ways)) {
			t.Run(proto+" "+name, func(t *testing.T) {
				for _, f := range madeAgain(t, nat, func(w *wire) { send(w, ways[name]) }, 2) {
					if f.State() != name {
						t.Errorf("state %s", f.State())
					}
				}
			})
		}
	}
	state("tcp", tcpWays, func(w *wire, way string) { w.tcp(dnat4, way); w.tcp(plain6, way) })
	state("sctp", sctpWays, func(w *wire, way string) { w.sctp(both4, way); w.sctp(plain6, way) })
}

// madeAgain holds a table against what a delete and an insert of every entry
// make of it, and returns it.
func madeAgain(t *testing.T, ruleset string, send func(*wire), n int) []host.Flow {
	t.Helper()
	t.Parallel()
	w := newWire(t, ruleset)
	send(w)
	l := openHere(t, "")
	e := entriesHere(t, l)
	before, _ := flowsOf(t, l, Filter{})
	if len(before) != n {
		t.Fatalf("%d entries, want %d: %+v", len(before), n, before)
	}
	// a master first
	slices.SortStableFunc(before, func(a, b host.Flow) int { return int(a.Has&host.HasMaster) - int(b.Has&host.HasMaster) })
	for i := range before {
		if err := e.Delete(context.Background(), &before[i]); err != nil {
			t.Fatalf("%+v: %v", before[i], err)
		}
	}
	want := make([]host.Flow, n)
	for i, f := range before {
		if err := e.Insert(context.Background(), &f); err != nil {
			t.Errorf("%+v: %v", f, err)
		}
		want[i] = lost(f)
	}
	after, _ := flowsOf(t, l, Filter{})
	if d := cmp.Diff(want, after, kept); d != "" {
		t.Errorf("before, less what is lost -, after +:\n%s", d)
	}
	return before
}

// lost is f without what InsertLoses says, where that shows in a dump.
func lost(f host.Flow) host.Flow {
	f.Orig, f.Repl = host.Counts{}, host.Counts{}
	if !bothScale(&f) {
		f.TCPScale = [2]uint8{}
	}
	f.TCPFlags[Original] &^= tcpMaxAck
	f.TCPFlags[Reply] &^= tcpMaxAck
	return f
}
