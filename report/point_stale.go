package report

import (
	"cmp"
	"slices"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/stale"
)

// staleSeverity: what is certain is surely not as the rules say.
var staleSeverity = map[stale.Confidence]string{stale.Certain: Critical, stale.Likely: Warning}

// Points are at most so many groups of stale flows, those that differ in the
// target alone as one, those that are certain and have most flows first, and how
// many more there are; now is what ages are counted to.
func (d *Stale) Points(now time.Time, most int) (out []Point, more int) {
	t := &staleWriter{d: d, s: Style{Now: now}}
	all := sections(d.Groups)
	slices.SortStableFunc(all, func(a, b section) int {
		return cmp.Compare(a.groups[0].Confidence, b.groups[0].Confidence) // certain before likely
	})
	for i := range all[:min(len(all), most)] {
		out = append(out, t.point(&all[i]))
	}
	return out, len(all) - len(out)
}

func (t *staleWriter) point(x *section) Point {
	g, h := x.groups[0], newHeadline(x)
	p := Point{Of: "stale", Severity: staleSeverity[g.Confidence], Text: h.text}
	if h.now != "" {
		p.Text += "; " + h.now
	}
	p.Facts = append([]string{string(g.Class) + ", " + string(g.Confidence)}, t.facts(x)...)
	if g.Rule != nil {
		p.Rules = append(p.Rules, *g.Rule)
		for _, name := range t.otherNames(x) {
			p.Facts = append(p.Facts, "or by "+name)
		}
	}
	for i := range min(len(g.MadeBy), 2) {
		r := &g.MadeBy[i]
		p.Facts = append(p.Facts, "made by "+longName(r)+": "+r.Text)
	}
	for _, text := range causeTexts(x) {
		p.Causes = append(p.Causes, PointCause{Sure: "cause", Text: text})
	}
	for _, s := range union(x, func(g *StaleGroup) []string { return g.Assumed }) {
		p.Facts = append(p.Facts, "assumed: "+s)
	}
	for _, s := range union(x, func(g *StaleGroup) []string { return g.Unknown }) {
		p.Facts = append(p.Facts, "unknown: "+s)
	}
	for _, r := range stale.Risks() {
		n := 0
		for _, g := range x.groups {
			n += g.group.Risks[r]
		}
		if n > 0 {
			p.Facts = append(p.Facts, "before deleting ("+counted(n, "flow", "flows")+"): "+traps[r].what+": "+traps[r].do)
		}
	}
	if lead, command := t.deletion(x); command != "" {
		p.Do = []Do{{Text: command, Command: true, Lead: lead}}
	} else {
		p.Do = t.deletions()
	}
	return p
}

// Answer is how many are stale, in one line.
func (d *Stale) Answer() string { return (&staleWriter{d: d}).answer() }

// Examples are flows of the group, one at least, as the tally kept them.
func (g *StaleGroup) Examples() []StaleFlow {
	var out []StaleFlow
	for i := range g.group.Examples {
		v := &g.group.Examples[i]
		x := NewStaleFlow(v, nil)
		x.Flow = &Flow{v.Flow}
		out = append(out, x)
	}
	return out
}

// WasNow are what the flows of the group still are at the end that differs, and
// what new ones get there; "" for nothing.
func (g *StaleGroup) WasNow() (was, now string) {
	x := &section{groups: []*StaleGroup{g}, flows: g.Flows}
	now, kept := nowText(x)
	if g.To != nil {
		was = toText(g)
	}
	if kept && now != "" {
		now += ", or as sent"
	}
	return was, now
}
