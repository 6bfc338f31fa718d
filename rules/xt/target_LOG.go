package xt

import (
	"strconv"

	"github.com/ntdiag/ntdiag/rules"
)

// logFlags are XT_LOG_*, the same bits as NF_LOG_* of nf_tables, in the order
// in which iptables prints them.
var logFlags = []struct {
	bit  uint8
	word string
}{
	{0x01, "--log-tcp-sequence"}, {0x02, "--log-tcp-options"}, {0x04, "--log-ip-options"}, {0x08, "--log-uid"},
	{0x20, "--log-macdecode"},
}

// logMask is XT_LOG_MASK, logLevel the level that is not printed: LOG_WARNING.
const (
	logMask  = 0x2f
	logLevel = 4
)

// logTarget is struct xt_log_info.
type logTarget struct {
	level, flags uint8
	prefix       string
}

func decodeLOG(_ *Context, r *reader) Extension {
	x := &logTarget{level: r.u8(), flags: r.u8(), prefix: r.str(30)}
	if x.flags&^logMask != 0 || x.level >= 8 {
		r.fail("level %d, flags %#x", x.level, x.flags)
	}
	return x
}

func (x *logTarget) Statements(c *Context) []rules.Statement {
	return []rules.Statement{&rules.Log{Span: c.Span, Prefix: x.prefix, Level: uint32(x.level), HasLevel: true, Flags: uint32(x.flags)}}
}

func (x *logTarget) Save(_ *Context, o *Options) {
	if x.prefix != "" {
		o.Word("--log-prefix", quote(x.prefix))
	}
	if x.level != logLevel {
		o.Word("--log-level", strconv.Itoa(int(x.level)))
	}
	for _, f := range logFlags {
		if x.flags&f.bit != 0 {
			o.Word(f.word)
		}
	}
}
