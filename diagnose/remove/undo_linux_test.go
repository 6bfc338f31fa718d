package remove

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/journal"
	"github.com/ntdiag/ntdiag/rules"
)

// answerType is the type of the answer to a query.
var answerType = map[uint8]uint16{host.ProtoICMP: 0, host.ProtoICMPv6: 129}

// kinds are n flows of every kind: protocols, families, states, rewrites,
// zones, marks, labels, helpers, each in every mixture that a table can have.
func kinds(n int) []host.Flow {
	protos := []uint8{host.ProtoTCP, host.ProtoUDP, host.ProtoICMP, host.ProtoTCP, host.ProtoICMPv6, host.ProtoUDP, host.ProtoSCTP, host.ProtoGRE, 4}
	var out []host.Flow
	for i := range n {
		proto := protos[i%len(protos)]
		k := i / len(protos)
		six := proto == host.ProtoICMPv6 || proto != host.ProtoICMP && k%5 == 4
		f := host.Flow{Family: rules.FamilyIPv4, Has: host.HasMark | host.HasTimeout, Timeout: uint32(300 + k), Status: host.StatusConfirmed}
		client, server, target, out4 := "10.0.0.10", "10.8.2.12", "192.168.1.80", "192.168.1.2"
		if six {
			f.Family = rules.FamilyIPv6
			client, server, target, out4 = "2001:db8::10", "2001:db8::1", "fd00::80", "fd00::2"
		}
		tuples(&f, proto, i, netip.MustParseAddr(client), netip.MustParseAddr(server))
		rewrite(&f, k%4, netip.MustParseAddr(target), netip.MustParseAddr(out4))
		tracker(&f, k)
		if k%3 != 0 {
			f.Status |= host.StatusSeenReply
		}
		if k%3 == 2 {
			f.Status |= host.StatusAssured
		}
		inZone(&f, k)
		if k%2 == 1 {
			f.Mark = uint32(i) << 8
		}
		if k%7 == 3 {
			f.Has |= host.HasLabels
			f.Labels[0] = byte(1 + k)
		}
		if proto == host.ProtoTCP && k%6 == 5 {
			f.Has |= host.HasHelper
			f.Helper = "ftp"
		}
		out = append(out, f)
	}
	return out
}

func tuples(f *host.Flow, proto uint8, i int, client, server netip.Addr) {
	f.Original = rules.Tuple{Proto: proto, Src: client, Dst: server}
	f.Reply = rules.Tuple{Proto: proto, Src: server, Dst: client}
	if proto == 4 { // no ports: an address of its own for each
		f.Original.Src = netip.AddrFrom16([16]byte{0: 0xfd, 14: byte(i >> 8), 15: byte(i)})
		if client.Is4() {
			f.Original.Src = netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})
		}
		f.Reply.Dst = f.Original.Src
	}
	id := uint16(1024 + i)
	switch {
	case f.IsICMP():
		query := uint16(8)
		if proto == host.ProtoICMPv6 {
			query = 128
		}
		f.Original.SrcPort, f.Reply.SrcPort = id, id
		f.Original.DstPort, f.Reply.DstPort = query<<8, answerType[proto]<<8
	case f.HasPorts():
		f.Original.SrcPort, f.Original.DstPort = id, 21
		f.Reply.SrcPort, f.Reply.DstPort = 21, id
	}
}

// rewrite does no NAT, DNAT, SNAT, or both.
func rewrite(f *host.Flow, how int, target, out netip.Addr) {
	f.Status |= host.StatusSrcNATDone | host.StatusDstNATDone
	if how&1 != 0 {
		f.Status |= host.StatusDstNAT
		f.Reply.Src = target
		if f.HasPorts() && f.Original.Proto != host.ProtoGRE {
			f.Reply.SrcPort = 2121
		}
	}
	if how&2 == 0 || f.Original.Proto == 4 {
		return
	}
	f.Status |= host.StatusSrcNAT
	f.Reply.Dst = out
	switch {
	case f.IsICMP():
		f.Reply.SrcPort += 10000
	case f.HasPorts():
		f.Reply.DstPort += 10000
	}
}

func tracker(f *host.Flow, k int) {
	switch f.Original.Proto {
	case host.ProtoTCP:
		f.Has |= host.HasTCPState | host.HasTCPScale | host.HasTCPFlags
		f.TCPState = uint8(1 + k%8)
		f.TCPScale = [2]uint8{uint8(k % 14), uint8(k % 7)}
		f.TCPFlags = [2]uint8{0x01, 0x01} // IP_CT_TCP_FLAG_WINDOW_SCALE
	case host.ProtoSCTP:
		f.Has |= host.HasSCTPState | host.HasVTags
		f.L4State = uint8(1 + k%6)
		f.VTags = [2]uint32{uint32(k) << 20, 7}
	}
}

// inZone puts a flow into no zone, one, or one of one direction.
func inZone(f *host.Flow, k int) {
	switch k % 5 {
	case 1:
		f.Zone = 7
	case 2:
		f.Zone, f.Has = 8, f.Has|host.HasZoneOrig
	case 3:
		f.Zone, f.Has = 9, f.Has|host.HasZoneReply
	}
}

const labelRules = `table inet t {
	chain c {
		type filter hook prerouting priority 0
		ct label set 100
	}
}`

func TestUndoBringsAllBack(t *testing.T) {
	tb := newTable(t)
	tb.nft(labelRules) // entries have labels only where rules use them
	const n = 1000
	tb.insert(kinds(n)...)
	began, before := time.Now(), tb.dump()
	for what, has := range map[string]func(*host.Flow) bool{
		"labels":        func(f *host.Flow) bool { return f.Labels != [16]byte{} },
		"a helper":      func(f *host.Flow) bool { return f.Helper != "" },
		"a mark":        func(f *host.Flow) bool { return f.Mark != 0 },
		"half a zone":   func(f *host.Flow) bool { return f.Has&(host.HasZoneOrig|host.HasZoneReply) != 0 },
		"both rewrites": func(f *host.Flow) bool { return f.Status.Has(host.StatusSrcNAT | host.StatusDstNAT) },
		"a state":       func(f *host.Flow) bool { return f.State() == "TIME_WAIT" },
		"IPv6":          func(f *host.Flow) bool { return f.Family == rules.FamilyIPv6 },
	} {
		if len(plan(before, has)) < 20 {
			t.Errorf("%d flows of %d with %s", len(plan(before, has)), n, what)
		}
	}
	w := newJournal(t, t.TempDir())
	results, err := Run(context.Background(), tb, w, plan(before, all), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[journal.Action]int{journal.Deleted: n}, actions(results)); d != "" {
		t.Fatal(d)
	}
	for _, r := range results {
		if r.Back != BackNone {
			t.Errorf("%s: %+v", r.Back, r.Now)
		}
	}
	if left := tb.dump(); len(left) != 0 {
		t.Fatalf("%d entries are left", len(left))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[journal.Outcome]int{journal.Restored: n}, tb.undo(w.Path())); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(before, tb.dump(), kept(began)); d != "" {
		t.Errorf("before -, after +:\n%s", d)
	}
	if again := tb.undo(w.Path()); len(again) != 0 {
		t.Errorf("undone twice: %v", again)
	}
}

// TestUndoMeets: what is there in place of an entry stays.
func TestUndoMeets(t *testing.T) {
	tb := newTable(t)
	flows := []host.Flow{tcp(1), tcp(2), tcp(3), tcp(4)}
	tb.insert(flows...)
	began, before := time.Now(), tb.dump()
	w := newJournal(t, t.TempDir())
	if _, err := Run(context.Background(), tb, w, plan(before, all), Options{}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	same, moved, thief := tcp(1), tcp(2), tcp(3)
	moved.Reply.DstPort = 7
	thief.Original.SrcPort = 9
	tb.insert(same, moved, thief)
	j, jw, err := journal.Open(w.Path())
	if err != nil {
		t.Fatal(err)
	}
	got, err := Undo(context.Background(), tb, j, jw)
	if err != nil {
		t.Fatal(err)
	}
	outcomes := map[netip.Addr]string{}
	for _, u := range got {
		outcomes[u.Flow.Original.Src] = string(u.Outcome) + ": " + u.Why
	}
	want := map[netip.Addr]string{
		flows[0].Original.Src: "there: ",
		flows[1].Original.Src: "taken: it began anew with another mapping",
		flows[2].Original.Src: "taken: an entry with another original tuple has its reply tuple",
		flows[3].Original.Src: "restored: ",
	}
	if d := cmp.Diff(want, outcomes, cmpopts.EquateComparable(netip.Addr{})); d != "" {
		t.Error(d)
	}
	if err := jw.Close(); err != nil {
		t.Fatal(err)
	}
	// what stood in the way is gone: those two are tried again
	for _, f := range tb.dump() {
		if f.Reply.DstPort == 7 || f.Original.SrcPort == 9 {
			if err := tb.Delete(context.Background(), &f); err != nil {
				t.Fatal(err)
			}
		}
	}
	if d := cmp.Diff(map[journal.Outcome]int{journal.Restored: 2}, tb.undo(w.Path())); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(before, tb.dump(), kept(began)); d != "" {
		t.Errorf("before -, after +:\n%s", d)
	}
}
