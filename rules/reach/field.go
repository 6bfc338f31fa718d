package reach

import (
	"encoding/hex"
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// place is where a field's value stands: what a rule writes to.
type place uint8

const (
	inPayload place = 1 << iota
	inMark
	inMeta // the rest of the metadata that rules can set
	inCt   // state, zone, helper
	inCtMark
	anywhere place = 0xff
)

// field is something of a packet whose value stays, from rule to rule, until
// something is written to one of its places.
type field struct {
	key    string // one field, one key
	id     int    // the same for the same key: see analysis.fieldOf
	width  int    // bytes; header fields of one key may be read in several widths
	places place
	// parts: fewer of its leading bytes can be read under the same key.
	parts bool
	// of, mask and xor are given for bits of another field:
	// (of & mask) ^ xor.
	of        *field
	mask, xor string
}

// maxWidth bounds the fields that are kept.
const maxWidth = 16

// steadyMeta are the keys whose answer is the same for one packet through the
// whole hook, and where they can be written. All others may change (time, cpu,
// random).
var steadyMeta = map[rules.MetaKey]place{
	rules.MetaLen: 0, rules.MetaProtocol: 0, rules.MetaPriority: inMeta, rules.MetaMark: inMark,
	rules.MetaIif: 0, rules.MetaOif: 0, rules.MetaIifname: 0, rules.MetaOifname: 0, rules.MetaIiftype: 0, rules.MetaOiftype: 0,
	rules.MetaSkuid: 0, rules.MetaSkgid: 0, rules.MetaNfproto: 0, rules.MetaL4proto: 0, rules.MetaPkttype: inMeta,
	rules.MetaIifgroup: 0, rules.MetaOifgroup: 0, rules.MetaIifkind: 0, rules.MetaOifkind: 0, rules.MetaSdif: 0, rules.MetaSdifname: 0,
}

// steadyCt are the keys of ct that no other packet of the flow changes. The
// mark and the labels are, where no rule writes them: see analysis.ctMarks.
var steadyCt = map[rules.CtKey]place{
	rules.CtState: inCt, rules.CtDirection: inCt, rules.CtHelper: inCt, rules.CtL3protocol: inCt, rules.CtSrc: inCt, rules.CtDst: inCt,
	rules.CtProtocol: inCt, rules.CtProtoSrc: inCt, rules.CtProtoDst: inCt, rules.CtZone: inCt, rules.CtSrcIP: inCt, rules.CtDstIP: inCt,
	rules.CtSrcIP6: inCt, rules.CtDstIP6: inCt, rules.CtMark: inCt | inCtMark, rules.CtLabels: inCt | inCtMark,
}

// fieldOf finds what x reads; nil when its answer may change or is not kept.
func (a *analysis) fieldOf(x rules.Expr) *field {
	k, common := commonOf(x)
	if f, ok := a.ids.common[k]; ok && common {
		return f
	}
	f := a.read(x)
	if f != nil && (f.width <= 0 || f.width > maxWidth) {
		f = nil
	}
	if f != nil {
		f.id = a.ids.of(f.key)
	}
	if common {
		a.ids.common[k] = f
	}
	return f
}

// ids numbers the keys of fields, and keeps those that most rules look at.
type ids struct {
	keys   map[string]int
	common map[common]*field
}

func newIDs() *ids { return &ids{keys: map[string]int{}, common: map[common]*field{}} }

func (i *ids) of(key string) int {
	n, ok := i.keys[key]
	if !ok {
		n = len(i.keys) + 1
		i.keys[key] = n
	}
	return n
}

// common is an expression that reads bytes of a header (from, width), a key of
// the metadata or of conntrack.
type common struct{ of, key, from, width int }

func commonOf(x rules.Expr) (common, bool) {
	switch x := x.(type) {
	case *rules.Payload:
		return common{1, int(x.Base), x.Off, x.Len}, true
	case *rules.Slice:
		if p, ok := x.X.(*rules.Payload); ok {
			return common{1, int(p.Base), p.Off + x.Off, x.Len}, true
		}
	case *rules.Meta:
		return common{2, int(x.Key), 0, x.Width()}, true
	case *rules.Ct:
		return common{3, int(x.Key), int(x.Dir), x.Width()}, true
	}
	return common{}, false
}

// given is a field that no expression need be read for.
func (a *analysis) given(key string, width int) *field {
	return &field{key: key, id: a.ids.of(key), width: width}
}

func (a *analysis) read(x rules.Expr) *field {
	switch x := x.(type) {
	case *rules.Payload:
		return a.payload(x.Base, x.Off, x.Len)
	case *rules.Slice:
		return a.slice(x)
	case *rules.Meta:
		p, ok := steadyMeta[x.Key]
		if !ok {
			return nil
		}
		return &field{key: metaKey(x.Key), width: x.Width(), places: p}
	case *rules.Ct:
		p, ok := steadyCt[x.Key]
		if !ok || p&inCtMark != 0 && a.ctMarks {
			return nil
		}
		return &field{key: fmt.Sprintf("ct %d %d", x.Key, x.Dir), width: x.Width(), places: p}
	case *rules.Fib:
		p := inPayload
		if x.Flags&rules.FibMark != 0 {
			p |= inMark
		}
		return &field{key: fmt.Sprintf("fib %d %d", x.Result, x.Flags), width: x.Width(), places: p}
	case *rules.Exthdr:
		return &field{key: fmt.Sprintf("exthdr %d %d %d %t", x.Op, x.Type, x.Off, x.Present), width: x.Len, places: inPayload}
	case *rules.Bitwise:
		return a.bits(x)
	case *rules.Byteorder:
		f := a.read(x.X)
		if f == nil {
			return nil
		}
		return &field{key: fmt.Sprintf("swap %d (%s/%d)", x.Size, f.key, f.width), width: x.Len, places: f.places}
	}
	return nil
}

func metaKey(k rules.MetaKey) string { return fmt.Sprintf("meta %d", k) }

// payload is n bytes of a header. The protocol field of an IPv4 header is
// what meta l4proto reads (nft_set_pktinfo_ipv4).
func (a *analysis) payload(base rules.PayloadBase, off, n int) *field {
	if a.family == rules.FamilyIPv4 && base == rules.PayloadNetwork && off == 9 && n == 1 {
		return &field{key: metaKey(rules.MetaL4proto), width: 1, places: inPayload}
	}
	return &field{key: fmt.Sprintf("payload %d %d", base, off), width: n, places: inPayload, parts: true}
}

func (a *analysis) slice(x *rules.Slice) *field {
	if p, ok := x.X.(*rules.Payload); ok {
		return a.payload(p.Base, p.Off+x.Off, x.Len)
	}
	f := a.read(x.X)
	if f == nil {
		return nil
	}
	return &field{key: fmt.Sprintf("slice %d (%s/%d)", x.Off, f.key, f.width), width: x.Len, places: f.places}
}

func (a *analysis) bits(x *rules.Bitwise) *field {
	f := a.fieldOf(x.X)
	if f == nil || f.width != len(x.Mask) || len(x.Xor) != len(x.Mask) {
		return nil
	}
	return &field{
		key:   fmt.Sprintf("bits %s ^ %s (%s)", hex.EncodeToString(x.Mask), hex.EncodeToString(x.Xor), f.key),
		width: f.width, places: f.places, of: f, mask: string(x.Mask), xor: string(x.Xor),
	}
}

// apply is what the field reads where the field it is bits of holds s.
func (f *field) apply(s string) string {
	b := []byte(s)
	for i := range b {
		b[i] = b[i]&f.mask[i] ^ f.xor[i]
	}
	return string(b)
}

// prefixed tells whether the bits are the leading ones, as in 10.0.0.0/8.
func (f *field) prefixed() bool {
	ended := false
	for i := range len(f.mask) {
		for bit := byte(0x80); bit != 0; bit >>= 1 {
			set := f.mask[i]&bit != 0
			if set && ended {
				return false
			}
			ended = ended || !set
		}
		if f.xor[i]&^f.mask[i] != 0 {
			return false
		}
	}
	return true
}
