//go:build linux

package explain_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/diagnose/query"
	"github.com/ntdiag/ntdiag/diagnose/simulate"
	"github.com/ntdiag/ntdiag/rules"
)

// What a simulation is worth: the kernel did what the one outcome says, and
// that was certain; it did, and something had been assumed; it did what one of
// several says; it did something else.
const (
	certain outcome = "certain"
	assumed outcome = "assumed"
	several outcome = "several"
)

// TestProveSimulate simulates random packets on random rulesets before they are
// sent, and holds the outcomes against the kernel's own trace and entries.
func TestProveSimulate(t *testing.T) {
	eachSeed(t, short, newTally(certain, assumed, several, wrong), proveSimulate)
}

// proveSimulate plays one ruleset. In every second one all is said of the
// packets that can be said.
func proveSimulate(t *testing.T, seed uint64, total *tally) {
	g := newGenerator(seed)
	calm := []string{"net.ipv4.conf.all.send_redirects=0", "net.ipv4.conf.c0.send_redirects=0", "net.ipv4.conf.s0.send_redirects=0"}
	c := &oracleCase{outside: "s0", sysctl: calm}
	given := g.proveRules(seed)
	r := &oracleRun{oracleCase: c, tracer: proveTracer, prove: append(g.flows(flowsPerCase), g.strays()...)}
	r.unrouted = map[rules.Tuple]bool{}
	routing := g.routing()
	answers := map[rules.Tuple]*simulate.Result{}
	var now *host.Snapshot
	r.before = func(r *oracleRun) error {
		if err := routing.set(r.net.Router); err != nil {
			return err
		}
		if err := r.capture(); err != nil {
			return err
		}
		now = r.snapshot
		sim := simulate.New(now)
		for _, f := range r.prove {
			x, err := sim.Simulate(asked(f, seed%2 == 0 || f.stray()))
			if err != nil {
				return err
			}
			answers[f.Tuple] = x
		}
		return nil
	}
	if err := r.playProve(t, given); err != nil {
		t.Errorf("the case itself: %v\n%s%s", err, given, againSimulate(seed))
		return
	}
	var bad []string
	made := 0
	for i, f := range r.prove {
		k := r.happened(f, i+1, now)
		if r.unrouted[f.Tuple] {
			if why := unroutable(answers[f.Tuple]); why != "" {
				bad = append(bad, fmt.Sprintf("%s: %s\n%s", f, why, printSimulation(answers[f.Tuple])))
				total.count("not routed", wrong)
			}
			continue
		}
		if k == nil {
			continue
		}
		k.blind = given.legacy() && k.entry == nil
		k.lastLegacy(r.xtEvents, i+1)
		made++
		x := answers[f.Tuple]
		why := k.among(x)
		o := several
		switch {
		case why != "":
			o = wrong
			bad = append(bad, fmt.Sprintf("%s: %s\n%s  kernel's trace:\n%s", f, why, printSimulation(x), printTrace(k.events, 0)+printXTTrace(r.xtEvents, i+1)))
		case len(x.Outcomes) == 1 && x.Outcomes[0].Certain:
			o = certain
		case len(x.Outcomes) == 1:
			o = assumed
		}
		total.count(k.kind(r), o)
	}
	total.played(len(r.prove), made)
	if len(bad) > 0 {
		t.Errorf("%s\nruleset:\n%s%s", strings.Join(bad, "\n"), r.listing+given.String()+routing.String(), againSimulate(seed))
	}
}

func againSimulate(seed uint64) string {
	return fmt.Sprintf("again: make prove-simulate SEED=%d N=1", seed)
}

// asked is the packet of f as it is sent; where not all is said, it is left to
// what is assumed.
func asked(f proveFlow, all bool) query.Packet {
	p := query.Packet{Text: f.String(), Family: rules.FamilyIPv4, Tuple: f.Tuple}
	length := uint32(20 + 20)
	if f.Src.Is6() {
		p.Family, length = rules.FamilyIPv6, 40+20
	}
	if !all {
		return p
	}
	set := func(n uint32) query.Opt { return query.Opt{N: n, Set: true} }
	p.Mark, p.TTL, p.Length, p.TOS, p.TOSMask = set(0), set(64), set(length), set(0), 0xff
	switch f.host {
	case "client":
		p.Iif = "c0"
	case "server":
		p.Iif = "s0"
	default:
		p.UID, p.GID = set(0), set(0)
	}
	return p
}

// happening is what the kernel did with one packet.
type happening struct {
	events []lab.TraceEvent // in its own order, but for the tracer's
	// tracked is unknown when no chain saw it after conntrack, and it has no
	// entry.
	tracked rules.Truth
	entry   *host.Flow // nil when none was confirmed
	ran     [2]*ruleID // the NAT rules, by manip
	drop    *lab.TraceEvent
	// blind: which rules of iptables-legacy ran cannot be told without an entry.
	blind bool
	// last is what iptables-legacy traced last, a rule that drops perhaps.
	last *lab.XTTraceEvent
	all  map[uint32]*host.Flow // every entry of the case
	in   string                // device that it was sent to, "" for the router's own
	out  string                // device at postrouting, "" when no chain saw it there
}

// happened reads the trace for the packet of f, nil when it was not sent.
func (r *oracleRun) happened(f proveFlow, number int, s *host.Snapshot) *happening {
	b := packetOf(f.Tuple, number)
	n := 20
	if f.Src.Is6() {
		n = 40
	}
	want, k := headersOf(b[:n], b[n:]), &happening{in: map[string]string{"client": "c0", "server": "s0"}[f.host]}
	from := slices.IndexFunc(r.events, func(e lab.TraceEvent) bool {
		return e.First && e.Table == "tracer" && headersOf(e.Network, e.Trans) == want
	})
	if from < 0 {
		return nil
	}
	packet, id := r.events[from].Packet, uint32(0)
	for _, e := range r.entries {
		if e.Original == f.Tuple {
			k.tracked, id = rules.Yes, e.ID
		}
	}
	k.all = r.entries
	for _, e := range r.events[from:] {
		if host.Status(e.CtStatus).Has(host.StatusTemplate) {
			e.HasCt = false // the zone of an entry to come
		}
		if e.Packet != packet && (k.tracked != rules.Yes || !e.HasCt || e.CtID != id || e.CtDir != 0) {
			continue
		}
		switch c := chainOf(s, &e); {
		case e.HasCt:
			k.tracked, id = rules.Yes, e.CtID
		case e.First && c != nil && c.EffectivePriority() > -200 && k.tracked == rules.Unknown:
			k.tracked = rules.No
		}
		if e.Table != "tracer" {
			k.events = append(k.events, e)
		}
	}
	for i := range k.events {
		e := &k.events[i]
		switch c := chainOf(s, e); {
		case k.drop == nil && (e.Type == 3 && e.Verdict == 0 || e.Type == 1 && e.Policy == 0):
			k.drop = e
		case e.First && e.Oif != 0 && c != nil && c.Base.Hook == rules.Postrouting:
			if l, ok := s.LinkByIndex(e.Oif); ok && k.out == "" {
				k.out = l.Name
			}
		}
	}
	if k.tracked == rules.Yes {
		k.entry = r.entries[id]
		if v := r.verdicts[id]; v != nil {
			k.ran = v.rule
		}
	}
	return k
}

// chainOf is the base chain of an event, nil when it is none.
func chainOf(s *host.Snapshot, e *lab.TraceEvent) *rules.Chain {
	for _, t := range s.Rules.Tables {
		if t.Name == e.Table && t.Family == rules.Family(e.Family) {
			if c := t.Chain(e.Chain); c != nil && c.Base != nil {
				return c
			}
		}
	}
	return nil
}

// unroutable says why a packet that the router refused to send was to be sent.
func unroutable(x *simulate.Result) string {
	for i := range x.Outcomes {
		if o := &x.Outcomes[i]; o.Verdict == simulate.VerdictDrop && o.By == nil {
			return ""
		}
	}
	return "no outcome is that it has no route"
}

// among says why no outcome is what happened, "" when one is.
func (k *happening) among(x *simulate.Result) string {
	var why []string
	for i := range x.Outcomes {
		reason := k.differs(&x.Outcomes[i])
		if reason == "" && k.elsewhere(x) {
			return "" // the path is that by the device assumed
		}
		if reason == "" {
			return k.looked(x)
		}
		why = append(why, reason)
	}
	if x.More {
		return ""
	}
	for i := range x.Otherwise {
		// other packets of the case may have taken the port; and what was
		// assumed of the device need not be so
		o := &x.Otherwise[i]
		if (slices.Contains(o.When, "the source port is taken") || k.otherDevice(x, o)) && k.differs(o) == "" {
			return ""
		}
	}
	return "no outcome is what happened: " + strings.Join(why, "; ")
}

// otherDevice tells whether the packet came in by the device of o, where
// another was assumed.
func (k *happening) otherDevice(x *simulate.Result, o *simulate.Outcome) bool {
	return o.In == k.in && !o.Certain && k.elsewhere(x)
}

// elsewhere tells whether the packet came in by another device than was
// assumed.
func (k *happening) elsewhere(x *simulate.Result) bool {
	return k.in != "" && slices.ContainsFunc(x.Assumed, func(a string) bool {
		return strings.HasPrefix(a, "iif ") && !strings.HasPrefix(a, "iif "+k.in+" ")
	})
}

// differs says what of an outcome is not what happened.
func (k *happening) differs(o *simulate.Outcome) string {
	gone := k.tracked == rules.Yes && k.entry == nil || k.drop != nil || k.endedBy(o)
	switch {
	case k.tracked == rules.Unknown && k.drop == nil:
		if k.joins(o) {
			return ""
		}
		if o.Verdict == simulate.VerdictAccept && !o.Untracked {
			return "verdict accept, and there is no entry"
		}
	case k.tracked != rules.Unknown && o.Untracked == (k.tracked == rules.Yes):
		return fmt.Sprintf("untracked %v", o.Untracked)
	case gone != (o.Verdict != simulate.VerdictAccept):
		return fmt.Sprintf("verdict %s", o.Verdict)
	case k.drop != nil && (o.By == nil && o.Chain == nil || o.By != nil && o.By.Handle != k.drop.Handle):
		return fmt.Sprintf("dropped by %s, kernel by handle %d", describe(o.By), k.drop.Handle)
	case k.blind:
		return ""
	case !isRule(o.DNAT, k.ran[rules.ManipDst]):
		return "another dnat rule"
	case !isRule(o.SNAT, k.ran[rules.ManipSrc]):
		return "another snat rule"
	case !gone && k.out != "" && o.Out != "" && o.Out != k.out:
		return fmt.Sprintf("out by %s, kernel by %s", o.Out, k.out)
	case !gone && k.entry != nil:
		return k.otherEnds(o)
	}
	return ""
}

// joins tells whether a rule before conntrack made the packet one of another
// flow of the case, whose entry it then met.
func (k *happening) joins(o *simulate.Outcome) bool {
	for _, e := range k.all {
		src, dst := o.Original[rules.ManipSrc], o.Original[rules.ManipDst]
		if src.Lo == e.Original.Src && dst.Lo == e.Original.Dst && src.PortLo == e.Original.SrcPort && dst.PortLo == e.Original.DstPort {
			return true
		}
	}
	return false
}

func (k *happening) lastLegacy(events []lab.XTTraceEvent, number int) {
	for i := range events {
		if packetNumber(events[i].Payload) == number {
			k.last = &events[i]
		}
	}
}

// endedBy tells whether the packet was last seen at the rule of
// iptables-legacy that ends it by o: one that comes back over lo has its entry
// by then.
func (k *happening) endedBy(o *simulate.Outcome) bool {
	return k.last != nil && o.By != nil && o.By.Handle == 0 && k.last.Kind == "rule" &&
		k.last.Table == o.By.Chain.Table.Name && k.last.Chain == o.By.Chain.Name && k.last.Position == o.By.Position
}

func isRule(n *simulate.NAT, id *ruleID) bool {
	if n == nil || id == nil {
		return n == nil && id == nil
	}
	return id.is(n.Rule)
}

// otherEnds compares the entry's rewrite.
func (k *happening) otherEnds(o *simulate.Outcome) string {
	e := k.entry
	dst, src := simulate.To{Lo: e.Original.Dst, Hi: e.Original.Dst}, simulate.To{Lo: e.Original.Src, Hi: e.Original.Src}
	dport, sport := e.Reply.SrcPort, e.Reply.DstPort
	if e.IsICMP() {
		dport, sport = e.Reply.SrcPort, e.Reply.SrcPort
	}
	if o.DNAT != nil {
		dst = o.DNAT.To
	}
	if o.SNAT != nil {
		src = o.SNAT.To
	}
	switch {
	case dst.Lo.IsValid() && (e.Reply.Src.Less(dst.Lo) || dst.Hi.Less(e.Reply.Src)):
		return fmt.Sprintf("to %s, kernel to %s", dst.Addrs(), e.Reply.Src)
	case src.Lo.IsValid() && (e.Reply.Dst.Less(src.Lo) || src.Hi.Less(e.Reply.Dst)):
		return fmt.Sprintf("from %s, kernel from %s", src.Addrs(), e.Reply.Dst)
	case !e.IsICMP() && o.DNAT == nil && dport != e.Original.DstPort,
		!e.IsICMP() && o.DNAT != nil && dst.HasPort && (dport < dst.PortLo || dst.PortHi < dport):
		return fmt.Sprintf("to port %s, kernel to %d", dst.Ports(), dport)
	case o.SNAT != nil && src.HasPort && src.Port != simulate.PortKept && (sport < src.PortLo || src.PortHi < sport):
		return fmt.Sprintf("from port %s, kernel from %d", src.Ports(), sport)
	}
	return ""
}

// looked says which rule the kernel's trace names that the path has not, or as
// one that did not match.
func (k *happening) looked(x *simulate.Result) string {
	for i := range k.events {
		e := &k.events[i]
		if e.Type != 3 || e.Handle == 0 || e.CtStatus&uint32(host.StatusConfirmed) != 0 {
			continue
		}
		found := false
		for _, s := range x.Path {
			if s.Rule != nil && s.Rule.Handle == e.Handle && s.Chain.Table.Name == e.Table && s.Chain.Table.Family == rules.Family(e.Family) && s.Result != "no-match" {
				found = true
				break
			}
		}
		if !found && !x.More {
			return fmt.Sprintf("the kernel ran %s %s handle %d, which the path has not as a match", e.Table, e.Chain, e.Handle)
		}
	}
	return ""
}

func (k *happening) kind(r *oracleRun) string {
	switch {
	case k.tracked != rules.Yes && k.drop == nil:
		return "untracked"
	case k.drop != nil:
		return "dropped"
	case k.entry == nil:
		return "not sent on"
	case k.ran[rules.ManipDst] != nil:
		return r.kindOf(k.ran[rules.ManipDst])
	}
	return r.kindOf(k.ran[rules.ManipSrc])
}

func printSimulation(x *simulate.Result) string {
	var b strings.Builder
	print := func(name string, list []simulate.Outcome) {
		for i := range list {
			o := &list[i]
			fmt.Fprintf(&b, "  %s %s by %s %q certain %v local %v out %q untracked %v p %.3f when %q\n", name, o.Verdict, describe(o.By), o.Why, o.Certain, o.Local, o.Out, o.Untracked, o.Probability, o.When)
			for _, n := range []*simulate.NAT{o.DNAT, o.SNAT} {
				if n != nil {
					fmt.Fprintf(&b, "    %s to %s port %s by %s: %s\n", n.Kind, n.To.Text(true), n.To.Port, describe(n.Rule), n.Rule.Text)
				}
			}
		}
	}
	print("outcome", x.Outcomes)
	print("otherwise", x.Otherwise)
	fmt.Fprintf(&b, "  assumed %q unknown %q more %v\n", x.Assumed, x.Unknown, x.More)
	for _, s := range x.Path {
		h := uint64(0)
		if s.Rule != nil {
			h = s.Rule.Handle
		}
		fmt.Fprintf(&b, "    path  %s %s %s handle %d %s %s\n", s.Hook, s.Chain.Table.Name, s.Chain.Name, h, s.Result, s.Why)
	}
	return b.String()
}
