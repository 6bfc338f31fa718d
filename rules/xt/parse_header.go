package xt

import (
	"fmt"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// header is what an entry itself asks for, laid out as the kernel has it, so
// that one function reads it from a text and from a table.
type header struct {
	layout layout
	blob   []byte // struct ipt_entry, ip6t_entry
	text   []string
	proto  uint8 // 0 for any
	err    error
}

func (h *header) fail(err error) {
	if h.err == nil {
		h.err = err
	}
}

// words keeps an option as it was given.
func (h *header) words(option, value string, invert bool) {
	var o Options
	o.Opt(invert, option)
	if value != "" {
		o.Word(value)
	}
	h.text = append(h.text, o.String())
}

func (h *header) inverted(invert bool, bit uint8) {
	if invert {
		h.blob[h.layout.flags+1] |= bit
	}
}

// address is -s (0) or -d (1). The tool masks it.
func (h *header) address(at int, s string, invert bool, bit uint8) {
	h.words([]string{"-s", "-d"}[at], s, invert)
	addr, mask, err := parsePrefix(h.layout.family, s)
	if err != nil {
		h.fail(err)
		return
	}
	n := h.layout.addr
	copy(h.blob[at*n:], maskedBytes(addr.AsSlice(), mask.AsSlice()))
	copy(h.blob[(2+at)*n:], mask.AsSlice())
	h.inverted(invert, bit)
}

// device is -i (0) or -o (1), a name or the front of one (xtables_parse_interface).
func (h *header) device(at int, s string, invert bool, bit uint8) {
	h.words([]string{"-i", "-o"}[at], s, invert)
	if len(s) >= ifnameLen {
		h.fail(fmt.Errorf("device %q: a name has %d characters at most", s, ifnameLen-1))
		return
	}
	dev := h.blob[4*h.layout.addr:]
	name, counts := strings.CutSuffix(s, "+")
	n := len(name)
	if !counts {
		n++ // with the NUL
	}
	if s == "" {
		n = 0
	}
	copy(dev[at*ifnameLen:(at+1)*ifnameLen], name)
	mask := dev[(2+at)*ifnameLen : (3+at)*ifnameLen]
	for i := range n {
		mask[i] = 0xff
	}
	h.inverted(invert, bit)
}

// protocol is -p.
func (h *header) protocol(c *Context, s string, invert bool) {
	h.words("-p", s, invert)
	n, err := protoNumber(s)
	if err != nil {
		h.fail(err)
		return
	}
	c.Order.PutUint16(h.blob[4*h.layout.addr+4*ifnameLen:], n)
	if h.layout.family == rules.FamilyIPv6 && n != 0 {
		h.blob[h.layout.flags] |= protoFlag6
	}
	h.inverted(invert, invProto)
	if !invert && n <= 0xff {
		h.proto = uint8(n)
	}
}
