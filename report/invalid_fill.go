package report

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/flowjson"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/invalid"
	"github.com/ntdiag/ntdiag/diagnose/query"
)

// InvalidInput is what a document of `invalid` is made of.
type InvalidInput struct {
	Case      *invalid.Case
	Diagnosis *invalid.Diagnosis
	MaxFlows  int // of one message
	Limits    []string
	// Absent are the messages that name devices that are not here, and
	// AbsentDevices how many name each; nil for none.
	Absent        *invalid.Tally
	AbsentDevices map[string]uint64
}

// Fill makes verdict, messages and counters of in.
func (d *Invalid) Fill(in *InvalidInput) {
	d.Messages, d.Counters = []InvalidMessage{}, []InvalidCounter{}
	d.Verdict = newInvalidVerdict(in.Diagnosis)
	d.Limits = in.Limits
	if n := len(in.Diagnosis.Of); in.Diagnosis.Unseen > 0 && n > 0 {
		d.Limits = append(d.Limits, fmt.Sprintf("%d flows, those with most packets, were taken through the rules; %s of others were not", n, packets(in.Diagnosis.Unseen)))
	}
	if in.Absent != nil {
		d.Absent = newInvalidAbsent(in)
	}
	for _, g := range in.Case.Groups {
		d.Messages = append(d.Messages, newInvalidMessage(g, in))
	}
	for i := range in.Case.Accounts {
		d.Counters = append(d.Counters, newInvalidCounter(&in.Case.Accounts[i]))
	}
}

// newInvalidAbsent fills in what is nobody's here: nothing is looked up.
func newInvalidAbsent(in *InvalidInput) *InvalidAbsent {
	out := &InvalidAbsent{Count: in.Absent.Messages, Devices: []InvalidSeen{}, Messages: []InvalidMessage{}}
	for name, n := range in.AbsentDevices {
		out.Devices = append(out.Devices, InvalidSeen{name, n})
	}
	slices.SortFunc(out.Devices, func(a, b InvalidSeen) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Name, b.Name)) })
	bare := &InvalidInput{Case: &invalid.Case{Kernel: in.Case.Kernel}, Diagnosis: &invalid.Diagnosis{}, MaxFlows: in.MaxFlows}
	for _, g := range in.Absent.Groups() {
		out.Messages = append(out.Messages, newInvalidMessage(g, bare))
	}
	return out
}

func newInvalidVerdict(x *invalid.Diagnosis) InvalidVerdict {
	v := InvalidVerdict{Invalid: x.Invalid, Accepted: x.Accepted, Unknown: x.Unknown, Unseen: x.Unseen, Unclear: x.Unclear, Fates: []InvalidFate{}, Causes: []InvalidCause{}}
	v.Unlogged = newInvalidUnlogged(&x.Unlogged)
	if len(x.Fates) > 0 {
		v.Harm = string(x.Harm())
	}
	if x.Drop != nil {
		v.Drop = &InvalidFix{x.Drop.Do, x.Drop.Cost}
	}
	for i := range x.Fates {
		v.Fates = append(v.Fates, newInvalidFate(&x.Fates[i]))
	}
	for _, c := range x.Causes {
		out := InvalidCause{Name: c.Name, Text: c.Text, Likely: c.Likely, Evidence: append([]string{}, c.Evidence...), Fixes: []InvalidFix{}, Packets: c.Packets, Reasons: append([]string{}, c.Reasons...)}
		for _, f := range c.Fixes {
			out.Fixes = append(out.Fixes, InvalidFix{f.Do, f.Cost})
		}
		v.Causes = append(v.Causes, out)
	}
	return v
}

func newInvalidUnlogged(u *invalid.Unlogged) *InvalidUnlogged {
	if u.Packets() == 0 {
		return nil
	}
	out := &InvalidUnlogged{Invalid: u.Invalid, Dropped: u.Dropped, Causes: []InvalidSilent{}, Likely: u.Likely() != nil}
	for _, s := range u.Silent {
		out.Causes = append(out.Causes, InvalidSilent{s.What, s.Cause, s.Fix, s.Because})
	}
	return out
}

func newInvalidFate(f *invalid.FateSum) InvalidFate {
	out := InvalidFate{
		Fate: string(f.Fate), Packets: f.Packets, Flows: len(f.Flows), Certain: f.Certain, Why: f.Why, Out: f.Out, Source: f.Source,
		Example: newInvalidPacket(&f.Flows[0].Packet, f.Flows[0].Inner),
	}
	if f.By != nil {
		r := NewRule(f.By)
		out.By = &r
	} else if f.Chain != nil {
		out.Policy = chainName(f.Chain)
	}
	if f.Rule != nil {
		r := NewRule(f.Rule)
		out.MissedRule = &r
	}
	probe := host.Flow{}
	probe.Original, _ = f.Flows[0].Packet.Tuple()
	for _, r := range f.Missed {
		m := InvalidMissed{Kind: r.Manip.String(), From: newEndpoint(&probe, r.From)}
		if r.To.Addr.IsValid() {
			m.To = newEndpoint(&probe, r.To)
		}
		out.Missed = append(out.Missed, m)
	}
	for _, m := range f.May {
		out.May = append(out.May, string(m))
	}
	return out
}

func newInvalidMessage(g *invalid.Group, in *InvalidInput) InvalidMessage {
	k := in.Case.Kernel
	m := InvalidMessage{
		Reason: reasonName(g), Text: g.Text, Proto: groupProto(g), Count: g.Count, First: stamp(g.First), Last: stamp(g.Last),
		Counter: "none", Accepted: g.Accepted(k), Flows: []InvalidFlow{}, Sent: g.Sent, group: g,
		In: newSeen(g.In), Out: newSeen(g.Out), Senders: newSeen(g.Senders),
	}
	for i, c := range g.Moved(k) {
		if i == 0 {
			m.Counter = c
		} else {
			m.Also = c
		}
	}
	if r := g.Reason; r != nil {
		m.Again, m.Cause, m.Check, m.Fix, m.Cost = r.Again, r.Cause, r.Check, r.Fix, r.Cost
	}
	for i := range g.Variants {
		m.Variants = append(m.Variants, InvalidSeen{g.Variants[i].String(), g.Variants[i].N})
	}
	m.Others = g.Packets()
	flows := g.Flows()
	for _, f := range flows[:min(len(flows), in.MaxFlows)] {
		m.Others -= f.Count
		m.Flows = append(m.Flows, newInvalidFlow(f, in))
	}
	return m
}

func reasonName(g *invalid.Group) string {
	if g.Reason == nil {
		return "unknown"
	}
	return g.Reason.Name
}

func groupProto(g *invalid.Group) string {
	if g.Proto == 0 {
		return ""
	}
	return query.ProtoName(g.Proto)
}

func stamp(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func newSeen(all []invalid.Seen) []InvalidSeen {
	var out []InvalidSeen
	for _, s := range all {
		out = append(out, InvalidSeen{s.Name, s.N})
	}
	return out
}

func newInvalidFlow(f *invalid.Flow, in *InvalidInput) InvalidFlow {
	out := InvalidFlow{Packet: newInvalidPacket(&f.Packet, f.Inner), Count: f.Count, AtLeast: f.AtLeast(), First: stamp(f.First), Last: stamp(f.Last), In: f.In, Out: f.Out, PhysIn: f.PhysIn}
	if f.HasMAC {
		out.MAC = macText(f.SrcMAC)
	}
	if c := in.Diagnosis.Of[f]; c != nil {
		out.Fate = string(c.Fate)
	}
	found := in.Case.Found[f]
	if e := found.One(); e != nil {
		out.Flow = &Flow{e.Flow}
		out.As, out.Odd, out.Younger = e.As(), e.Fit.Odd(), e.Younger
		if x := e.Made; x != nil {
			for i := range x.Rewrites {
				out.Rewrites = append(out.Rewrites, newRewrite(&e.Flow, &x.Rewrites[i]))
			}
			out.Rule = ruleOf(out.Rewrites)
		}
	} else if found != nil {
		for i := range found.Entries {
			out.Entries = append(out.Entries, Flow{found.Entries[i].Flow})
		}
	}
	return out
}

// ruleOf is the rule behind the first rewrite that one rule made.
func ruleOf(all []Rewrite) *Rule {
	for i := range all {
		if len(all[i].Rules) == 1 {
			return &all[i].Rules[0]
		}
	}
	return nil
}

func macText(m [6]byte) string {
	const digits = "0123456789abcdef"
	b := make([]byte, 0, 17)
	for i, c := range m {
		if i > 0 {
			b = append(b, ':')
		}
		b = append(b, digits[c>>4], digits[c&15])
	}
	return string(b)
}

func newInvalidPacket(p, quoted *invalid.Packet) InvalidPacket {
	out := InvalidPacket{Family: flowjson.FamilyWord(p.Family), Proto: query.ProtoName(p.Proto), Protonum: p.Proto, text: p.String()}
	if p.Src.IsValid() {
		out.Src, out.Dst = p.Src.String(), p.Dst.String()
	}
	if p.Has&invalid.HasPorts != 0 {
		out.Sport, out.Dport = &p.SPort, &p.DPort
	}
	if p.Has&invalid.HasICMP != 0 {
		out.ICMP = &PacketICMP{Type: p.ICMPType, Code: p.ICMPCode}
		if p.Has&invalid.HasICMPID != 0 {
			out.ICMP.ID = &p.ICMPID
		}
	}
	if p.Has&invalid.HasTCP != 0 {
		out.TCPFlags = &p.TCPFlags
	}
	if p.Has&invalid.HasMark != 0 {
		out.Mark = &p.Mark
	}
	if p.Has&invalid.HasUID != 0 {
		out.UID = &p.UID
	}
	if quoted != nil {
		q := newInvalidPacket(quoted, nil)
		out.Quotes = &q
	}
	return out
}

func newInvalidCounter(a *invalid.Account) InvalidCounter {
	out := InvalidCounter{Counter: a.Counter, Delta: a.Delta, SinceBoot: a.Total, Explained: a.Explained, Over: a.Over, SilentCauses: []string{}, account: a}
	for _, p := range a.Parts {
		out.Parts = append(out.Parts, InvalidPart{reasonName(p.Group), p.N})
	}
	for _, s := range a.Silent {
		out.SilentCauses = append(out.SilentCauses, s.What+": "+s.Cause)
	}
	return out
}
