//go:build linux

package explain_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/bundle"
	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/checks"
	"github.com/ntdiag/ntdiag/diagnose/collect"
	"github.com/ntdiag/ntdiag/diagnose/explain"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/order"
	"github.com/ntdiag/ntdiag/diagnose/query"
	"github.com/ntdiag/ntdiag/diagnose/redact"
	"github.com/ntdiag/ntdiag/diagnose/simulate"
	"github.com/ntdiag/ntdiag/diagnose/stale"
	"github.com/ntdiag/ntdiag/report"
	"github.com/ntdiag/ntdiag/rules"
)

// What an answer on a file is worth: taken back, it is that on the original; it
// leaves open what no redaction keeps (jhash), and says nothing else; it is
// another one.
const (
	same   outcome = "same"
	unsure outcome = "unsure"
)

// TestProveBundle writes random rulesets and what came of random packets into a
// file as they are, and redacted into another, and compares what is said of
// either with what is said of the original.
func TestProveBundle(t *testing.T) {
	eachSeed(t, 20, newTally(same, unsure, wrong), proveBundle)
}

func proveBundle(t *testing.T, seed uint64, total *tally) {
	g := newGenerator(seed)
	r := &oracleRun{oracleCase: &oracleCase{outside: "s0", sysctl: calm}, tracer: proveTracer}
	given := g.proveRules(seed)
	r.prove = g.flows(flowsPerCase)
	r.unrouted = map[rules.Tuple]bool{}
	if err := r.playProve(t, given); err != nil {
		t.Errorf("the case itself: %v\n%s%s", err, given, againBundle(seed))
		return
	}
	var asks []query.Packet
	for _, f := range r.prove {
		asks = append(asks, asked(f, false), asked(f, true))
	}
	b := r.throughFiles(t, asks, redact.Key{byte(seed), byte(seed >> 8), 1}, total)
	total.played(len(r.prove), len(b.entries))
	if len(b.bad) > 0 {
		t.Errorf("%s\n%s\n%s%s", strings.Join(b.bad, "\n"), r.listing, given, againBundle(seed))
	}
}

// bundled holds what is said of a file with the namespace against what is said
// of the namespace.
func (r *oracleRun) bundled(t *testing.T) {
	t.Helper()
	b := r.throughFiles(t, nil, redact.Key{2}, newTally(same, unsure, wrong))
	for _, why := range b.bad {
		t.Error(why)
	}
}

// throughFiles compares the answers on both files with live ones.
func (r *oracleRun) throughFiles(t *testing.T, asks []query.Packet, key redact.Key, total *tally) *bundled {
	t.Helper()
	entries := make([]*host.Flow, 0, len(r.entries))
	for _, f := range byTuple(r.entries) {
		entries = append(entries, f)
	}
	slices.SortFunc(entries, func(a, b *host.Flow) int { return int(int64(a.ID) - int64(b.ID)) })
	b := &bundled{t: t, total: total, snapshot: r.snapshot, entries: entries, asks: asks}
	answersOf(r.snapshot, entries).each(asks, func(d document) { b.live = append(b.live, d) })
	b.asItIs()
	b.redacted(key)
	return b
}

func againBundle(seed uint64) string {
	return fmt.Sprintf("again: make prove-bundle SEED=%d N=1", seed)
}

// bundled holds the answers on one file after the other against live ones.
type bundled struct {
	t        *testing.T
	total    *tally
	snapshot *host.Snapshot
	entries  []*host.Flow
	asks     []query.Packet
	live     []document
	bad      []string
}

// asItIs compares byte for byte.
func (b *bundled) asItIs() {
	file := b.reopened(b.source(), b.snapshot)
	b.compare("file: ", file.answers(b.t), b.asks, func(want, got document) (outcome, string) {
		x, y := encoded(b.t, want.doc), encoded(b.t, got.doc)
		if x == y {
			return same, ""
		}
		return wrong, differing(indented(b.t, x), indented(b.t, y))
	})
}

// redacted compares what is taken back, and looks for originals in the file.
func (b *bundled) redacted(key redact.Key) {
	src, err := redact.Wrap(context.Background(), b.source(), key, redact.Options{Snapshot: b.snapshot})
	if err != nil {
		b.t.Fatal(err)
	}
	hidden, err := src.Snapshot(context.Background())
	if err != nil {
		b.t.Fatal(err)
	}
	file, m, open := b.reopened(src, hidden), src.Mapper(), len(src.Differs()) > 0
	asks := slices.Clone(b.asks)
	for i := range asks {
		p := &asks[i]
		p.Text, p.Iif, p.Tuple = m.Text(p.Text), m.Name(redact.Device, p.Iif), m.Tuple(p.Tuple)
	}
	b.compare("redacted: ", file.answers(b.t), asks, func(want, got document) (outcome, string) {
		x, y := encoded(b.t, want.doc), m.Reveal(encoded(b.t, got.doc))
		if x == y {
			return same, ""
		}
		x, y = canonical(b.t, x, want.six), canonical(b.t, y, want.six)
		switch {
		case x == y:
			return same, ""
		case want.what == "rules" && flowCount.ReplaceAllString(x, "?") != flowCount.ReplaceAllString(y, "?"):
		case open && !slices.ContainsFunc(got.claims, func(c string) bool { return !slices.Contains(want.can, c) }):
			return unsure, ""
		}
		return wrong, differing(x, y)
	})
	if err := file.Each(context.Background(), func(name string, in io.Reader) error {
		got, err := m.Scan(in)
		for _, h := range got.Hits {
			b.found(fmt.Sprintf("redacted: %s: %s", name, h))
		}
		return err
	}); err != nil {
		b.t.Fatal(err)
	}
}

// compare asks the file for every document.
func (b *bundled) compare(where string, file *answers, asks []query.Packet, with func(want, got document) (outcome, string)) {
	if len(file.entries) != len(b.entries) {
		b.found(fmt.Sprintf("%s%d entries, not %d", where, len(file.entries), len(b.entries)))
		return
	}
	next := 0
	file.each(asks, func(got document) {
		o, why := with(b.live[next], got)
		next++
		b.total.count(where+got.what, o)
		if o == wrong {
			b.found(fmt.Sprintf("%s%s:\n%s", where, got.what, why))
		}
	})
}

func (b *bundled) found(what string) {
	if len(b.bad) < 8 {
		b.bad = append(b.bad, what)
	}
}

// source is the namespace as it was captured.
func (b *bundled) source() *bundle.Source {
	each := func(_ context.Context, _ *rules.Tuple, fn func(*host.Flow) error) error {
		var one host.Flow
		for _, f := range b.entries {
			one = *f
			if err := fn(&one); err != nil {
				return err
			}
		}
		return nil
	}
	return bundle.NewSource(&bundle.State{Snapshot: b.snapshot}, bundle.Table{Each: each})
}

// reopened writes a namespace into a file, and opens that.
func (b *bundled) reopened(src capture.Whole, s *host.Snapshot) *reopened {
	b.t.Helper()
	ctx := context.Background()
	must := func(err error) {
		b.t.Helper()
		if err != nil {
			b.t.Fatal(err)
		}
	}
	path := filepath.Join(b.t.TempDir(), "b.tar.zst")
	out, err := bundle.CreateFile(ctx, path, false)
	must(err)
	defer out.Abort()
	w, err := bundle.NewWriter(out, bundle.Info{Tool: "ntdiag", Created: s.CapturedAt})
	must(err)
	_, err = collect.Run(ctx, w, []*collect.Space{{Name: "router", Source: src, Snapshot: s}}, collect.Options{})
	must(err)
	must(w.Close())
	must(out.Commit())
	in, err := bundle.Open(ctx, path)
	must(err)
	b.t.Cleanup(func() { in.Close() })
	return &reopened{in}
}

type reopened struct{ *bundle.Reader }

func (r *reopened) answers(t *testing.T) *answers {
	t.Helper()
	ctx := context.Background()
	n, err := r.Namespace("")
	if err != nil {
		t.Fatal(err)
	}
	src, err := r.Source(ctx, n, 2)
	if err != nil {
		t.Fatal(err)
	}
	s, err := src.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var entries []*host.Flow
	if _, err := src.Flows(ctx, capture.Filter{}, func(f *host.Flow) error {
		one := *f
		entries = append(entries, &one)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return answersOf(s, entries)
}

// answers are what the commands say of one snapshot.
type answers struct {
	s       *host.Snapshot
	entries []*host.Flow
	ex      *explain.Explainer
	judge   *stale.Judge
	sim     *simulate.Simulator
}

func answersOf(s *host.Snapshot, entries []*host.Flow) *answers {
	return &answers{s, entries, explain.New(s), stale.New(s), simulate.New(s)}
}

// answer is a document, and what it comes to without addresses and words: what
// it says can be, and what of that it claims to know.
type answer struct {
	doc         any
	can, claims []string
}

// document is the answer of one command.
type document struct {
	what string
	six  bool
	answer
}

func (a *answer) says(what string, sure bool) {
	a.can = append(a.can, what)
	if sure {
		a.claims = append(a.claims, what)
	}
}

// each hands over all documents, in one order.
func (a *answers) each(asks []query.Packet, fn func(document)) {
	for _, f := range a.entries {
		six := f.Family == rules.FamilyIPv6
		fn(document{"explain", six, a.explain(f)})
		fn(document{"stale", six, a.stale(f)})
	}
	for _, p := range asks {
		fn(document{"simulate", p.Family == rules.FamilyIPv6, a.simulate(p)})
	}
	fn(document{"rules", false, a.rules()})
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

func (a *answers) rules() answer {
	in := &report.RulesInput{Snapshot: a.s, Hooks: order.Of(a.s.Rules), AllChains: true}
	in.Findings = checks.Run(a.s, in.Hooks)
	made := a.ex.Count(2, func(each func(*host.Flow)) error {
		for _, f := range a.entries {
			each(f)
		}
		return nil
	})
	in.Made = &made
	return answer{doc: report.NewRules(in)}
}

// otherFamily is a field of IPv4 that a rule reads of an IPv6 packet: nft 1.0.6
// leaves the condition on the family out behind iiftype. What is shown of it is
// a part of another address.
var otherFamily = regexp.MustCompile(`(ip [sd]addr) [0-9./]+ ([≠≥>≤<]|not in|in) `)

// flowCount is how many flows a rule rewrote: fewer, where it is not known of
// some.
var flowCount = regexp.MustCompile(`"flows": \d+`)

// canonical is a document in which the field of the other family is no matter.
func canonical(t *testing.T, text string, six bool) string {
	t.Helper()
	if six {
		text = otherFamily.ReplaceAllString(text, "$1 ? $2 ")
	}
	return indented(t, text)
}

// encoded is a document as JSON, as commands print it.
func encoded(t *testing.T, doc any) string {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(doc); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// indented is JSON with one value a line, keys sorted.
func indented(t *testing.T, text string) string {
	t.Helper()
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
