package bundle

import (
	"context"
	"fmt"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/flowjson"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// Label is what a namespace is called to a person.
func (n *Namespace) Label() string { return n.label() }

// Source is a namespace with one round of its flows. It reads from r, which is
// to be closed after it.
func (r *Reader) Source(ctx context.Context, n *Namespace, round int) (*Source, error) {
	at, ok := n.Round(round)
	if !ok && len(n.Rounds) > 0 {
		return nil, fmt.Errorf("%s: the flows of %s were read %d times, there is no round %d", r.path, n.label(), len(n.Rounds), round)
	}
	s, err := r.State(ctx, n)
	if err != nil {
		return nil, err
	}
	s.Missing = append(s.Missing, n.Missing...)
	t := Table{Each: func(ctx context.Context, of *rules.Tuple, fn func(*host.Flow) error) error {
		if !ok {
			return n.unread()
		}
		var has []byte
		if of != nil {
			has = flowjson.AppendTuple(nil, *of) // as the lines have it
		}
		return r.flows(ctx, n, round, has, fn)
	}}
	if ok {
		t.At = at.At
		t.Lacks, t.Why = at.lacks()
		t.Turnover = at.turnover()
	}
	return NewSource(s, t), nil
}

// unread says why there are no flows.
func (n *Namespace) unread() error {
	why := "not captured"
	for _, m := range n.Missing {
		if m.What == PartFlows {
			why = m.Why
		}
	}
	return &capture.OpError{What: PartFlows, Why: why}
}

// turnover is what the round keeps of how the table changed.
func (r *Round) turnover() (t capture.Turnover) {
	if len(r.Resized) == 2 {
		t.BucketsBefore, t.BucketsAfter = r.Resized[0], r.Resized[1]
	}
	return t
}

// lacks is how many entries of the table the round does not have, and why.
func (r *Round) lacks() (n int, why string) {
	n, why = r.Unparsed, r.Why
	left := int(r.Seen - r.Kept)
	if left == 0 {
		return n, why
	}
	text := "left out to keep the bundle small"
	if n > 0 {
		text += fmt.Sprintf(", but for %d: %s", n, why)
	}
	return n + left, text
}
