package xt

import (
	"encoding/binary"
	"net/netip"
	"strings"
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
		save     string // empty: it is refused; a space: no options
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
		{"notrack", "NOTRACK", 0, rules.FamilyIPv4, nil, " "},
		{"ct 0", "CT", 0, rules.FamilyIPv4, fields(uint16(0), uint16(3), uint32(0x11), uint32(0), chars("ftp", 16), uint64(0)), "--helper ftp --ctevents new,assured --zone 3"},
		{"ct 0 with a direction", "CT", 0, rules.FamilyIPv4, fields(uint16(4), uint16(3), uint32(0), uint32(0), chars("", 16), uint64(0)), ""},
		{"ct 1", "CT", 1, rules.FamilyIPv6, fields(uint16(0), uint16(0), uint32(0), uint32(1), chars("", 16), chars("slow", 32), uint64(0)), "--timeout slow --expevents new"},
		{"connmark 1", "CONNMARK", 1, rules.FamilyIPv4, fields(uint32(0), uint32(0xff), uint32(0xff00), uint32(1)), "--save-mark --nfmask 0xff00 --ctmask 0xff"},
		{"connmark, no such mode", "CONNMARK", 1, rules.FamilyIPv4, fields(uint32(0), uint32(0xff), uint32(0xff00), uint32(3)), ""},
		{"connmark 2, shift by 32", "CONNMARK", 2, rules.FamilyIPv4, fields(uint32(0), uint32(0), uint32(0), uint8(0), uint8(32), uint8(0), uint8(0)), ""},
		{"tproxy 0", "TPROXY", 0, rules.FamilyIPv4, fields(uint32(0xff), uint32(1), a4("127.0.0.1"), port(3129)), "--on-port 3129 --on-ip 127.0.0.1 --tproxy-mark 0x1/0xff"},
		{"nfqueue 0", "NFQUEUE", 0, rules.FamilyIPv4, fields(uint16(7)), "--queue-num 7"},
		{"nfqueue 1", "NFQUEUE", 1, rules.FamilyIPv4, fields(uint16(7), uint16(3)), "--queue-balance 7:9"},
		{"nfqueue 2", "NFQUEUE", 2, rules.FamilyIPv4, fields(uint16(7), uint16(1), uint16(1)), "--queue-num 7 --queue-bypass"},
		{"nfqueue 2, bypass of 2", "NFQUEUE", 2, rules.FamilyIPv4, fields(uint16(7), uint16(1), uint16(2)), ""},
		{"nfqueue 3, no queue", "NFQUEUE", 3, rules.FamilyIPv4, fields(uint16(7), uint16(0), uint16(0)), ""},
		{"set 0", "SET", 0, rules.FamilyIPv4, fields(uint16(3), uint16(0), uint32(1), uint32(2), make([]byte, 20), uint16(0xffff), uint16(0), make([]byte, 28)), "--add-set #3 src,dst"},
		{"set 1", "SET", 1, rules.FamilyIPv4, fields(uint16(0xffff), uint16(0), uint16(4), uint8(2), uint8(0b100)), "--del-set #4 dst,src"},
		{"set 2", "SET", 2, rules.FamilyIPv6, fields(uint16(3), uint8(1), uint8(2), uint16(0xffff), uint16(0), uint32(1), uint32(60)), "--add-set #3 src --exist --timeout 60"},
		{"set of seven directions", "SET", 1, rules.FamilyIPv4, fields(uint16(3), uint8(7), uint8(2), uint16(0xffff), uint16(0)), ""},
		{"idletimer 1", "IDLETIMER", 1, rules.FamilyIPv4, fields(uint32(5), chars("wlan", 28), uint8(0), uint8(1), make([]byte, 6), uint64(0)), "--timeout 5 --label wlan --alarm"},
		{"led", "LED", 0, rules.FamilyIPv4, fields(chars("netfilter-a\"b", 27), uint8(1), uint32(0xffffffff), uint64(0)), `--led-trigger-id "a\"b" --led-delay -1 --led-always-blink`},
		{"led of another", "LED", 0, rules.FamilyIPv4, fields(chars("heartbeat", 27), uint8(1), uint32(1), uint64(0)), ""},
		{"secmark 0", "SECMARK", 0, rules.FamilyIPv4, fields(uint32(1), uint32(9), chars("system_u:object_r:x_t:s0", 256)), "--selctx system_u:object_r:x_t:s0"},
		{"secmark 1", "SECMARK", 1, rules.FamilyIPv4, fields(uint8(1), chars("system_u:object_r:x_t:s0", 256), make([]byte, 3), uint32(9)), "--selctx system_u:object_r:x_t:s0"},
		{"connsecmark", "CONNSECMARK", 0, rules.FamilyIPv4, fields(uint8(2)), "--restore"},
		{"connsecmark, no such mode", "CONNSECMARK", 0, rules.FamilyIPv4, fields(uint8(0)), ""},
		{"ttl, no such mode", "TTL", 0, rules.FamilyIPv4, fields(uint8(3), uint8(1)), ""},
		{"reject, no such answer", "REJECT", 0, rules.FamilyIPv4, fields(uint32(4)), ""},
		{"log, unknown flag", "LOG", 0, rules.FamilyIPv4, fields(uint8(4), uint8(0x10), chars("", 30)), ""},
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
			if tt.save == "" {
				t.Fatal("not refused")
			}
			var o Options
			x.Save(c, &o)
			if got := o.String(); got != strings.TrimSpace(tt.save) {
				t.Errorf("saved %q, want %q", got, tt.save)
			}
		})
	}
}
