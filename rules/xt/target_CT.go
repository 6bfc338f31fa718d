package xt

import (
	"strconv"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// XT_CT_*.
const (
	ctNotrack      = 1 << 0
	ctNotrackAlias = 1 << 1 // it was given as NOTRACK
	ctZoneOrig     = 1 << 2
	ctZoneReply    = 1 << 3
	ctZoneMark     = 1 << 4
	ctFlags        = ctNotrack | ctNotrackAlias | ctZoneOrig | ctZoneReply | ctZoneMark
)

// ct is struct xt_ct_target_info_v1; the elder one has no timeout.
type ct struct {
	flags, zone     uint16
	events, expects uint32 // bits 1<<IPCT_*, 1<<IPEXP_*
	helper, timeout string
}

// decodeCT reads revision n: 0 and 1 know no flag but notrack.
func decodeCT(n uint8) func(*Context, *reader) Extension {
	return func(_ *Context, r *reader) Extension {
		x := &ct{flags: r.u16(), zone: r.u16(), events: r.u32(), expects: r.u32(), helper: r.str(16)}
		known := uint16(ctFlags)
		if n < 2 {
			known = ctNotrack
		}
		if n > 0 {
			x.timeout = r.str(32)
		}
		if x.flags&^known != 0 {
			r.fail("flags %#x", x.flags)
		}
		return x
	}
}

// notrack is the target NOTRACK of kernels and tools that have one.
type notrack struct{}

func decodeNOTRACK(*Context, *reader) Extension { return notrack{} }

func (notrack) Statements(c *Context) []rules.Statement {
	return []rules.Statement{&rules.Notrack{Span: c.Span}}
}

func (notrack) Save(*Context, *Options) {}

// Statements follows xt_ct_target: the packet gets a template, whose zone the
// entry will have, 0 where none was given. Which one the mark gives
// (NF_CT_FLAG_MARK) is not known here: it counts as it is at conntrack's
// priority.
func (x *ct) Statements(c *Context) []rules.Statement {
	if x.flags&ctNotrack != 0 {
		return notrack{}.Statements(c)
	}
	var zone rules.Expr = &rules.Const{Data: c.u16(x.zone)}
	if x.flags&ctZoneMark != 0 {
		zone = &rules.Unrecorded{Len: 2, From: rules.FromMark}
	}
	return []rules.Statement{&rules.Assign{
		Span: c.Span, Target: rules.AssignCt, Dest: &rules.Ct{Key: rules.CtZone, Dir: x.zoneDir()}, Value: zone,
	}}
}

// zoneDir is xt_ct_flags_to_dir.
func (x *ct) zoneDir() rules.CtDir {
	switch x.flags & (ctZoneOrig | ctZoneReply) {
	case ctZoneOrig:
		return rules.CtDirOriginal
	case ctZoneReply:
		return rules.CtDirReply
	}
	return rules.CtDirNone
}

// Alias is the name by which the target was given.
func (x *ct) Alias() string {
	if x.flags&ctNotrackAlias != 0 {
		return "NOTRACK"
	}
	return "CT"
}

// ctEvents are bits of enum ip_conntrack_events, in the order in which iptables
// lists them.
var ctEvents = []struct {
	bit  uint
	name string
}{
	{0, "new"}, {1, "related"}, {2, "destroy"}, {3, "reply"}, {4, "assured"}, {5, "protoinfo"}, {6, "helper"}, {7, "mark"},
	{8, "natseqinfo"}, {9, "secmark"},
}

func (x *ct) Save(_ *Context, o *Options) {
	if x.flags&ctNotrackAlias != 0 {
		return
	}
	if x.flags&ctNotrack != 0 {
		o.Word("--notrack")
	}
	if x.helper != "" {
		o.Word("--helper", x.helper)
	}
	if x.timeout != "" {
		o.Word("--timeout", x.timeout)
	}
	if x.events != 0 {
		var names []string
		for _, e := range ctEvents {
			if x.events>>e.bit&1 != 0 {
				names = append(names, e.name)
			}
		}
		o.Word("--ctevents", strings.Join(names, ","))
	}
	if x.expects != 0 {
		name := ""
		if x.expects&1 != 0 {
			name = "new"
		}
		o.Word("--expevents", name)
	}
	x.saveZone(o)
}

func (x *ct) saveZone(o *Options) {
	if x.flags&ctZoneMark == 0 && x.zone == 0 {
		return
	}
	opt := map[rules.CtDir]string{
		rules.CtDirNone: "--zone", rules.CtDirOriginal: "--zone-orig", rules.CtDirReply: "--zone-reply",
	}[x.zoneDir()]
	id := "mark"
	if x.flags&ctZoneMark == 0 {
		id = strconv.Itoa(int(x.zone))
	}
	o.Word(opt, id)
}
