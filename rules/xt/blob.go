package xt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/ntdiag/ntdiag/rules"
)

// Blob is one match or target as the kernel hands it out.
type Blob struct {
	Name     string
	Revision uint8
	// Info is the extension's own struct, perhaps with padding behind it.
	Info []byte
}

// Context is what an extension is decoded in.
type Context struct {
	Order  binary.ByteOrder
	Family rules.Family // FamilyIPv4 or FamilyIPv6
	// Span is for the statements that are made.
	Span rules.Span
	// Proto is the protocol that the rule asks for (-p), 0 for any.
	Proto uint8
	// IPSet looks up what an extension refers to; nil for what is not there.
	IPSet func(id uint16) *rules.IPSet
	// setNamed finds a set where a text names it; nil where there are none.
	setNamed func(name string) *rules.IPSet

	reader reader // of the present blob
}

// Extension is one decoded match or target.
type Extension interface {
	// Statements are what it asks of a packet, or does to it, in order; for a
	// match every one is a rules.Condition or a *rules.Remark.
	Statements(c *Context) []rules.Statement
	// Save writes its options as iptables-save prints them after `-m NAME` or
	// `-j NAME`.
	Save(c *Context, o *Options)
}

// errSize is wrapped by what is said of a blob that is too short.
var errSize = errors.New("blob is shorter than its struct")

// reader takes fields off a blob in the order of the C struct, which must be
// padded by hand. It keeps the first error; what is read after it is zero.
type reader struct {
	order binary.ByteOrder
	b     []byte
	at    int
	err   error
}

// bytes is the next n bytes, a part of the blob.
func (r *reader) bytes(n int) []byte {
	if r.err == nil && (n < 0 || r.at+n > len(r.b)) {
		r.err = fmt.Errorf("%w: %d bytes, wants %d", errSize, len(r.b), r.at+n)
	}
	if r.err != nil {
		return make([]byte, max(n, 0))
	}
	out := r.b[r.at : r.at+n : r.at+n]
	r.at += n
	return out
}

// skip passes over padding, or a field that says nothing.
func (r *reader) skip(n int) { r.bytes(n) }

// align passes over the padding before a field aligned to n bytes.
func (r *reader) align(n int) {
	if over := r.at % n; over != 0 {
		r.skip(n - over)
	}
}

func (r *reader) u8() uint8   { return r.bytes(1)[0] }
func (r *reader) u16() uint16 { return r.order.Uint16(r.bytes(2)) }
func (r *reader) u32() uint32 { return r.order.Uint32(r.bytes(4)) }
func (r *reader) u64() uint64 { return r.order.Uint64(r.bytes(8)) }

// be16 is a number in network order.
func (r *reader) be16() uint16 { return binary.BigEndian.Uint16(r.bytes(2)) }

// str is a string in an array of n bytes, up to its NUL.
func (r *reader) str(n int) string { return cstring(r.bytes(n)) }

// addr is a union nf_inet_addr: 16 bytes, of which IPv4 uses the first four.
func (r *reader) addr(f rules.Family) netip.Addr {
	b := r.bytes(16)
	if f == rules.FamilyIPv4 {
		b = b[:4]
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// addr4 is a __be32 address.
func (r *reader) addr4() netip.Addr {
	a, _ := netip.AddrFromSlice(r.bytes(4))
	return a
}

// fail notes what is wrong with a value.
func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

func cstring(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}
