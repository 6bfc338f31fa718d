package xt

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/ntdiag/ntdiag/rules"
)

// XT_POLICY_MATCH_*.
const (
	policyIn     = 1 << 0
	policyOut    = 1 << 1
	policyNone   = 1 << 2
	policyStrict = 1 << 3
)

// policyElements is XT_POLICY_MAX_ELEM.
const policyElements = 4

// Bits of struct xt_policy_spec, as the little-endian machine packs them.
const (
	policySaddr = 1 << 0
	policyDaddr = 1 << 1
	policyProto = 1 << 2
	policyMode  = 1 << 3
	policySPI   = 1 << 4
	policyReqid = 1 << 5
)

// policyModes are XFRM_MODE_TRANSPORT and _TUNNEL.
var policyModes = []string{"transport", "tunnel"}

// policyElement is struct xt_policy_elem. The SPI is kept as the tool wrote
// it, in the machine's order, though the kernel compares it with one in network
// order.
type policyElement struct {
	saddr, smask, daddr, dmask []byte
	spi, reqid                 uint32
	proto, mode                uint8
	match, invert              uint8
}

// policy is struct xt_policy_info.
type policy struct {
	elements []policyElement
	flags    uint16
}

func decodePolicy(c *Context, r *reader) Extension {
	x := &policy{elements: make([]policyElement, policyElements)}
	n := addressBits(c.Family) / 8
	for i := range x.elements {
		e := &x.elements[i]
		for _, a := range [...]*[]byte{&e.saddr, &e.smask, &e.daddr, &e.dmask} {
			*a = r.bytes(16)[:n]
		}
		e.spi, e.reqid, e.proto, e.mode = r.u32(), r.u32(), r.u8(), r.u8()
		e.match, e.invert = r.bits(), r.bits()
	}
	x.flags = r.u16()
	length := int(r.u16())
	if x.flags&(policyIn|policyOut) == 0 {
		r.fail("neither a policy of input nor one of output")
	}
	if length > policyElements {
		r.fail("%d policy elements, at most %d", length, policyElements)
		return x
	}
	x.elements = x.elements[:length]
	return x
}

// bits reads a byte of bit fields: the machine's order is that of the bits too.
func (r *reader) bits() uint8 {
	b := r.u8()
	if r.order.Uint16([]byte{0, 1}) != binary.BigEndian.Uint16([]byte{0, 1}) {
		return b
	}
	var out uint8
	for i := range 8 {
		out |= b >> i & 1 << (7 - i)
	}
	return out
}

// Statements follows policy_mt: an empty policy that is not strict describes
// no IPsec.
func (x *policy) Statements(c *Context) []rules.Statement {
	if x.flags&(policyNone|policyStrict) == 0 && len(x.elements) == 0 {
		return fixed(c, false)
	}
	return openOn(c, "policy", rules.FromIPsec)
}

func (x *policy) Save(_ *Context, o *Options) {
	dir, pol := "out", "ipsec"
	if x.flags&policyIn != 0 {
		dir = "in"
	}
	if x.flags&policyNone != 0 {
		pol = "none"
	}
	o.Word("--dir", dir, "--pol", pol)
	if x.flags&policyStrict != 0 {
		o.Word("--strict")
	}
	for i := range x.elements {
		if i > 0 {
			o.Word("--next")
		}
		x.elements[i].save(o)
	}
}

func (e *policyElement) save(o *Options) {
	mode := "???"
	if int(e.mode) < len(policyModes) {
		mode = policyModes[e.mode]
	}
	for _, w := range [...]struct {
		bit         uint8
		name, value string
	}{
		{policyReqid, "--reqid", utoa(e.reqid)},
		{policySPI, "--spi", fmt.Sprintf("0x%x", e.spi)},
		{policyProto, "--proto", rules.ProtocolText(e.proto)},
		{policyMode, "--mode", mode},
		{policyDaddr, "--tunnel-dst", hostText(e.daddr, e.dmask)},
		{policySaddr, "--tunnel-src", hostText(e.saddr, e.smask)},
	} {
		if e.match&w.bit != 0 {
			o.Opt(e.invert&w.bit != 0, w.name, w.value)
		}
	}
}

func addressOf(b []byte) string {
	a, _ := netip.AddrFromSlice(b)
	return addrText(a)
}
