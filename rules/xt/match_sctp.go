package xt

import (
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// XT_SCTP_*; XT_DCCP_* begin with the same two.
const (
	sctpSrc    = 1
	sctpDst    = 2
	sctpChunks = 4
)

// xtSCTP is struct xt_sctp_info.
type xtSCTP struct {
	portPair
	chunks      [64]uint32 // bit n of the first 256 is chunk type n
	kind        uint32     // SCTP_CHUNK_MATCH_*
	flags       []sctpFlags
	ask, invert uint32
}

// portPair is how sctp and dccp have their ports: the destination first.
type portPair struct{ dport, sport ports }

func (r *reader) portPair() portPair { return portPair{r.ports(), r.ports()} }

func (p *portPair) conditions(c *Context, ask, invert uint32) []rules.Condition {
	var out []rules.Condition
	if ask&sctpSrc != 0 {
		out = append(out, p.sport.condition(c, 0, invert&sctpSrc != 0))
	}
	if ask&sctpDst != 0 {
		out = append(out, p.dport.condition(c, 2, invert&sctpDst != 0))
	}
	return out
}

func (p *portPair) save(o *Options, ask, invert uint32) {
	if ask&sctpSrc != 0 {
		o.Opt(invert&sctpSrc != 0, "--sport", p.sport.String())
	}
	if ask&sctpDst != 0 {
		o.Opt(invert&sctpDst != 0, "--dport", p.dport.String())
	}
}

// sctpFlags is struct xt_sctp_flag_info.
type sctpFlags struct{ chunk, want, mask uint8 }

// sctpKinds are SCTP_CHUNK_MATCH_*.
var sctpKinds = map[uint32]string{1: "any", 2: "all", 4: "only"}

const sctpFlagInfos = 4 // XT_NUM_SCTP_FLAGS

func decodeSCTP(_ *Context, r *reader) Extension {
	x := &xtSCTP{portPair: r.portPair()}
	for i := range x.chunks {
		x.chunks[i] = r.u32()
	}
	x.kind = r.u32()
	var flags [sctpFlagInfos]sctpFlags
	for i := range flags {
		flags[i] = sctpFlags{r.u8(), r.u8(), r.u8()}
	}
	n := r.u32()
	x.ask, x.invert = r.u32(), r.u32()
	switch {
	case n > sctpFlagInfos || (x.ask|x.invert)&^(sctpSrc|sctpDst|sctpChunks) != 0 || x.invert&^x.ask != 0:
		r.fail("sctp: flags %#x, inverted %#x, %d chunks with flags", x.ask, x.invert, n)
	case x.ask&sctpChunks != 0 && sctpKinds[x.kind] == "":
		r.fail("sctp: chunks compared in way %d", x.kind)
	default:
		x.flags = flags[:n]
	}
	return x
}

// Statements follows sctp_mt. A flow may begin with any chunk but a few, and
// with several (sctp_new): no entry tells them.
func (x *xtSCTP) Statements(c *Context) []rules.Statement {
	out := statements(x.conditions(c, x.ask, x.invert))
	if x.ask&sctpChunks != 0 {
		out = append(out, &rules.Open{Span: c.Span, Name: "sctp --chunk-types", From: rules.FromPayload})
	}
	return out
}

func (x *xtSCTP) Save(_ *Context, o *Options) {
	x.save(o, x.ask, x.invert)
	if x.ask&sctpChunks != 0 {
		o.Opt(x.invert&sctpChunks != 0, "--chunk-types", sctpKinds[x.kind], x.chunkList())
	}
}

func (x *xtSCTP) chunkList() string {
	none, all := true, true
	for _, w := range x.chunks {
		none, all = none && w == 0, all && w == 0xffffffff
	}
	switch {
	case none:
		return "NONE"
	case all:
		return "ALL"
	}
	var list []string
	for i := range 256 {
		if x.chunks[i/32]>>(i%32)&1 != 0 {
			list = append(list, x.chunk(uint8(i)))
		}
	}
	return strings.Join(list, ",")
}

// chunk is a chunk's name with the flags that are asked for: capital where
// they are to be set.
func (x *xtSCTP) chunk(n uint8) string {
	known := sctpChunkNames[n]
	s := known.name
	for _, f := range x.flags {
		if f.chunk != n || f.mask == 0 {
			continue
		}
		s += ":"
		for bit := 7; bit >= 0; bit-- {
			if f.mask>>bit&1 == 0 {
				continue
			}
			letter := "-"
			if len(known.flags) > bit {
				letter = known.flags[len(known.flags)-1-bit : len(known.flags)-bit]
			}
			if f.want>>bit&1 == 0 {
				letter = strings.ToLower(letter)
			}
			s += letter
		}
	}
	return s
}

// sctpChunkNames are the chunks as iptables has them; flags from bit 0 up are
// the letters from the right.
var sctpChunkNames = map[uint8]struct{ name, flags string }{
	0: {"DATA", "IUBE"}, 1: {name: "INIT"}, 2: {name: "INIT_ACK"}, 3: {name: "SACK"}, 4: {name: "HEARTBEAT"},
	5: {name: "HEARTBEAT_ACK"}, 6: {"ABORT", "T"}, 7: {name: "SHUTDOWN"}, 8: {name: "SHUTDOWN_ACK"}, 9: {name: "ERROR"},
	10: {name: "COOKIE_ECHO"}, 11: {name: "COOKIE_ACK"}, 12: {name: "ECN_ECNE"}, 13: {name: "ECN_CWR"},
	14: {"SHUTDOWN_COMPLETE", "T"}, 64: {"I_DATA", "IUBE"}, 128: {name: "ASCONF_ACK"}, 130: {name: "RE_CONFIG"},
	132: {name: "PAD"}, 192: {name: "FORWARD_TSN"}, 193: {name: "ASCONF"}, 194: {name: "I_FORWARD_TSN"},
}
