package xt

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/walk"
)

// through gives a packet to a chain whose rules have these targets, at
// prerouting in the order of mangle, and returns the packet after them.
func through(t *testing.T, p rules.Packet, targets ...Blob) walk.Result {
	t.Helper()
	table := &rules.Table{Backend: rules.BackendIptablesLegacy, Family: p.Family, Name: "mangle"}
	chain := &rules.Chain{Table: table, Name: "PREROUTING", Base: &rules.BaseChain{
		Type: rules.ChainFilter, Hook: rules.Prerouting, Priority: -150, Policy: rules.VerdictAccept,
	}}
	table.Chains = []*rules.Chain{chain}
	for i := range targets {
		c := testContext(p.Family)
		x, err := DecodeTarget(c, &targets[i])
		if err != nil {
			t.Fatal(err)
		}
		chain.Rules = append(chain.Rules, &rules.Rule{Chain: chain, Position: i + 1, Statements: x.Statements(c)})
	}
	return walk.New(&rules.Ruleset{Order: binary.LittleEndian, Tables: []*rules.Table{table}}).Hook(&p, rules.Prerouting, walk.Options{})
}

// synPacket is a SYN of which everything is known, with an entry whose mark is
// ctmark.
func synPacket(f rules.Family, mark, ctmark uint32) rules.Packet {
	le := binary.LittleEndian
	p := rules.Packet{
		Order: le, Family: f, Proto: 6, Tracked: rules.Yes, Untracked: rules.No,
		Mark: rules.KnownUint(le, 4, uint64(mark)), Priority: rules.KnownUint(le, 4, 0),
	}
	p.Ct.Mark = rules.KnownUint(le, 4, uint64(ctmark))
	p.Trans.N = 20
	p.Trans.Set(0, make([]byte, 20), rules.FromEntry)
	p.Trans.Set(13, []byte{0xc2}, rules.FromEntry) // SYN, ECE, CWR
	if f == rules.FamilyIPv4 {
		p.Net.N = 20
		p.Net.Set(0, []byte{0x45, 0xb9, 0, 60, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2}, rules.FromEntry)
		return p
	}
	p.Net.N = 40
	p.Net.Set(0, make([]byte, 40), rules.FromEntry)
	p.Net.Set(0, []byte{0x6b, 0x9f, 0xed, 0xcb, 0, 20, 6, 64}, rules.FromEntry)
	p.SetAddr(false, netip.MustParseAddr("fd01:203:405:1::1234"))
	p.SetAddr(true, netip.MustParseAddr("fd01:203:405:ffff::1"))
	return p
}

// TestTargetEffects: what later rules see. The results are those of the
// kernel's functions, worked out by hand.
func TestTargetEffects(t *testing.T) {
	const v4, v6 = rules.FamilyIPv4, rules.FamilyIPv6
	mark := func(p *rules.Packet) rules.Value { return p.Mark }
	ctmark := func(p *rules.Packet) rules.Value { return p.Ct.Mark }
	priority := func(p *rules.Packet) rules.Value { return p.Priority }
	net := func(off, n int) func(*rules.Packet) rules.Value {
		return func(p *rules.Packet) rules.Value { return p.Net.Read(off, n) }
	}
	flags := func(p *rules.Packet) rules.Value { return p.Trans.Read(13, 1) }
	u32 := func(n uint32) []byte { return binary.LittleEndian.AppendUint32(nil, n) }
	npt := func(from string, fromBits uint8, to string, toBits uint8) []byte {
		return fields(inet(from), inet(to), fromBits, toBits, uint16(0))
	}
	for _, tt := range []struct {
		name   string
		family rules.Family
		blob   Blob
		look   func(*rules.Packet) rules.Value
		want   []byte // nil: not known
	}{
		{"mark", v4, Blob{"MARK", 2, fields(uint32(0x4000), uint32(0xff00))}, mark, u32(0x12344078)},
		{"connmark set", v4, Blob{"CONNMARK", 1, fields(uint32(0x10), uint32(0xff), uint32(0), uint32(connmarkSet))}, ctmark, u32(0xabcdef10)},
		{"connmark set, shifted", v4, Blob{"CONNMARK", 2, fields(uint32(0x10), uint32(0xff), uint32(0), uint8(0), uint8(8), uint8(connmarkSet), uint8(0))}, ctmark, u32(0xcdef1000)},
		{"connmark save", v4, Blob{"CONNMARK", 1, fields(uint32(0), uint32(0xffffffff), uint32(0xffffffff), uint32(connmarkSave))}, ctmark, u32(0x12345678)},
		{"connmark save, shifted", v4, Blob{"CONNMARK", 2, fields(uint32(0), uint32(0xff00), uint32(0xff), uint8(0), uint8(8), uint8(connmarkSave), uint8(0))}, ctmark, u32(0xabcd7801)},
		{"connmark restore", v4, Blob{"CONNMARK", 2, fields(uint32(0), uint32(0xff000000), uint32(0xff), uint8(1), uint8(24), uint8(connmarkRestore), uint8(0))}, mark, u32(0x123456ab)},
		{"classify", v4, Blob{"CLASSIFY", 0, fields(uint32(0x10002))}, priority, u32(0x10002)},
		{"dscp", v4, Blob{"DSCP", 0, fields(uint8(0x0a))}, net(1, 1), []byte{0x29}},
		{"dscp of ipv6", v6, Blob{"DSCP", 0, fields(uint8(0x0a))}, net(0, 4), []byte{0x62, 0x9f, 0xed, 0xcb}},
		{"tos", v4, Blob{"TOS", 1, fields(uint8(0x10), uint8(0xf0))}, net(1, 1), []byte{0x19}},
		{"tos of ipv6", v6, Blob{"TOS", 1, fields(uint8(0x10), uint8(0xf0))}, net(0, 4), []byte{0x61, 0x9f, 0xed, 0xcb}},
		{"ttl set", v4, Blob{"TTL", 0, fields(uint8(0), uint8(9))}, net(8, 1), []byte{9}},
		{"ttl inc", v4, Blob{"TTL", 0, fields(uint8(1), uint8(200))}, net(8, 1), []byte{255}},
		{"ttl dec", v4, Blob{"TTL", 0, fields(uint8(2), uint8(65))}, net(8, 1), []byte{0}},
		{"hop limit dec", v6, Blob{"HL", 0, fields(uint8(2), uint8(4))}, net(7, 1), []byte{60}},
		{"ecn remove", v4, Blob{"ECN", 0, fields(uint8(0x30), uint8(0), uint8(0))}, flags, []byte{0x02}},
		{"ecn ip", v4, Blob{"ECN", 0, fields(uint8(1), uint8(2), uint8(0))}, net(1, 1), []byte{0xba}},
		// the example of RFC 6296, section 2
		{"npt", v6, Blob{"SNPT", 0, npt("fd01:203:405::", 48, "2001:db8:1::", 48)}, net(8, 16), netip.MustParseAddr("2001:db8:1:d550::1234").AsSlice()},
		{"npt of the destination", v6, Blob{"DNPT", 0, npt("fd01:203:405::", 48, "2001:db8:1::", 48)}, net(24, 16), netip.MustParseAddr("2001:db8:1:d54f::1").AsSlice()},
		{"hash", v4, Blob{"HMARK", 0, append(fields(make([]byte, 40), uint32(0), uint16(0), uint16(0), uint32(1)), u32x2(4, 100)...)}, mark, nil},
		{"queue", v4, Blob{"NFQUEUE", 0, fields(uint16(1))}, mark, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res := through(t, synPacket(tt.family, 0x12345678, 0xabcdef01), tt.blob)
			if res.Alive.Truth == rules.No {
				t.Fatal("the packet is gone")
			}
			v := tt.look(&res.Packet)
			switch known := v.IsKnown() && len(v.OneOf) == 0; {
			case tt.want == nil && known:
				t.Errorf("known as %x", v.Bytes())
			case tt.want != nil && !known:
				t.Error("not known")
			case tt.want != nil && string(v.Bytes()) != string(tt.want):
				t.Errorf("%x, want %x", v.Bytes(), tt.want)
			}
		})
	}
}

func u32x2(a, b uint32) []byte { return fields(a, b) }

// TestTargetsEnd: whether a packet goes on behind a target.
func TestTargetsEnd(t *testing.T) {
	for _, tt := range []struct {
		name    string
		blob    Blob
		tracked rules.Truth
		want    rules.Truth
	}{
		{"reject", Blob{"REJECT", 0, fields(uint32(3))}, rules.Yes, rules.No},
		{"queue", Blob{"NFQUEUE", 0, fields(uint16(0))}, rules.Yes, rules.Yes},
		{"synproxy", Blob{"SYNPROXY", 0, fields(uint8(1), uint8(0), uint16(1460))}, rules.Yes, rules.No},
		{"tproxy", Blob{"TPROXY", 0, fields(uint32(1), uint32(1), uint32(0), port(15001))}, rules.Yes, rules.Yes},
		{"tee", Blob{"TEE", 1, fields(inet("10.0.0.9"), chars("", 16))}, rules.Yes, rules.Yes},
		{"notrack", Blob{"NOTRACK", 0, nil}, rules.No, rules.No},
		{"notrack too late", Blob{"NOTRACK", 0, nil}, rules.Yes, rules.Yes},
		{"ct --notrack", Blob{"CT", 2, fields(uint16(ctNotrack), make([]byte, 58), uint64(0))}, rules.No, rules.No},
		{"ct --zone", Blob{"CT", 2, fields(uint16(0), uint16(5), make([]byte, 56), uint64(0))}, rules.No, rules.Yes},
		{"log", Blob{"LOG", 0, fields(uint8(4), uint8(0), chars("x", 30))}, rules.Yes, rules.Yes},
		{"unknown", Blob{"NOSUCH", 0, nil}, rules.Yes, rules.Unknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := synPacket(rules.FamilyIPv4, 0, 0)
			p.Tracked = tt.tracked
			if tt.name == "unknown" {
				if s := Target(testContext(p.Family), &tt.blob); len(s) != 1 || !s[0].(*rules.Opaque).MayEnd {
					t.Errorf("%v", s)
				}
				return
			}
			at := &tt.blob
			table := &rules.Table{Family: p.Family, Name: "raw"}
			chain := &rules.Chain{Table: table, Name: "PREROUTING", Base: &rules.BaseChain{Type: rules.ChainFilter, Priority: -300, Policy: rules.VerdictAccept}}
			table.Chains = []*rules.Chain{chain}
			chain.Rules = []*rules.Rule{{Chain: chain, Position: 1, Statements: Target(testContext(p.Family), at)}}
			res := walk.New(&rules.Ruleset{Order: binary.LittleEndian, Tables: []*rules.Table{table}}).Hook(&p, rules.Prerouting, walk.Options{})
			if res.Alive.Truth != tt.want {
				t.Errorf("alive %s, want %s", res.Alive.Truth, tt.want)
			}
		})
	}
}
