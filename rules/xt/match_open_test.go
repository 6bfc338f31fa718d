package xt

import (
	"encoding/binary"
	"testing"

	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/walk"
)

// zeros are padding, or fields that say nothing.
func zeros(n int) []byte { return make([]byte, n) }

// TestOpenRevisions decodes what this version of iptables does not send, what
// this kernel does not load, and what no tool does.
func TestOpenRevisions(t *testing.T) {
	v4, v6 := rules.FamilyIPv4, rules.FamilyIPv6
	set := fields(uint16(3), uint8(2), uint8(1<<1))
	hash1 := func(mode uint32) []byte {
		return fields(chars("h", 16), mode, uint32(2000), uint32(5), uint32(0), uint32(0), uint32(1000), uint32(1000), uint8(24), uint8(32))
	}
	recent := func(check uint8, mask ...byte) []byte {
		return fields(uint32(60), uint32(4), check, uint8(1), chars("r", 200), uint8(1), zeros(1), mask)
	}
	text := func(flags uint8, n uint8) []byte {
		return fields(uint16(0), uint16(0xffff), chars("bm", 16), chars("abc", 128), n, flags)
	}
	policy := func(flags, n uint16) []byte { return fields(zeros(4*76), flags, n) }
	rate := fields(chars("a", 16), chars("b", 16))
	for _, tt := range []struct {
		name     string
		match    string
		revision uint8
		family   rules.Family
		info     []byte
		save     string // "-": it is refused
	}{
		{"set 0", "set", 0, v4, fields(uint16(3), uint16(0), uint32(1), uint32(2), uint32(0), uint32(0), uint32(0), uint32(0), uint8(2), uint8(2)), "--match-set #3 src,dst"},
		{"set 0 inverted", "set", 0, v4, fields(uint16(3), uint16(0), uint32(4|2), zeros(24)), "! --match-set #3 dst"},
		{"set 0 of ipv6", "set", 0, v6, zeros(32), "-"},
		{"set 1", "set", 1, v6, set, "--match-set #3 src,dst"},
		{"set 2 nomatch", "set", 2, v4, fields(uint16(3), uint8(1), uint8(1|1<<7)), "! --match-set #3 dst --return-nomatch"},
		{"set of too many", "set", 1, v4, fields(uint16(3), uint8(7), uint8(0)), "-"},
		{"set 3", "set", 3, v4, fields(set, zeros(4), uint8(4), zeros(7), uint64(9), uint8(2), zeros(7), uint64(8), uint32(1<<3)), "--match-set #3 src,dst ! --update-counters --packets-gt 9 ! --bytes-eq 8"},
		{"set 4", "set", 4, v4, fields(set, zeros(4), uint64(9), uint8(3), zeros(7), uint64(8), uint8(0), zeros(7), uint32(1<<4|1<<7)), "--match-set #3 src,dst --return-nomatch ! --update-subcounters --packets-lt 9"},
		{"set 4 flags", "set", 4, v4, fields(set, zeros(36), uint32(1<<9)), "-"},
		{"set 4 operator", "set", 4, v4, fields(set, zeros(12), uint8(5), zeros(27)), "-"},
		{"hashlimit 1", "hashlimit", 1, v4, hash1(1<<2 | 1<<4), "--hashlimit-above 5/sec --hashlimit-burst 5 --hashlimit-mode srcip --hashlimit-name h --hashlimit-srcmask 24"},
		{"hashlimit 1 rate match", "hashlimit", 1, v4, hash1(1 << 6), "-"},
		{"hashlimit 1 short", "hashlimit", 1, v4, hash1(0)[:45], "-"},
		{"hashlimit 1 never", "hashlimit", 1, v6, fields(chars("h", 16), zeros(8), uint32(5), zeros(8), uint32(7), uint32(0), uint8(128), uint8(128)), "--hashlimit-upto inf --hashlimit-burst 5 --hashlimit-name h --hashlimit-htable-gcinterval 7"},
		{"hashlimit 1 mask", "hashlimit", 1, v4, fields(chars("h", 16), zeros(28), uint8(33), uint8(0)), "-"},
		{"hashlimit 2", "hashlimit", 2, v6, fields(chars("h", 255), zeros(1), uint64(1000000), uint64(3), uint32(2), uint32(1), uint32(2), uint32(1000), uint32(60000), uint8(128), uint8(0)), "--hashlimit-upto 1/sec --hashlimit-burst 3 --hashlimit-mode dstport --hashlimit-name h --hashlimit-htable-size 1 --hashlimit-htable-max 2 --hashlimit-htable-expire 60000 --hashlimit-dstmask 0"},
		{"hashlimit 2 costly bytes", "hashlimit", 2, v4, fields(chars("h", 255), zeros(1), ^uint64(0), uint64(3), uint32(1<<5), zeros(16), uint8(32), uint8(32)), "--hashlimit-upto 18446744073709551600b/s --hashlimit-burst 17592186044415m" + "b --hashlimit-name h --hashlimit-htable-gcinterval 0 --hashlimit-htable-expire 0"},
		{"connlimit flags", "connlimit", 1, v4, fields(zeros(16), uint32(1), uint32(4)), "-"},
		{"connlimit odd mask", "connlimit", 1, v4, fields(inet("255.0.255.0"), uint32(1), uint32(1)), "--connlimit-upto 1 --connlimit-mask 8 --connlimit-saddr"},
		{"statistic mode", "statistic", 0, v4, fields(uint16(2), uint16(0), zeros(12)), "-"},
		{"statistic flags", "statistic", 0, v4, fields(uint16(0), uint16(2), zeros(12)), "-"},
		{"quota flags", "quota", 0, v4, fields(uint32(2), zeros(12)), "-"},
		{"connbytes mode", "connbytes", 0, v4, fields(zeros(16), uint8(3), uint8(0)), "-"},
		{"cgroup 0", "cgroup", 0, v4, fields(uint32(5), uint32(1)), "! --cgroup 5"},
		{"cgroup 1 path", "cgroup", 1, v4, fields(uint8(1), uint8(0), uint8(1), uint8(0), chars("a/b", 4096), uint32(0)), `! --path "a/b"`},
		{"cgroup 1 id", "cgroup", 1, v4, fields(uint8(0), uint8(1), uint8(0), uint8(0), zeros(4096), uint32(7)), "--cgroup 7"},
		{"cgroup 2 path", "cgroup", 2, v6, fields(uint8(1), uint8(0), uint8(0), uint8(0), chars("web", 512)), "--path web"},
		{"cgroup 2 id", "cgroup", 2, v6, fields(uint8(0), uint8(1), uint8(0), uint8(1), uint32(7), zeros(508)), "! --cgroup 7"},
		{"cgroup 2 of both", "cgroup", 2, v6, fields(uint8(1), uint8(1), zeros(514)), "-"},
		{"socket 0", "socket", 0, v4, nil, ""},
		{"socket 0 of ipv6", "socket", 0, v6, nil, "-"},
		{"socket 1", "socket", 1, v6, fields(uint8(1)), "--transparent"},
		{"socket 1 nowildcard", "socket", 1, v6, fields(uint8(2)), "-"},
		{"socket 2", "socket", 2, v4, fields(uint8(3)), "--transparent --nowildcard"},
		{"socket 3 flags", "socket", 3, v4, fields(uint8(8)), "-"},
		{"tos 0", "tos", 0, v4, fields(uint8(8), uint8(1)), "! --tos 0x08"},
		{"dscp", "dscp", 0, v4, fields(uint8(64), uint8(0)), "-"},
		{"ttl mode", "ttl", 0, v4, fields(uint8(4), uint8(0)), "-"},
		{"ttl of ipv6", "ttl", 0, v6, fields(uint8(0), uint8(0)), "-"},
		{"recent 0", "recent", 0, v4, recent(1 | 1<<5), "! --rcheck --seconds 60 --reap --hitcount 4 --name r --rdest"},
		{"recent 1", "recent", 1, v6, recent(1<<2, inet("ffff::")...), "! --update --seconds 60 --hitcount 4 --name r --mask ffff:: --rdest"},
		{"recent of two", "recent", 0, v4, recent(3), "-"},
		{"recent of none", "recent", 0, v4, recent(1 << 4), "-"},
		{"string 0", "string", 0, v4, text(7, 3), `! --string "abc" --algo bm`},
		{"string 1", "string", 1, v4, text(2, 3), `--string "abc" --algo bm --icase`},
		{"string 1 flags", "string", 1, v4, text(4, 3), "-"},
		{"string too long", "string", 1, v4, text(0, 129), "-"},
		{"string padded", "string", 1, v4, text(0, 4), `--hex-string "|61626300|" --algo bm`},
		{"string empty", "string", 1, v4, text(0, 0), `--string "" --algo bm`},
		{"bpf 0", "bpf", 0, v4, fields(uint16(1), zeros(2), uint16(6), uint8(1), uint8(2), uint32(9), zeros(504)), `--bytecode "1,6 1 2 9"`},
		{"bpf 1 pinned", "bpf", 1, v4, fields(uint16(1), uint16(0), uint32(0), chars("/sys/fs/bpf/x", 512)), "--object-pinned /sys/fs/bpf/x"},
		{"bpf 1 fd", "bpf", 1, v4, fields(uint16(2), uint16(0), uint32(5), zeros(512)), "[ fd 5 ? ]"},
		{"bpf 1 mode", "bpf", 1, v4, fields(uint16(3), zeros(518)), "-"},
		{"bpf 0 too long", "bpf", 0, v4, fields(uint16(65), zeros(514)), "-"},
		{"policy of nothing", "policy", 0, v4, policy(0, 0), "-"},
		{"policy too long", "policy", 0, v4, policy(1, 5), "-"},
		{"policy without elements", "policy", 0, v6, policy(1|8, 0), "--dir in --pol ipsec --strict"},
		{"time of day", "time", 0, v4, fields(zeros(8), uint32(86400), uint32(0), zeros(6)), "-"},
		{"time flags", "time", 0, v4, fields(zeros(21), uint8(4)), "-"},
		{"time contiguous", "time", 0, v4, fields(zeros(12), uint32(5), zeros(5), uint8(2)), "-"},
		{"osf flags", "osf", 0, v4, fields(chars("x", 32), uint32(1), uint32(16), uint32(0), uint32(0)), "-"},
		{"osf of ipv6", "osf", 0, v6, zeros(48), "-"},
		{"rpfilter flags", "rpfilter", 0, v4, fields(uint8(16)), "-"},
		{"ipvs", "ipvs", 0, v4, fields(zeros(32), port(0), uint8(0), uint8(0), port(0), uint8(1), uint8(1)), "! --ipvs"},
		{"ipvs all", "ipvs", 0, v4, fields(inet("10.0.0.0"), inet("255.255.255.0"), port(80), uint8(6), uint8(3), port(21), uint8(1<<3|1<<4), uint8(0x7e)), "--vproto 6 --vaddr 10.0.0.0/24 ! --vport 80 --vdir REPLY --vmethod GATE --vportctl 21"},
		{"ipvs of ipv6", "ipvs", 0, v6, fields(inet("fd00::1"), inet("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), port(80), uint8(6), uint8(9), port(0), uint8(1<<2), uint8(1<<2|1<<4|1<<5)), "! --vaddr fd00::1 --vdir ORIGINAL --vmethod UNKNOWN"},
		{"l2tp", "l2tp", 0, v4, fields(uint32(1), uint32(2), uint8(3), uint8(0), uint8(15)), "--tid 1 --sid 2 --pversion 3 --type control"},
		{"l2tp data", "l2tp", 0, v6, fields(uint32(1), uint32(2), uint8(3), uint8(1), uint8(10)), "--sid 2 --type data"},
		{"l2tp flags", "l2tp", 0, v6, fields(zeros(10), uint8(16)), "-"},
		{"rateest absolute", "rateest", 0, v4, fields(rate, uint16(1<<1|1<<4), uint16(2), uint32(0), uint32(0), uint32(1000), uint32(0)), "--rateest a --rateest-lt --rateest-bps 8000bit"},
		{"rateest inverted", "rateest", 0, v4, fields(rate, uint16(1|1<<1|1<<4|1<<5), uint16(1), uint32(0), uint32(0), uint32(125000), uint32(7)), "--rateest a ! --rateest-eq --rateest-bps 1000Kbit ! --rateest-eq --rateest-pps 7"},
		{"rateest relative", "rateest", 0, v4, fields(rate, uint16(1<<2|1<<3|1<<5), uint16(3), uint32(0), uint32(5), uint32(0), uint32(6)), "--rateest-delta --rateest1 a --rateest-pps1 5 --rateest-gt --rateest-pps2 6 --rateest2 b"},
		{"rateest fast", "rateest", 0, v4, fields(rate, uint16(1<<1|1<<4), uint16(3), uint32(0), uint32(0), uint32(250000000), uint32(0)), "--rateest a --rateest-gt --rateest-bps 2000Mbit"},
		{"rateest mode", "rateest", 0, v4, fields(rate, uint16(1<<1|1<<4), uint16(0), zeros(16)), "-"},
		{"rateest of both", "rateest", 0, v4, fields(rate, uint16(3<<1|1<<4), uint16(1), zeros(16)), "-"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := testContext(tt.family)
			x, err := DecodeMatch(c, &Blob{Name: tt.match, Revision: tt.revision, Info: tt.info})
			if err != nil {
				if tt.save != "-" {
					t.Fatal(err)
				}
				return
			}
			var o Options
			x.Save(c, &o)
			if got := o.String(); got != tt.save {
				t.Errorf("saved %q, want %q", got, tt.save)
			}
		})
	}
}

// TestPolicyBitFields: the big-endian machine packs bit fields from the other
// end.
func TestPolicyBitFields(t *testing.T) {
	for _, tt := range []struct {
		order binary.ByteOrder
		match uint8
	}{{binary.LittleEndian, 1 << 5}, {binary.BigEndian, 1 << 2}} {
		info := make([]byte, 4*76+4)
		tt.order.PutUint32(info[68:], 9)
		info[74] = tt.match
		tt.order.PutUint16(info[4*76:], 2)
		tt.order.PutUint16(info[4*76+2:], 1)
		c := &Context{Order: tt.order, Family: rules.FamilyIPv4}
		x, err := DecodeMatch(c, &Blob{Name: "policy", Info: info})
		if err != nil {
			t.Fatal(err)
		}
		var o Options
		x.Save(c, &o)
		if got, want := o.String(), "--dir out --pol ipsec --reqid 9"; got != want {
			t.Errorf("%s: %q, want %q", tt.order, got, want)
		}
	}
}

// TestOpenAnswers asks the matches of packets that the kernel tests do not
// send.
func TestOpenAnswers(t *testing.T) {
	helper := func(name string, invert uint32) []byte { return fields(invert, chars(name, 30)) }
	with := func(name string) func(*rules.Packet) {
		return func(p *rules.Packet) { p.Ct.Helper = name }
	}
	untracked := func(p *rules.Packet) { p.Tracked = rules.No }
	master := func(p *rules.Packet) { p.Ct.HelperKnown = rules.Unknown }
	packets := fields(uint64(1), uint64(1), uint8(0), uint8(0))
	cgroup := fields(uint32(1), uint32(1))
	forwarded := func(s rules.IfaceState) func(*rules.Packet) {
		return func(p *rules.Packet) { p.Hook, p.Iif.State = rules.Postrouting, s }
	}
	days := func(week uint8, month, from, to uint32) []byte {
		return fields(from, to, uint32(0), uint32(86399), month, week, uint8(0))
	}
	for _, tt := range []struct {
		name, match string
		info        []byte
		packet      func(*rules.Packet)
		want        rules.Truth
		rests       rules.Sources // assumed or unknown
	}{
		{"helper", "helper", helper("ftp", 0), with("ftp"), rules.Yes, 0},
		{"helper, inverted", "helper", helper("ftp", 1), with("ftp"), rules.No, 0},
		{"helper of a port", "helper", helper("ftp-2121", 0), with("ftp"), rules.Yes, 0},
		{"helper that begins alike", "helper", helper("ft", 0), with("ftp"), rules.No, 0},
		{"any helper", "helper", helper("", 0), with("sip"), rules.Yes, 0},
		{"any helper, none", "helper", helper("", 0), with(""), rules.No, 0},
		{"no helper, inverted", "helper", helper("", 1), with(""), rules.Yes, 0},
		{"helper without entry", "helper", helper("ftp", 1), untracked, rules.Yes, 0},
		{"helper not known", "helper", helper("ftp", 1), master, rules.Unknown, rules.Of(rules.FromCtHelper)},
		{"packets", "connbytes", packets, nil, rules.Yes, rules.Of(rules.FromCtCounters)},
		{"packets without entry", "connbytes", packets, untracked, rules.No, 0},
		{"packets, entry not known", "connbytes", packets, func(p *rules.Packet) { p.Tracked = rules.Unknown }, rules.Unknown, rules.Of(rules.FromCtState) | rules.Of(rules.FromCtCounters)},
		{"cgroup of a packet that came in", "cgroup", cgroup, forwarded(rules.IfaceKnown), rules.No, 0},
		{"cgroup of one that may have", "cgroup", cgroup, forwarded(rules.IfaceAssumed), rules.No, rules.Of(rules.FromIif)},
		{"cgroup of a packet that goes out", "cgroup", cgroup, forwarded(rules.IfaceNone), rules.Unknown, rules.Of(rules.FromCgroup)},
		{"no weekday", "time", days(1, 0xfffffffe, 0, 0x7fffffff), nil, rules.No, 0},
		{"no day of the month", "time", days(0xfe, 1, 0, 0x7fffffff), nil, rules.No, 0},
		{"from past to", "time", days(0xfe, 0xfffffffe, 9, 8), nil, rules.No, 0},
		{"any time", "time", days(0xfe, 0xfffffffe, 0, 0x7fffffff), nil, rules.Unknown, rules.Of(rules.FromTime)},
		{"length of none", "length", fields(uint16(9), uint16(8), uint8(0)), nil, rules.No, 0},
		{"length of none, inverted", "length", fields(uint16(9), uint16(8), uint8(1)), nil, rules.Yes, 0},
		{"mss of none, inverted", "tcpmss", fields(uint16(9), uint16(8), uint8(1)), nil, rules.Yes, 0},
		{"mss", "tcpmss", fields(uint16(9), uint16(18), uint8(1)), nil, rules.Unknown, rules.Of(rules.FromExthdr)},
		{"ipvs of a reply", "ipvs", fields(zeros(38), uint8(1<<4), uint8(1<<4)), nil, rules.No, 0},
		{"ipvs", "ipvs", fields(zeros(38), uint8(0), uint8(1)), nil, rules.Unknown, rules.Of(rules.FromIPVS)},
		{"policy of no elements", "policy", fields(zeros(304), uint16(1), uint16(0)), nil, rules.No, 0},
		{"strict policy of no elements", "policy", fields(zeros(304), uint16(1|8), uint16(0)), nil, rules.Unknown, rules.Of(rules.FromIPsec)},
		{"every packet", "statistic", fields(uint16(1), uint16(0), uint32(0), uint32(0)), nil, rules.Yes, 0},
		{"every packet, from past it", "statistic", fields(uint16(1), uint16(0), uint32(0), uint32(5)), nil, rules.Unknown, rules.Of(rules.FromRandom)},
		{"limit without cost", "limit", fields(uint32(0), uint32(1)), nil, rules.Yes, 0},
		{"realm outside its mask", "realm", fields(uint32(0x100), uint32(0xff), uint8(0)), nil, rules.No, 0},
		{"realm", "realm", fields(uint32(1), uint32(0xff), uint8(0)), nil, rules.Unknown, rules.Of(rules.FromRoute)},
		{"l2tp over tcp", "l2tp", fields(zeros(10), uint8(1)), nil, rules.No, 0},
		{"l2tp over udp", "l2tp", fields(zeros(10), uint8(1)), func(p *rules.Packet) { p.Proto = 17 }, rules.Unknown, rules.Of(rules.FromPayload)},
		{"way back without device", "rpfilter", fields(uint8(0)), nil, rules.Unknown, rules.Of(rules.FromRoute) | rules.Of(rules.FromIif)},
		{"set that is not known", "set", fields(uint16(1), uint16(0), uint32(1), zeros(24)), nil, rules.Unknown, rules.Of(rules.FromSet)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := testContext(rules.FamilyIPv4)
			p := &rules.Packet{Order: c.Order, Family: c.Family, Proto: 6, Tracked: rules.Yes, Host: rules.NoHost{}}
			p.Net.N, p.Trans.N = 20, 20
			p.Net.Open(0, 20, rules.FromIPHeader)
			p.Trans.Open(0, 20, rules.FromTCPHeader)
			p.Ct.HelperKnown = rules.Yes
			if tt.packet != nil {
				tt.packet(p)
			}
			got := rules.Decided(true)
			for _, s := range Match(c, &Blob{Name: tt.match, Info: tt.info}) {
				got = got.And(s.(rules.Condition).Test(p))
			}
			if got.Truth != tt.want || got.Assumed|got.Unknown != tt.rests {
				t.Errorf("%+v, want %s resting on %v", got, tt.want, tt.rests.List())
			}
		})
	}
}

// TestSocketMark: a socket's mark that a packet may have got is not known from
// then on, whether the rest of the rule holds or not.
func TestSocketMark(t *testing.T) {
	for _, tt := range []struct {
		flags, proto uint8
		known        bool
	}{{4, 17, false}, {4, 47, true}, {3, 17, true}} {
		c := testContext(rules.FamilyIPv4)
		table := &rules.Table{Family: rules.FamilyIPv4, Name: "mangle"}
		chain := &rules.Chain{Table: table, Name: "PREROUTING", Base: &rules.BaseChain{Type: rules.ChainFilter, Priority: -150, Policy: rules.VerdictAccept}}
		table.Chains = []*rules.Chain{chain}
		statements := append(Match(c, &Blob{Name: "socket", Revision: 3, Info: []byte{tt.flags}}), &rules.Fixed{Holds: false})
		chain.Rules = []*rules.Rule{{Chain: chain, Position: 1, Statements: statements}}
		p := &rules.Packet{Order: c.Order, Family: c.Family, Proto: tt.proto, Host: rules.NoHost{}, Mark: rules.KnownUint(c.Order, 4, 7)}
		res := walk.New(&rules.Ruleset{Order: c.Order, Tables: []*rules.Table{table}}).Hook(p, rules.Prerouting, walk.Options{})
		if known := res.Packet.Mark.IsKnown(); known != tt.known {
			t.Errorf("flags %d, protocol %d: mark known: %v", tt.flags, tt.proto, known)
		}
		if _, unknown := res.Packet.Mark.Sources(); !tt.known && !unknown.Has(rules.FromSocket) {
			t.Errorf("mark not known for %v", unknown.List())
		}
	}
}
