package xt

import (
	"encoding/binary"

	"github.com/ntdiag/ntdiag/rules"
)

// IPPROTO_* that matches ask for.
const (
	protoTCP = 6
	protoUDP = 17
)

// openOn is the statement of a match that no entry can answer.
func openOn(c *Context, name string, from rules.Source) []rules.Statement {
	return []rules.Statement{&rules.Open{Span: c.Span, Name: name, From: from}}
}

// fixed is that of one whose answer no packet changes.
func fixed(c *Context, holds bool) []rules.Statement {
	return []rules.Statement{&rules.Fixed{Span: c.Span, Holds: holds}}
}

// oneProto asks whether the packet is of one of the protocols.
func oneProto(c *Context, protos ...uint8) rules.Condition {
	any := &rules.AnyOf{Span: c.Span}
	for _, p := range protos {
		any.Parts = append(any.Parts, &rules.Match{Span: c.Span, Left: &rules.Meta{Key: rules.MetaL4proto}, Op: rules.CmpEq, Right: []byte{p}})
	}
	return any
}

// hostText is an address behind a mask as most extensions print it: without
// the length of a whole one, which -s and -d have.
func hostText(addr, mask []byte) string {
	if bits, ok := prefixLen(mask); ok && bits == 8*len(mask) {
		return addressOf(addr)
	}
	return addressText(addr, mask)
}

// beBytes is a number in network order.
func beBytes(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

// orderOf is the byte order of the packet's host.
func orderOf(p *rules.Packet) binary.ByteOrder {
	if p.Order == nil {
		return binary.NativeEndian
	}
	return p.Order
}
