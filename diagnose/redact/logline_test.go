package redact

import (
	"strings"
	"testing"
)

func TestLogLine(t *testing.T) {
	for _, pattern := range []string{
		"nf_ct_proto_6: invalid new IN={acme0x} OUT= MAC=<da:ff:ba:e6:8b:04>:<ee:e9:55:98:14:ab>:08:00 SRC=<10.77.1.99> DST=<10.77.2.99> LEN=40 TOS=0x00 PREC=0x00 TTL=64 ID=4660 DF PROTO=TCP SPT=2010 DPT=80 SEQ=1000 ACK=0 WINDOW=64240 RES=0x00 RST URGP=0 ",
		"<5>[ 1659.255571] nf_ct_proto_6: invalid new IN=br0 OUT= PHYSIN={pax1} MAC=<da:ff:ba:e6:8b:04>:<ee:e9:55:98:14:ab>:08:00 SRC=<10.9.9.1> DST=<10.9.9.2> LEN=40 TOS=0x00 PREC=0x00 TTL=64 ID=4660 PROTO=TCP SPT=5 DPT=6 SEQ=1000 ACK=0 WINDOW=64240 RES=0x00 RST URGP=0 UID=0 GID=0 MARK=0xbeef ",
		"5,427,991671134,-;nf_ct_proto_1: outer daddr <10.77.1.2> != inner <10.77.1.99> IN={rx1} OUT= SRC=<10.77.2.99> DST=<10.77.1.2> LEN=56 TOS=0x00 PREC=0x00 TTL=64 ID=4660 PROTO=ICMP TYPE=3 CODE=3 [SRC=<10.77.1.99> DST=<10.77.2.99> LEN=30 TOS=0x00 PREC=0x00 TTL=64 ID=4660 PROTO=UDP SPT=4100 DPT=53 LEN=10 ] ",
		"nf_ct_proto_17: short packet IN={rx0} OUT= SRC=<10.77.1.99> DST=<10.77.2.99> LEN=26 TOS=0x00 PREC=0x00 TTL=64 ID=4660 PROTO=UDP INCOMPLETE [6 bytes] ",
		"nf_conntrack: nf_conntrack: table full in netns 4026532599, dropping packet",
		"{rx1} ate my IP address",
		"[ 1582.326348] TRACE: raw:PREROUTING:policy:2 IN={rx0} OUT= SRC=<10.77.1.99> DST=<10.77.2.99> LEN=30 TOS=0x00 PREC=0x00 TTL=64 ID=4660 PROTO=UDP SPT=10 DPT=53 LEN=10 ",
		"TRACE: filter:{acme:chain}:rule:1 IN={rx0} OUT=eth1 SRC=<10.77.1.99> DST=<10.77.2.99> LEN=30 TOS=0x00 PREC=0x00 TTL=64 ID=4660 PROTO=2 ",
		"{ACME-DROP}: IN=eth0 OUT=eth1 SRC=<10.77.1.99> DST=<10.77.2.99> LEN=40 TOS=0x00 PREC=0x00 TTL=64 ID=4660 OPT (94040000) PROTO=TCP SPT=1 DPT=2 WINDOW=1 RES=0x00 SYN URGP=0 OPT (020405B40402080A000000AB0000000001030307) ",
		"[UFW BLOCK] IN=eth0 OUT= SRC=<10.77.1.99> DST=224.0.0.1 LEN=36 TOS=0x00 PREC=0x00 TTL=1 ID=0 DF PROTO=2 ",
	} {
		m := New(testKey(1), nil)
		m.Name(Chain, "acme:chain")
		m.Name(LogPrefix, "ACME-DROP: ")
		stamp := ""
		if strings.HasPrefix(pattern, "<5>") {
			stamp, pattern = pattern[:3], pattern[3:]
		}
		in, want := expected(t, m, pattern)
		in, want = stamp+in, stamp+want
		got := m.LogLine(in)
		if got != want {
			t.Errorf("%s\nbecomes %s\nnot     %s", in, got, want)
		}
		if back := m.Reveal(got); back != in {
			t.Errorf("%s\nbecomes %s\nand that %s", in, got, back)
		}
	}
}

func TestLogLineHides(t *testing.T) {
	m := New(testKey(1), nil)
	for _, c := range []struct{ line, secret string }{
		{"usb 1-1: Product: Acme Phone", "Acme"},
		{"nf_ct_proto_6: acme secret IN=eth0 OUT= SRC=10.1.2.3 DST=10.1.2.4 ", "acme"},
		{"nf_ct_proto_6: invalid new acme IN=eth0 OUT= SRC=10.1.2.3 DST=10.1.2.4 ", "acme"},
		{"IN=eth0 OUT= SRC=10.1.2.3 DST=10.1.2.4 USER=acme", "acme"},
		{"IN=eth0 OUT= SRC=10.1.2.3 DST=10.1.2.4 acme", "acme"},
		{"IN=eth0 OUT= SRC=10.1.2.3 DST=10.1.2.4 PROTO=acme LEN=acme", "acme"},
		{"acmeIN=eth0 OUT= SRC=10.1.2.3 DST=10.1.2.4 ", "acme"},
		{"IN=acme OUT= MACSRC=52:54:00:12:34:56 MACDST=52:54:00:12:34:57 MACPROTO=0806 ARP HTYPE=1 PTYPE=0x0800 OPCODE=1 MACSRC=52:54:00:12:34:56 IPSRC=10.1.2.3 MACDST=00:00:00:00:00:00 IPDST=10.1.2.4", "12:34:5"},
		{"x IN=acme OUT= MAC source = 52:54:00:12:34:56 MAC dest = 52:54:00:12:34:57 proto = 0x0800 IP SRC=10.1.2.3 IP DST=10.1.2.4, IP tos=0x00, IP proto=6 SPT=1 DPT=2", "12:34:5"},
		{"IN=sit1 OUT= MAC=45:00 TUNNEL=10.1.2.3->10.1.2.4 SRC=fd00::1 DST=fd00::2 ", "10.1.2"},
		{"IN=eth0 OUT= SRC=10.1.2.3 DST=10.1.2.4 OPT (07070410010203) PROTO=2", "10010203"},
	} {
		got := m.LogLine(c.line)
		for _, secret := range []string{c.secret, "10.1.2.3", "10.1.2.4", "fd00::1"} {
			if strings.Contains(got, secret) {
				t.Errorf("%s\nbecomes %s", c.line, got)
			}
		}
	}
}

func FuzzLogLine(f *testing.F) {
	f.Add("<5>[ 1659.255571] nf_ct_proto_6: invalid new IN=br0 OUT= PHYSIN=pax1 MAC=da:ff:ba:e6:8b:04:ee:e9:55:98:14:ab:08:00 SRC=10.9.9.1 DST=10.9.9.2 LEN=40 OPT (07070410010203) PROTO=TCP [SRC=1.2.3.4 ] ")
	f.Add("TRACE: filter:a:rule:1 IN= OUT=x ")
	f.Add("x ate my IP address")
	f.Fuzz(func(t *testing.T, s string) {
		m := New(testKey(1), nil)
		if out := m.LogLine(s); len(out) > 40*len(s)+100 {
			t.Fatalf("%d bytes become %d", len(s), len(out))
		}
	})
}
