package xt

import (
	"encoding/binary"
	"strconv"

	"github.com/ntdiag/ntdiag/rules"
)

// IPT_ECN_OP_*.
const (
	ecnSetIP  = 0x01
	ecnSetECE = 0x10
	ecnSetCWR = 0x20
	ecnOps    = ecnSetIP | ecnSetECE | ecnSetCWR
)

// Bits of the 14th byte of the TCP header.
const (
	tcpECE = 0x40
	tcpCWR = 0x80
)

// ecnSet is struct ipt_ECN_info.
type ecnSet struct {
	op, ect  uint8
	ece, cwr uint8 // 0 or 1
}

func decodeECNTarget(c *Context, r *reader) Extension {
	x := &ecnSet{op: r.u8(), ect: r.u8()}
	// bit-fields begin at the low end, but on big-endian machines
	b := r.u8()
	x.ece, x.cwr = b&1, b>>1&1
	if c.Order == binary.BigEndian {
		x.ece, x.cwr = b>>7, b>>6&1
	}
	if x.op&^ecnOps != 0 || x.ect&^3 != 0 {
		r.fail("operation %#x, codepoint %#x", x.op, x.ect)
	}
	return x
}

// Statements follows ecn_tg.
func (x *ecnSet) Statements(c *Context) []rules.Statement {
	var out []rules.Statement
	if x.op&ecnSetIP != 0 {
		out = append(out, setTOS(c, 0xfc, x.ect))
	}
	keep, value := uint8(0xff), uint8(0)
	if x.op&ecnSetECE != 0 {
		keep, value = keep&^tcpECE, value|x.ece*tcpECE
	}
	if x.op&ecnSetCWR != 0 {
		keep, value = keep&^tcpCWR, value|x.cwr*tcpCWR
	}
	if keep != 0xff {
		// the kernel wants -p tcp of such a rule
		at := transport(13, 1)
		out = append(out, &rules.Assign{
			Span: c.Span, Target: rules.AssignPayload, Dest: at, Value: &rules.Bitwise{X: at, Mask: []byte{keep}, Xor: []byte{value}},
		})
	}
	return out
}

func (x *ecnSet) Save(_ *Context, o *Options) {
	if x.op == ecnSetECE|ecnSetCWR && x.ece == 0 && x.cwr == 0 {
		o.Word("--ecn-tcp-remove")
		return
	}
	if x.op&ecnSetECE != 0 {
		o.Word("--ecn-tcp-ece", strconv.Itoa(int(x.ece)))
	}
	if x.op&ecnSetCWR != 0 {
		o.Word("--ecn-tcp-cwr", strconv.Itoa(int(x.cwr)))
	}
	if x.op&ecnSetIP != 0 {
		o.Word("--ecn-ip-ect", strconv.Itoa(int(x.ect)))
	}
}
