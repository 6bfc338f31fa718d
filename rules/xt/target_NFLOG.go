package xt

import (
	"strconv"

	"github.com/ntdiag/ntdiag/rules"
)

// nflogCopyLen is XT_NFLOG_F_COPY_LEN: without it the length has no effect.
const nflogCopyLen = 1

// nflog is struct xt_nflog_info.
type nflog struct {
	length           uint32
	group, threshold uint16
	flags            uint16
	prefix           string
}

func decodeNFLOG(_ *Context, r *reader) Extension {
	x := &nflog{length: r.u32(), group: r.u16(), threshold: r.u16(), flags: r.u16()}
	r.skip(2)
	x.prefix = r.str(64)
	if x.flags&^nflogCopyLen != 0 {
		r.fail("flags %#x", x.flags)
	}
	return x
}

func (x *nflog) Statements(c *Context) []rules.Statement {
	return []rules.Statement{&rules.Log{
		Span: c.Span, Prefix: x.prefix, HasGroup: true, Group: x.group, Qthreshold: x.threshold, HasQthreshold: x.threshold != 0,
		Snaplen: x.length, HasSnaplen: x.flags&nflogCopyLen != 0,
	}}
}

func (x *nflog) Save(_ *Context, o *Options) {
	if x.prefix != "" {
		o.Word("--nflog-prefix", quote(x.prefix))
	}
	if x.group != 0 {
		o.Word("--nflog-group", strconv.Itoa(int(x.group)))
	}
	switch n := strconv.FormatUint(uint64(x.length), 10); {
	case x.flags&nflogCopyLen != 0:
		o.Word("--nflog-size", n)
	case x.length != 0:
		o.Word("--nflog-range", n)
	}
	if x.threshold != 0 {
		o.Word("--nflog-threshold", strconv.Itoa(int(x.threshold)))
	}
}
