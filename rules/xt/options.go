package xt

import (
	"encoding/binary"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// Options gathers the words of a rule as iptables-save prints them.
type Options struct{ b strings.Builder }

// Word adds words as they are.
func (o *Options) Word(words ...string) {
	for _, w := range words {
		if o.b.Len() > 0 {
			o.b.WriteByte(' ')
		}
		o.b.WriteString(w)
	}
}

// Opt adds an option, behind an exclamation mark when it is inverted.
func (o *Options) Opt(invert bool, words ...string) {
	if invert {
		o.Word("!")
	}
	o.Word(words...)
}

func (o *Options) String() string { return o.b.String() }

// quote writes a string as xtables_save_string does: bare where it is of
// letters, digits, - and _ alone, else between quotes.
func quote(s string) string {
	bare := s != ""
	for i := range len(s) {
		c := s[i]
		if !(c == '_' || c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z') {
			bare = false
		}
	}
	if bare {
		return s
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		if c := s[i]; c == '"' || c == '\\' || c == '\'' {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	b.WriteByte('"')
	return b.String()
}

// Payload and condition builders that many extensions share.

func transport(off, n int) *rules.Payload {
	return &rules.Payload{Base: rules.PayloadTransport, Off: off, Len: n}
}

func network(off, n int) *rules.Payload {
	return &rules.Payload{Base: rules.PayloadNetwork, Off: off, Len: n}
}

// within asks whether x is in [lo, hi] or, inverted, is not; a single value
// becomes a plain comparison, which reads better.
func within(span rules.Span, x rules.Expr, lo, hi []byte, invert bool) rules.Condition {
	if string(lo) == string(hi) {
		op := rules.CmpEq
		if invert {
			op = rules.CmpNeq
		}
		return &rules.Match{Span: span, Left: x, Op: op, Right: lo}
	}
	return &rules.MatchRange{Span: span, Left: x, Invert: invert, Lo: lo, Hi: hi}
}

// masked asks whether x & mask equals want or, inverted, does not. A full mask
// is left out.
func masked(span rules.Span, x rules.Expr, mask, want []byte, invert bool) rules.Condition {
	op := rules.CmpEq
	if invert {
		op = rules.CmpNeq
	}
	full := true
	for _, m := range mask {
		full = full && m == 0xff
	}
	if !full {
		x = &rules.Bitwise{X: x, Mask: mask, Xor: make([]byte, len(mask))}
	}
	return &rules.Match{Span: span, Left: x, Op: op, Right: want}
}

// maskedBytes is b & mask: what a packet's field is compared with where the
// kernel compares both sides behind the mask.
func maskedBytes(b, mask []byte) []byte {
	out := make([]byte, len(b))
	for i := range b {
		out[i] = b[i] & mask[i]
	}
	return out
}

func be32(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

func be16(n uint16) []byte { return []byte{byte(n >> 8), byte(n)} }

// u32 is a number as meta and ct registers hold it.
func (c *Context) u32(n uint32) []byte {
	b := make([]byte, 4)
	c.Order.PutUint32(b, n)
	return b
}

func (c *Context) u16(n uint16) []byte {
	b := make([]byte, 2)
	c.Order.PutUint16(b, n)
	return b
}
