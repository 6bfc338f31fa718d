package redact

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"
)

// seeded is a Mapper that has met recognisable originals.
func seeded() *Mapper {
	c := &Constraints{}
	c.Pin(mustAddr("8.8.4.4"), "asked")
	m := New(testKey(9), c)
	for _, a := range []string{"10.171.205.239", "10.0.0.0", "8.8.4.4", "fd12:3456:789a::beef", "2001:470:1f0b::5", "127.0.0.1"} {
		m.Addr(mustAddr(a))
	}
	m.Network(netip.MustParsePrefix("10.99.0.0/16"))
	m.Range(mustAddr("10.98.0.0"), mustAddr("10.98.0.255"))
	m.MAC([]byte{0x52, 0x54, 0, 0xab, 0xcd, 0xef})
	m.Name(Device, "acme-uplink7")
	m.Name(Comment, `the <boss> "said" so`)
	m.Name(SetName, "eth0")
	m.Name(Chain, "counter")
	m.Name(Table, "snapshot")
	m.Name(Word, "abc")
	m.Name(Path, "/"+strings.Repeat("long/acmepath", 40))
	return m
}

func scanOf(t *testing.T, m *Mapper, text string) Scanned {
	t.Helper()
	got, err := m.Scan(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// leaks are ways in which an original can be in a file.
var leaks = []struct{ text, form, value string }{
	{"10.171.205.239", "text", "10.171.205.239"}, {"010.171.205.239", "text", "10.171.205.239"}, {"x10.171.205.239.53", "text", "10.171.205.239"},
	{"to:10.171.205.239:80", "text", "10.171.205.239"}, {"::ffff:10.171.205.239", "text", "10.171.205.239"}, {"1.10.171.205.239", "text", "10.171.205.239"},
	{"0xaabcdef 0x0AABCDEF", "hex", "10.171.205.239"}, {"4500aabbccdd0aabcdef0000", "hex", "10.171.205.239"}, {"x40aabcdef3", "hex", "10.171.205.239"},
	{"EFCDAB0A", "hex", "10.171.205.239"}, {"\x00\x00\x0a\xab\xcd\xef", "binary", "10.171.205.239"},
	{"fd12:3456:789a::beef", "text", "fd12:3456:789a::beef"}, {"FD12:3456:789A:0000:0000:0000:0000:BEEF", "text", "fd12:3456:789a::beef"},
	{"[fd12:3456:789a::beef]:80", "text", "fd12:3456:789a::beef"}, {"src:fd12:3456:789a::beef.", "text", "fd12:3456:789a::beef"}, {"fd12:3456:789a::beef%eth0/64", "text", "fd12:3456:789a::beef"},
	{"fd123456789a0000000000000000beef", "hex", "fd12:3456:789a::beef"}, {"6fd123456789A0000000000000000BEEF00", "hex", "fd12:3456:789a::beef"},
	{"\xfd\x12\x34\x56\x78\x9a\x00\x00\x00\x00\x00\x00\x00\x00\xbe\xef", "binary", "fd12:3456:789a::beef"},
	{"52:54:00:ab:cd:ef", "text", "52:54:00:ab:cd:ef"}, {"MAC=11:22:33:44:55:66:52:54:00:AB:CD:EF:08:00", "text", "52:54:00:ab:cd:ef"}, {"52-54-00-ab-cd-ef", "text", "52:54:00:ab:cd:ef"},
	{"5254.00ab.cdef", "text", "52:54:00:ab:cd:ef"}, {"ff525400abcdef0", "hex", "52:54:00:ab:cd:ef"}, {"\x52\x54\x00\xab\xcd\xef", "binary", "52:54:00:ab:cd:ef"},
	{"10.99.0.0/16", "text", "10.99.0.0"}, {"10.98.0.255", "text", "10.98.0.255"}, {"10.0.0.0", "text", "10.0.0.0"},
	{"acme-uplink7", "text", "acme-uplink7"}, {`"acme-uplink7"`, "text", "acme-uplink7"}, {"x-acme-uplink7-y", "text", "acme-uplink7"},
	{`the <boss> "said" so`, "text", `the <boss> "said" so`}, {`the <boss> \"said\" so`, "text", `the <boss> "said" so`}, {"the &lt;boss&gt; &#34;said&#34; so", "text", `the <boss> "said" so`},
	{hex.EncodeToString([]byte("acme-uplink7")), "hex", "acme-uplink7"}, {"/" + strings.Repeat("long/acmepath", 40), "text", "/" + strings.Repeat("long/acmepath", 40)},
}

// Each form is found wherever a window ends.
func TestScanFindsEachForm(t *testing.T) {
	m := seeded()
	for _, l := range leaks {
		for _, at := range []int{0, 1, 1000, scanWindow - scanReach - 1, scanWindow - scanReach, scanWindow - scanReach + 1, scanWindow - 20, scanWindow - 2, scanWindow, 2*scanWindow - 3*scanReach} {
			text := strings.Repeat(" ", max(at-1, 0)) + "," + l.text + ", the end"
			got := scanOf(t, m, text)
			found := 0
			for _, h := range got.Hits {
				if h.Value == l.value && h.Form == l.form {
					found++
				}
			}
			if found != 1 || got.More > 0 {
				t.Errorf("%q at %d: %v", l.text, at, got)
			}
			if at > scanWindow && testing.Short() {
				break
			}
		}
		got, err := m.Scan(iotest.OneByteReader(strings.NewReader(l.text)))
		if err != nil || len(got.Hits) == 0 {
			t.Errorf("%q byte by byte: %v %v", l.text, got, err)
		}
	}
}

func TestScanPassesWhatIsNoLeak(t *testing.T) {
	m := seeded()
	for _, text := range []string{
		"8.8.4.4 127.0.0.1 eth0 counter abc xacme-uplink7 acme-uplink", `{"snapshot": 1}`, "version 6.18.44 at 12:34:56", "10.171.205.238 110.171.205.239",
		"0aabcde 178965999 00178965", "fd4700000000000000ad 0x0a000000 0x0000620a", m.Text("10.171.205.239 fd12:3456:789a::beef 52:54:00:ab:cd:ef acme-uplink7 10.99.0.0/16"),
	} {
		if got := scanOf(t, m, text); len(got.Hits) > 0 || got.Ambiguous > 0 || got.Chance > 0 {
			t.Errorf("%q: %v", text, got)
		}
	}
	if got := scanOf(t, m, `"table": "snapshot"`); len(got.Hits) != 1 {
		t.Errorf("a value is a key: %v", got)
	}
	m.Ordinary("the snapshot of")
	if got := scanOf(t, m, `"table": "snapshot"`); len(got.Hits) != 0 {
		t.Errorf("a word that is in any file: %v", got)
	}
	if _, err := m.Scan(iotest.ErrReader(io.ErrClosedPipe)); err != io.ErrClosedPipe {
		t.Error(err)
	}
}

// What is an original and an image cannot be told apart.
func TestScanAmbiguous(t *testing.T) {
	m := New(testKey(1), nil)
	a := mustAddr("10.1.2.3")
	b := m.Addr(a)
	if seen := m.Seen(); seen.Addresses != 1 || seen.Ambiguous != 0 {
		t.Error(seen)
	}
	m.Addr(b)
	if seen := m.Seen(); seen.Addresses != 2 || seen.Ambiguous < 1 {
		t.Error(seen)
	}
	got := scanOf(t, m, fmt.Sprintf("%v and %x", b, b.As4()))
	if len(got.Hits) > 0 || got.Ambiguous != 2 {
		t.Error(got)
	}
	if got = scanOf(t, m, a.String()); len(got.Hits) != 1 {
		t.Error(got)
	}
}

// Numbers that are addresses by chance do not make a file a leak; many more do.
func TestScanChance(t *testing.T) {
	m := New(testKey(1), nil)
	r := rand.New(rand.NewPCG(1, 1))
	for range 500000 {
		m.Addr(from4(r.Uint32()))
	}
	var text bytes.Buffer
	for range 4000 {
		fmt.Fprintf(&text, "%016x%016x\n", r.Uint64(), r.Uint64())
	}
	got := scanOf(t, m, text.String())
	if len(got.Hits) > 0 || got.Chance == 0 {
		t.Errorf("random numbers: %v", got)
	}
	r = rand.New(rand.NewPCG(1, 1))
	for range 400 {
		fmt.Fprintf(&text, "%08x\n", r.Uint32())
	}
	if got = scanOf(t, m, text.String()); len(got.Hits) == 0 {
		t.Errorf("400 leaks: %v", got)
	}
}

func TestNewKeysAvoidCoincidence(t *testing.T) {
	var addrs []netip.Addr
	for i := range 40 {
		for j := range 50 {
			addrs = append(addrs, netip.AddrFrom4([4]byte{192, 168, byte(i), byte(j)}))
		}
	}
	least, sum := 1<<30, 0
	for i := range 20 {
		n := coincidences(New(testKey(byte(i)), nil), addrs)
		sum += n
		least = min(least, n)
	}
	k, err := NewKeys(nil, addrs)
	if err != nil {
		t.Fatal(err)
	}
	if n := coincidences(New(k.key, nil), addrs); n*20 > sum {
		t.Errorf("%d of %d addresses are images; 20 keys have %d at least, %d on average", n, len(addrs), least, sum/20)
	}
}

func BenchmarkScan(b *testing.B) {
	m := New(testKey(1), nil)
	r := rand.New(rand.NewPCG(1, 1))
	for range 1000000 {
		m.Addr(from4(r.Uint32()))
	}
	for i := range 5000 {
		m.Name(Chain, fmt.Sprintf("chain-%d-acme", i))
	}
	var text bytes.Buffer
	for text.Len() < 16<<20 {
		fmt.Fprintf(&text, `{"family":"ip","original":{"proto":"tcp","src":"%v","dst":"%v","sport":%d,"dport":443},"id":%d,"mark":"0x%08x","timeout":431999}`+"\n",
			m.plain(from4(r.Uint32()), false), m.plain(from4(r.Uint32()), false), r.IntN(65536), r.Uint32(), r.IntN(256))
	}
	b.SetBytes(int64(text.Len()))
	for b.Loop() {
		if _, err := m.Scan(bytes.NewReader(text.Bytes())); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzScan(f *testing.F) {
	for _, l := range leaks {
		f.Add([]byte(l.text))
	}
	m := seeded()
	f.Fuzz(func(t *testing.T, text []byte) {
		whole, err := m.Scan(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		halves, err := m.Scan(iotest.HalfReader(bytes.NewReader(text)))
		if err != nil || len(halves.Hits) != len(whole.Hits) {
			t.Fatalf("%v, in halves %v %v", whole, halves, err)
		}
	})
}
