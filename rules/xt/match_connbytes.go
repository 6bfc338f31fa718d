package xt

import (
	"strconv"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// connbytesWhat and connbytesDir are XT_CONNBYTES_* and XT_CONNBYTES_DIR_*.
var (
	connbytesWhat = []string{"packets", "bytes", "avgpkt"}
	connbytesDir  = []string{"original", "reply", "both"}
)

const (
	connbytesPackets = 0
	connbytesReply   = 1
)

// connbytes is struct xt_connbytes_info; from above to is how it is inverted.
type connbytes struct {
	from, to  uint64
	what, dir uint8
}

func decodeConnbytes(_ *Context, r *reader) Extension {
	x := &connbytes{from: r.u64(), to: r.u64(), what: r.u8(), dir: r.u8()}
	if int(x.what) >= len(connbytesWhat) || int(x.dir) >= len(connbytesDir) {
		r.fail("unknown mode %d or direction %d", x.what, x.dir)
	}
	return x
}

func (x *connbytes) Statements(c *Context) []rules.Statement {
	return []rules.Statement{&CountedBytes{c.Span, x.from, x.to, x.what, x.dir}}
}

func (x *connbytes) Save(_ *Context, o *Options) {
	invert := x.from > x.to
	from, to := min(x.from, x.to), max(x.from, x.to)
	text := strconv.FormatUint(from, 10)
	if to != 0 && to != ^uint64(0) {
		text += ":" + strconv.FormatUint(to, 10)
	}
	o.Opt(invert, "--connbytes", text)
	o.Word("--connbytes-mode", connbytesWhat[x.what], "--connbytes-dir", connbytesDir[x.dir])
}

// CountedBytes asks what the entry has counted.
type CountedBytes struct {
	rules.Span
	From, To uint64
	What     uint8 // XT_CONNBYTES_*: 0 packets, 1 bytes, 2 their ratio
	Dir      uint8 // XT_CONNBYTES_DIR_*: 0 original, 1 reply, 2 both
}

// Valid tells whether What and Dir are numbers of the kernel's.
func (x *CountedBytes) Valid() bool {
	return int(x.What) < len(connbytesWhat) && int(x.Dir) < len(connbytesDir)
}

func (x *CountedBytes) String() string {
	o := &Options{}
	(&connbytes{x.From, x.To, x.What, x.Dir}).Save(nil, o)
	return strings.ReplaceAll(o.String(), "--", "")
}

// Test follows connbytes_mt. The first packet is counted when conntrack has
// seen it (nf_ct_refresh_acct), one and not yet answered; an entry that counts
// nothing (nf_conntrack_acct) does not match.
func (x *CountedBytes) Test(p *rules.Packet) rules.Answer {
	is := rules.Answer{Unknown: rules.Of(rules.FromCtCounters)}
	n := uint64(0)
	if x.Dir != connbytesReply {
		n = 1
	}
	if x.What == connbytesPackets || x.Dir == connbytesReply {
		if is = rules.Decided(x.holds(n)); is.Truth == rules.Yes {
			is.Assumed = rules.Of(rules.FromCtCounters)
		}
	}
	tracked := rules.Answer{Truth: p.Tracked}
	if p.Tracked == rules.Unknown {
		tracked.Unknown = rules.Of(rules.FromCtState)
	}
	return tracked.And(is)
}

func (x *CountedBytes) holds(n uint64) bool {
	if x.To >= x.From {
		return n <= x.To && n >= x.From
	}
	return n < x.To || n > x.From
}
