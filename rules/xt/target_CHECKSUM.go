package xt

import "github.com/ntdiag/ntdiag/rules"

// checksum is struct xt_CHECKSUM_info: XT_CHECKSUM_OP_FILL is all there is.
type checksum struct{}

func decodeCHECKSUM(_ *Context, r *reader) Extension {
	if op := r.u8(); op != 1 {
		r.fail("operation %#x", op)
	}
	return checksum{}
}

func (checksum) Statements(*Context) []rules.Statement { return nil }

func (checksum) Save(_ *Context, o *Options) { o.Word("--checksum-fill") }
