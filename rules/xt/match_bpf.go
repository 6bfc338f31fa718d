package xt

import (
	"fmt"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// bpfInstructions is XT_BPF_MAX_NUM_INSTR, each of 8 bytes.
const bpfInstructions = 64

// XT_BPF_MODE_*.
const (
	bpfBytecode = 0
	bpfPinned   = 1
	bpfFD       = 2
)

// bpf is struct xt_bpf_info and xt_bpf_info_v1.
type bpf struct {
	mode uint16
	text string // the program, or the path of a pinned one
}

func decodeBPF0(_ *Context, r *reader) Extension {
	n := int(r.u16())
	r.align(4)
	return &bpf{text: bpfProgram(r, n, r.bytes(8*bpfInstructions))}
}

func decodeBPF1(_ *Context, r *reader) Extension {
	x := &bpf{mode: r.u16()}
	n := int(r.u16())
	fd := int32(r.u32())
	b := r.bytes(8 * bpfInstructions)
	switch x.mode {
	case bpfBytecode:
		x.text = bpfProgram(r, n, b)
	case bpfPinned:
		x.text = cstring(b)
	case bpfFD:
		x.text = fmt.Sprintf("fd %d", fd)
	default:
		r.fail("unknown mode %d", x.mode)
	}
	return x
}

// bpfProgram prints n of struct sock_filter: code, the two jumps, the operand.
func bpfProgram(r *reader, n int, b []byte) string {
	if n > bpfInstructions {
		r.fail("%d instructions, at most %d", n, bpfInstructions)
		return ""
	}
	out := []string{utoa(uint32(n))}
	for ; n > 0; n-- {
		out = append(out, fmt.Sprintf("%d %d %d %d", r.order.Uint16(b), b[2], b[3], r.order.Uint32(b[4:])))
		b = b[8:]
	}
	return strings.Join(out, ",")
}

// Statements follows bpf_mt. What a program looks at is not followed.
func (x *bpf) Statements(c *Context) []rules.Statement {
	return openOn(c, "bpf", rules.FromPayload)
}

func (x *bpf) Save(_ *Context, o *Options) {
	switch x.mode {
	case bpfBytecode:
		o.Word("--bytecode", `"`+x.text+`"`)
	case bpfPinned:
		o.Word("--object-pinned", x.text)
	default:
		// the tool cannot print one either
		o.Word("[ " + x.text + " ? ]")
	}
}
