package invalid

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ntdiag/ntdiag/diagnose/counters"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// gateway is a host between c0 (10.0.0.0/24) and s0 (192.168.1.0/24), with a
// second uplink w1 that has the default route.
func gateway(sysctls map[string]string) *host.Snapshot {
	s := &host.Snapshot{Rules: &rules.Ruleset{}, Sysctls: map[string]host.Fact[string]{}}
	s.Links = []rules.Link{{Index: 1, Name: "lo", Type: 772}, {Index: 2, Name: "c0", Type: 1, Kind: "veth", Up: true}, {Index: 3, Name: "s0", Type: 1, Up: true}, {Index: 4, Name: "w1", Type: 1, Up: true}}
	route := func(table uint32, dst string, typ rules.AddrType, oif uint32) {
		s.Routes = append(s.Routes, host.RouteEntry{Family: rules.FamilyIPv4, Table: table, Dst: netip.MustParsePrefix(dst), Type: typ, Oif: oif})
	}
	for i, a := range []string{"127.0.0.1/8", "10.0.0.1/24", "192.168.1.2/24", "198.51.100.2/24"} {
		p := netip.MustParsePrefix(a)
		s.Addrs = append(s.Addrs, host.Addr{Index: uint32(i + 1), Prefix: p})
		route(255, p.Addr().String()+"/32", rules.AddrLocal, uint32(i+1))
		route(254, p.Masked().String(), rules.AddrUnicast, uint32(i+1))
	}
	route(254, "0.0.0.0/0", rules.AddrUnicast, 4)
	for _, dev := range []string{"all", "lo", "c0", "s0", "w1"} {
		for k, v := range map[string]string{"rp_filter": "0", "route_localnet": "0", "accept_local": "0", "forwarding": "1", "src_valid_mark": "0"} {
			s.Sysctls["net.ipv4.conf."+dev+"."+k] = host.Known(v)
		}
	}
	for k, v := range sysctls {
		s.Sysctls[k] = host.Known(v)
	}
	s.Prepare()
	return s
}

// line is a message of TCP as the kernel prints it.
func line(reason, dev, src, dst, flags string) string {
	return lineFrom(reason, dev, "ee:e9:55:98:14:ab", src, dst, flags)
}

func lineFrom(reason, dev, mac, src, dst, flags string) string {
	s, d := netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)
	return fmt.Sprintf("nf_ct_proto_6: %s IN=%s OUT= MAC=da:ff:ba:e6:8b:04:%s:08:00 SRC=%s DST=%s LEN=40 TOS=0x00 PREC=0x00 TTL=64 ID=1 PROTO=TCP SPT=%d DPT=%d SEQ=1 ACK=0 WINDOW=1 RES=0x00 %s URGP=0 ",
		reason, dev, mac, s.Addr(), d.Addr(), s.Port(), d.Port(), flags)
}

const overBound = "SEQ is over upper bound 65242 (over the window of the receiver)"

var began = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// TestCauses: a cause is named where something speaks for it, with the packets
// that it explains, and not where nothing does.
func TestCauses(t *testing.T) {
	many := func(n int, one func(i int) string) (out []string) {
		for i := range n {
			out = append(out, one(i))
		}
		return out
	}
	entry := func(state uint8, status host.Status) *Entry {
		return &Entry{Flow: host.Flow{Original: tuple(6, "10.0.0.10:1", "203.0.113.9:80"), Reply: tuple(6, "203.0.113.9:80", "10.0.0.10:1"),
			Has: host.HasTCPState, TCPState: state, Status: status}}
	}
	for _, tc := range []struct {
		name    string
		lines   []string
		sysctls map[string]string
		entry   *Entry // of every flow
		table   TableState
		nobody  bool   // no host is known
		want    string // causes with packets, and what is unclear
		says    []string
	}{
		{name: "a RST without entry tells nothing", lines: []string{line("invalid new", "c0", "10.0.0.10:1", "203.0.113.9:80", "RST")}, want: "unclear 1"},
		{name: "nor does it in a file", nobody: true, lines: []string{line("invalid new", "c0", "10.0.0.10:1", "203.0.113.9:80", "RST")}, want: "unclear 1"},
		{name: "SYN+ACK without entry", lines: []string{line("invalid new", "s0", "192.168.1.80:80", "10.0.0.10:1", "ACK SYN")},
			want: "one-way 1 likely", says: []string{"1 packet with SYN+ACK and no entry: the SYN that they answer did not pass here", "ip route get 192.168.1.80, ip route get 10.0.0.10", "ip saddr 192.168.1.80 ip daddr 10.0.0.10 notrack"}},
		{name: "SYN+ACK to this host itself", lines: []string{line("invalid new", "s0", "192.168.1.80:80", "192.168.1.2:1", "ACK SYN")}, want: "backscatter 1 likely"},
		{name: "ACK in SYN_SENT", nobody: true, lines: []string{line("packet (index 3) in dir 0 invalid, state SYN_SENT", "c0", "10.0.0.10:1", "203.0.113.9:80", "ACK")},
			want: "one-way 1", says: []string{"1 packet of originators whose entry still waits for a SYN+ACK"}},
		{name: "the route back is another", lines: []string{line(overBound, "s0", "203.0.113.9:80", "10.0.0.10:1", "ACK")},
			want: "one-way 1", says: []string{"1 packet that came in by s0, while the route back to 203.0.113.9 is by w1"}},
		{name: "the route back is the same", lines: []string{line(overBound, "w1", "203.0.113.9:80", "10.0.0.10:1", "ACK")}, want: "window 1 likely"},
		{name: "entry still unreplied", lines: []string{line(overBound, "c0", "10.0.0.10:1", "203.0.113.9:80", "ACK")}, entry: entry(1, 0),
			want: "one-way 1 likely", says: []string{"1 packet of connections whose entry is SYN_SENT and has seen no answer"}},
		{name: "out of the window", lines: []string{line(overBound, "c0", "10.0.0.10:1", "203.0.113.9:80", "ACK")}, entry: entry(3, host.StatusSeenReply|host.StatusSrcNAT),
			sysctls: map[string]string{keyLiberal: "0"}, want: "window 1 likely",
			says: []string{"their entries: ESTABLISHED (1); with DNAT 0, with SNAT 1", keyLiberal + " is 0", "sysctl -w " + keyLiberal + "=1"}},
		{name: "out of the window, offloaded", lines: []string{line(overBound, "c0", "10.0.0.10:1", "203.0.113.9:80", "ACK")}, entry: entry(3, host.StatusSeenReply|host.StatusOffload),
			want: "window 1", says: []string{"1 entry is offloaded"}},
		{name: "be_liberal is on by now", lines: []string{line(overBound, "c0", "10.0.0.10:1", "203.0.113.9:80", "ACK")}, sysctls: map[string]string{keyLiberal: "1"},
			want: "window 1", says: []string{"is 1 now: no more of these"}},
		{name: "checksums of one source", lines: many(3, func(i int) string {
			return line("bad checksum", "c0", fmt.Sprintf("10.0.0.10:%d", i+1), "203.0.113.9:80", "SYN")
		}),
			want: "checksum 3", says: []string{"checksums of what 10.0.0.10 sends are wrong", "c0 is a veth device"}},
		{name: "checksums of one sender", lines: many(3, func(i int) string {
			return line("bad checksum", "s0", fmt.Sprintf("10.0.9.%d:1", i+1), "203.0.113.9:80", "SYN")
		}),
			want: "checksum 3", says: []string{"whatever comes from ee:e9:55:98:14:ab, of 3 sources"}},
		{name: "checksums by one device", lines: many(3, func(i int) string {
			return lineFrom("bad checksum", "s0", fmt.Sprintf("00:00:00:00:00:%02x", i), fmt.Sprintf("192.168.1.%d:1", i+9), "203.0.113.9:80", "SYN")
		}), want: "checksum 3", says: []string{"whatever comes in by s0", "ethtool -K s0 rx off"}},
		{name: "checksums everywhere", lines: many(4, func(i int) string {
			return lineFrom("bad checksum", []string{"s0", "c0"}[i%2], fmt.Sprintf("00:00:00:00:00:%02x", i), fmt.Sprintf("192.168.1.%d:1", i+9), "203.0.113.9:80", "SYN")
		}), want: "checksum 4 likely"},
		{name: "a scan by flags", lines: many(20, func(i int) string {
			return line("invalid tcp flag combination", "w1", "203.0.113.9:5", fmt.Sprintf("10.0.0.10:%d", i+1), "FIN PSH URG")
		}),
			want: "scan 20", says: []string{"FIN+PSH+URG (20)", "from 203.0.113.9 (20), to 20 addresses and ports"}},
		{name: "a scan by FINs", lines: many(20, func(i int) string {
			return line("invalid new", "w1", "203.0.113.9:5", fmt.Sprintf("10.0.0.10:%d", i+1), "FIN")
		}), want: "scan 20"},
		{name: "one FIN is none", lines: []string{line("invalid new", "w1", "203.0.113.9:5", "10.0.0.10:1", "FIN")}, want: "unclear 1"},
		{name: "a timeout below the keepalive", lines: []string{line("invalid new", "c0", "10.0.0.10:1", "203.0.113.9:80", "ACK RST")}, sysctls: map[string]string{keyEstablished: "600"},
			want: "timeout 1 likely", says: []string{keyEstablished + " is 600 s; TCP sends a keepalive after 7200 s"}},
		{name: "a timeout of days", lines: []string{line("invalid new", "c0", "10.0.0.10:1", "203.0.113.9:80", "ACK RST")}, sysctls: map[string]string{keyEstablished: "432000"}, want: "unclear 1"},
		{name: "a flush", lines: many(6, func(i int) string {
			return line("invalid new", "c0", fmt.Sprintf("10.0.0.10:%d", i+1), "203.0.113.9:80", "ACK RST")
		}),
			table: TableState{Read: true, Entries: 40, Stamped: 40, Oldest: began.Add(-time.Minute)}, want: "flushed 6 likely",
			says: []string{"the conntrack table was emptied at about 2026-03-01 11:59:00", "all 40 entries are younger"}},
		{name: "older entries: no flush", lines: many(6, func(i int) string {
			return line("invalid new", "c0", fmt.Sprintf("10.0.0.10:%d", i+1), "203.0.113.9:80", "ACK RST")
		}),
			table: TableState{Read: true, Entries: 40, Stamped: 40, Oldest: began.Add(-time.Hour)}, want: "unclear 6"},
		{name: "entries without stamps tell of no flush", lines: many(6, func(i int) string {
			return line("invalid new", "c0", fmt.Sprintf("10.0.0.10:%d", i+1), "203.0.113.9:80", "ACK RST")
		}),
			table: TableState{Read: true, Entries: 40}, want: "unclear 6"},
		{name: "RSTs that are not believed", lines: []string{line("invalid rst", "c0", "10.0.0.10:1", "203.0.113.9:80", "RST")}, want: "stale-reset 1 likely"},
		{name: "ports used again are accepted", lines: []string{line("packet (index 0) in dir 0 ignored, state TIME_WAIT", "c0", "10.0.0.10:1", "203.0.113.9:80", "SYN")},
			want: "port-reuse 1", says: []string{"SYN of the originator in TIME_WAIT: 1"}},
		{name: "a full table and a helper", lines: []string{"nf_conntrack: nf_conntrack: table full in netns 4026532599, dropping packet", "nf_ct_ftp: dropping packet: cannot add expectation IN= OUT= SRC=10.0.0.1 DST=10.0.0.2 LEN=20 TOS=0x00 PREC=0x00 TTL=64 ID=1 PROTO=47 "},
			want: "table-full 1, helper 1", says: []string{"helper ftp: 1 packet"}},
		{name: "a device without an address", lines: []string{"w1 ate my IP address"}, want: "no-address 1", says: []string{"w1: 1 line; it has 198.51.100.2 now"}},
		{name: "a header that is cut", lines: []string{line("truncated packet", "c0", "10.0.0.10:1", "203.0.113.9:80", "SYN")}, want: "malformed 1"},
		{name: "an ICMP error to the wrong one", lines: []string{"nf_ct_proto_1: outer daddr 10.77.1.2 != inner 10.77.1.99 IN=c0 OUT= SRC=10.77.2.99 DST=10.77.1.2 LEN=56 TOS=0x00 PREC=0x00 TTL=64 ID=4660 PROTO=ICMP TYPE=3 CODE=3 [SRC=10.77.1.99 DST=10.77.2.99 LEN=30 TOS=0x00 PREC=0x00 TTL=64 ID=4660 PROTO=UDP SPT=4100 DPT=53 LEN=10 ] "},
			want: "icmp-quote 1", says: []string{"icmp 10.77.2.99 → 10.77.1.2 type 3 code 3 quotes udp 10.77.1.99:4100 → 10.77.2.99:53"}},
		{name: "what no kernel prints is not known to be invalid", lines: []string{line("tastes odd", "c0", "10.0.0.10:1", "203.0.113.9:80", "RST")}, want: ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tally := NewTally()
			var m Message
			for i, l := range tc.lines {
				if !Parse([]byte(l), &m) {
					t.Fatalf("not a message: %s", l)
				}
				m.At = began.Add(time.Duration(i) * time.Second)
				tally.Add(&m, 1)
			}
			c := &Case{Groups: tally.Groups(), Kernel: host.Release{Major: 6, Minor: 18}, Table: tc.table}
			if !tc.nobody {
				c.Host = gateway(tc.sysctls)
				c.Found = map[*Flow]*Found{}
			}
			for _, g := range c.Groups {
				for _, f := range g.Flows() {
					if tc.entry != nil {
						c.Found[f] = &Found{Entries: []Entry{*tc.entry}}
					}
				}
			}
			d := Diagnose(c)
			var got, said []string
			for _, x := range d.Causes {
				text := fmt.Sprintf("%s %d", x.Name, x.Packets)
				if x.Likely {
					text += " likely"
				}
				got = append(got, text)
				said = append(append(said, x.Text), x.Evidence...)
				for _, f := range x.Fixes {
					said = append(said, f.Do)
				}
			}
			if d.Unclear > 0 {
				got = append(got, fmt.Sprintf("unclear %d", d.Unclear))
			}
			if diff := cmp.Diff(tc.want, strings.Join(got, ", ")); diff != "" {
				t.Errorf("(-want +got):\n%s%s", diff, strings.Join(said, "\n"))
			}
			for _, s := range tc.says {
				if !strings.Contains(strings.Join(said, "\n"), s) {
					t.Errorf("it does not say %q:\n%s", s, strings.Join(said, "\n"))
				}
			}
		})
	}
}

// TestAccounts: what messages tell of a counter, what is left, and that there
// are never more messages than were counted without a word about it.
func TestAccounts(t *testing.T) {
	groups := tallied(t, line(overBound, "c0", "10.0.0.10:1", "203.0.113.9:80", "ACK"), line(overBound, "c0", "10.0.0.10:1", "203.0.113.9:80", "ACK"),
		line("invalid new", "c0", "10.0.0.10:1", "203.0.113.9:80", "RST"),
		line("packet (index 2, dir 1) response for index 2 lower timeout to 75000", "c0", "10.0.0.10:1", "203.0.113.9:80", "FIN"),
		line("challenge-ack ignored", "c0", "10.0.0.10:1", "203.0.113.9:80", "ACK")).Groups()
	for _, tc := range []struct {
		name    string
		invalid uint64
		total   bool
		c       Circumstances
		loose   string
		want    string
	}{
		{name: "all of it", invalid: 3, want: "invalid 3 explained 3 over 0"},
		{name: "less was counted", invalid: 2, want: "invalid 2 explained 2 over 1"},
		{name: "nothing was counted", want: "invalid 0 explained 0 over 3"},
		{name: "more was counted", invalid: 5, want: "invalid 5 explained 3 over 0: an ACK without entry while tcp_loose is 0"},
		{name: "tcp_loose is 0", invalid: 5, loose: "0", want: "invalid 5 explained 3 over 0: an ACK without entry while tcp_loose is 0!"},
		{name: "tcp_loose is 1", invalid: 5, loose: "1", want: "invalid 5 explained 3 over 0: fewer than"},
		{name: "messages were lost", invalid: 5, c: Circumstances{Lost: 2}, want: "invalid 5 explained 3 over 0: 2 messages that were lost!"},
		{name: "one protocol only", invalid: 5, c: Circumstances{LogInvalid: host.Known[uint8](6)}, want: "invalid 5 explained 3 over 0: packets of other protocols than tcp!"},
		{name: "the moments around", invalid: 150, c: Circumstances{Enabled: true}, want: "invalid 150 explained 3 over 0: an ACK"},
		{name: "since the namespace was made", invalid: 500, total: true, want: "invalid 500 explained 0 over 0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.c.Kernel = host.Release{Major: 6, Minor: 18}
			if tc.loose != "" {
				tc.c.Host = gateway(map[string]string{keyLoose: tc.loose})
			}
			s := &counters.Stats{CPUs: []counters.CPU{{}}}
			for k := range counters.Table {
				if counters.Table[k].Name == "invalid" {
					s.CPUs[0].Values[k], s.CPUs[0].Has[k] = tc.invalid, true
				}
			}
			all := Accounts(groups, s, tc.total, &tc.c)
			a := all[0]
			got := fmt.Sprintf("%s %d explained %d over %d", a.Counter, a.Delta, a.Explained, a.Over)
			if len(a.Silent) > 0 {
				got += ": " + a.Silent[0].What
				if a.Silent[0].Likely {
					got += "!"
				}
			}
			if len(all) != 1 || !strings.HasPrefix(got, tc.want) || strings.Count(got, "!") != strings.Count(tc.want, "!") {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
