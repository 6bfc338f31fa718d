package xt

import "github.com/ntdiag/ntdiag/rules"

// XT_SOCKET_*, in the order in which they are printed. Each revision knows one
// more; revision 0 has no struct.
const (
	socketTransparent = 1 << 0
	socketNowildcard  = 1 << 1
	socketRestoreMark = 1 << 2
)

var socketWords = []string{"--transparent", "--nowildcard", "--restore-skmark"}

// socket is struct xt_socket_mtinfo1 to 3.
type socket struct{ flags uint8 }

func decodeSocket(revision int) func(*Context, *reader) Extension {
	return func(_ *Context, r *reader) Extension {
		x := &socket{}
		if revision == 0 {
			return x
		}
		x.flags = r.u8()
		if unknown := x.flags >> revision << revision; unknown != 0 {
			r.fail("unknown flags 0x%x", unknown)
		}
		return x
	}
}

// Statements follows socket_match. nf_sk_lookup_slow_v4 and _v6 look for
// sockets of TCP and UDP, and of those whose packet an ICMP error holds, which
// begins no flow. ip_rcv_core has taken off what socket the packet had.
func (x *socket) Statements(c *Context) []rules.Statement {
	out := []rules.Statement{&rules.AllOf{Span: c.Span, Parts: []rules.Condition{
		oneProto(c, protoTCP, protoUDP), &rules.Open{Span: c.Span, Name: "socket", From: rules.FromSocket},
	}}}
	if x.flags&socketRestoreMark != 0 {
		// a socket that is not a full one leaves the mark alone
		out = append(out, &rules.Assign{
			Span: c.Span, Target: rules.AssignMeta, Dest: &rules.Meta{Key: rules.MetaMark},
			Value: &rules.Unrecorded{Len: 4, From: rules.FromSocket},
		})
	}
	return out
}

func (x *socket) Save(_ *Context, o *Options) {
	for i, w := range socketWords {
		if x.flags&(1<<i) != 0 {
			o.Word(w)
		}
	}
}
