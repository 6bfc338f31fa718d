package xt

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/ntdiag/ntdiag/rules"
)

// fields is a C struct, field by field: integers in the machine's order (here
// little), be16 in network order, byte slices as they are.
func fields(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case uint8:
			b = append(b, p)
		case uint16:
			b = binary.LittleEndian.AppendUint16(b, p)
		case uint32:
			b = binary.LittleEndian.AppendUint32(b, p)
		case uint64:
			b = binary.LittleEndian.AppendUint64(b, p)
		case port:
			b = binary.BigEndian.AppendUint16(b, uint16(p))
		case netip.Addr:
			b = append(b, p.AsSlice()...)
		case []byte:
			b = append(b, p...)
		}
	}
	return b
}

// port is a number in network order.
type port uint16

// chars is a string in an array of n bytes.
func chars(s string, n int) []byte {
	b := make([]byte, n)
	copy(b, s)
	return b
}

// inet is a union nf_inet_addr.
func inet(s string) []byte {
	b := make([]byte, 16)
	copy(b, netip.MustParseAddr(s).AsSlice())
	return b
}

func testContext(f rules.Family) *Context {
	return &Context{Order: binary.LittleEndian, Family: f, Span: rules.Span{0}}
}

// TestTargetRevisions decodes what this version of iptables does not send, and
// what no tool does.
func TestTargetRevisions(t *testing.T) {
	a4 := netip.MustParseAddr
	for _, tt := range []struct {
		name     string
		target   string
		revision uint8
		family   rules.Family
		info     []byte
		save     string // empty: it is refused
	}{
		{"dnat 0", "DNAT", 0, rules.FamilyIPv4, fields(uint32(1), uint32(3), a4("10.0.0.1"), a4("10.0.0.2"), port(80), port(81)), "--to-destination 10.0.0.1-10.0.0.2:80-81"},
		{"two ranges", "DNAT", 0, rules.FamilyIPv4, fields(uint32(2), uint32(3), a4("10.0.0.1"), a4("10.0.0.2"), port(80), port(81)), ""},
		{"dnat 0 of ipv6", "DNAT", 0, rules.FamilyIPv6, make([]byte, 64), ""},
		{"dnat 1", "DNAT", 1, rules.FamilyIPv6, fields(uint32(3), inet("fd00::1"), inet("fd00::1"), port(80), port(80)), "--to-destination [fd00::1]:80"},
		{"dnat 1 of ipv4", "DNAT", 1, rules.FamilyIPv4, fields(uint32(1), inet("10.0.0.1"), inet("10.0.0.1"), port(0), port(0)), "--to-destination 10.0.0.1"},
		{"snat 2", "SNAT", 2, rules.FamilyIPv4, fields(uint32(0x11), inet("10.0.0.1"), inet("10.0.0.3"), port(0), port(0), port(0), uint16(0)), "--to-source 10.0.0.1-10.0.0.3 --random-fully"},
		{"unknown flag", "SNAT", 2, rules.FamilyIPv4, fields(uint32(0x81), inet("10.0.0.1"), inet("10.0.0.3"), port(0), port(0), port(0), uint16(0)), ""},
		{"masquerade to an address", "MASQUERADE", 0, rules.FamilyIPv4, fields(uint32(1), uint32(1), a4("10.0.0.1"), a4("10.0.0.2"), port(0), port(0)), ""},
		{"netmap without range", "NETMAP", 0, rules.FamilyIPv4, fields(uint32(1), uint32(0), a4("10.0.0.1"), a4("10.0.0.2"), port(0), port(0)), ""},
		{"short", "DNAT", 2, rules.FamilyIPv4, make([]byte, 41), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := testContext(tt.family)
			x, err := DecodeTarget(c, &Blob{Name: tt.target, Revision: tt.revision, Info: tt.info})
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
		})
	}
}
