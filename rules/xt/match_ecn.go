package xt

import (
	"strconv"

	"github.com/ntdiag/ntdiag/rules"
)

// XT_ECN_OP_MATCH_*.
const (
	ecnIP  = 0x01
	ecnECE = 0x10
	ecnCWR = 0x20
)

// ecn is struct xt_ecn_info; the TCP part of its union is not used.
type ecn struct{ ask, invert, ect uint8 }

func decodeECN(_ *Context, r *reader) Extension {
	x := &ecn{r.u8(), r.u8(), r.u8()}
	if (x.ask|x.invert)&^(ecnIP|ecnECE|ecnCWR) != 0 || x.ect > 3 {
		r.fail("ecn: flags %#x, inverted %#x, ECT %d", x.ask, x.invert, x.ect)
	}
	return x
}

// Statements follows ecn_mt4 and ecn_mt6. ECE and CWR are bits 6 and 7 of the
// TCP flags; the kernel takes them with -p tcp alone.
func (x *ecn) Statements(c *Context) []rules.Statement {
	var out []rules.Statement
	if x.ask&ecnIP != 0 {
		field, mask, want := network(1, 1), byte(0x03), x.ect
		if c.Family == rules.FamilyIPv6 {
			// the lower half of the traffic class, behind the version and the upper
			mask, want = mask<<4, want<<4
		}
		out = append(out, masked(c.Span, field, []byte{mask}, []byte{want}, x.invert&ecnIP != 0))
	}
	for _, f := range []struct{ ask, bit uint8 }{{ecnECE, 0x40}, {ecnCWR, 0x80}} {
		if x.ask&f.ask != 0 {
			out = append(out, masked(c.Span, transport(13, 1), []byte{f.bit}, []byte{f.bit}, x.invert&f.ask != 0))
		}
	}
	return out
}

func (x *ecn) Save(_ *Context, o *Options) {
	if x.ask&ecnECE != 0 {
		o.Opt(x.invert&ecnECE != 0, "--ecn-tcp-ece")
	}
	if x.ask&ecnCWR != 0 {
		o.Opt(x.invert&ecnCWR != 0, "--ecn-tcp-cwr")
	}
	if x.ask&ecnIP != 0 {
		o.Opt(x.invert&ecnIP != 0, "--ecn-ip-ect", strconv.Itoa(int(x.ect)))
	}
}
