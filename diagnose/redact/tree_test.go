package redact

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/ntdiag/ntdiag/rules"
)

func testKey(n byte) Key { return Key{n, 1, 2, 3} }

func mustAddr(s string) netip.Addr { return netip.MustParseAddr(s) }

// random4 draws addresses from all classes, many of them near each other.
func random4(r *rand.Rand) netip.Addr {
	v := r.Uint32()
	switch r.IntN(4) {
	case 0:
		v = 10<<24 | v&0x00030fff
	case 1:
		b := blockOf(netip.MustParsePrefix(classes4[r.IntN(len(classes4))].block))
		v = uint32(b.at.hi>>32) ^ v>>r.IntN(32)
	}
	return from4(v)
}

func from4(v uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], v)
	return netip.AddrFrom4(b)
}

func to4(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

func random6(r *rand.Rand) netip.Addr {
	w := word{r.Uint64(), r.Uint64()}
	switch r.IntN(4) {
	case 0:
		w.hi = 0xfd00_0000_0000_0000 | w.hi&0xff0f
	case 1:
		b := blockOf(netip.MustParsePrefix(classes6[r.IntN(len(classes6))].block))
		x := w.shr(r.IntN(128))
		w = word{b.at.hi ^ x.hi, b.at.lo ^ x.lo}
	case 2:
		e := embedded[r.IntN(len(embedded))]
		w = e.block.at.or(w.shr(e.block.n))
	}
	return w.addr16()
}

// constraintSets are what the properties must hold under.
func constraintSets(r *rand.Rand) map[string]*Constraints {
	many := &Constraints{}
	for range 300 {
		a, b := random4(r), random4(r)
		if r.IntN(2) == 0 {
			b = from4(to4(a) + uint32(r.IntN(5000)))
		}
		if b.Less(a) {
			a, b = b, a
		}
		many.Range(a, b, "random")
		c, d := random6(r), random6(r)
		if d.Less(c) {
			c, d = d, c
		}
		many.Range(c, d, "random")
	}
	masks := &Constraints{}
	masks.Bits(mustAddr("0.0.0.255"), "a rule compares them")
	masks.Bits(mustAddr("::f0f0"), "a rule compares them")
	ties := &Constraints{}
	ties.HostPart(rules.FamilyIPv4, 24, "netmap")
	ties.HostPart(rules.FamilyIPv4, 20, "netmap")
	ties.HostPart(rules.FamilyIPv6, 61, "netmap")
	ties.HostPart(rules.FamilyIPv6, 64, "netmap")
	ties.Keep(netip.MustParsePrefix("192.168.7.0/26"), "asked")
	all := &Constraints{}
	all.Add(many)
	all.Add(masks)
	all.Add(ties)
	all.Pin(mustAddr("8.8.8.8"), "asked")
	all.Pin(mustAddr("fd00::53"), "asked")
	for _, p := range []string{"10.0.3.0/24", "192.168.0.0/16", "8.8.8.0/29", "fd00:1:2:3::/64", "::ffff:10.0.2.0/120"} {
		all.Subnet(netip.MustParsePrefix(p), "")
	}
	return map[string]*Constraints{"none": {}, "ranges": many, "masks": masks, "ties": ties, "all": all}
}

func common(a, b netip.Addr) int { return min(wordAddr(a).common(wordAddr(b)), a.BitLen()) }

func TestPermutation(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for name, c := range constraintSets(r) {
		t.Run(name, func(t *testing.T) {
			m := New(testKey(1), c)
			again := New(testKey(1), c)
			for _, random := range []func(*rand.Rand) netip.Addr{random4, random6} {
				var last, lastImage netip.Addr
				for range 6000 {
					a := random(r)
					b := m.Addr(a)
					if back := m.Original(b); back != a {
						t.Fatalf("%v maps to %v, and that back to %v", a, b, back)
					}
					if x := again.Addr(a); x != b {
						t.Fatalf("%v maps to %v, then to %v", a, b, x)
					}
					if last.IsValid() && common(a, last) != common(b, lastImage) {
						t.Fatalf("%v and %v share %d bits, their images %v and %v %d", a, last, common(a, last), b, lastImage, common(b, lastImage))
					}
					last, lastImage = a, b
				}
			}
		})
	}
}

func TestClassesAreClosed(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var blocks []netip.Prefix
	for _, c := range slices.Concat(classes4, classes6) {
		blocks = append(blocks, netip.MustParsePrefix(c.block))
	}
	for name, c := range constraintSets(r) {
		m := New(testKey(2), c)
		for range 6000 {
			for _, a := range []netip.Addr{random4(r), random6(r)} {
				b := m.Addr(a)
				for _, p := range blocks {
					if p.Contains(a) != p.Contains(b) {
						t.Fatalf("%s: %v maps to %v, and one of them is in %v", name, a, b, p)
					}
				}
			}
		}
	}
}

func TestWhatStays(t *testing.T) {
	c := &Constraints{}
	c.Pin(mustAddr("8.8.8.8"), "asked")
	c.Pin(mustAddr("64:ff9b::9.9.9.9"), "asked")
	c.Keep(netip.MustParsePrefix("fd00:1::/48"), "asked")
	m := New(testKey(3), c)
	for _, s := range []string{"0.0.0.0", "255.255.255.255", "127.0.0.1", "127.255.255.255", "224.0.0.5", "224.0.0.251", "169.254.169.254", "8.8.8.8", "9.9.9.9",
		"::", "::1", "ff02::1", "ff02::fb", "ff05::1:3", "::ffff:127.0.0.1", "::ffff:0.0.0.0", "64:ff9b::9.9.9.9", "fd00:1::1234:5678"} {
		if b := m.Addr(mustAddr(s)); b != mustAddr(s) {
			t.Errorf("%s maps to %v", s, b)
		}
	}
	// What is next to it does not.
	moved := 0
	for i := range byte(200) {
		for _, a := range []netip.Addr{
			netip.AddrFrom4([4]byte{10, i, 3, 4}), netip.AddrFrom4([4]byte{239, i, 1, 1}),
			netip.AddrFrom16([16]byte{0xff, 2, 15: i, 11: 1, 12: 0xff, 13: i}), netip.AddrFrom16([16]byte{0xfd, i, 15: 1}),
		} {
			if m.Addr(a) != a {
				moved++
			}
		}
	}
	if moved < 700 {
		t.Errorf("%d of 800 addresses moved", moved)
	}
}

// An address is in the image of a range when it is in the range.
func TestRangesStayRanges(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for name, c := range constraintSets(r) {
		m := New(testKey(4), c)
		for s := range c.ranges {
			lo, hi := m.Range(s.lo, s.hi)
			if lo != m.Addr(s.lo) || hi != m.Addr(s.hi) || hi.Less(lo) {
				t.Fatalf("%s: %v-%v maps to %v-%v", name, s.lo, s.hi, lo, hi)
			}
			in := func(a, lo, hi netip.Addr) bool { return !a.Less(lo) && !hi.Less(a) }
			check := func(a netip.Addr) {
				if in(a, s.lo, s.hi) != in(m.Addr(a), lo, hi) {
					t.Fatalf("%s: %v and its image %v are not both in %v-%v and %v-%v", name, a, m.Addr(a), s.lo, s.hi, lo, hi)
				}
			}
			for range 100 {
				if s.lo.Is4() {
					check(random4(r))
					check(from4(to4(s.lo) + uint32(r.IntN(300)) - 150))
					check(from4(to4(s.hi) + uint32(r.IntN(300)) - 150))
					if size := to4(s.hi) - to4(s.lo); size < 1<<31 {
						check(from4(to4(s.lo) + r.Uint32N(size+1)))
					}
				} else {
					check(random6(r))
					for _, end := range []word{wordAddr(s.lo), wordAddr(s.hi)} {
						end.lo ^= r.Uint64() >> r.IntN(64)
						check(end.addr16())
					}
				}
			}
		}
	}
}

// Every address of a small network, with every range in it.
func TestRangesOfASmallNetwork(t *testing.T) {
	base := to4(mustAddr("10.1.2.16"))
	for lo := range uint32(16) {
		for hi := lo; hi < 16; hi++ {
			c := &Constraints{}
			c.Range(from4(base+lo), from4(base+hi), "")
			c.Range(from4(base+hi), from4(base+23), "")
			m := New(testKey(byte(16*lo+hi)), c)
			from, to := m.Range(from4(base+lo), from4(base+hi))
			for i := range uint32(32) {
				a := from4(base - 8 + i)
				b := m.Addr(a)
				if (i >= lo+8 && i <= hi+8) != (!b.Less(from) && !to.Less(b)) {
					t.Fatalf("%v maps to %v, %d-%d to %v-%v", a, b, lo, hi, from, to)
				}
			}
		}
	}
}

func TestBitsStay(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	c := &Constraints{}
	c.Bits(mustAddr("0.255.0.1"), "")
	c.Bits(mustAddr("::ff00:0:0:f"), "")
	m := New(testKey(5), c)
	for range 6000 {
		a := random4(r)
		if b := m.Addr(a); (to4(a)^to4(b))&0x00ff0001 != 0 {
			t.Fatalf("%v maps to %v", a, b)
		}
		a = random6(r)
		if x, y := wordAddr(a), wordAddr(m.Addr(a)); (x.lo^y.lo)&0xff0000000000000f != 0 {
			t.Fatalf("%v maps to %v", a, m.Addr(a))
		}
	}
}

// The host part of an image hangs on the host part alone.
func TestHostPartIsTheSameEverywhere(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	for _, ranges := range []bool{false, true} {
		for _, n := range []int{8, 13, 16, 20, 24, 27, 31} {
			c := &Constraints{}
			c.HostPart(rules.FamilyIPv4, n, "")
			c.HostPart(rules.FamilyIPv4, 22, "")
			c.HostPart(rules.FamilyIPv6, 3*n, "")
			if ranges {
				c.Range(mustAddr("10.0.0.3"), mustAddr("10.0.7.9"), "")
				c.Range(mustAddr("fd00::3"), mustAddr("fd00::7:9"), "")
				c.Keep(netip.MustParsePrefix("172.16.5.64/26"), "")
			}
			m := New(testKey(byte(n)), c)
			nets := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("8.0.0.0/7")}
			for range 3000 {
				host := word{uint64(r.Uint32()) << 32, 0}
				var first word
				for i, p := range nets {
					w := wordAddr(p.Addr()).or(word{uint64(r.Uint32()) << 32, 0}.without(ones(p.Bits()))).first(max(n, p.Bits()))
					w = w.first(n).or(host.without(ones(n)))
					got := wordAddr(m.Addr(w.addr4())).without(ones(n))
					if i == 0 {
						first = got
					} else if got != first {
						t.Fatalf("/%d ranges %v: %v and the host of %v map apart", n, ranges, w.addr4(), host.addr4())
					}
				}
				host = word{r.Uint64(), r.Uint64()}
				for i, p := range []string{"fd00::", "2a00::", "fc12::"} {
					w := wordAddr(mustAddr(p)).or(word{r.Uint64() & 0x0fff, r.Uint64()}).first(3 * n).or(host.without(ones(3 * n)))
					got := wordAddr(m.Addr(w.addr16())).without(ones(3 * n))
					if i == 0 {
						first = got
					} else if got != first {
						t.Fatalf("/%d ranges %v: %v maps apart", 3*n, ranges, w.addr16())
					}
				}
			}
		}
	}
}

func TestIPv4InIPv6(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	for name, c := range constraintSets(r) {
		m := New(testKey(6), c)
		for range 5000 {
			a := random4(r)
			want := wordAddr(m.Addr(a))
			for _, e := range embedded {
				b := e.block.at.or(wordAddr(a).shr(e.at)).addr16()
				if got := wordAddr(m.Addr(b)).shl(e.at).first(32); got != want {
					t.Fatalf("%s: %v maps to %v, but %v to %v", name, a, want.addr4(), b, m.Addr(b))
				}
			}
		}
	}
}

func TestNetworks(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	m := New(testKey(7), nil)
	for range 5000 {
		for _, a := range []netip.Addr{random4(r), random6(r)} {
			p := netip.PrefixFrom(a, r.IntN(a.BitLen()+1))
			q := m.Network(p)
			if q != q.Masked() || !q.Contains(m.Addr(a)) {
				t.Fatalf("%v maps to %v, and %v to %v", p, q, a, m.Addr(a))
			}
			if h := m.HostIn(p); h.Masked() != q {
				t.Fatalf("%v maps to %v, not in %v", p, h, q)
			}
			lo, hi := m.Range(p.Masked().Addr(), lastOf(p.Masked()))
			if lo != q.Addr() || hi != lastOf(q) {
				t.Fatalf("%v as a range maps to %v-%v, not to %v", p, lo, hi, q)
			}
			n := r.IntN(a.BitLen()/8 + 1)
			b, f := a.AsSlice()[:n], rules.FamilyIPv4
			if a.Is6() {
				f = rules.FamilyIPv6
			}
			m.Bytes(f, b)
			if image := m.Addr(a).AsSlice(); string(b) != string(image[:n]) {
				t.Fatalf("the first %d bytes of %v map to %x", n, a, b)
			}
		}
	}
}

// An address with its subnet's length is not taken for the network.
func TestSubnets(t *testing.T) {
	for n := range byte(8) {
		c := &Constraints{}
		for _, p := range []string{"10.1.2.0/26", "10.1.0.0/16", "fd00:1::/120"} {
			c.Subnet(netip.MustParsePrefix(p), "")
		}
		m := New(testKey(n), c)
		for i := range 300 {
			for _, p := range []netip.Prefix{
				netip.PrefixFrom(from4(to4(mustAddr("10.1.2.0"))+uint32(i)%64), 26), netip.PrefixFrom(from4(to4(mustAddr("10.1.0.0"))+uint32(i)), 16),
				netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, 3: 1, 15: byte(i)}), 120),
			} {
				if q := m.HostIn(p); (p == p.Masked()) != (q == q.Masked()) {
					t.Fatalf("%v becomes %v", p, q)
				}
				if got := m.Reveal(m.Text(p.String())); got != p.String() {
					t.Fatalf("%v becomes %v, and that %v", p, m.Text(p.String()), got)
				}
			}
		}
	}
}

func TestHardwareAddresses(t *testing.T) {
	m := New(testKey(8), nil)
	r := rand.New(rand.NewPCG(15, 16))
	moved := 0
	for range 10000 {
		a := make([]byte, []int{1, 3, 6, 6, 6, 8, 20}[r.IntN(7)])
		for i := range a {
			a[i] = byte(r.Uint32())
		}
		b := slices.Clone(a)
		m.MAC(b)
		if (a[0]^b[0])&3 != 0 {
			t.Fatalf("%x maps to %x", a, b)
		}
		if len(a) >= 6 && string(a[:3]) != string(b[:3]) {
			moved++
		}
		half := slices.Clone(a[:len(a)/2])
		m.MAC(half)
		if string(half) != string(b[:len(a)/2]) {
			t.Fatalf("%x maps to %x, its beginning to %x", a, b, half)
		}
		m.hardware(b, true)
		if string(a) != string(b) {
			t.Fatalf("%x is not mapped back: %x", a, b)
		}
	}
	if moved < 5000 {
		t.Errorf("the vendor of %d addresses moved", moved)
	}
	for _, a := range [][]byte{make([]byte, 6), {255, 255, 255, 255, 255, 255}, {1, 0x80, 0xc2, 0, 0, 14}, {0x33, 0x33, 0, 0, 0, 0xfb}, {1, 0, 0x5e, 0, 0, 0xfb}} {
		b := slices.Clone(a)
		if m.MAC(b); string(a) != string(b) {
			t.Errorf("%x maps to %x", a, b)
		}
	}
}

func TestKeysDiffer(t *testing.T) {
	a, b := New(testKey(1), nil), New(testKey(2), nil)
	r := rand.New(rand.NewPCG(17, 18))
	same := 0
	for range 1000 {
		x := netip.AddrFrom4([4]byte{10, byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())})
		if a.Addr(x) == b.Addr(x) {
			same++
		}
	}
	if same > 5 {
		t.Errorf("two keys map %d of 1000 addresses alike", same)
	}
}

func BenchmarkIPv4(b *testing.B) {
	for _, bench := range []struct {
		name string
		mask uint32
	}{{"warm", 1<<12 - 1}, {"million", 1<<20 - 1}} {
		b.Run(bench.name, func(b *testing.B) {
			m := New(testKey(1), nil)
			i := uint32(0)
			for b.Loop() {
				m.v4.image(word{uint64(10<<24|i*2654435761>>12&bench.mask) << 32, 0}, 0, false)
				i++
			}
		})
	}
}

func BenchmarkIPv6(b *testing.B) {
	m := New(testKey(1), nil)
	i := uint64(0)
	for b.Loop() {
		m.map6(word{0xfd00_1234_0000_0000 | i&7, i * 0x9e3779b97f4a7c15 >> 44}, false)
		i++
	}
}
