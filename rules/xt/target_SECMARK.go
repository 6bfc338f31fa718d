package xt

import "github.com/ntdiag/ntdiag/rules"

// secmark is struct xt_secmark_target_info and its _v1.
type secmark struct{ context string }

// secmarkSEL is SECMARK_MODE_SEL, the one mode.
const secmarkSEL = 1

func decodeSECMARK0(_ *Context, r *reader) Extension {
	mode := r.u8()
	r.align(4)
	r.skip(4) // secid, the kernel's own
	return readSecmark(r, mode)
}

func decodeSECMARK1(_ *Context, r *reader) Extension { return readSecmark(r, r.u8()) }

func readSecmark(r *reader, mode uint8) Extension {
	if mode != secmarkSEL {
		r.fail("mode %d", mode)
	}
	return &secmark{r.str(256)}
}

func (*secmark) Statements(*Context) []rules.Statement { return nil }

func (x *secmark) Save(_ *Context, o *Options) { o.Word("--selctx", x.context) }
