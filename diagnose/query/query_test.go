package query

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

func tuple(proto uint8, src, dst string) rules.Tuple {
	s, d := netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)
	return rules.Tuple{Proto: proto, Src: s.Addr(), Dst: d.Addr(), SrcPort: s.Port(), DstPort: d.Port()}
}

// the entries that queries are held against: a flow through both rewrites, a
// masqueraded one, a ping, one of IPv6, and one in a zone without NAT.
var entries = map[string]host.Flow{
	"both": {Family: rules.FamilyIPv4, Has: host.HasID | host.HasTCPState, ID: 4021521188, TCPState: 3, Mark: 0x4001,
		Status:   host.StatusSeenReply | host.StatusAssured | host.StatusSrcNAT | host.StatusDstNAT,
		Original: tuple(6, "10.0.0.10:55178", "10.0.0.1:8080"), Reply: tuple(6, "192.168.1.80:80", "192.168.1.2:55178")},
	"masq": {Family: rules.FamilyIPv4, Has: host.HasID | host.HasTCPState | host.HasHelper, Helper: "ftp", ID: 7, TCPState: 1,
		Original: tuple(6, "10.0.0.10:5536", "10.8.2.12:80"), Reply: tuple(6, "10.8.2.12:80", "192.168.1.2:5536")},
	"ping": {Family: rules.FamilyIPv4, Has: host.HasID, ID: 8,
		Original: tuple(1, "10.0.0.10:77", "8.8.8.8:2048"), Reply: tuple(1, "8.8.8.8:1077", "192.168.1.2:0")},
	"six": {Family: rules.FamilyIPv6, Has: host.HasID | host.HasTCPState | host.HasLabels, Labels: [16]byte{1: 2}, ID: 9, TCPState: 3,
		Original: tuple(6, "[fd00::10]:5536", "[fd00::80]:443"), Reply: tuple(6, "[fd00::80]:443", "[fd00::10]:5536")},
	"zone": {Family: rules.FamilyIPv4, Has: host.HasID, ID: 10, Zone: 3,
		Original: tuple(17, "10.0.0.20:999", "10.0.0.53:53"), Reply: tuple(17, "10.0.0.53:53", "10.0.0.20:999")},
}

const dumped = "tcp      6 431999 ESTABLISHED src=10.0.0.10 dst=10.0.0.1 sport=55178 dport=8080 src=192.168.1.80 dst=192.168.1.2 sport=80 dport=55178 [ASSURED] mark=0 use=1"

func TestMatch(t *testing.T) {
	tests := []struct {
		query string
		want  string // entries with their forms, by name
	}{
		{"10.0.0.10:5536 10.8.2.12:80", "masq=original tuple"},
		{"tcp 10.0.0.10:5536 > 10.8.2.12:80", "masq=original tuple"},
		{"tcp 10.0.0.10:5536 -> 10.8.2.12:80", "masq=original tuple"},
		{"10.0.0.10:5536→10.8.2.12:80", "masq=original tuple"},
		{"10.0.0.10:5536 ──▶ 10.8.2.12:80", "masq=original tuple"},
		{"10.0.0.10 5536 10.8.2.12 80", "masq=original tuple"},
		{"udp 10.0.0.10:5536 10.8.2.12:80", ""},
		{"10.8.2.12:80 192.168.1.2:5536", "masq=reply tuple"},
		{"10.8.2.12:80 10.0.0.10:5536", "masq=original tuple reversed"},
		{"192.168.1.2:5536 10.8.2.12:80", "masq=forward tuple after NAT"},
		{"10.0.0.10:55178 192.168.1.80:80", "both=forward tuple between DNAT and SNAT"},
		{"192.168.1.80:80 10.0.0.10:55178", "both=reply tuple between SNAT and DNAT"},
		{"[fd00::10]:5536 [fd00::80]:443", "six=original tuple"},
		{"fd00::10 fd00::80", "six=original tuple"},
		{"id=4021521188", "both=entry"},
		{"id 4021521188", "both=entry"},
		{":443", "six=original tuple"},
		{"port 443", "six=original tuple"},
		{"fd00::/16", "six=original tuple"},
		{"10.0.0.10", "both=original tuple masq=original tuple ping=original tuple"},
		{"192.168.1.80", "both=reply tuple"},
		{"192.168.1.80:80", "both=reply tuple"},
		{"192.168.1.80:81", ""},
		{"> 10.8.2.12:80", "masq=original tuple"},
		{"10.8.2.12:80 >", "masq=reply tuple"},
		{"src=10.0.0.10 dport=8080", "both=original tuple"},
		{"src host 10.0.0.10 and dst port 8080", "both=original tuple"},
		{"host 10.0.0.10 and port 8080", "both=original tuple"},
		{"proto=udp", "zone=entry"},
		{"zone=3", "zone=entry"},
		{"mark=0x4000/0x4000", "both=entry"},
		{"state=syn-sent", "masq=entry"},
		{"state=estab port 8080", "both=original tuple"},
		{"icmp 10.0.0.10 > 8.8.8.8 id=77", "ping=original tuple"},
		{"icmp 8.8.8.8 192.168.1.2 id=1077", "ping=reply tuple"},
		{"icmp id 78", ""},
		// pasted lines
		{dumped, "both=original tuple"},
		{"ipv4     2 " + dumped + " zone=0 use=2 id=4021521188", "both=original tuple"},
		{dumped + " id=1", ""},
		{"[NEW] udp 17 30 src=10.0.0.20 dst=10.0.0.53 sport=999 dport=53 [UNREPLIED] src=10.0.0.53 dst=10.0.0.20 sport=53 dport=999 zone=3", "zone=original tuple"},
		{"icmp 1 29 src=10.0.0.10 dst=8.8.8.8 type=8 code=0 id=77 src=8.8.8.8 dst=192.168.1.2 type=0 code=0 id=1077 mark=0 use=1 id=8", "ping=original tuple"},
		{"12:00:00.1 IP 10.0.0.10.5536 > 10.8.2.12.80: Flags [S], seq 1, win 64240, length 0", "masq=original tuple"},
		{"12:00:00.1 s0 Out IP 192.168.1.2.5536 > 10.8.2.12.http: Flags [S], seq 1", "masq=forward tuple after NAT"},
		{"12:00:00.1 IP6 fd00::10.5536 > fd00::80.443: Flags [.], ack 1", "six=original tuple"},
		{"IP 10.0.0.10 > 8.8.8.8: ICMP echo request, id 77, seq 1, length 64", "ping=original tuple"},
		{"IP 8.8.8.8 > 192.168.1.2: ICMP echo reply, id 1077, seq 1, length 64", "ping=reply tuple"},
		{`tcp ESTAB 0 0 10.0.0.10:5536 10.8.2.12:80 users:(("curl",pid=1,fd=3))`, "masq=original tuple"},
		{"ESTAB 0 0 192.168.1.80:80 192.168.1.2:55178", "both=reply tuple"},
		{"tcp LISTEN 0 128 0.0.0.0:443 0.0.0.0:*", "six=original tuple"},
		{"ESTAB 0 0 [::ffff:10.8.2.12]:80 [::ffff:192.168.1.2]:5536", "masq=reply tuple"},
		{"kernel: DROP IN=c0 OUT=s0 MAC=aa SRC=10.0.0.10 DST=192.168.1.80 LEN=60 TOS=0x00 TTL=63 ID=4242 DF PROTO=TCP SPT=55178 DPT=80 WINDOW=1 SYN", "both=forward tuple between DNAT and SNAT"},
		{"IN=c0 OUT= SRC=10.0.0.10 DST=8.8.8.8 LEN=84 ID=1 PROTO=ICMP TYPE=8 CODE=0 ID=77 SEQ=1", "ping=original tuple"},
		{"IN=s0 SRC=9.9.9.9 DST=192.168.1.2 PROTO=ICMP TYPE=3 CODE=1 [SRC=192.168.1.2 DST=10.8.2.12 LEN=60 PROTO=TCP SPT=5536 DPT=80 ]", "masq=forward tuple after NAT"},
	}
	for _, tt := range tests {
		t.Run(tt.query, func(t *testing.T) {
			q, err := Parse([]string{tt.query})
			if err != nil {
				t.Fatal(err)
			}
			words, err := Parse(strings.Fields(tt.query))
			if err != nil {
				t.Fatalf("as several arguments: %v", err)
			}
			if d := cmp.Diff(q, words, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); d != "" {
				t.Errorf("one argument and several differ:\n%s", d)
			}
			var got []string
			for _, name := range []string{"both", "masq", "ping", "six", "zone"} {
				f := entries[name]
				if form := q.Match(&f); form != FormNone {
					got = append(got, name+"="+form.String())
				}
			}
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("matches %q, want %q", s, tt.want)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	tests := []struct{ query, want string }{
		{"", "no query"},
		{"10.0.0.300:80", `query "10.0.0.300:80": bad address "10.0.0.300"`},
		{"10.0.0.1:70000", `query "10.0.0.1:70000": port 70000 is not within 0-65535`},
		{"10.0.0.1:99999999999999999999", "port 99999999999999999999 is not within 0-65535"},
		{"10.0.0.1:x", `bad port "x"`},
		{"10.0.0.1:80 [fd00::1]:80", "mixed families: 10.0.0.1 is IPv4, fd00::1 is IPv6"},
		{"ip6 10.0.0.1", "mixed families: IPv6 asked for, 10.0.0.1 is IPv4"},
		{"icmpv6 10.0.0.1", "mixed families: icmpv6 with IPv4 addresses"},
		{"srcc=10.0.0.1", `unknown key "srcc" (known: proto, src,`},
		{"src=10.0.0.1 src=10.0.0.2", "src is given twice"},
		{"src=", "src without a value"},
		{"port", "port without a value"},
		{"example.com:80", `bad address "example.com" (names are not looked up)`},
		{"hello", `unknown word "hello"`},
		{"10.0.0.1/33", `bad prefix length "33" in "10.0.0.1/33"`},
		{"10.0.0.1/8", "the network is 10.0.0.0/8"},
		{"4242", "number 4242 stands alone"},
		{"10.0.0.1 10.0.0.2 10.0.0.3", "3 addresses; a flow has two ends"},
		{"icmp 10.0.0.1:5 10.0.0.2", "icmp has no port 5; name its id as id=5"},
		{"proto=esp 10.0.0.1:5", "protocol esp has no ports"},
		{"tcp udp", "two protocols: tcp and udp"},
		{"proto=300", `unknown protocol "300"`},
		{"zone=70000", "zone 70000 is not within 0-65535"},
		{"state=SLEEPY", `unknown state "SLEEPY"`},
		{"id=5000000000", "id 5000000000 is not within 0-4294967295"},
		{"\x1b[31m", `bad address "\x1b[31m"`},
	}
	for _, tt := range tests {
		t.Run(tt.query, func(t *testing.T) {
			_, err := Parse([]string{tt.query})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			if strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Errorf("error is not one harmless line: %q", err)
			}
		})
	}
}

func TestLookups(t *testing.T) {
	tests := []struct {
		query string
		want  []rules.Tuple
	}{
		{"tcp 10.0.0.10:5536 10.8.2.12:80", []rules.Tuple{tuple(6, "10.0.0.10:5536", "10.8.2.12:80"), tuple(6, "10.8.2.12:80", "10.0.0.10:5536")}},
		{"10.0.0.10:1 10.8.2.12:2", []rules.Tuple{
			tuple(6, "10.0.0.10:1", "10.8.2.12:2"), tuple(6, "10.8.2.12:2", "10.0.0.10:1"),
			tuple(17, "10.0.0.10:1", "10.8.2.12:2"), tuple(17, "10.8.2.12:2", "10.0.0.10:1")}},
		{"icmp 10.0.0.10 8.8.8.8 id=77", []rules.Tuple{
			tuple(1, "10.0.0.10:77", "8.8.8.8:2048"), tuple(1, "10.0.0.10:77", "8.8.8.8:0"),
			tuple(1, "8.8.8.8:77", "10.0.0.10:0"), tuple(1, "8.8.8.8:77", "10.0.0.10:2048")}},
		{"10.0.0.10:5536 10.8.2.12", nil},
		{"10.0.0.0/24 10.8.2.12", nil},
		{"id=7", nil},
	}
	for _, tt := range tests {
		q, err := Parse([]string{tt.query})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(tt.want, q.Lookups(), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
			t.Errorf("%s: (-want +got)\n%s", tt.query, d)
		}
	}
}

func TestNear(t *testing.T) {
	q, err := Parse([]string{"10.0.0.10:5537 10.8.2.12:80"})
	if err != nil {
		t.Fatal(err)
	}
	masq, six := entries["masq"], entries["six"]
	if n, other := q.Near(&masq), q.Near(&six); n <= other || other != 0 {
		t.Errorf("near: masq %d, six %d", n, other)
	}
}

func TestMatchAllocatesNothing(t *testing.T) {
	q, _ := Parse([]string{"10.0.0.10 :80"})
	x := Filter{Addr: netip.MustParsePrefix("10.0.0.0/8"), Port: some(80), NAT: NATAny}
	f := entries["both"]
	if n := testing.AllocsPerRun(100, func() { q.Match(&f); q.Near(&f); x.Match(&f) }); n != 0 {
		t.Errorf("%v allocations a flow", n)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{dumped, "10.0.0.1:80 > [fd00::1]:80", "src=1.2.3.4 id=7", "IP 1.2.3.4.5 > 1.2.3.4.6: UDP", "ESTAB 0 0 *:80 *:*", "SRC=:: DST= PROTO=", "> > >", "[", "icmp id=1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q, err := Parse([]string{s})
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Errorf("error is not one harmless line: %q", err)
			}
			return
		}
		for _, e := range entries {
			q.Match(&e)
			q.Near(&e)
		}
		// what the kernel would be asked for must itself fit the query's ends
		for _, l := range q.Lookups() {
			if !l.Src.IsValid() || !l.Dst.IsValid() || l.Src.Is4() != l.Dst.Is4() {
				t.Errorf("lookup of half a tuple: %+v", l)
			}
		}
	})
}
