package xt

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/ntdiag/ntdiag/rules"
)

// ctInfo is struct xt_conntrack_mtinfo1 to 3 up to the masks of state and
// status, with one address and one protocol asked for.
func ctInfo(proto uint16, ports []any, ask, invert uint16, masks ...any) []byte {
	b := fields(inet("10.0.0.0"), inet("255.0.0.0"))
	b = append(b, make([]byte, 6*16)...)
	b = append(b, fields(uint32(5), uint32(9), proto)...)
	b = append(b, fields(ports...)...)
	b = append(b, fields(ask, invert)...)
	return append(b, fields(masks...)...)
}

// TestMatchRevisions decodes what this version of iptables does not send, and
// what no tool does.
func TestMatchRevisions(t *testing.T) {
	be := []any{port(1), port(80), port(3), port(4)}
	host := []any{uint16(1), uint16(80), uint16(3), uint16(4)}
	for _, tt := range []struct {
		name     string
		match    string
		revision uint8
		family   rules.Family
		info     []byte
		save     string // empty: it is refused
	}{
		{"conntrack 1", "conntrack", 1, rules.FamilyIPv4, ctInfo(17, be, 1|2|4|1<<6|1<<9, 2, uint8(0xc8), uint8(0)),
			"--ctstate NEW,SNAT,DNAT ! --ctproto 17 --ctorigsrc 10.0.0.0/8 --ctorigdstport 80 --ctstatus NONE"},
		{"conntrack 2", "conntrack", 2, rules.FamilyIPv4, ctInfo(17, be, 1|1<<7|1<<8|1<<12, 1<<8|1<<12, uint16(0x101), uint16(0)),
			"--ctstate INVALID,UNTRACKED ! --ctorigsrcport 1 --ctexpire 5:9 --ctdir REPLY"},
		{"conntrack 3", "conntrack", 3, rules.FamilyIPv4, ctInfo(6, host, 1<<9|1<<11, 1<<11, uint16(0), uint16(0), uint16(0), uint16(90), uint16(0), uint16(0)),
			"--ctorigdstport 80:90 ! --ctrepldstport 4"},
		{"written as state", "conntrack", 2, rules.FamilyIPv4, ctInfo(0, be, 1|1<<13, 1, uint16(0x8), uint16(0)), "! --state NEW"},
		{"conntrack 3 cut short", "conntrack", 3, rules.FamilyIPv4, ctInfo(6, host, 1<<9, 0, uint16(0), uint16(0)), ""},
		{"conntrack with unknown flag", "conntrack", 2, rules.FamilyIPv4, ctInfo(6, be, 1<<14, 0, uint16(0), uint16(0)), ""},
		{"conntrack of protocol 256", "conntrack", 2, rules.FamilyIPv4, ctInfo(256, be, 2, 0, uint16(0), uint16(0)), ""},
		{"conntrack 0", "conntrack", 0, rules.FamilyIPv4, make([]byte, 200), ""},
		{"state", "state", 0, rules.FamilyIPv6, fields(uint32(0xc)), "--state NEW,RELATED"},
		{"state inverted", "state", 0, rules.FamilyIPv4, fields(^uint32(8)), "--state INVALID,RELATED,ESTABLISHED,UNTRACKED"},
		{"addrtype 0", "addrtype", 0, rules.FamilyIPv4, fields(uint16(4), uint16(0x28), uint32(1), uint32(0)), "! --src-type LOCAL --dst-type BROADCAST,MULTICAST"},
		{"addrtype 0 of ipv6", "addrtype", 0, rules.FamilyIPv6, make([]byte, 12), ""},
		{"addrtype by both devices", "addrtype", 1, rules.FamilyIPv4, fields(uint16(4), uint16(0), uint32(12)), ""},
		{"addrtype of no type", "addrtype", 1, rules.FamilyIPv4, fields(uint16(0x1000), uint16(0), uint32(0)), ""},
		{"nfacct", "nfacct", 0, rules.FamilyIPv4, append(chars("web in", 32), make([]byte, 8)...), `--nfacct-name "web in"`},
		{"nfacct 1", "nfacct", 1, rules.FamilyIPv6, append(chars("web", 32), make([]byte, 8)...), `--nfacct-name web`},
		{"multiport 0", "multiport", 0, rules.FamilyIPv4, make([]byte, 32), ""},
		{"multiport of 16", "multiport", 1, rules.FamilyIPv4, fields(uint8(1), uint8(16), make([]byte, 46)), ""},
		{"multiport that ends in a range", "multiport", 1, rules.FamilyIPv4, fields(uint8(1), uint8(1), make([]byte, 30), uint8(1), make([]byte, 15)), ""},
		{"multiport of an empty range", "multiport", 1, rules.FamilyIPv4, fields(uint8(1), uint8(2), uint16(9), uint16(8), make([]byte, 26), uint8(1), make([]byte, 15)), ""},
		{"connlabel 128", "connlabel", 0, rules.FamilyIPv4, fields(uint16(128), uint16(0)), ""},
		{"icmp codes", "icmp", 0, rules.FamilyIPv4, fields(uint8(3), uint8(1), uint8(3), uint8(1)), "! --icmp-type 3/1"},
		{"icmp6 of ipv4", "icmp6", 0, rules.FamilyIPv4, make([]byte, 4), ""},
		{"udplite", "udplite", 0, rules.FamilyIPv4, fields(uint16(0), uint16(0xffff), uint16(1), uint16(2), uint8(2), uint8(0)), "! --dport 1:2"},
		{"pkttype 5", "pkttype", 0, rules.FamilyIPv4, fields(uint32(5), uint32(1)), "! --pkt-type 5"},
		{"owner in ranges", "owner", 1, rules.FamilyIPv4, fields(uint32(1000), uint32(2000), uint32(10), uint32(10), uint8(15), uint8(3), uint16(0)),
			"--socket-exists ! --uid-owner 1000-2000 ! --gid-owner 10 --suppl-groups"},
		{"owner inverted for nothing", "owner", 1, rules.FamilyIPv4, fields(make([]byte, 16), uint8(1), uint8(2), uint16(0)), ""},
		{"srh", "srh", 0, rules.FamilyIPv6, fields(uint8(17), uint8(0), uint8(0), uint8(0), uint16(3), uint16(0x401), uint16(0x400)), "--srh-next-hdr 17 ! --srh-tag 3"},
		{"rt with 17 addresses", "rt", 0, rules.FamilyIPv6, fields(make([]byte, 276), uint8(17), make([]byte, 3)), ""},
		{"sctp in no way", "sctp", 0, rules.FamilyIPv4, fields(make([]byte, 284), uint32(4), uint32(0)), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := testContext(tt.family)
			x, err := DecodeMatch(c, &Blob{Name: tt.match, Revision: tt.revision, Info: tt.info})
			if err != nil {
				if tt.save != "" {
					t.Fatal(err)
				}
				return
			}
			var o Options
			x.Save(c, &o)
			if got := o.String(); got != tt.save {
				t.Errorf("saved %q, want %q", got, tt.save)
			}
			for _, s := range x.Statements(c) {
				if cond, ok := s.(rules.Condition); ok {
					cond.Test(&rules.Packet{Order: c.Order, Family: tt.family, Host: rules.NoHost{}})
				}
			}
		})
	}
}

// testPacket is a tracked packet of TCP, 10.0.0.1:4711 to 10.0.0.2:80.
func testPacket() *rules.Packet {
	o := binary.LittleEndian
	a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	p := &rules.Packet{
		Order: o, Family: rules.FamilyIPv4, Hook: rules.Forward, Host: rules.NoHost{}, Proto: 6,
		Mark: rules.KnownUint(o, 4, 0x12), Priority: rules.UnknownBytes(4, rules.FromPriority), Trace: rules.UnknownBytes(1, rules.FromTrace),
		Tracked: rules.Yes, Untracked: rules.No,
		Ct: rules.Conntrack{
			Mark: rules.KnownUint(o, 4, 0x34), Labels: rules.KnownBytes(labelBit(o, 70)), Status: rules.KnownUint(o, 4, ipsSrcNAT),
			State:    rules.KnownUint(o, 4, rules.CtStateNew),
			Original: rules.Tuple{Proto: 6, Src: a, Dst: b, SrcPort: 4711, DstPort: 80},
			Reply:    rules.Tuple{Proto: 6, Src: b, Dst: a, SrcPort: 80, DstPort: 4711},
		},
	}
	p.Net, p.Trans = openImage(40), openImage(20)
	p.SetAddr(false, a)
	p.SetAddr(true, b)
	p.Trans.Set(0, []byte{0x12, 0x67, 0, 80}, rules.FromEntry)
	return p
}

// TestMatchAnswers asks what the kernel of a test's machine cannot be asked
// about easily: without an entry, with one not known, with open headers.
func TestMatchAnswers(t *testing.T) {
	packets := map[string]func(*rules.Packet){
		"tracked":   func(*rules.Packet) {},
		"no entry":  func(p *rules.Packet) { p.Tracked = rules.No },
		"untracked": func(p *rules.Packet) { p.Tracked, p.Untracked = rules.No, rules.Yes },
		"perhaps":   func(p *rules.Packet) { p.Tracked = rules.Unknown },
	}
	mark := func(value, mask uint32, invert uint8) []byte { return fields(value, mask, invert, make([]byte, 3)) }
	for _, tt := range []struct {
		name     string
		match    string
		revision uint8
		info     []byte
		want     map[string]rules.Truth
	}{
		{"mark", "mark", 1, mark(2, 0xf, 0), map[string]rules.Truth{"tracked": rules.Yes, "no entry": rules.Yes}},
		{"mark outside its mask", "mark", 1, mark(0x12, 0xf, 0), map[string]rules.Truth{"tracked": rules.No}},
		{"not a mark outside its mask", "mark", 1, mark(0x12, 0xf, 1), map[string]rules.Truth{"tracked": rules.Yes}},
		{"connmark", "connmark", 1, mark(0x34, 0xffffffff, 0), map[string]rules.Truth{"tracked": rules.Yes, "no entry": rules.No, "perhaps": rules.Unknown}},
		{"not connmark", "connmark", 1, mark(0x35, 0xffffffff, 1), map[string]rules.Truth{"tracked": rules.Yes, "no entry": rules.No, "untracked": rules.No}},
		{"connlabel", "connlabel", 0, fields(uint16(70), uint16(0)), map[string]rules.Truth{"tracked": rules.Yes, "no entry": rules.No}},
		{"not connlabel", "connlabel", 0, fields(uint16(70), uint16(1)), map[string]rules.Truth{"tracked": rules.No, "no entry": rules.Yes}},
		{"not another connlabel", "connlabel", 0, fields(uint16(6), uint16(1)), map[string]rules.Truth{"tracked": rules.Yes, "no entry": rules.Yes}},
		{"set connlabel", "connlabel", 0, fields(uint16(6), uint16(2)), map[string]rules.Truth{"tracked": rules.Yes, "no entry": rules.No}},
		{"state new", "state", 0, fields(uint32(8)), map[string]rules.Truth{"tracked": rules.Yes, "no entry": rules.No, "untracked": rules.No, "perhaps": rules.Unknown}},
		{"state untracked", "state", 0, fields(uint32(1 << 6)), map[string]rules.Truth{"tracked": rules.No, "no entry": rules.No, "untracked": rules.Yes}},
		{"state invalid", "state", 0, fields(uint32(1)), map[string]rules.Truth{"tracked": rules.No, "no entry": rules.Yes, "untracked": rules.No}},
		{"not ctstate dnat", "conntrack", 2, ctInfo(0, []any{make([]byte, 8)}, 1, 1, uint16(ctStateDNAT), uint16(0)),
			map[string]rules.Truth{"tracked": rules.Yes, "no entry": rules.Yes, "untracked": rules.Yes}},
		{"ctstate snat", "conntrack", 2, ctInfo(0, []any{make([]byte, 8)}, 1, 0, uint16(ctStateSNAT), uint16(0)),
			map[string]rules.Truth{"tracked": rules.Yes, "no entry": rules.No, "untracked": rules.No}},
		{"ctstate or untracked, of udp", "conntrack", 2, ctInfo(17, []any{make([]byte, 8)}, 3, 0, uint16(8|ctStateUntracked), uint16(0)),
			map[string]rules.Truth{"tracked": rules.No, "no entry": rules.No, "untracked": rules.Yes, "perhaps": rules.Unknown}},
		{"sctp any chunk", "sctp", 0, fields(make([]byte, 8), uint32(1), make([]byte, 252), uint32(1), make([]byte, 16), uint32(4), uint32(0)),
			map[string]rules.Truth{"tracked": rules.Unknown}},
	} {
		for name, want := range tt.want {
			t.Run(tt.name+"/"+name, func(t *testing.T) {
				p := testPacket()
				packets[name](p)
				a := rules.Decided(true)
				for _, s := range Match(testContext(rules.FamilyIPv4), &Blob{Name: tt.match, Revision: tt.revision, Info: tt.info}) {
					if o, ok := s.(*rules.Opaque); ok {
						t.Fatal(o.Why)
					}
					if c, ok := s.(rules.Condition); ok {
						a = a.And(c.Test(p))
					}
				}
				if a.Truth != want {
					t.Errorf("%s, want %s", a.Truth, want)
				}
				if a.Truth == rules.Unknown && a.Unknown == 0 {
					t.Error("not known for no reason")
				}
			})
		}
	}
}
