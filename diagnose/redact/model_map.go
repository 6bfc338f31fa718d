package redact

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// model redacts the copy of a model: the walk over its rules finds the
// constants.
type model struct {
	nothing
	m     *Mapper
	key   Key
	order binary.ByteOrder
	netns string // as it is called in the original
	notes map[string]bool
}

// snapshot is the redacted copy of s.
func (r *model) snapshot(s *host.Snapshot) *host.Snapshot {
	r.netns, r.order = s.Netns, s.Rules.Order
	if r.order == nil {
		r.order = binary.NativeEndian
	}
	out := redacted(r, s)
	through(r, out.Rules)
	out.Rules.PrepareIPSets()
	for _, t := range out.Rules.Tables {
		for _, set := range t.Sets {
			set.Prepare()
		}
	}
	out.Prepare()
	out.Rules.DeviceName = func(index uint32) (string, bool) {
		link, ok := out.LinkByIndex(index)
		return link.Name, ok
	}
	return out
}

func (r *model) blinds() bool { return true }

func (r *model) differs(what string) { r.notes[what] = true }

// blind is a value of which nothing is known.
func (r *model) blind(x rules.Expr) rules.Expr {
	if t, ok := x.(*rules.Tainted); ok {
		return t
	}
	r.differs("a value that is computed from an address")
	return &rules.Tainted{Len: x.Width(), Why: "it is computed from an address, which is redacted"}
}

func (r *model) value(p piece, b []byte) []byte {
	out := append([]byte(nil), b...)
	switch {
	case p.meaning == secret:
		r.hide(out)
	case p.off > 0 && p.address():
		// these bits stay
	case p.off > 0:
		r.hide(out)
	case p.address():
		r.prefix(p, out)
	case p.meaning == mac:
		r.m.MAC(out[:p.bits/8])
	case p.meaning == deviceName:
		return r.name(Device, out)
	case p.meaning == helperName:
		return r.name(Helper, out)
	}
	return out
}

// prefix maps the first bits of an address. Behind a mask a constant with more
// bits is equal to nothing, and stays so.
func (r *model) prefix(p piece, b []byte) {
	never := !isZero(suffix(b, p.bits))
	if p.bits == 8*wholeOf[p.meaning] {
		r.m.Bytes(familyOf(p.meaning), b)
		return
	}
	net, _ := addrOf(p.meaning, b, 0).Prefix(p.bits)
	copy(b, r.m.Network(net).Addr().AsSlice())
	if never {
		b[len(b)-1] |= 1
	}
}

// name is a name padded with zeros. One that fills fewer bytes than names have
// is the beginning of one.
func (r *model) name(k Kind, b []byte) []byte {
	s, _, ended := bytes.Cut(b, []byte{0})
	if !ended && len(b) < wholeOf[deviceName] {
		return []byte(r.m.devicePrefix(string(b)))
	}
	name := r.m.Name(k, string(s))
	if len(b) < wholeOf[deviceName] {
		return append([]byte(name), 0) // compared with its end
	}
	out := make([]byte, len(b))
	copy(out, name)
	return out
}

// hide puts bytes that hang on the key in the place of b.
func (r *model) hide(b []byte) {
	h := hmac.New(sha256.New, r.key[:])
	h.Write([]byte("payload"))
	h.Write(b)
	sum := h.Sum(nil)
	for i := range b {
		if i > 0 && i%len(sum) == 0 {
			h.Write(sum)
			sum = h.Sum(nil)
		}
		b[i] = sum[i%len(sum)]
	}
	r.differs("constants that are compared with payload: their bytes are others")
}

func (r *model) interval(p piece, lo, hi []byte) (l, h []byte) {
	switch {
	case p.address() && p.off > 0:
		return lo, hi
	case p.address():
		a, b := r.m.Range(addrOf(p.meaning, lo, 0), addrOf(p.meaning, hi, 0xff))
		return a.AsSlice()[:len(lo)], b.AsSlice()[:len(hi)]
	case p.meaning == deviceName:
		if name, ok := wildcard(lo, hi); ok {
			return r.wildcard(name, len(lo))
		}
	case p.meaning == mac:
		if n := commonBits(lo, hi); n%8 == 0 && isPrefix(lo, hi, n) {
			l, h = append([]byte(nil), lo...), append([]byte(nil), hi...)
			r.m.MAC(l[:n/8])
			copy(h, l[:n/8])
			return l, h
		}
	}
	r.differs("ranges of names or of hardware addresses: their ends are others")
	l, h = r.value(p, lo), r.value(p, hi)
	if bytes.Compare(l, h) > 0 {
		l, h = h, l
	}
	return l, h
}

// wildcard is the interval of the names that begin with what name becomes.
func (r *model) wildcard(name string, n int) (lo, hi []byte) {
	lo, hi = make([]byte, n), bytes.Repeat([]byte{0xff}, n)
	token := r.m.devicePrefix(name)
	copy(lo, token)
	copy(hi, token)
	return lo, hi
}

// choice: both ends stay the first and the last in each word (Collect).
func (r *model) choice(p piece, lo, hi []byte) (l, h []byte) {
	first, last := addrOf(p.meaning, lo, 0), addrOf(p.meaning, hi, 0)
	if last.Less(first) {
		return r.value(p, lo), r.value(p, hi)
	}
	first, last = r.m.Range(first, last)
	return first.AsSlice(), last.AsSlice()
}

// ipset maps what the table of fields leaves: what hangs on the set's masks.
func (r *model) ipset(s *rules.IPSet) {
	if s.From.IsValid() {
		s.From, s.To = r.m.Range(s.From, s.To)
	}
	for i := range s.Elements {
		e := &s.Elements[i]
		e.IP, e.IP2 = r.element(s, e.IP), r.element(s, e.IP2)
		if e.Wildcard {
			e.Iface = r.m.devicePrefix(e.Iface)
		} else {
			e.Iface = r.m.Name(Device, e.Iface)
		}
	}
}

// element is an address or a network of an ipset; with a mask it is listed with
// its whole length.
func (r *model) element(s *rules.IPSet, p netip.Prefix) netip.Prefix {
	if !p.IsValid() {
		return p
	}
	n := p.Bits()
	switch {
	case s.Netmask != 0:
		n = min(n, int(s.Netmask))
	case s.Bitmask.IsValid():
		k, ok := prefixLen(s.Bitmask.AsSlice())
		if !ok {
			return p // these bits stay
		}
		n = min(n, k)
	}
	return netip.PrefixFrom(r.m.Network(netip.PrefixFrom(p.Addr(), n)).Addr(), p.Bits())
}
