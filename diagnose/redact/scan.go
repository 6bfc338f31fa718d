package redact

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"runtime"
	"sync"
)

// Hit is an original that a file still holds.
type Hit struct {
	Offset int64  // of its first byte
	What   string // "address", "hardware address", or the kind of the name
	Form   string // "text", "hex", "binary"
	Value  string // the original
}

func (h Hit) String() string {
	return fmt.Sprintf("%s %s, as %s, at byte %d", h.What, h.Value, h.Form, h.Offset)
}

// Scanned is what Scan found.
type Scanned struct {
	Hits []Hit  // the first maxHits
	More uint64 // hits beyond those
	// Ambiguous are addresses that are originals, and what other originals became:
	// they could not be told apart.
	Ambiguous uint64
	// Chance are hexadecimal and binary numbers that are an IPv4 address when
	// they are read so. With that many numbers and addresses it happens.
	Chance uint64
	// Left are originals that were too many to be looked for.
	Left uint64
}

const (
	maxHits    = 100
	scanWindow = 1 << 20
	// scanReach is how far a form reaches at most: a name in hexadecimal. Longer
	// names are looked for by their beginning.
	scanReach = 2 * (maxScanName + 8)
)

// Scan looks for what the Mapper mapped, in a file as it is when it is unpacked:
//
//   - addresses and hardware addresses in all ways to write them, with and
//     without separators, in hexadecimal digits of either case inside of longer
//     runs too, IPv4 in either byte order; in binary the 16 bytes of an IPv6
//     address, the 6 of a hardware address, and the 4 of an IPv4 one where zero
//     bytes are near, for any text holds numbers like that. Eight decimal digits
//     are a number, unless 0x stands before;
//   - names of at least four characters, where they are whole words, as they are
//     and as JSON and HTML escape them, and in hexadecimal. Common words,
//     keywords, what Ordinary was told, and keys of JSON are not looked for.
//
// What mapped to itself is no hit. Memory is bounded, whatever the file is.
func (m *Mapper) Scan(r io.Reader) (Scanned, error) {
	s := newScan(m)
	buf := make([]byte, scanWindow)
	n, behind := 0, 0 // bytes in buf, and those before that were looked at
	for {
		// what comes next is read while the last window is looked at
		got, err := io.ReadFull(r, buf[n:])
		s.join()
		n += got
		last := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !last {
			return s.found, err
		}
		until := n - scanReach
		if last {
			until = n
		}
		s.window(string(buf[:n]), behind, until)
		if last {
			s.join()
			s.settle()
			return s.found, nil
		}
		keep := until - scanReach // what a form may have begun in
		copy(buf, buf[keep:n])
		s.base += int64(keep)
		n, behind = n-keep, scanReach
	}
}

// Ordinary are words that a file holds in any case, as a template does: names
// that are the same are not looked for.
func (m *Mapper) Ordinary(text string) {
	if m.ordinary == nil {
		m.ordinary = map[string]bool{}
	}
	for _, w := range cutWords(text) {
		m.ordinary[w] = true
	}
	m.toScan = nil
}

type scan struct {
	m     *Mapper
	mu    *sync.Mutex // the Mapper's trees remember what they computed
	names *scanNames
	first *[256]bool // bytes of hardware addresses and of IPv6 ones
	base  int64      // of the window
	found Scanned
	weak  []Hit   // that chance could make
	more  uint64  // of those, not kept
	tries float64 // numbers that were looked at as IPv4 addresses
	parts []*scan // that look at a window at the same time
	at    sync.WaitGroup
}

func newScan(m *Mapper) *scan {
	s := &scan{m: m, mu: new(sync.Mutex), names: m.scanNames(), first: new([256]bool)}
	for i := range 1 << 16 {
		a, b := byte(i>>8), byte(i)
		s.first[a] = s.first[a] || m.seen.macHeads.has(a, b) || m.seen.v6Heads.has(a, b)
	}
	s.found.Left = m.seen.Left()
	for range runtime.GOMAXPROCS(0) {
		s.parts = append(s.parts, &scan{m: m, mu: s.mu, names: s.names, first: s.first})
	}
	return s
}

// leastPart is how much of a window is worth a goroutine.
const leastPart = 32 << 10

// window begins to look at what begins from from to before until, on all
// processors.
func (s *scan) window(text string, from, until int) {
	each := max(leastPart, (until-from)/len(s.parts)+1)
	for _, p := range s.parts {
		begin, end := from, min(from+each, until)
		if begin >= end {
			break
		}
		p.base = s.base
		s.at.Go(func() { p.part(text, begin, end) })
		from = end
	}
}

// join waits until the window was looked at.
func (s *scan) join() {
	s.at.Wait()
	for _, p := range s.parts {
		s.take(p)
	}
}

func (s *scan) part(text string, from, until int) {
	s.text(text, from, until)
	s.digits(text, from, until)
	s.binary(text, from, until)
	s.names.words(s, text, from, until)
}

// take adds what a part found, and empties it.
func (s *scan) take(p *scan) {
	for _, h := range p.found.Hits {
		s.keep(h)
	}
	for _, h := range p.weak {
		s.keepWeak(h)
	}
	s.found.More += p.found.More
	s.found.Ambiguous += p.found.Ambiguous
	s.more += p.more
	s.tries += p.tries
	p.found, p.weak, p.more, p.tries = Scanned{}, nil, 0, 0
}

func (s *scan) hit(at int, what, form, value string) {
	s.keep(Hit{s.base + int64(at), what, form, value})
}

func (s *scan) keep(h Hit) {
	if len(s.found.Hits) == maxHits {
		s.found.More++
		return
	}
	s.found.Hits = append(s.found.Hits, h)
}

func (s *scan) keepWeak(h Hit) {
	if len(s.weak) == maxHits {
		s.more++
		return
	}
	s.weak = append(s.weak, h)
}

// address tells of an address that is an original, unless it stays or is an
// image too.
func (s *scan) address(at int, a netip.Addr, form string, weak bool) {
	if !s.m.seen.hasAddr(a) && !s.m.seen.isBase(a) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m.plain(a, false) == a {
		return
	}
	if s.m.seen.hasAddr(s.m.plain(a, true)) || s.m.seen.isBaseImage(a) {
		s.found.Ambiguous++
		return
	}
	if !weak {
		s.hit(at, "address", form, a.String())
		return
	}
	s.keepWeak(Hit{s.base + int64(at), "address", form, a.String()})
}

func (s *scan) number4(at int, v uint32, form string) {
	s.tries++
	if !s.m.seen.has4(v) || v&0x00ffffff == 0 || v&0xffffff00 == 0 {
		// X.0.0.0 is a small number with zeros beside it, as files are full of
		return
	}
	s.address(at, netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}), form, true)
}

func (s *scan) hardware(at int, b []byte, form string) {
	w := wordOf(b)
	if !s.m.seen.macHeads.has(b[0], b[1]) || !s.m.seen.macs.has(mix(w)) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	image := s.m.mac.image(w, 0, false)
	if image == w {
		return
	}
	if s.m.seen.macs.has(mix(s.m.mac.image(w, 0, true))) {
		s.found.Ambiguous++
		return
	}
	s.hit(at, "hardware address", form, hardwareInForm(b, "", ':'))
}

// settle tells hits from chance: as many as could be expected are none.
func (s *scan) settle() {
	expected := s.tries * float64(s.m.seen.v4.size()) / math.Exp2(32)
	n := uint64(len(s.weak)) + s.more
	if n == 0 {
		return
	}
	if expected > 0.02 && float64(n) <= 3*expected+4 {
		s.found.Chance += n
		return
	}
	for _, h := range s.weak {
		s.keep(h)
	}
	s.found.More += s.more
}
