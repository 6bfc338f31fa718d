package explain

import (
	"sync"

	"github.com/ntdiag/ntdiag/diagnose/alike"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// Made is how many live flows each rule alone has made.
type Made struct {
	Flows map[*rules.Rule]int
	// First is the first flow of each.
	First map[*rules.Rule]*host.Flow
	// NAT is how many flows with NAT were attributed, Graded how many of their
	// rewrites have each grade.
	NAT     int
	Graded  map[Grade]int
	Missing []host.Missing
}

// Count attributes the flows that read hands over, on several cores. Flows that
// several rules can have made count for none.
func (e *Explainer) Count(cores int, read func(each func(*host.Flow)) error) Made {
	var all tally
	var one sync.Mutex
	memo := alike.NewMemo[[]attribution](alike.New(e.host, nil), alike.Entry, maxAttributions)
	var workers []*counter
	s := alike.NewSpread(cores, func() func(int, *host.Flow) {
		c := e.counter(memo)
		one.Lock()
		workers = append(workers, c)
		one.Unlock()
		return c.add
	})
	err := read(func(f *host.Flow) {
		if f.Rewritten() {
			s.Add(f)
		}
	})
	s.Close()
	all.init()
	for _, c := range workers {
		all.merge(&c.tally)
	}
	m := Made{Flows: map[*rules.Rule]int{}, First: map[*rules.Rule]*host.Flow{}, NAT: all.flows, Graded: all.graded}
	for r, made := range all.by {
		m.Flows[r], m.First[r] = made.flows, &made.flow
	}
	if err != nil {
		m.Missing = append(m.Missing, host.Missing{What: "flows", Why: err.Error()})
	}
	return m
}

// maxAttributions bounds those that are kept, some hundred bytes each.
const maxAttributions = 1 << 16

// attribution is the grade of one rewrite, and the rule alone that made it, nil
// where it is not one.
type attribution struct {
	grade Grade
	rule  *rules.Rule
}

// counter attributes flows for one goroutine.
type counter struct {
	explainer *Explainer
	look      *alike.Look[[]attribution]
	tally
}

func (e *Explainer) counter(m *alike.Memo[[]attribution]) *counter {
	c := &counter{look: m.Look()}
	c.explainer = e.watch(c.look.Enter)
	c.init()
	return c
}

// watch is the same Explainer, which tells of every chain that a packet enters.
func (e *Explainer) watch(enter func(*rules.Chain)) *Explainer {
	w := &Explainer{host: e.host, walker: e.walker.Watch(enter)}
	if e.awake != nil {
		w.awake = e.awake.Watch(enter)
	}
	return w
}

func (c *counter) add(i int, f *host.Flow) {
	c.flows++
	for _, a := range c.look.Of(f, func() ([]attribution, bool) { return c.explainer.attributions(f), true }) {
		c.graded[a.grade]++
		if a.rule != nil {
			c.made(a.rule, i, f)
		}
	}
}

func (e *Explainer) attributions(f *host.Flow) (out []attribution) {
	for _, rw := range e.Explain(f, Options{}).Rewrites {
		a := attribution{grade: rw.Grade}
		if len(rw.Rules) == 1 {
			a.rule = rw.Rules[0]
		}
		out = append(out, a)
	}
	return out
}

// tally is what one goroutine counted.
type tally struct {
	flows  int
	graded map[Grade]int
	by     map[*rules.Rule]*madeBy
}

// madeBy are the flows of one rule, the first of them and its number.
type madeBy struct {
	flows, first int
	flow         host.Flow
}

func (t *tally) init() { t.graded, t.by = map[Grade]int{}, map[*rules.Rule]*madeBy{} }

func (t *tally) made(r *rules.Rule, i int, f *host.Flow) {
	m := t.by[r]
	if m == nil {
		m = &madeBy{first: i, flow: *f}
		t.by[r] = m
	}
	m.flows++
}

func (t *tally) merge(o *tally) {
	t.flows += o.flows
	for g, n := range o.graded {
		t.graded[g] += n
	}
	for r, m := range o.by {
		was := t.by[r]
		if was == nil {
			t.by[r] = m
			continue
		}
		was.flows += m.flows
		if m.first < was.first {
			was.first, was.flow = m.first, m.flow
		}
	}
}
