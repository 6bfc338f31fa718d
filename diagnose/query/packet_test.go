package query

import (
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParsePacket(t *testing.T) {
	type said map[string]uint32
	for _, tc := range []struct {
		args     string
		tuple    string // proto src sport dst dport, - for open
		iif, oif string
		said     said
	}{
		{"tcp 10.0.0.10:5536 > 10.0.0.1:8080", "6 10.0.0.10 5536 10.0.0.1 8080", "", "", nil},
		{"tcp 10.0.0.10:5536 > 10.0.0.1:8080 iif c0 mark 0x10", "6 10.0.0.10 5536 10.0.0.1 8080", "c0", "", said{"mark": 16}},
		{"iif=c0, tcp 10.0.0.10:5536 10.0.0.1:8080 oif s0", "6 10.0.0.10 5536 10.0.0.1 8080", "c0", "s0", nil},
		{"tcp 10.0.0.10 > 10.0.0.1:https", "6 10.0.0.10 - 10.0.0.1 443", "", "", nil},
		{"udp [fd00::10]:5000 > [fd00::53]:53 ct mark 7 uid 1000 gid 100", "17 fd00::10 5000 fd00::53 53", "", "", said{"ctmark": 7, "uid": 1000, "gid": 100}},
		{"icmp 10.0.0.10 10.8.2.12 id=77", "1 10.0.0.10 77 10.8.2.12 2048", "", "", nil},
		{"icmp 10.0.0.10 10.8.2.12", "1 10.0.0.10 - 10.8.2.12 2048", "", "", nil},
		{"icmp 10.0.0.10 10.8.2.12 type 13 id 5", "1 10.0.0.10 5 10.8.2.12 3328", "", "", nil},
		{"icmp fd00::1 fd00::2 id=1", "58 fd00::1 1 fd00::2 32768", "", "", nil},
		{"esp 10.0.0.10 10.8.2.12 ttl 5 length 100 tos 0x10", "50 10.0.0.10 0 10.8.2.12 0", "", "", said{"ttl": 5, "length": 100, "tos": 16}},
		{"tcp 10.0.0.10:1 10.0.0.1:2 dscp ef flags syn,ece prio 6 zone 3", "6 10.0.0.10 1 10.0.0.1 2", "", "", said{"tos": 46 << 2, "flags": 0x42, "priority": 6, "zone": 3}},
		{"tcp 10.0.0.10:1 10.0.0.1:2 ct state new", "6 10.0.0.10 1 10.0.0.1 2", "", "", nil},
		{"IN=c0 OUT= MAC=aa SRC=10.0.0.10 DST=10.0.0.1 LEN=60 TOS=0x10 PREC=0x00 TTL=63 ID=1 DF PROTO=TCP SPT=5536 DPT=80 WINDOW=1 RES=0x00 SYN URGP=0 MARK=0x2a",
			"6 10.0.0.10 5536 10.0.0.1 80", "c0", "", said{"mark": 42, "ttl": 63, "length": 60, "tos": 16, "flags": 2}},
		{"IP 192.168.1.2.5536 > 10.8.2.12.80: Flags [S], seq 1, length 0 iif s0", "6 192.168.1.2 5536 10.8.2.12 80", "s0", "", nil},
		{"tcp 10.0.0.10:1 10.0.0.1:2 ct state invalid", "6 10.0.0.10 1 10.0.0.1 2", "", "", said{"invalid": 1}},
	} {
		p, err := ParsePacket(strings.Fields(tc.args))
		if err != nil {
			t.Errorf("%s: %v", tc.args, err)
			continue
		}
		if got := packetTuple(&p); got != tc.tuple || p.Iif != tc.iif || p.Oif != tc.oif {
			t.Errorf("%s: %s iif %q oif %q, want %s %q %q", tc.args, got, p.Iif, p.Oif, tc.tuple, tc.iif, tc.oif)
		}
		got := said{}
		for name, o := range map[string]Opt{"mark": p.Mark, "ctmark": p.CtMark, "uid": p.UID, "gid": p.GID, "ttl": p.TTL,
			"length": p.Length, "tos": p.TOS, "flags": p.Flags, "priority": p.Priority, "zone": p.Zone} {
			if o.Set {
				got[name] = o.N
			}
		}
		if p.Invalid {
			got["invalid"] = 1
		}
		if tc.said == nil {
			tc.said = said{}
		}
		if diff := cmp.Diff(tc.said, got); diff != "" {
			t.Errorf("%s: said (-want +got):\n%s", tc.args, diff)
		}
	}
}

func packetTuple(p *Packet) string {
	num := func(n uint16, open bool) string {
		if open {
			return "-"
		}
		return strconv.Itoa(int(n))
	}
	u := p.Tuple
	return strings.Join([]string{strconv.Itoa(int(u.Proto)), u.Src.String(), num(u.SrcPort, p.SportOpen || p.IDOpen), u.Dst.String(), strconv.Itoa(int(u.DstPort))}, " ")
}

func TestParsePacketErrors(t *testing.T) {
	for args, want := range map[string]string{
		"":                                      "no packet",
		"iif eth0":                              "the tuple is missing",
		"10.0.0.1:1 10.0.0.2:2":                 "the protocol is missing",
		"tcp 10.0.0.1:1":                        "one end only: name both",
		"tcp dst=10.0.0.1 dport=1":              "the source address is missing",
		"tcp 10.0.0.1:1 >":                      "the destination address is missing",
		"tcp 10.0.0.1:1 10.0.0.2":               "the destination port is missing",
		"tcp 10.0.0.1:1 10.0.0.0/24":            "the destination is a prefix",
		"icmp 10.0.0.1 10.0.0.0/24":             "the destination is a prefix",
		"tcp 10.0.0.1:1 10.0.0.2:2 id=5":        "id 5 names an entry",
		"tcp 10.0.0.1:1 10.0.0.2:2 iif":         "iif without a value",
		"tcp 10.0.0.1:1 10.0.0.2:2 iif=a iif=b": "iif is given twice",
		"tcp 10.0.0.1:1 10.0.0.2:2 iif averylongdevicename": "bad device name",
		"tcp 10.0.0.1:1 10.0.0.2:2 mark pink":               `bad mark "pink"`,
		"tcp 10.0.0.1:1 10.0.0.2:2 length 70000":            "length 70000 is not within 0-65535",
		"tcp 10.0.0.1:1 10.0.0.2:2 flags syn,foo":           `unknown TCP flag "foo"`,
		"udp 10.0.0.1:1 10.0.0.2:2 flags syn":               "udp has no TCP flags",
		"tcp 10.0.0.1:1 10.0.0.2:2 dscp af99":               `bad dscp "af99"`,
		"tcp 10.0.0.1:1 10.0.0.2:2 state established":       "the first of its flow",
		"tcp 10.0.0.1:1 10.0.0.2:2 ct state untracked":      "the first of its flow",
		"tcp 10.0.0.1:1 [fd00::1]:2":                        "mixed families",
	} {
		_, err := ParsePacket(strings.Fields(args))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", args, err, want)
		} else if strings.Contains(err.Error(), "\n") || strings.Count(err.Error(), "packet \"") > 1 {
			t.Errorf("%q: %v is not one clear line", args, err)
		}
	}
}

// FuzzParsePacket: any text is a packet or one line of error, and what of a
// packet is a query gives the same tuple.
func FuzzParsePacket(f *testing.F) {
	for _, s := range []string{"tcp 10.0.0.10:5536 > 10.0.0.1:8080 iif c0 mark 0x10", "icmp 10.0.0.10 10.8.2.12 id=77 ttl 3", "udp [fd00::1]:1 > [fd00::2]:2 dscp ef",
		"IN=c0 OUT= SRC=10.0.0.10 DST=10.0.0.1 LEN=60 TTL=63 PROTO=TCP SPT=1 DPT=80 SYN", "ct mark 5 tcp 1.1.1.1 2.2.2.2:3", "flags syn, state new"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePacket([]string{s})
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Errorf("error is not one harmless line: %q", err)
			}
			return
		}
		if !p.Tuple.Src.IsValid() || !p.Tuple.Dst.IsValid() || p.Tuple.Src.Is4() != p.Tuple.Dst.Is4() || p.Family == 0 {
			t.Errorf("%q: %+v is no whole packet", s, p)
		}
	})
}
