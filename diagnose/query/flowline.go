package query

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// Event is what a line of conntrack -E says of its entry, EventNone in a
// listing.
type Event uint8

// The events.
const (
	EventNone Event = iota
	EventNew
	EventUpdate
	EventDestroy
)

var eventWords = map[string]Event{"NEW": EventNew, "UPDATE": EventUpdate, "DESTROY": EventDestroy}

// IsFlowLine tells whether a line looks like one that ParseFlow reads.
func IsFlowLine(s string) bool { return isConntrack(strings.Fields(s)) }

// ParseFlow reads a line of conntrack -L, in all its forms, of conntrack -E or
// of /proc/net/nf_conntrack. What the line does not tell is absent in Has. Of
// the status a line shows SEEN_REPLY, ASSURED and OFFLOAD; an entry that is
// listed is confirmed; and SRC_NAT and DST_NAT are those of the tuples, with
// NAT taken for done, as it is for every entry that is made while NAT is in use.
func ParseFlow(s string) (host.Flow, Event, error) {
	p := &flowLine{words: strings.Fields(s)}
	if !isConntrack(p.words) {
		return p.f, EventNone, errors.New("not a line of conntrack: it has not two tuples")
	}
	if len(s) > maxText {
		return p.f, EventNone, fmt.Errorf("longer than %d bytes", maxText)
	}
	p.head()
	for _, w := range p.words {
		p.word(w)
	}
	p.finish()
	return p.f, p.event, p.err
}

// flowLine is a line while it is read.
type flowLine struct {
	words     []string
	f         host.Flow
	event     Event
	proto     uint8
	tuple     int // which of the two the words are of: 0 before the first
	unreplied bool
	icmp      [2][3]string // type, code and id of each tuple
	err       error
}

func (p *flowLine) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf(format, args...)
	}
}

// head reads what stands before the first tuple: the family and the protocol,
// each with its number, then the timeout and the state.
func (p *flowLine) head() {
	at := slices.IndexFunc(p.words, func(w string) bool { return strings.HasPrefix(strings.TrimLeft(w, "["), "src=") })
	head := p.words[:at]
	p.words = p.words[at:]
	for i := 0; i < len(head); i++ {
		w := head[i]
		if e := strings.Trim(w, "[]"); w != e {
			if ev, ok := eventWords[e]; ok {
				p.event = ev
			}
			continue // or a time, of -o timestamp
		}
		switch n, known := protoByName(w); {
		case w == "ipv4" || w == "ipv6":
			i++ // AF_INET, AF_INET6
		case known && p.proto == 0 || w == "unknown":
			if w == "unknown" && i+1 < len(head) {
				m, err := ParseProto(head[i+1])
				if err != nil {
					p.fail("%w", err)
				}
				n = m
			}
			p.proto = n
			p.afterProto(head[i+1:])
			return
		}
	}
	p.fail("no protocol")
}

// afterProto reads the protocol's number, the timeout and the state.
func (p *flowLine) afterProto(w []string) {
	if len(w) > 0 && digits(w[0]) {
		w = w[1:]
	}
	if len(w) > 0 && digits(w[0]) {
		n, err := strconv.ParseUint(w[0], 10, 32)
		if err != nil {
			p.fail("timeout %s", w[0])
		}
		p.f.Timeout = uint32(n)
		p.f.Has |= host.HasTimeout
		w = w[1:]
	}
	if len(w) > 0 && !strings.HasPrefix(w[0], "[") {
		p.state(w[0])
	}
}

// state is that of the protocol's tracker.
func (p *flowLine) state(w string) {
	names, has := host.TCPStates[:], host.HasTCPState
	switch p.proto {
	case host.ProtoTCP:
	case host.ProtoSCTP:
		names, has = host.SCTPStates[:], host.HasSCTPState
	default:
		return
	}
	i := slices.Index(names, w)
	if i < 0 {
		return
	}
	p.f.Has |= has
	if p.proto == host.ProtoTCP {
		p.f.TCPState = uint8(i)
	} else {
		p.f.L4State = uint8(i)
	}
}

// word reads one word of the tuples and of what follows them.
func (p *flowLine) word(w string) {
	switch w {
	case "[UNREPLIED]":
		p.unreplied = true
	case "[ASSURED]":
		p.f.Status |= host.StatusAssured
	case "[OFFLOAD]":
		p.f.Status |= host.StatusOffload
	case "[HW_OFFLOAD]":
		p.f.Status |= host.StatusOffload | host.StatusHWOffload
	}
	k, v, ok := strings.Cut(strings.Trim(w, "[],;"), "=")
	if !ok {
		return
	}
	if k == "src" {
		p.tuple++
	}
	if p.tuple > 2 {
		p.fail("more than two tuples")
		return
	}
	if set := tupleKeys[k]; set != nil && p.tuple > 0 {
		set(p, v)
	} else if set := entryKeys[k]; set != nil {
		set(p, v)
	}
}

// at is the tuple that the words are of.
func (p *flowLine) at() *rules.Tuple {
	if p.tuple == 2 {
		return &p.f.Reply
	}
	return &p.f.Original
}

func (p *flowLine) addr(v string) netip.Addr {
	a, err := netip.ParseAddr(v)
	if err != nil || a.Zone() != "" {
		p.fail("bad address %q", v)
	}
	return a
}

func (p *flowLine) number(what, v string, bits int) uint32 {
	n, err := number(what, v, bits)
	if err != nil {
		p.fail("%w", err)
	}
	return n
}

func (p *flowLine) counts(v string, packets bool) {
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil {
		p.fail("bad count %q", v)
	}
	c := &p.f.Orig
	if p.tuple == 2 {
		c = &p.f.Repl
	}
	p.f.Has |= host.HasCounters
	if packets {
		c.Packets = n
	} else {
		c.Bytes = n
	}
}

// hexKey: keys of GRE are printed in hexadecimal.
func (p *flowLine) hexKey(v string) uint16 { return uint16(p.number("GRE key", v, 16)) }

// tupleKeys are the fields of a tuple, with the counters of its direction. Of
// ICMP the id comes behind type and code, and once more for the entry's own.
var tupleKeys = map[string]func(*flowLine, string){
	"src":     func(p *flowLine, v string) { p.at().Src = p.addr(v) },
	"dst":     func(p *flowLine, v string) { p.at().Dst = p.addr(v) },
	"sport":   func(p *flowLine, v string) { p.at().SrcPort = uint16(p.number("port", v, 16)) },
	"dport":   func(p *flowLine, v string) { p.at().DstPort = uint16(p.number("port", v, 16)) },
	"srckey":  func(p *flowLine, v string) { p.at().SrcPort = p.hexKey(v) },
	"dstkey":  func(p *flowLine, v string) { p.at().DstPort = p.hexKey(v) },
	"type":    func(p *flowLine, v string) { p.icmp[p.tuple-1][0] = v },
	"code":    func(p *flowLine, v string) { p.icmp[p.tuple-1][1] = v },
	"id":      (*flowLine).idOf,
	"packets": func(p *flowLine, v string) { p.counts(v, true) },
	"bytes":   func(p *flowLine, v string) { p.counts(v, false) },
}

func (p *flowLine) idOf(v string) {
	if one := &p.icmp[p.tuple-1]; one[0] != "" && one[2] == "" {
		one[2] = v
		return
	}
	p.f.ID = p.number("id", v, 32)
	p.f.Has |= host.HasID
}

// entryKeys are the fields of the entry. The time when it began is printed for
// people, in the machine's own zone of time, and left out.
var entryKeys = map[string]func(*flowLine, string){
	"mark": func(p *flowLine, v string) {
		p.f.Mark = p.number("mark", v, 32)
		p.f.Has |= host.HasMark
	},
	"secctx": func(p *flowLine, v string) {
		p.f.Secctx = v
		p.f.Has |= host.HasSecctx
	},
	"use": func(p *flowLine, v string) {
		p.f.Use = p.number("use", v, 32)
		p.f.Has |= host.HasUse
	},
	"helper": func(p *flowLine, v string) {
		p.f.Helper = v
		p.f.Has |= host.HasHelper
	},
	"zone": func(p *flowLine, v string) { p.f.Zone = uint16(p.number("zone", v, 16)) },
	"zone-orig": func(p *flowLine, v string) {
		p.f.Zone = uint16(p.number("zone", v, 16))
		p.f.Has |= host.HasZoneOrig
	},
	"zone-reply": func(p *flowLine, v string) {
		p.f.Zone = uint16(p.number("zone", v, 16))
		p.f.Has |= host.HasZoneReply
	},
}

// finish fits the parts together.
func (p *flowLine) finish() {
	f := &p.f
	if p.tuple != 2 {
		p.fail("%d tuples, of two", p.tuple)
	}
	f.Original.Proto, f.Reply.Proto = p.proto, p.proto
	f.Family = familyOf(f.Original.Src)
	for _, a := range []netip.Addr{f.Original.Src, f.Original.Dst, f.Reply.Src, f.Reply.Dst} {
		if p.err == nil && (!a.IsValid() || familyOf(a) != f.Family) {
			p.fail("addresses of two families, or none")
		}
	}
	if six := f.Family == rules.FamilyIPv6; p.proto == host.ProtoICMP && six || p.proto == host.ProtoICMPv6 && !six {
		p.fail("%s between addresses of the other family", ProtoName(p.proto))
	}
	for i, t := range []*rules.Tuple{&f.Original, &f.Reply} {
		if p.proto == host.ProtoICMP || p.proto == host.ProtoICMPv6 {
			t.DstPort = uint16(p.number("ICMP type", p.icmp[i][0], 8)<<8 | p.number("ICMP code", p.icmp[i][1], 8))
			t.SrcPort = uint16(p.number("ICMP id", p.icmp[i][2], 16))
		}
	}
	if !p.unreplied {
		f.Status |= host.StatusSeenReply
	}
	f.Status |= host.StatusConfirmed | host.StatusSrcNATDone | host.StatusDstNATDone
	if p.event == EventDestroy {
		f.Status |= host.StatusDying
	}
	src, dst := Rewritten(f)
	if src {
		f.Status |= host.StatusSrcNAT
	}
	if dst {
		f.Status |= host.StatusDstNAT
	}
}
