package xt

import (
	"strconv"

	"github.com/ntdiag/ntdiag/rules"
)

// quota is struct xt_quota_info: what it began with, not what is left.
type quota struct {
	invert bool
	quota  uint64
}

func decodeQuota(_ *Context, r *reader) Extension {
	flags := r.u32()
	if flags&^1 != 0 {
		r.fail("unknown flags 0x%x", flags)
	}
	r.skip(4)
	return &quota{invert: flags&1 != 0, quota: r.u64()}
}

// Statements follows quota_mt: no packet fits in a quota that has no room for
// its header.
func (x *quota) Statements(c *Context) []rules.Statement {
	least := uint64(20)
	if c.Family == rules.FamilyIPv6 {
		least = 40
	}
	if x.quota < least {
		return []rules.Statement{&rules.Fixed{Span: c.Span, Holds: x.invert}}
	}
	return []rules.Statement{&rules.Quota{Span: c.Span, Bytes: x.quota, Over: x.invert}}
}

func (x *quota) Save(_ *Context, o *Options) {
	o.Opt(x.invert, "--quota", strconv.FormatUint(x.quota, 10))
}
