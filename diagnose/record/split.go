package record

import (
	"fmt"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/history"
)

func authorOf(t *capture.Transaction) history.Author {
	return history.Author{Generation: t.Generation, PID: t.PID, Program: t.Program, Parent: t.Parent, Command: t.Command}
}

// maxAuthors bounds how many are named of whom one it was.
const maxAuthors = 8

// share is the part of a difference that one transaction made; the last one
// is of those that cannot be told apart, or that nobody told of.
type share struct {
	t    *capture.Transaction
	diff history.RulesDiff
}

// nftChanges is the difference of two states of nf_tables, transaction by
// transaction: each has what its messages named. A transaction that left no
// difference has no record.
func nftChanges(c *capture.Changed) (out []*history.Change) {
	d := history.Diff(c.Before.Rules, c.After.Rules)
	shares := make([]share, len(c.Transactions)+1)
	for i := range c.Transactions {
		shares[i].t = &c.Transactions[i]
	}
	of := func(touches ...capture.Touch) *history.RulesDiff {
		for i := len(c.Transactions) - 1; i >= 0; i-- {
			for _, t := range touches {
				if _, ok := c.Transactions[i].Touched[t]; ok {
					return &shares[i].diff
				}
			}
		}
		return &shares[len(shares)-1].diff
	}
	for _, x := range d.Objects {
		to := of(objectTouch(&x))
		to.Objects = append(to.Objects, x)
	}
	for _, x := range d.Rules {
		touches := []capture.Touch{ruleTouch(x.Place, x.Handle)}
		if x.Was != nil {
			touches = append(touches, ruleTouch(x.Place, x.Was.Handle))
		}
		to := of(touches...)
		to.Rules = append(to.Rules, x)
	}
	for _, x := range d.Reloaded {
		to := of(capture.Touch{Kind: capture.TouchRules, Family: x.Family, Table: x.Table, Name: x.Chain})
		to.Reloaded = append(to.Reloaded, x)
	}
	whole := c.Unheard == 0 && !anyPartial(c.Transactions)
	for _, x := range d.Sets {
		to := of(capture.Touch{Kind: capture.TouchSet, Family: x.Family, Table: x.Table, Name: x.Set})
		if to == &shares[len(shares)-1].diff && x.Volatile && whole {
			continue // packets or time did it, no transaction
		}
		to.Sets = append(to.Sets, x)
	}
	rest := &shares[len(shares)-1].diff
	rest.Unread = d.Unread
	if rest.Omitted = d.Omitted; len(c.Transactions) == 1 && c.Unheard == 0 {
		// there is nobody else
		merge(&shares[0].diff, rest)
	}
	for i := range shares {
		s := &shares[i]
		if s.diff.Empty() {
			continue
		}
		ch := &history.Change{Kind: history.KindRules, At: c.At, Generation: c.After.Rules.Generation, Rules: &s.diff}
		if s.t != nil {
			ch.At, ch.Generation, ch.By = s.t.At, s.t.Generation, []history.Author{authorOf(s.t)}
		} else {
			unknown(ch, c)
		}
		out = append(out, ch)
	}
	return out
}

func merge(to, from *history.RulesDiff) {
	to.Objects = append(to.Objects, from.Objects...)
	to.Rules = append(to.Rules, from.Rules...)
	to.Reloaded = append(to.Reloaded, from.Reloaded...)
	to.Sets = append(to.Sets, from.Sets...)
	to.Omitted, to.Unread = from.Omitted, from.Unread
	*from = history.RulesDiff{}
}

func anyPartial(ts []capture.Transaction) bool {
	for i := range ts {
		if ts[i].Partial {
			return true
		}
	}
	return false
}

// unknown says whose a change can be that no message named: one of the
// transactions, unless there were some of which no word came.
func unknown(ch *history.Change, c *capture.Changed) {
	ch.After = c.Since
	if c.Unheard > 0 || len(c.Transactions) == 0 {
		ch.Note = "who made it is not known: word of it did not come"
		if c.Overrun {
			ch.Note = "who made it is not known: the kernel had more to tell than the buffer held"
		}
		if c.Unheard > 0 {
			ch.Note += fmt.Sprintf(" (%d transactions)", c.Unheard)
		}
		return
	}
	for i := range c.Transactions {
		t := &c.Transactions[i]
		if (t.Partial || !anyPartial(c.Transactions)) && len(ch.By) < maxAuthors {
			ch.By = append(ch.By, authorOf(t))
		}
	}
}

func ruleTouch(p history.Place, handle uint64) capture.Touch {
	return capture.Touch{Kind: capture.TouchRule, Family: p.Family, Table: p.Table, Name: p.Chain, Handle: handle}
}

// objectTouch is how messages name what an ObjectChange is about.
func objectTouch(x *history.ObjectChange) capture.Touch {
	t := capture.Touch{Kind: capture.TouchObject, Family: x.Family, Table: x.Table, Name: x.Name}
	switch x.What {
	case "table":
		t.Kind, t.Name = capture.TouchTable, ""
	case "chain":
		t.Kind = capture.TouchChain
	case "set", "map":
		t.Kind = capture.TouchSet
	case "flowtable":
		t.Kind = capture.TouchFlowtable
	}
	return t
}
