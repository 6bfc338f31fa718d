//go:build linux

package explain_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/checks"
	"github.com/ntdiag/ntdiag/diagnose/explain"
	"github.com/ntdiag/ntdiag/diagnose/history"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/order"
	"github.com/ntdiag/ntdiag/diagnose/query"
	"github.com/ntdiag/ntdiag/diagnose/redact"
	"github.com/ntdiag/ntdiag/diagnose/simulate"
	"github.com/ntdiag/ntdiag/diagnose/stale"
	"github.com/ntdiag/ntdiag/report"
	"github.com/ntdiag/ntdiag/rules"
)

// What an answer on the redacted namespace is worth: taken back, it is that on
// the original; it leaves open what no redaction keeps (jhash), and says nothing
// else; it is another one.
const (
	same   outcome = "same"
	unsure outcome = "unsure"
)

// TestProveRedact redacts random rulesets and what came of random packets, and
// compares every answer with that of the original.
func TestProveRedact(t *testing.T) {
	eachSeed(t, newTally(same, unsure, wrong), proveRedact)
}

func proveRedact(t *testing.T, seed uint64, total *tally) {
	g := newGenerator(seed)
	r := &oracleRun{oracleCase: &oracleCase{outside: "s0", sysctl: calm}, tracer: proveTracer}
	given := g.proveRules(seed)
	r.prove = g.flows(flowsPerCase)
	r.unrouted = map[rules.Tuple]bool{}
	if err := r.playProve(t, given); err != nil {
		t.Errorf("the case itself: %v\n%s%s", err, given, againRedact(seed))
		return
	}
	entries := make([]*host.Flow, 0, len(r.entries))
	for _, f := range byTuple(r.entries) {
		entries = append(entries, f)
	}
	slices.SortFunc(entries, func(a, b *host.Flow) int { return int(int64(a.ID) - int64(b.ID)) })
	bad := compareRedacted(t, r.snapshot, entries, r.prove, redact.Key{byte(seed), byte(seed >> 8), 1}, total)
	total.played(len(r.prove), len(entries))
	if len(bad) > 0 {
		t.Errorf("%s\n%s\n%s%s", strings.Join(bad, "\n"), r.listing, given, againRedact(seed))
	}
}

func againRedact(seed uint64) string {
	return fmt.Sprintf("again: make prove-bundle SEED=%d N=1", seed)
}

// wholeOf is a namespace that was read before.
type wholeOf struct {
	capture.Whole
	snapshot *host.Snapshot
}

func (w wholeOf) Snapshot(context.Context) (*host.Snapshot, error) { return w.snapshot, nil }
func (w wholeOf) History() (*history.History, error)               { return nil, history.ErrNoStore }

// compareRedacted gives the answers that are not the same.
func compareRedacted(t *testing.T, s *host.Snapshot, entries []*host.Flow, asks []proveFlow, key redact.Key, total *tally) (bad []string) {
	t.Helper()
	src, err := redact.Wrap(context.Background(), wholeOf{snapshot: s}, key, redact.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m := src.Mapper()
	hidden, _ := src.Snapshot(context.Background())
	before, after := answersOf(s), answersOf(hidden)
	open := len(src.Differs()) > 0
	check := func(what string, six bool, a, b answer) {
		want, got := canonical(t, a.doc, nil, six), canonical(t, b.doc, m, six)
		switch {
		case want == got:
			total.count(what, same)
			return
		case open && !slices.ContainsFunc(b.claims, func(c string) bool { return !slices.Contains(a.can, c) }):
			total.count(what, unsure)
			return
		}
		total.count(what, wrong)
		if len(bad) < 8 {
			bad = append(bad, fmt.Sprintf("%s:\n%s", what, differing(want, got)))
		}
	}
	hiddenEntries := make([]*host.Flow, len(entries))
	for i, f := range entries {
		h := *f
		m.Flow(&h)
		hiddenEntries[i] = &h
		check("explain", f.Family == rules.FamilyIPv6, before.explain(f), after.explain(&h))
		check("stale", f.Family == rules.FamilyIPv6, before.stale(f), after.stale(&h))
	}
	for _, f := range asks {
		for _, all := range []bool{false, true} {
			p := asked(f, all)
			q := p
			q.Text, q.Iif = m.Text(p.Text), m.Name(redact.Device, p.Iif)
			q.Tuple = m.Tuple(p.Tuple)
			check("simulate", p.Family == rules.FamilyIPv6, before.simulate(p), after.simulate(q))
		}
	}
	check("rules", false, before.rules(entries), after.rules(hiddenEntries))
	return bad
}

// answers are what the commands say of one snapshot.
type answers struct {
	s     *host.Snapshot
	ex    *explain.Explainer
	judge *stale.Judge
	sim   *simulate.Simulator
}

func answersOf(s *host.Snapshot) *answers {
	return &answers{s, explain.New(s), stale.New(s), simulate.New(s)}
}

// answer is a document, and what it comes to without addresses and words: what
// it says can be, and what of that it claims to know.
type answer struct {
	doc         any
	can, claims []string
}

func (a *answer) says(what string, sure bool) {
	a.can = append(a.can, what)
	if sure {
		a.claims = append(a.claims, what)
	}
}

func (a *answers) explain(f *host.Flow) answer {
	x := a.ex.Explain(f, explain.Options{Path: true, Not: true})
	out := answer{doc: report.NewExplained(x, "")}
	for i := range x.Rewrites {
		rw := &x.Rewrites[i]
		for _, r := range rw.Rules {
			out.says(fmt.Sprint(rw.Manip, r.Ref(), r.Position), rw.Grade == explain.GradeExact || rw.Grade == explain.GradeInferred)
		}
	}
	return out
}

func (a *answers) stale(f *host.Flow) answer {
	v := a.judge.Judge(f)
	out := answer{doc: []any{v.Fate.String(), v.Why, report.NewStaleFlow(&v, nil)}}
	out.says(fmt.Sprint(v.Fate, v.Class), v.Fate == stale.Stale && v.Confidence == stale.Certain)
	return out
}

func (a *answers) simulate(p query.Packet) answer {
	x, err := a.sim.Simulate(p)
	if err != nil {
		return answer{doc: err.Error(), claims: []string{"an error"}}
	}
	out := answer{doc: report.NewSimulation(x)}
	for i := range x.Outcomes {
		o := &x.Outcomes[i]
		out.says(fmt.Sprint(o.Verdict, o.DNAT != nil, o.SNAT != nil), len(x.Outcomes) == 1 && o.Certain)
	}
	return out
}

func (a *answers) rules(entries []*host.Flow) answer {
	in := &report.RulesInput{Snapshot: a.s, Hooks: order.Of(a.s.Rules), AllChains: true}
	in.Findings = checks.Run(a.s, in.Hooks)
	in.Flows = a.ex.Count(1000, func(each func(*host.Flow)) error {
		for _, f := range entries {
			each(f)
		}
		return nil
	}).Flows
	return answer{doc: report.NewRules(in)}
}

// otherFamily is a field of IPv4 that a rule reads of an IPv6 packet: nft 1.0.6
// leaves the condition on the family out behind iiftype. What is shown of it is
// a part of another address.
var otherFamily = regexp.MustCompile(`(ip [sd]addr) [0-9./]+ ([≠≥>≤<]|not in|in) `)

// canonical is a document as JSON, taken back.
func canonical(t *testing.T, doc any, m *redact.Mapper, six bool) string {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(doc); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	if m != nil {
		text = m.Reveal(text)
	}
	if six {
		text = otherFamily.ReplaceAllString(text, "$1 ? $2 ")
	}
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	out, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// differing is the lines in which two documents differ, up to a few.
func differing(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	var out []string
	for i := range max(len(a), len(b)) {
		x, y := "", ""
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			out = append(out, " was "+x, " is  "+y)
		}
		if len(out) > 8 {
			break
		}
	}
	return strings.Join(out, "\n")
}
