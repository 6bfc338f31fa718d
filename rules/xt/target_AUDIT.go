package xt

import "github.com/ntdiag/ntdiag/rules"

// auditTypes are XT_AUDIT_TYPE_*, by number. They say what is logged, nothing
// happens to the packet.
var auditTypes = [...]string{"accept", "drop", "reject"}

// audit is struct xt_audit_info.
type audit struct{ typ string }

func decodeAUDIT(_ *Context, r *reader) Extension {
	n := r.u8()
	if int(n) >= len(auditTypes) {
		r.fail("type %d", n)
		n = 0
	}
	return &audit{auditTypes[n]}
}

func (*audit) Statements(*Context) []rules.Statement { return nil }

func (x *audit) Save(_ *Context, o *Options) { o.Word("--type", x.typ) }
