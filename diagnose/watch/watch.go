// Package watch says which rule made the rewrites of flows while they come and
// go, against the rules that were there when each came.
package watch

import (
	"context"
	"slices"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/explain"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// Rewrite is one rewrite of a flow with what made it. R describes a rule
// without holding the ruleset that it is of.
type Rewrite[R comparable] struct {
	host.Rewrite
	Cause   explain.Cause
	Grade   explain.Grade
	Rules   []*R // the one; all when ambiguous; none when GradeNone
	Unknown []string
}

// Read reads the machine and says of which revision it is; settled is false
// when it changed while it was read.
type Read func(context.Context) (s *host.Snapshot, rev capture.Revision, settled bool, err error)

const (
	// remembered is how many flows' answers are kept: an update or the end of a
	// flow is told with the rules that it began by.
	remembered = 1 << 17
	// rest is how long the next reading waits for, as a multiple of what the
	// last one took, and patience how long an event waits for that.
	rest     = 4
	patience = 250 * time.Millisecond
	// Period is how often what no revision counts is read again, at least.
	Period = 10 * time.Second
	// periodRest is Period as a multiple of what a reading takes.
	periodRest = 20
)

// Why an answer is less sure than it would be.
const (
	changedThen = "which rules it met: they changed at that moment"
	uncounted   = "whether the rules are as they were read: iptables-legacy does not tell of changes"
	notReadYet  = "the rules that it met: they had changed and were not read again yet"
)

// Attributor finds the rules behind the rewrites of events. It is not for
// concurrent use.
type Attributor[R comparable] struct {
	read     Read
	describe func(*rules.Rule) R
	held     []*reading // the newest, then the one before it
	answers  map[identity][]Rewrite[R]
	names    map[R]*R
}

// identity tells flows apart for as long as they live.
type identity struct {
	original rules.Tuple
	id       uint32
	zone     uint16
}

// reading is the machine at one revision.
type reading struct {
	host    *host.Snapshot
	explain *explain.Explainer
	rev     capture.Revision
	settled bool
	end     time.Time
	took    time.Duration
	untold  bool // it holds what no revision counts
}

// New makes an Attributor and reads the machine once.
func New[R comparable](ctx context.Context, read Read, describe func(*rules.Rule) R) (*Attributor[R], error) {
	a := &Attributor[R]{read: read, describe: describe, answers: map[identity][]Rewrite[R]{}, names: map[R]*R{}}
	return a, a.reread(ctx)
}

// Snapshot is the machine as it was read last.
func (a *Attributor[R]) Snapshot() *host.Snapshot { return a.held[0].host }

func (a *Attributor[R]) reread(ctx context.Context) error {
	start := time.Now()
	s, rev, settled, err := a.read(ctx)
	if err != nil {
		return err
	}
	end := time.Now()
	r := &reading{
		host: s, explain: explain.New(s), rev: rev, settled: settled, end: end, took: end.Sub(start),
		untold: len(Untold(s)) > 0,
	}
	a.held = append([]*reading{r}, a.held...)
	a.held = a.held[:min(len(a.held), 2)]
	return nil
}

// Untold names what there is that changes without a new revision.
func Untold(s *host.Snapshot) []string {
	var out []string
	legacy, sets := false, false
	for _, t := range s.Rules.Tables {
		legacy = legacy || t.Backend == rules.BackendIptablesLegacy
		for _, set := range t.Sets {
			sets = sets || set.Flags&(rules.SetEval|rules.SetTimeout) != 0
		}
	}
	if legacy {
		out = append(out, "iptables-legacy")
	}
	if len(s.Rules.IPSets) > 0 {
		out = append(out, "ipsets")
	}
	if sets {
		out = append(out, "sets that packets or timeouts change")
	}
	return out
}

// newer tells whether a is of a later time than b. Generations may wrap.
func newer(a, b capture.Revision) bool {
	return int32(a.Generation-b.Generation) > 0 || int32(a.Routing-b.Routing) > 0
}

// refresh reads the machine again when the event needs it, but no more often
// than leaves time for the events themselves.
func (a *Attributor[R]) refresh(ctx context.Context, until capture.Revision) error {
	r := a.held[0]
	age := time.Since(r.end)
	if r.untold && age > max(Period, periodRest*r.took) {
		return a.reread(ctx)
	}
	if !newer(until, r.rev) && r.settled {
		return nil
	}
	wait := rest*r.took - age
	if wait > patience {
		return nil
	}
	if wait > 0 {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return a.reread(ctx)
}

// Attribute says what made the rewrites of the flow of e: nil when it has none.
// A flow that just began met the rules of a revision between Since and Until;
// where these differ in their answer, all are named. Of any other flow it is
// what was said when it began, else the answer by the present rules.
func (a *Attributor[R]) Attribute(ctx context.Context, e *capture.Event) ([]Rewrite[R], error) {
	f := &e.Flow
	rewrites := f.Rewrites()
	if len(rewrites) == 0 {
		return nil, nil
	}
	key := identity{f.Original, f.ID, f.Zone}
	began := e.Kind == capture.EventNew && !e.Found
	out, there := a.answers[key]
	if !there || began {
		if err := a.refresh(ctx, e.Until); err != nil {
			return nil, err
		}
		answer := func() []Rewrite[R] {
			if began {
				return a.whenBegun(e)
			}
			return a.by(a.held[0], f, false)
		}
		out = answer()
		// the rule may be newer than the reading, where nothing tells
		if r := a.held[0]; r.untold && slices.ContainsFunc(out, unexplained[R]) && time.Since(r.end) > rest*r.took {
			if err := a.reread(ctx); err != nil {
				return nil, err
			}
			out = answer()
		}
	}
	if e.Kind == capture.EventDestroy {
		delete(a.answers, key)
		return out, nil
	}
	a.keep(key, out)
	return out, nil
}

func unexplained[R comparable](r Rewrite[R]) bool { return r.Cause == explain.CauseRuleGone }

// keep remembers an answer, in the place of any other when there is no room.
func (a *Attributor[R]) keep(key identity, out []Rewrite[R]) {
	if _, there := a.answers[key]; !there && len(a.answers) >= remembered {
		for old := range a.answers {
			delete(a.answers, old)
			break
		}
	}
	a.answers[key] = out
}

// Unattributed are the rewrites of f without what made them, because of why.
func Unattributed[R comparable](f *host.Flow, why string) []Rewrite[R] {
	var out []Rewrite[R]
	for _, rw := range f.Rewrites() {
		out = append(out, Rewrite[R]{Rewrite: rw, Cause: explain.CauseUnknown, Grade: explain.GradeNone, Unknown: []string{why}})
	}
	return out
}

// whenBegun answers by each reading that the flow can have begun under.
func (a *Attributor[R]) whenBegun(e *capture.Event) []Rewrite[R] {
	var under []*reading
	for _, r := range a.held {
		same := func(o *reading) bool { return o.rev == r.rev }
		if !newer(r.rev, e.Until) && !newer(e.Since, r.rev) && !slices.ContainsFunc(under, same) {
			under = append(under, r)
		}
	}
	whole := complete(under, e)
	if len(under) == 0 {
		under = a.held[:1]
	}
	out := a.by(under[0], &e.Flow, true)
	for _, r := range under[1:] {
		out = merge(out, a.by(r, &e.Flow, true))
	}
	if !whole {
		out = doubt(out, notReadYet)
	}
	return out
}

// complete tells whether the readings are all revisions between Since and
// Until.
func complete(under []*reading, e *capture.Event) bool {
	steps := int(e.Until.Generation-e.Since.Generation) + int(e.Until.Routing-e.Since.Routing)
	for _, r := range under {
		if !r.settled {
			return false
		}
	}
	return steps <= 1 && len(under) == steps+1
}

// by is the answer of one reading. A flow that just began may be younger than
// its counters.
func (a *Attributor[R]) by(r *reading, f *host.Flow, began bool) []Rewrite[R] {
	x := r.explain.Explain(f, explain.Options{Later: began})
	out := make([]Rewrite[R], len(x.Rewrites))
	for i := range x.Rewrites {
		rw := &x.Rewrites[i]
		out[i] = Rewrite[R]{Rewrite: rw.Rewrite, Cause: rw.Cause, Grade: rw.Grade, Unknown: rw.Unknown}
		legacy := false
		for _, rule := range rw.Rules {
			out[i].Rules = append(out[i].Rules, a.name(rule))
			legacy = legacy || rule.Chain.Table.Backend == rules.BackendIptablesLegacy
		}
		if legacy {
			out[i].Grade = weaker(out[i].Grade, explain.GradeInferred)
			out[i].Unknown = union(out[i].Unknown, []string{uncounted})
		}
	}
	return out
}

// name describes a rule, always by the same pointer.
func (a *Attributor[R]) name(rule *rules.Rule) *R {
	d := a.describe(rule)
	if p := a.names[d]; p != nil {
		return p
	}
	if len(a.names) >= remembered {
		clear(a.names)
	}
	a.names[d] = &d
	return &d
}
