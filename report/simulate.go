package report

import (
	"slices"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/flowjson"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/query"
	"github.com/ntdiag/ntdiag/diagnose/simulate"
	"github.com/ntdiag/ntdiag/rules"
)

// Packet is a packet as it was asked for. What was not said is absent.
type Packet struct {
	Family   string      `json:"family"`
	Proto    string      `json:"proto"`
	Protonum uint8       `json:"protonum"`
	Src      string      `json:"src"`
	Dst      string      `json:"dst"`
	Sport    *uint16     `json:"sport,omitempty"`
	Dport    *uint16     `json:"dport,omitempty"`
	ICMP     *PacketICMP `json:"icmp,omitempty"`
	Iif      string      `json:"iif,omitempty"`
	Oif      string      `json:"oif,omitempty"`
	Mark     *uint32     `json:"mark,omitempty"`
	CtMark   *uint32     `json:"ct_mark,omitempty"`
	Zone     *uint32     `json:"zone,omitempty"`
	UID      *uint32     `json:"uid,omitempty"`
	GID      *uint32     `json:"gid,omitempty"`
	Priority *uint32     `json:"priority,omitempty"`
	TOS      *uint32     `json:"tos,omitempty"`
	TTL      *uint32     `json:"ttl,omitempty"`
	Length   *uint32     `json:"length,omitempty"`
	TCPFlags *uint32     `json:"tcp_flags,omitempty"`
	Invalid  bool        `json:"invalid,omitempty"` // said to be so
	// Hook is where it enters: prerouting, or output when this host sends it.
	Hook string `json:"hook"`

	asked query.Packet
}

// PacketICMP is the ICMP query of a packet; ID is absent when not said.
type PacketICMP struct {
	Type uint8   `json:"type"`
	Code uint8   `json:"code"`
	ID   *uint16 `json:"id,omitempty"`
}

func newPacket(r *simulate.Result) Packet {
	a := &r.Packet
	p := Packet{
		Family: flowjson.FamilyWord(a.Family), Proto: query.ProtoName(a.Tuple.Proto), Protonum: a.Tuple.Proto,
		Src: a.Tuple.Src.String(), Dst: a.Tuple.Dst.String(), Iif: a.Iif, Oif: a.Oif, Hook: r.Entry.String(), asked: *a,
		Mark: optional(a.Mark), CtMark: optional(a.CtMark), Zone: optional(a.Zone), UID: optional(a.UID), GID: optional(a.GID),
		Priority: optional(a.Priority), TOS: optional(a.TOS), TTL: optional(a.TTL), Length: optional(a.Length), TCPFlags: optional(a.Flags), Invalid: a.Invalid,
	}
	probe := host.Flow{Original: a.Tuple}
	switch {
	case probe.IsICMP():
		typ, code := host.ICMPTypeCode(a.Tuple)
		p.ICMP = &PacketICMP{Type: typ, Code: code}
		if !a.IDOpen {
			p.ICMP.ID = &a.Tuple.SrcPort
		}
	case probe.HasPorts():
		if !a.DportOpen {
			p.Dport = &a.Tuple.DstPort
		}
		if !a.SportOpen {
			p.Sport = &a.Tuple.SrcPort
		}
	}
	return p
}

func optional(o query.Opt) *uint32 {
	if !o.Set {
		return nil
	}
	return &o.N
}

// Rewritten is one rewrite that a packet would get.
type Rewritten struct {
	Kind string    `json:"kind"` // dnat, snat, masquerade, redirect, netmap
	Rule Rule      `json:"rule"`
	To   RewriteTo `json:"to"`
}

// RewriteTo is what an end becomes. Addr is one address, or LO-HI for a range,
// or empty when it is not known; Port is absent unless it is one.
type RewriteTo struct {
	Addr string  `json:"addr"`
	Port *uint16 `json:"port,omitempty"`
	// Ports is a range, LO-HI; PortRule says how the kernel comes by the port:
	// fixed, stays, kept unless taken, from the range, random, not known.
	Ports    string `json:"ports,omitempty"`
	PortRule string `json:"port_rule,omitempty"`
}

// Outcome is one way that a packet can end.
type Outcome struct {
	Certain     bool       `json:"certain"`
	Probability *float64   `json:"probability,omitempty"`
	DNAT        *Rewritten `json:"dnat"`
	SNAT        *Rewritten `json:"snat"`
	Verdict     string     `json:"verdict"`
	// By is the rule that ended it, Why what else did.
	By        *Rule    `json:"by,omitempty"`
	Policy    string   `json:"policy,omitempty"` // family table chain whose policy ended it
	Why       string   `json:"why,omitempty"`
	When      []string `json:"when,omitempty"`
	In        string   `json:"in,omitempty"`
	Out       string   `json:"out,omitempty"`
	Local     bool     `json:"local,omitempty"`
	Untracked bool     `json:"untracked,omitempty"`

	// Invalid: conntrack takes it for invalid.
	Invalid bool `json:"invalid,omitempty"`

	outcome simulate.Outcome
}

// Expected is one expectation and whether it holds.
type Expected struct {
	Expect string `json:"expect"`
	Holds  bool   `json:"holds"`
	Got    string `json:"got,omitempty"`
}

// Simulation is the answer for one packet.
type Simulation struct {
	Packet   Packet    `json:"packet"`
	Outcomes []Outcome `json:"outcomes"`
	// Otherwise are outcomes had what was assumed been otherwise.
	Otherwise []Outcome  `json:"otherwise,omitempty"`
	More      bool       `json:"more,omitempty"`
	Assumed   []string   `json:"assumed"`
	Unknown   []string   `json:"unknown"`
	Not       []Miss     `json:"not"`
	Expect    []Expected `json:"expect,omitempty"`
	Path      []Step     `json:"path"`

	// notrack is the rule that keeps the packet from conntrack, nil when none
	// does.
	notrack *Rule
}

// Simulate is the document of `simulate`.
type Simulate struct {
	Header
	Query string `json:"query"`
	// Entry is one that is there for this very tuple: packets that have it
	// follow the entry.
	Entry *Flow `json:"entry,omitempty"`
	Simulation
}

// NewSimulation describes r.
func NewSimulation(r *simulate.Result) Simulation {
	out := Simulation{
		Packet: newPacket(r), Outcomes: []Outcome{}, More: r.More, Not: []Miss{}, Path: []Step{},
		Assumed: append([]string{}, r.Assumed...), Unknown: append([]string{}, r.Unknown...),
	}
	for i := range r.Outcomes {
		out.Outcomes = append(out.Outcomes, newOutcome(&r.Outcomes[i]))
	}
	for i := range r.Otherwise {
		out.Otherwise = append(out.Otherwise, newOutcome(&r.Otherwise[i]))
	}
	for _, m := range r.Not {
		out.Not = append(out.Not, Miss{NewRule(m.Rule), m.Why})
	}
	for i := range r.Path {
		out.Path = append(out.Path, newStep(&r.Path[i]))
		if by := r.Path[i].Rule; out.notrack == nil && r.Path[i].Result == "match" && by != nil && slices.ContainsFunc(by.Statements, isNotrack) {
			rule := NewRule(by)
			out.notrack = &rule
		}
	}
	return out
}

func isNotrack(s rules.Statement) bool {
	_, ok := s.(*rules.Notrack)
	return ok
}

func newOutcome(o *simulate.Outcome) Outcome {
	out := Outcome{
		Certain: o.Certain, DNAT: newRewritten(o.DNAT), SNAT: newRewritten(o.SNAT), Verdict: string(o.Verdict),
		Why: o.Why, When: o.When, In: o.In, Out: o.Out, Local: o.Local, Untracked: o.Untracked, Invalid: o.Invalid, outcome: *o,
	}
	if o.Stated {
		out.Probability = &o.Probability
	}
	if o.By != nil {
		r := NewRule(o.By)
		out.By = &r
	}
	if o.Chain != nil {
		out.Policy = chainName(o.Chain)
	}
	return out
}

func chainName(c *rules.Chain) string {
	return c.Table.Family.String() + " " + c.Table.Name + " " + c.Name
}

func newRewritten(n *simulate.NAT) *Rewritten {
	if n == nil {
		return nil
	}
	out := &Rewritten{Kind: n.Kind, Rule: NewRule(n.Rule), To: RewriteTo{Addr: n.To.Addrs(), PortRule: string(n.To.Port)}}
	switch {
	case !n.To.HasPort:
	case n.To.PortLo == n.To.PortHi:
		out.To.Port = &n.To.PortLo
	default:
		out.To.Ports = n.To.Ports()
	}
	return out
}

// maxInstead bounds the outcomes named where an expectation does not hold.
const maxInstead = 3

// Check holds the expectations against the outcomes.
func Check(r *simulate.Result, wants []simulate.Expectation) []Expected {
	var out []Expected
	for i := range wants {
		holds, instead := wants[i].Check(r)
		e := Expected{Expect: wants[i].Text, Holds: holds}
		if !holds {
			e.Got = insteadText(r, &wants[i], instead)
		}
		out = append(out, e)
	}
	return out
}

// insteadText is what the outcomes are in place of want; outcomes that read
// alike are one.
func insteadText(r *simulate.Result, want *simulate.Expectation, instead []*simulate.Outcome) string {
	icmp := newPacket(r).ICMP != nil
	var texts []string
	odds := map[string]*float64{}
	for _, o := range instead {
		x := newOutcome(o)
		text := gotText(&x, want.End(), icmp)
		had, ok := odds[text]
		switch {
		case !ok:
			texts = append(texts, text)
			odds[text] = x.Probability
		case had == nil || x.Probability == nil:
			odds[text] = nil
		default:
			sum := *had + *x.Probability
			odds[text] = &sum
		}
	}
	for i, text := range texts {
		if p := odds[text]; p != nil && *p < 1-1e-6 {
			texts[i] += " (" + percent(*p) + ")"
		}
	}
	text := strings.Join(texts[:min(len(texts), maxInstead)], "; or ")
	if rest := len(texts) - maxInstead; rest > 0 {
		text += "; and " + counted(rest, "other outcome", "other outcomes")
	}
	return text
}

// gotText is an outcome, or only its rewrite of one end where nothing ended it.
func gotText(o *Outcome, end string, icmp bool) string {
	if end == "" || endingText(o) != "" {
		return outcomeText(o, icmp)
	}
	one := withoutSource(*o)
	if end == "snat" {
		one = withoutDestination(*o)
	}
	if text := natText(&one, icmp, true); text != "" {
		return text
	}
	return "no " + end
}
