package xt

import (
	"encoding/binary"
	"testing"

	"github.com/ntdiag/ntdiag/rules"
)

// TestEntryHeader asks entries as no tool writes them, whatever the kernel
// makes of them (ip_packet_match, ip6_packet_match).
func TestEntryHeader(t *testing.T) {
	v4, v6 := layouts[rules.FamilyIPv4], layouts[rules.FamilyIPv6]
	for _, tt := range []struct {
		name   string
		family rules.Family
		write  func(b []byte)
		want   rules.Truth
	}{
		{"an IPv4 address with bits outside its mask", rules.FamilyIPv4, func(b []byte) { copy(b, "\x0a\x00\x00\x01"); copy(b[8:], "\xff\xff\xff\x00") }, rules.No},
		{"the same inverted", rules.FamilyIPv4, func(b []byte) {
			copy(b, "\x0a\x00\x00\x01")
			copy(b[8:], "\xff\xff\xff\x00")
			b[v4.flags+1] = invSrc
		}, rules.Yes},
		{"an IPv6 address with bits outside its mask", rules.FamilyIPv6, func(b []byte) { copy(b, "\xfd\x00\x00\x07"); copy(b[32:], "\xff\xff") }, rules.Yes},
		{"the same inverted", rules.FamilyIPv6, func(b []byte) {
			copy(b[16:], "\xfd\x00\x00\x07")
			copy(b[48:], "\xff\xff")
			b[v6.flags+1] = invDst
		}, rules.No},
		{"protocol 262", rules.FamilyIPv4, func(b []byte) { binary.LittleEndian.PutUint16(b[80:], 256+6) }, rules.No},
		{"not protocol 262", rules.FamilyIPv4, func(b []byte) { binary.LittleEndian.PutUint16(b[80:], 256+6); b[v4.flags+1] = invProto }, rules.Yes},
		{"protocol 6", rules.FamilyIPv4, func(b []byte) { b[80] = 6 }, rules.Yes},
		{"IPv6 protocol without its flag", rules.FamilyIPv6, func(b []byte) { b[128] = 17 }, rules.Yes},
		{"IPv6 protocol", rules.FamilyIPv6, func(b []byte) { b[128] = 17; b[v6.flags] = protoFlag6 }, rules.No},
		{"later fragment", rules.FamilyIPv4, func(b []byte) { b[v4.flags] = fragFlag4 }, rules.No},
		{"no later fragment", rules.FamilyIPv4, func(b []byte) { b[v4.flags], b[v4.flags+1] = fragFlag4, invFrag }, rules.Yes},
		{"inversion of a fragment alone", rules.FamilyIPv4, func(b []byte) { b[v4.flags+1] = invFrag }, rules.No},
		{"a device with more behind its end", rules.FamilyIPv4, func(b []byte) { copy(b[16:], "eth0\x00rest"); copy(b[48:], "\xff\xff\xff\xff\xff") }, rules.Yes},
		{"a mask with a hole", rules.FamilyIPv4, func(b []byte) { copy(b[16:], "ethX"); copy(b[48:], "\xff\xff\x00\x00\xff") }, rules.Yes},
		{"a mask with a hole, of a longer name", rules.FamilyIPv4, func(b []byte) { copy(b[16:], "ethXY"); copy(b[48:], "\xff\xff\x00\x00\xff") }, rules.No},
		{"a device of which the front counts", rules.FamilyIPv4, func(b []byte) { copy(b[16:], "etc"); copy(b[48:], "\xff\xff") }, rules.Yes},
		{"every device, inverted", rules.FamilyIPv4, func(b []byte) { b[v4.flags+1] = invIn }, rules.No},
		{"where no device is", rules.FamilyIPv4, func(b []byte) { copy(b[32:], "eth0"); copy(b[64:], "\xff\xff\xff\xff\xff") }, rules.No},
		{"the same inverted", rules.FamilyIPv4, func(b []byte) {
			copy(b[32:], "eth0")
			copy(b[64:], "\xff\xff\xff\xff\xff")
			b[v4.flags+1] = invOut
		}, rules.Yes},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := testPacket()
			p.Iif = rules.Iface{State: rules.IfaceKnown, Link: rules.Link{Index: 2, Name: "eth0"}}
			p.Oif = rules.Iface{State: rules.IfaceNone}
			p.Net.Set(6, []byte{0, 0}, rules.FromEntry)
			if p.Family = tt.family; p.Family == rules.FamilyIPv6 {
				addr := pad("\xfd\x00\x00\x09", 16)
				p.Net.Set(8, addr, rules.FromEntry)
				p.Net.Set(24, addr, rules.FromEntry)
			}
			l := layouts[tt.family]
			b := make([]byte, l.size)
			tt.write(b)
			a := rules.Decided(true)
			for _, s := range l.header(testContext(tt.family), b) {
				a = a.And(s.(rules.Condition).Test(p))
			}
			if a.Truth != tt.want {
				t.Errorf("%s, want %s", a.Truth, tt.want)
			}
		})
	}
}
