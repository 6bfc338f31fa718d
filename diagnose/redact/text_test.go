package redact

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
)

// In these tests <…> is an address, a network, a range or a hardware address
// that is to be mapped as Addr, Network, Range and MAC do, and {…} a name.
func expected(t *testing.T, m *Mapper, pattern string) (in, out string) {
	t.Helper()
	for {
		i := strings.IndexAny(pattern, "<{")
		if i < 0 {
			return in + pattern, out + pattern
		}
		j := i + strings.IndexAny(pattern[i:], ">}")
		in, out = in+pattern[:i]+pattern[i+1:j], out+pattern[:i]+mapOne(t, m, pattern[i], pattern[i+1:j])
		pattern = pattern[j+1:]
	}
}

func mapOne(t *testing.T, m *Mapper, sort byte, s string) string {
	t.Helper()
	if sort == '{' {
		for k := Device; k <= Word; k++ {
			if token, has := m.names.tokens[Name{k, s}]; has {
				return token
			}
		}
		return m.Name(Device, s)
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return m.Addr(a).String()
	}
	if p, err := netip.ParsePrefix(s); err == nil {
		if p == p.Masked() {
			return m.Network(p).String()
		}
		return m.HostIn(p).String()
	}
	if lo, hi, ok := strings.Cut(s, "-"); ok && strings.ContainsAny(lo, ".:") {
		a, b := m.Range(mustAddr(lo), mustAddr(hi))
		return a.String() + "-" + b.String()
	}
	b, end, sep := cutHardware(s, 0)
	if end != len(s) {
		t.Fatalf("what is %q?", s)
	}
	m.MAC(b)
	return hardwareInForm(b, s, sep)
}

func TestText(t *testing.T) {
	c := &Constraints{}
	c.Range(mustAddr("10.9.0.3"), mustAddr("10.9.0.9"), "")
	for _, pattern := range []string{
		"src=<10.9.1.2> dst=<192.0.2.7> sport=443 dport=53",
		"<10.9.1.2>:8080 -> <8.8.4.4>:53, and <10.9.1.2>.53 > <10.9.1.3>.1024: UDP",
		"from <10.9.1.0/24> via <10.9.1.254> dev eth0 src <10.9.1.1/24> metric 100",
		"range <10.9.0.3-10.9.0.9>, <10.9.1.0-10.9.1.255>",
		"netmask 255.255.255.0 broadcast <10.9.1.255> wildcard 0.0.0.255",
		"version 6.18.44, 1.2.3, OID 1.3.6.1.4.1.8072, 999.1.1.1, at 12:34:56.789 on 2026-11-27, handle 12 mark 0x0a090102 0a090102",
		"<fd12:3456::1>, [<fd12:3456::1>]:443, <fd12:3456::/64>, <fd12:3456::7/64>.",
		"<2001:db8:12::1-2001:db8:12::9> and <::ffff:10.9.1.2> and <64:ff9b::a09:102>",
		"fe80::/64 <fe80::1234:56ff:fe78:9abc>%eth0 ::1 :: ff02::1 mask ffff:ffff:ffff:ffff::",
		"link/ether <52:54:00:12:34:56> brd ff:ff:ff:ff:ff:ff, <52-54-00-12-34-56>, <5254.0012.3456>",
		"ether saddr <52:54:00:12:34:56>/ff:ff:ff:00:00:00 drop",
		"infiniband <80:00:02:08:fe:80:00:00:00:00:00:00:f4:52:14:03:00:7b:cb:a1>",
		`iifname "{acme-uplink}" ip saddr @{acme-hosts} counter jump {acme}; acmex xacme, the {acme}-x`,
		"the rule says {Bob's laptop}; Bob's laptops, bob",
		"DNAT tcp dpt:80 to:<fd12:3456::1>, to:<10.9.1.2>:80, mac:<52:54:00:12:34:56>",
		"std::cout x::1y port 1:2:3",
	} {
		m := New(testKey(1), c)
		m.Name(Device, "acme-uplink")
		m.Name(SetName, "acme-hosts")
		m.Name(Chain, "acme")
		m.Name(Comment, "Bob's laptop")
		m.Name(SetName, "counter")
		m.Name(SetName, "12345")
		in, want := expected(t, m, pattern)
		got := m.Text(in)
		if got != want {
			t.Errorf("%s\nbecomes %s\nnot     %s", in, got, want)
		}
		if back := m.Reveal(got); back != in {
			t.Errorf("%s\nbecomes %s\nand that %s", in, got, back)
		}
	}
}

func TestTextKeepsTheForm(t *testing.T) {
	m := New(testKey(1), nil)
	a := mustAddr("fd77:1::99")
	full := m.Text("SRC=" + a.StringExpanded() + " ")
	if full != "SRC="+m.Addr(a).StringExpanded()+" " {
		t.Error(full)
	}
	if got := m.Text("FD77:1::99"); got != strings.ToUpper(m.Addr(a).String()) {
		t.Error(got)
	}
	if got := m.Text("52:54:00:AB:CD:EF"); got != strings.ToUpper(got) {
		t.Error(got)
	}
	if got := m.Text("fe80::1%acme0x"); got != m.Addr(mustAddr("fe80::1%acme0x")).String() {
		t.Error(got)
	}
	// The header of a frame: two addresses, and the protocol.
	got := m.Text("MAC=52:54:00:12:34:56:52:54:00:65:43:21:08:00")
	b, c := []byte{0x52, 0x54, 0, 0x12, 0x34, 0x56}, []byte{0x52, 0x54, 0, 0x65, 0x43, 0x21}
	m.MAC(b)
	m.MAC(c)
	if got != "MAC="+hardwareInForm(b, "", ':')+":"+hardwareInForm(c, "", ':')+":08:00" {
		t.Error(got)
	}
}

func FuzzText(f *testing.F) {
	for _, s := range []string{"10.0.0.1/24-", "fe80::1%eth0/64", "1:2:3:4:5:6", "::::::", "1.2.3.4.5.6", "a-b-c-d-e-f", "[::1]:80", "0000.5e00.5301.", "x Bob's laptop y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m := New(testKey(1), nil)
		m.Name(Comment, "Bob's laptop")
		m.Name(Chain, "acme")
		out := m.Text(s)
		if len(out) > 20*len(s)+100 {
			t.Fatalf("%d bytes become %d", len(s), len(out))
		}
		for _, secret := range []string{"Bob's laptop"} {
			if i := strings.Index(out, secret); i >= 0 && (i == 0 || !isWordByte(out[i-1])) && !isWordByteAt(out, i+len(secret)) {
				t.Fatalf("%q becomes %q", s, out)
			}
		}
	})
}

// TestQuotesComeBack: a comment with quotes in it is escaped in JSON, and twice
// in the rule of iptables there.
func TestQuotesComeBack(t *testing.T) {
	m := New(Key{9}, nil)
	for _, comment := range []string{`name: "mynet" id: "c1"`, `dnat name: "mynet" id: "c2"`} {
		comesBack(t, m, comment)
	}
}

func comesBack(t *testing.T, m *Mapper, comment string) {
	t.Helper()
	token := m.Name(Comment, comment)
	rule := func(s string) string { return `-m comment --comment "` + strings.ReplaceAll(s, `"`, `\"`) + `"` }
	doc := func(s string) string {
		b, err := json.Marshal(map[string]string{"comment": s, "text": rule(s)})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if token == comment {
		t.Fatalf("the token is %q", token)
	}
	if got := m.Reveal(doc(token)); got != doc(comment) {
		t.Errorf("%s, want %s", got, doc(comment))
	}
}
