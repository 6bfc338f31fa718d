package invalid

import (
	"bytes"
	"strings"
	"testing"

	"github.com/ntdiag/ntdiag/rules"
)

// What Parse makes of lines that no kernel of the table prints as they are.
func TestParse(t *testing.T) {
	const packet = "IN=r0 OUT= MAC=da:ff:ba:e6:8b:04:ee:e9:55:98:14:ab:08:00 SRC=10.77.1.99 DST=10.77.2.99 LEN=40 TOS=0x00 " +
		"PREC=0x00 TTL=64 ID=4660 DF PROTO=TCP SPT=2002 DPT=80 SEQ=1000 ACK=0 WINDOW=64240 RES=0x00 SYN URGP=0 "
	const shown = "ip tcp 10.77.1.99:2002>10.77.2.99:80 len=40 ttl=64 seq=1000 ack=0 win=64240 flags=syn in=r0 mac=ee:e9:55:98:14:ab"
	for _, c := range []struct{ name, line, reason, text, packet, rest string }{
		{"stamp", "[  941.538850] nf_ct_proto_6: invalid new " + packet, "invalid-new", "invalid new", shown, ""},
		{"level and stamp", "<5>[  941.538850] nf_ct_proto_6: invalid new " + packet, "invalid-new", "invalid new", shown, ""},
		{"caller", "[  941.538850][    T1] nf_ct_proto_6: invalid new " + packet, "invalid-new", "invalid new", shown, ""},
		{"blanks lost at the end", "nf_ct_proto_6: invalid new " + strings.TrimSpace(packet), "invalid-new", "invalid new", shown, ""},
		{"shortened by hand", "nf_ct_proto_6: invalid tcp flag combination SRC=10.0.2.1 DST=10.0.96.7 LEN=1040 … SEQ=1 ACK=0",
			"bad-flags", "invalid tcp flag combination", "ip tcp 10.0.2.1>10.0.96.7 len=1040 seq=1 ack=0", ""},
		{"shortened with dots", "nf_ct_proto_6: invalid tcp flag combination SRC=10.0.2.1 DST=10.0.96.7 LEN=1040 ... SEQ=1 ACK=0",
			"bad-flags", "invalid tcp flag combination", "ip tcp 10.0.2.1>10.0.96.7 len=1040 seq=1 ack=0", ""},
		{"unknown reason", "nf_ct_proto_6: words of a later kernel 7 " + packet, "", "words of a later kernel 7", shown, ""},
		{"unknown protocol", "nf_ct_proto_99: what " + packet, "", "what", shown, ""},
		{"reason with more behind it", "nf_ct_proto_6: invalid new day " + packet, "", "invalid new day", shown, ""},
		{"number too large", "nf_ct_proto_6: 4294967296 bytes more than expected " + packet, "", "4294967296 bytes more than expected", shown, ""},
		{"unknown word", "nf_ct_proto_6: invalid new " + strings.Replace(packet, "DF", "XY=1 DF", 1), "invalid-new", "invalid new", shown, "XY=1"},
		{"two unknown words", "nf_ct_proto_6: invalid new " + strings.Replace(packet, "DF", "X DF Y", 1), "invalid-new", "invalid new", shown, "X DF Y"},
		{"a field twice", "nf_ct_proto_6: invalid new " + packet + "SRC=192.0.2.1 ", "invalid-new", "invalid new", shown, "SRC=192.0.2.1"},
		{"a device called SRC=…", "nf_ct_proto_6: invalid new IN=SRC=192.0.2.1 OUT= SRC=10.77.1.99 DST=10.77.2.99 ", "invalid-new", "invalid new",
			"ip tcp 10.77.1.99>10.77.2.99 in=SRC=192.0.2.1", ""},
		{"a device called OUT=]", "nf_ct_proto_6: invalid new IN=OUT=] OUT=[x SRC=10.77.1.99 DST=10.77.2.99 ", "invalid-new", "invalid new",
			"ip tcp 10.77.1.99>10.77.2.99 in=OUT=] out=[x", ""},
		{"bridge", "nf_ct_proto_6: invalid new IN=br0 OUT=br0 PHYSIN=pa PHYSOUT=pb MAC=02:00:00:00:00:77:26:52:06:2f:86:d1:08:00 SRC=10.9.9.1 DST=10.9.9.2 ",
			"invalid-new", "invalid new", "ip tcp 10.9.9.1>10.9.9.2 in=br0 out=br0 physin=pa physout=pb mac=26:52:06:2f:86:d1", ""},
		{"decoded header", "nf_ct_proto_6: invalid new IN=r0 OUT= MACSRC=ee:e9:55:98:14:ab MACDST=da:ff:ba:e6:8b:04 VPROTO=8100 VID=12 MACPROTO=0800 SRC=10.9.9.1 DST=10.9.9.2 ",
			"invalid-new", "invalid new", "ip tcp 10.9.9.1>10.9.9.2 in=r0 mac=ee:e9:55:98:14:ab", ""},
		{"no header", "nf_ct_proto_6: invalid new IN=tun0 OUT= MAC= SRC=10.9.9.1 DST=10.9.9.2 ", "invalid-new", "invalid new",
			"ip tcp 10.9.9.1>10.9.9.2 in=tun0", ""},
		{"SIT", "nf_ct_proto_6: invalid new IN=sit0 OUT= MAC=da:ff:ba:e6:8b:04:ee:e9:55:98:14:ab:08:00:45:00 TUNNEL=192.0.2.1->192.0.2.2 SRC=10.9.9.1 DST=10.9.9.2 ",
			"invalid-new", "invalid new", "ip tcp 10.9.9.1>10.9.9.2 in=sit0 mac=ee:e9:55:98:14:ab", ""},
		{"not Ethernet", "nf_ct_proto_6: invalid new IN=ib0 OUT= MAC=da:ff:ba:e6:8b:04:ee:e9:55:98:14:ab:00:01 SRC=10.9.9.1 DST=10.9.9.2 ",
			"invalid-new", "invalid new", "ip tcp 10.9.9.1>10.9.9.2 in=ib0", ""},
		{"own packet", "nf_ct_proto_6: invalid new IN= OUT=r1 SRC=10.77.1.1 DST=10.77.2.99 LEN=40 TOS=0x00 PREC=0x00 TTL=64 ID=4660 PROTO=TCP " +
			"SPT=8104 DPT=80 SEQ=1000 ACK=0 WINDOW=64240 RES=0x00 RST URGP=0 UID=1000 GID=100 MARK=0xbeef ", "invalid-new", "invalid new",
			"ip tcp 10.77.1.1:8104>10.77.2.99:80 len=40 ttl=64 seq=1000 ack=0 win=64240 flags=rst mark=0xbeef uid=1000 out=r1", ""},
		{"all flags", "nf_ct_proto_6: invalid tcp flag combination SRC=10.9.9.1 DST=10.9.9.2 PROTO=TCP SPT=1 DPT=2 SEQ=3 ACK=4 WINDOW=5 RES=0x3C " +
			"AE CWR ECE URG ACK PSH RST SYN FIN URGP=6 OPT (020405B4) ", "bad-flags", "invalid tcp flag combination",
			"ip tcp 10.9.9.1:1>10.9.9.2:2 seq=3 ack=4 win=5 flags=cwr,ece,urg,ack,psh,rst,syn,fin", ""},
		{"fragment", "nf_ct_proto_17: short packet IN= OUT= SRC=10.9.9.1 DST=10.9.9.2 LEN=60 TOS=0x1C PREC=0xE0 TTL=1 ID=0 CE MF FRAG:185 OPT (94040000) PROTO=UDP ",
			"short-packet", "short packet", "ip udp 10.9.9.1>10.9.9.2 len=60 ttl=1 frag=185", ""},
		{"first fragment", "nf_ct_proto_17: short packet IN= OUT= SRC=10.9.9.1 DST=10.9.9.2 LEN=60 TOS=0x00 PREC=0x00 TTL=1 ID=0 MF PROTO=UDP INCOMPLETE [3 bytes] ",
			"short-packet", "short packet", "ip udp 10.9.9.1>10.9.9.2 len=60 ttl=1 frag=0 truncated", ""},
		{"IPv6 headers", "nf_ct_proto_17: bad checksum IN= OUT= SRC=fd00:0000:0000:0000:0000:0000:0000:0001 DST=fd00:0000:0000:0000:0000:0000:0000:0002 " +
			"LEN=90 TC=184 HOPLIMIT=9 FLOWLBL=74565 OPT ( ) OPT ( FRAG:1448 INCOMPLETE ID:0000beef ) OPT ( AH SPI=0x1f ) PROTO=UDP ", "bad-checksum", "bad checksum",
			"ip6 udp fd00::1>fd00::2 len=90 ttl=9 frag=181", ""},
		{"IPv6 ESP", "nf_ct_proto_50: later words IN= OUT= SRC=fd00:0000:0000:0000:0000:0000:0000:0001 DST=fd00:0000:0000:0000:0000:0000:0000:0002 " +
			"LEN=90 TC=0 HOPLIMIT=9 FLOWLBL=0 OPT ( ESP SPI=0xbeef )", "", "later words", "ip6 esp fd00::1>fd00::2 len=90 ttl=9", ""},
		{"IPv6 truncated header", "nf_ct_proto_17: short packet IN= OUT= SRC=fd00:0000:0000:0000:0000:0000:0000:0001 DST=fd00:0000:0000:0000:0000:0000:0000:0002 " +
			"LEN=90 TC=0 HOPLIMIT=9 FLOWLBL=0 OPT ( FRAG:TRUNCATED ", "short-packet", "short packet", "ip6 udp fd00::1>fd00::2 len=90 ttl=9 frag=0 truncated", ""},
		{"IPv6 as people write it", "nf_ct_proto_17: bad checksum SRC=fd00::1 DST=fd00::2 PROTO=UDP SPT=1 DPT=53 LEN=10", "bad-checksum", "bad checksum",
			"ip6 udp [fd00::1]:1>[fd00::2]:53", ""},
		{"redirect", "nf_ct_proto_1: bad hw icmp checksum IN= OUT= SRC=10.9.9.1 DST=10.9.9.2 LEN=56 TOS=0x00 PREC=0x00 TTL=1 ID=0 PROTO=ICMP TYPE=5 CODE=1 " +
			"GATEWAY=10.9.9.3 [SRC=10.9.9.2 DST=10.8.8.8 LEN=84 TOS=0x00 PREC=0x00 TTL=64 ID=1 DF PROTO=TCP INCOMPLETE [8 bytes] ] ", "bad-checksum", "bad hw icmp checksum",
			"ip icmp 10.9.9.1>10.9.9.2 len=56 ttl=1 type=5/1 [ip tcp 10.9.9.2>10.8.8.8 len=84 ttl=64 truncated]", ""},
		{"quote cut", "nf_ct_proto_1: bad hw icmp checksum IN= OUT= SRC=10.9.9.1 DST=10.9.9.2 LEN=56 TOS=0x00 PREC=0x00 TTL=1 ID=0 PROTO=ICMP TYPE=3 CODE=4 " +
			"[SRC=10.9.9.2 DST=10.8.8.8 LEN=84 TOS=0x00 PREC=0x00 TTL=64 ID=1 TRUNCATED] MTU=1400 MARK=0x1 ", "bad-checksum", "bad hw icmp checksum",
			"ip icmp 10.9.9.1>10.9.9.2 len=56 ttl=1 type=3/4 mark=0x1 [ip ip 10.9.9.2>10.8.8.8 len=84 ttl=64 truncated]", ""},
		{"quote of an echo", "nf_ct_proto_1: bad hw icmp checksum IN= OUT= SRC=10.9.9.1 DST=10.9.9.2 LEN=56 TOS=0x00 PREC=0x00 TTL=1 ID=7 PROTO=ICMP TYPE=11 CODE=0 " +
			"[SRC=10.9.9.2 DST=10.8.8.8 LEN=84 TOS=0x00 PREC=0x00 TTL=1 ID=8 PROTO=ICMP TYPE=8 CODE=0 ID=77 SEQ=3 ] ", "bad-checksum", "bad hw icmp checksum",
			"ip icmp 10.9.9.1>10.9.9.2 len=56 ttl=1 type=11/0 [ip icmp 10.9.9.2>10.8.8.8 len=84 ttl=1 type=8/0 id=77]", ""},
		{"parameter", "nf_ct_proto_58: ICMPv6 checksum failed IN= OUT= SRC=fd00::1 DST=fd00::2 LEN=90 TC=0 HOPLIMIT=9 FLOWLBL=0 PROTO=ICMPv6 TYPE=4 CODE=1 POINTER=0000002a " +
			"[SRC=fd00::2 DST=fd00::3 LEN=52 TC=0 HOPLIMIT=9 FLOWLBL=0 OPT ( ) PROTO=ICMPv6 TYPE=128 CODE=0 ID=5 SEQ=6 ] ", "bad-checksum", "ICMPv6 checksum failed",
			"ip6 ipv6-icmp fd00::1>fd00::2 len=90 ttl=9 type=4/1 [ip6 ipv6-icmp fd00::2>fd00::3 len=52 ttl=9 type=128/0 id=5]", ""},
		{"too big", "nf_ct_proto_58: ICMPv6 checksum failed SRC=fd00::1 DST=fd00::2 PROTO=ICMPv6 TYPE=2 CODE=0 [TRUNCATED] MTU=1280 ", "bad-checksum", "ICMPv6 checksum failed",
			"ip6 ipv6-icmp fd00::1>fd00::2 type=2/0 [unspec ip invalid IP>invalid IP truncated]", ""},
		{"GRE", "nf_ct_proto_47: later words IN= OUT= SRC=10.9.9.1 DST=10.9.9.2 PROTO=47 ", "", "later words", "ip gre 10.9.9.1>10.9.9.2", ""},
		{"helper of now", "helper ftp dropping packet: partial matching of `PORT' IN= OUT= SRC=10.9.9.1 DST=10.9.9.2 PROTO=47 ", "helper-parse",
			"partial matching of `PORT'", "ip gre 10.9.9.1>10.9.9.2", ""},
		{"helper with blanks in its name", "helper a b dropping packet: all ports in use IN= OUT= SRC=10.9.9.1 DST=10.9.9.2 PROTO=47 ", "helper-ports",
			"all ports in use", "ip gre 10.9.9.1>10.9.9.2", ""},
		{"older module", "ipt_MASQUERADE: ppp0 ate my IP address", "no-address", "ipt_MASQUERADE: ppp0 ate my IP address", "out=ppp0", ""},
		{"full, doubled prefix", "nf_conntrack: nf_conntrack: table full, dropping packet", "table-full", "table full, dropping packet", "", ""},
		{"expectations", "nf_conntrack: nf_conntrack: expectation table full", "expectations-full", "expectation table full", "", ""},
		{"SCTP as kmsg has it", `nf_ct_proto_132: do_basic_checks failed. chunk num 0, type 1, len 0 flag 1\x0a IN=r0 OUT= SRC=10.9.9.1 DST=10.9.9.2 PROTO=132 `,
			"bad-chunks", "do_basic_checks failed. chunk num 0, type 1, len 0 flag 1", "ip sctp 10.9.9.1>10.9.9.2 in=r0", ""},
		{"SCTP as rsyslog has it", `nf_ct_proto_132: do_basic_checks failed. chunk num 0, type 1, len 0 flag 1#012 IN=r0 OUT= SRC=10.9.9.1 DST=10.9.9.2 PROTO=132 `,
			"bad-chunks", "do_basic_checks failed. chunk num 0, type 1, len 0 flag 1", "ip sctp 10.9.9.1>10.9.9.2 in=r0", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var m Message
			if !Parse([]byte(c.line), &m) {
				t.Fatalf("not ours: %s", c.line)
			}
			name := ""
			if m.Reason != nil {
				name = m.Reason.Name
			}
			if name != c.reason || string(m.Text) != c.text {
				t.Errorf("reason %q %q, want %q %q", name, m.Text, c.reason, c.text)
			}
			if got := show(&m); got != c.packet {
				t.Errorf("\n got %s\nwant %s", got, c.packet)
			}
			if string(m.Rest) != c.rest {
				t.Errorf("left over %q, want %q", m.Rest, c.rest)
			}
		})
	}
}

// Lines of others, however near.
func TestParseOthers(t *testing.T) {
	const packet = "IN=r0 OUT= SRC=10.77.1.99 DST=10.77.2.99 LEN=30 TOS=0x00 PREC=0x00 TTL=64 ID=4660 PROTO=UDP SPT=10 DPT=53 LEN=10 "
	m := Message{Kind: KindInvalid}
	for _, line := range []string{
		"", " ", "nf_ct_", "nf_ct_proto_", "nf_ct_proto_x: invalid new " + packet, "nf_ct_proto_256: invalid new " + packet,
		"TRACE: raw:PREROUTING:policy:2 " + packet,
		packet, "fw: " + packet, "[UFW BLOCK] " + packet,
		"nf_ct_ftp: port 21", "nf_ct_h323: fail to decode", "nf_conntrack version 0.5.0 (65536 buckets, 262144 max)",
		"nf_conntrack: default automatic helper assignment has been turned off",
		"helper is a word", "helper  dropping packet: x", "nf_ct_: dropping packet: x",
		"ate my IP address", " ate my IP address", "somebody with a very-long-name-for-a-device ate my IP address",
		"<5>", "[  1.0] ", "[[[[", "<5>[",
	} {
		if Parse([]byte(line), &m) || m.Kind != KindNone {
			t.Errorf("ours, as %v: %q", m.Kind, line)
		}
	}
}

// TestCut: every line cut anywhere is read as far as it goes: what is told is
// what the whole line tells.
func TestCut(t *testing.T) {
	var whole, m Message
	for _, r := range messages(t) {
		if !Parse([]byte(r.line), &whole) {
			t.Fatalf("not ours: %s", r.line)
		}
		for n := range r.line {
			if !Parse([]byte(r.line[:n]), &m) {
				continue
			}
			if m.Reason != nil && m.Reason != whole.Reason {
				t.Errorf("%q: %s, but the whole is %s", r.line[:n], m.Reason.Name, whole.Reason.Name)
			}
			if why := contradicts(&m, &whole); why != "" {
				t.Errorf("%q: %s", r.line[:n], why)
			}
		}
	}
}

// contradicts tells what m has that whole has otherwise.
func contradicts(m, whole *Message) string {
	if m.Packet.Family == rules.FamilyUnspec {
		return ""
	}
	for _, p := range []struct{ m, whole *Packet }{{&m.Packet, &whole.Packet}, {&m.Inner, &whole.Inner}} {
		if p.m.Has&^p.whole.Has&^HasTruncated != 0 {
			return "more fields than the whole line"
		}
		c := *p.whole
		c.Has = p.m.Has
		if c.Proto != p.m.Proto && p.m.Proto != 0 {
			return "another protocol"
		}
		c.Proto = p.m.Proto
		if c.Dst != p.m.Dst && p.m.Dst.IsValid() {
			return "another destination"
		}
		c.Dst = p.m.Dst
		if p.m == &m.Packet && c.Src != p.m.Src {
			return "another source"
		}
		if p.m.Src.IsValid() && c != *p.m && showPacket(&c) != showPacket(p.m) {
			return showPacket(p.m) + " of " + showPacket(p.whole)
		}
	}
	if !bytes.HasPrefix(whole.In, m.In) || len(m.In) > 0 && len(m.In) < len(whole.In) {
		return "another device"
	}
	return ""
}

// TestParseAllocs: nothing is allocated for a line.
func TestParseAllocs(t *testing.T) {
	var lines [][]byte
	for _, r := range messages(t) {
		lines = append(lines, []byte(r.line))
	}
	for _, line := range noise {
		lines = append(lines, []byte(line))
	}
	var m Message
	if n := testing.AllocsPerRun(10, func() {
		for _, line := range lines {
			Parse(line, &m)
		}
	}); n != 0 {
		t.Errorf("%v allocations for %d lines", n, len(lines))
	}
}

// noise are lines of a kernel's log and of syslog that are not ours.
var noise = []string{
	"eth0: renamed from veth3f2a",
	"br-8d1: port 3(veth2cc7e8a) entered forwarding state",
	"audit: type=1400 audit(1711987531.521:61): apparmor=\"DENIED\" operation=\"open\" profile=\"snap.x\" name=\"/proc/1/x\"",
	"[UFW BLOCK] IN=eth0 OUT= MAC=01:00:5e:00:00:01:00:11:22:33:44:55:08:00 SRC=192.0.2.1 DST=224.0.0.1 LEN=36 TOS=0x00 PREC=0x00 TTL=1 ID=0 DF PROTO=2",
	"nfs: server files not responding, still trying",
	"TCP: request_sock_TCP: Possible SYN flooding on port 443. Sending cookies.",
	"systemd[1]: Started Session 41 of user root.",
	"sshd[4021]: Accepted publickey for root from 192.0.2.7 port 51234 ssh2: ED25519 SHA256:AAAA",
	"CRON[3001]: (root) CMD (   cd / && run-parts --report /etc/cron.hourly)",
	"helper process 31 exited",
}

// BenchmarkParse reads a mixed log: a third lines of conntrack, the others of
// the kernel and of programs.
func BenchmarkParse(b *testing.B) {
	const tcp = "nf_ct_proto_6: SEQ is over upper bound 65242 (over the window of the receiver) IN=r0 OUT= MAC=da:ff:ba:e6:8b:04:ee:e9:55:98:14:ab:08:00 " +
		"SRC=10.77.1.99 DST=10.77.2.99 LEN=50 TOS=0x00 PREC=0x00 TTL=64 ID=4660 DF PROTO=TCP SPT=2030 DPT=80 SEQ=501001 ACK=5001 WINDOW=64240 RES=0x00 ACK PSH URGP=0 "
	const n = 300_000
	var lines [30][]byte
	for i := range lines {
		lines[i] = []byte(tcp)
		if i%3 != 0 {
			lines[i] = []byte(noise[i%len(noise)])
		}
	}
	b.ReportAllocs()
	var m Message
	for b.Loop() {
		ours := 0
		for i := range n {
			if Parse(lines[i%len(lines)], &m) {
				ours++
			}
		}
		if ours != n/3 {
			b.Fatalf("%d lines were ours", ours)
		}
	}
	b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds(), "lines/s")
}
