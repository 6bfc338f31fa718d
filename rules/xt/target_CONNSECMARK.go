package xt

import "github.com/ntdiag/ntdiag/rules"

// connsecmarkModes are CONNSECMARK_*, by number.
var connsecmarkModes = [...]string{1: "--save", 2: "--restore"}

// connsecmark is struct xt_connsecmark_target_info.
type connsecmark struct{ opt string }

func decodeCONNSECMARK(_ *Context, r *reader) Extension {
	mode := r.u8()
	if mode == 0 || int(mode) >= len(connsecmarkModes) {
		r.fail("mode %d", mode)
		mode = 1
	}
	return &connsecmark{connsecmarkModes[mode]}
}

func (*connsecmark) Statements(*Context) []rules.Statement { return nil }

func (x *connsecmark) Save(_ *Context, o *Options) { o.Word(x.opt) }
