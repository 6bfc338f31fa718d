package xt

import (
	"encoding/binary"
	"strconv"

	"github.com/ntdiag/ntdiag/rules"
)

// XT_CONNLABEL_OP_*.
const (
	connlabelInvert = 1
	connlabelSet    = 2
)

const connlabelMax = 127 // XT_CONNLABEL_MAXBIT

// connlabel is struct xt_connlabel_mtinfo: the number of a label, and whether
// to set it.
type connlabel struct{ bit, options uint16 }

func decodeConnlabel(_ *Context, r *reader) Extension {
	x := &connlabel{r.u16(), r.u16()}
	if x.bit > connlabelMax || x.options&^(connlabelInvert|connlabelSet) != 0 {
		r.fail("connlabel: label %d, options %#x", x.bit, x.options)
	}
	return x
}

// Statements follows connlabel_mt: without an entry it is as without the
// label. The rule sees to it that every new entry has room for labels, so that
// setting one does not fail.
func (x *connlabel) Statements(c *Context) []rules.Statement {
	labels := &rules.Ct{Key: rules.CtLabels, Dir: rules.CtDirNone}
	mask, none := labelBit(c.Order, x.bit), make([]byte, 16)
	if x.options&connlabelSet == 0 {
		has := &rules.Match{Span: c.Span, Left: &rules.Bitwise{X: labels, Mask: mask, Xor: none}, Op: rules.CmpNeq, Right: none}
		if x.options&connlabelInvert != 0 {
			return []rules.Statement{&rules.NotOf{Span: c.Span, Part: has}}
		}
		return []rules.Statement{has}
	}
	// what is written to the labels is added to them
	set := &rules.Assign{Span: c.Span, Target: rules.AssignCt, Dest: labels, Value: &rules.Const{Data: mask}}
	// a template has a state, and no labels
	var has rules.Condition = &rules.Match{Span: c.Span, Left: &rules.Ct{Key: rules.CtDirection, Dir: rules.CtDirNone}, Op: rules.CmpEq, Right: []byte{0}}
	if x.options&connlabelInvert != 0 {
		has = &rules.NotOf{Span: c.Span, Part: has}
	}
	return []rules.Statement{set, has}
}

// labelBit is one bit of the labels as they lie in memory: an array of
// unsigned long.
func labelBit(order binary.ByteOrder, bit uint16) []byte {
	b := make([]byte, 16)
	order.PutUint64(b[bit/64*8:], 1<<(bit%64))
	return b
}

// Save: connlabel.conf, which names labels, is not the kernel's; without a
// name iptables prints the number as one.
func (x *connlabel) Save(_ *Context, o *Options) {
	o.Opt(x.options&connlabelInvert != 0, "--label", `"`+strconv.Itoa(int(x.bit))+`"`)
	if x.options&connlabelSet != 0 {
		o.Word("--set")
	}
}
