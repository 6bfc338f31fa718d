package invalid

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// causes are all that are looked for. A packet counts for the first that it
// speaks for: what is certain of it comes before what is likely.
var causes = []struct {
	name string
	find func(*inquiry) *Cause
	// reasons are those whose packets can speak for it.
	reasons []string
}{
	{"table-full", findTableFull, []string{"table-full"}},
	{"no-address", findNoAddress, []string{"no-address"}},
	{"helper", findHelper, []string{"helper-expectation", "helper-ports", "helper-mangle", "helper-parse", "helper-drop", "expectations-full"}},
	{"checksum", findChecksum, []string{"bad-checksum", "no-checksum", "bad-coverage"}},
	{"scan", findScan, []string{"bad-flags", "invalid-new"}},
	{"answers", findAnswers, []string{"invalid-new", "invalid-state", "invalid-rst", "seq-over", "ack-over"}},
	{"one-way", findOneWay, []string{"invalid-new", "invalid-state", "seq-over", "ack-over", "seq-under", "ack-under"}},
	{"window", findWindow, []string{"seq-over", "ack-over", "seq-under", "ack-under", "window-bug"}},
	{"flushed", findFlushed, []string{"invalid-new", "invalid-state"}},
	{"timeout", findTimeout, []string{"invalid-new", "invalid-state"}},
	{"backscatter", findBackscatter, []string{"invalid-new"}},
	{"stale-reset", findStaleReset, []string{"invalid-rst"}},
	{"icmp-quote", findICMPQuote, []string{"wrong-addressee"}},
	{"malformed", findMalformed, []string{"short-packet", "truncated", "bad-length", "bad-type", "unreadable", "short-seq", "short-redirect", "redirect-sender", "redirect-options"}},
	{"association", findAssociation, []string{"bad-chunks", "bad-vtag", "invalid-state", "not-picked-up"}},
	{"port-reuse", findPortReuse, []string{"ignored"}},
	{"tcp-loose", findLoose, nil},
	{"not-forwarded", findReversePath, []string{"invalid-new", "invalid-state"}},
}

// inquiry is a Case while causes are looked for.
type inquiry struct {
	*Case
	of      map[*Flow]*Consequence
	claimed map[*Flow]bool
	whole   map[*Group]bool // groups all of whose packets are claimed
	reasons []string        // of the cause that is looked for
}

func (d *Diagnosis) causes(c *Case) {
	q := &inquiry{Case: c, of: d.Of, claimed: map[*Flow]bool{}, whole: map[*Group]bool{}}
	for _, row := range causes {
		q.reasons = row.reasons
		if found := row.find(q); found != nil {
			found.Name = row.name
			d.Causes = append(d.Causes, *found)
		}
	}
	slices.SortStableFunc(d.Causes, func(a, b Cause) int { return cmp.Compare(b.Packets, a.Packets) })
	for _, g := range c.Groups {
		if g.Kind != KindInvalid || g.Reason == nil || g.Reason.Again || g.Accepted(c.Kernel) || q.whole[g] {
			continue
		}
		n := g.Count
		for _, f := range g.Flows() {
			if q.claimed[f] {
				n -= f.Count
			}
		}
		d.Unclear += n
	}
}

// picked is the packets that speak for a cause.
type picked struct {
	flows   []*Flow
	groups  []*Group
	packets uint64
}

// pick takes the flows of the cause's reasons that keep chooses and that no
// other cause has had yet.
func (q *inquiry) pick(keep func(*Group, *Flow) bool) picked {
	var p picked
	for _, g := range q.Groups {
		if g.Reason == nil || !slices.Contains(q.reasons, g.Reason.Name) || g.Accepted(q.Kernel) {
			continue
		}
		any := false
		for _, f := range g.Flows() {
			if q.claimed[f] || q.whole[g] || !keep(g, f) {
				continue
			}
			any = true
			p.flows = append(p.flows, f)
			p.packets += f.Count
		}
		if any {
			p.groups = append(p.groups, g)
		}
	}
	return p
}

// all takes all packets of the cause's reasons.
func (q *inquiry) all() picked {
	var p picked
	for _, g := range q.Groups {
		if g.Reason == nil || !slices.Contains(q.reasons, g.Reason.Name) || q.whole[g] {
			continue
		}
		p.groups = append(p.groups, g)
		p.flows = append(p.flows, g.Flows()...)
		p.packets += g.Count
	}
	return p
}

// claim makes them the cause's; all: whole groups, flows that are not told apart
// too.
func (q *inquiry) claim(p picked, all bool) {
	for _, f := range p.flows {
		q.claimed[f] = true
	}
	for _, g := range p.groups {
		q.whole[g] = q.whole[g] || all
	}
}

// cause makes the cause of p.
func (q *inquiry) cause(p picked, all bool, text string) *Cause {
	q.claim(p, all)
	c := &Cause{Text: text, Packets: p.packets}
	for _, g := range p.groups {
		if !slices.Contains(c.Reasons, g.Reason.Name) {
			c.Reasons = append(c.Reasons, g.Reason.Name)
		}
	}
	return c
}

func (c *Cause) say(format string, args ...any) {
	c.Evidence = append(c.Evidence, fmt.Sprintf(format, args...))
}

func (c *Cause) fix(do, cost string) { c.Fixes = append(c.Fixes, Fix{do, cost}) }

// fixOf takes the fix of the reason's row.
func (c *Cause) fixOf(r *Reason) {
	if r.Check != "" {
		c.fix("check "+r.Check, "")
	}
	if r.Fix != "" {
		c.fix(r.Fix, r.Cost)
	}
}

// amount is "1 packet of 1 flow", "112 packets of 3 flows".
func (p *picked) amount() string { return amount(p.packets, len(p.flows)) }

func amount(packets uint64, flows int) string {
	return count(packets, "packet", "packets") + " of " + count(uint64(flows), "flow", "flows")
}

func count(n uint64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// share is how much of the packets has each name, the most first.
func share(p *picked, name func(*Flow) string) []Seen {
	by := map[string]uint64{}
	for _, f := range p.flows {
		if n := name(f); n != "" {
			by[n] += f.Count
		}
	}
	out := make([]Seen, 0, len(by))
	for n, c := range by {
		out = append(out, Seen{n, c})
	}
	sortSeen(out)
	return out
}

func sortSeen(all []Seen) {
	slices.SortFunc(all, func(a, b Seen) int { return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Name, b.Name)) })
}

// maxListed bounds a list within a sentence.
const maxListed = 3

// listing is the first of a list with their counts: "c0 (112), s0 (3) and 2
// more".
func listing(all []Seen) string {
	var parts []string
	for _, s := range all[:min(len(all), maxListed)] {
		parts = append(parts, fmt.Sprintf("%s (%d)", s.Name, s.N))
	}
	text := strings.Join(parts, ", ")
	if n := len(all) - maxListed; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	return text
}
