package record

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/history"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// Recorder keeps what changes in one namespace.
type Recorder struct {
	Live  *capture.Live
	Store *history.Store
	Netns host.NetnsID
	// Poll is how often iptables-legacy and ipsets are compared.
	Poll    time.Duration
	Version string // of the program
	// Stored is called with each record that is in the store. Failed is called
	// with why writing fails, once until it goes on.
	Stored func(*history.Change)
	Failed func(error)

	begun      bool
	generation uint32
	queue      queue
}

// Run records until ctx ends. It ends at once when the first record cannot be
// written; later ones wait for room.
func (r *Recorder) Run(ctx context.Context) error {
	err := r.Live.Changes(ctx, r.Poll, r.take)
	if !r.begun {
		return err
	}
	stop := &history.Change{Kind: history.KindStop, At: time.Now()}
	if err != nil {
		stop.Note = err.Error()
	}
	r.keep(stop)
	return errors.Join(err, r.queue.why)
}

func (r *Recorder) take(c *capture.Changed) error {
	r.generation = c.After.Rules.Generation
	if c.Part == capture.PartAll {
		r.keep(&history.Change{Kind: history.KindStart, At: c.At, Start: r.start(c.After)})
		r.begun = r.queue.why == nil
		if len(c.Failed) > 0 {
			r.keep(gap(c.At, c.At, "not read at the beginning: ", c.Failed))
		}
		return r.queue.why
	}
	r.keep(changes(c)...)
	if c.Part == capture.PartXt && r.queue.why == nil {
		return r.Store.Alive(time.Now())
	}
	return nil
}

// start sums up what is there, and what is known of the time before.
func (r *Recorder) start(s *host.Snapshot) *history.Start {
	out := &history.Start{
		Version: r.Version, Generation: s.Rules.Generation, Tables: len(s.Rules.Tables),
		Addrs: len(s.Addrs), Links: len(s.Links), Routes: len(s.Routes),
	}
	for _, t := range s.Rules.Tables {
		for _, c := range t.Chains {
			out.Rules += len(c.Rules)
			for _, rule := range c.Rules {
				if rule.NAT() != nil {
					out.NATRules++
				}
			}
		}
		for _, set := range t.Sets {
			if set.Flags&rules.SetAnonymous == 0 {
				out.Elements += len(set.Elements)
			}
		}
	}
	for _, set := range s.Rules.IPSets {
		out.Elements += len(set.Elements)
	}
	if b := r.Store.Before; b != nil && b.Netns.Same(r.Netns) {
		out.Last = b.At
		if b.Kind != history.KindStop && r.Store.Last.After(b.At) {
			out.Last = r.Store.Last
		}
		out.SameRules = b.Netns == r.Netns && b.Generation != 0 && b.Generation == s.Rules.Generation
	}
	return out
}

// changes makes records of what was read.
func changes(c *capture.Changed) []*history.Change {
	switch {
	case len(c.Failed) > 0:
		return []*history.Change{gap(c.Since, c.At, "could not be read: ", c.Failed)}
	case len(c.Lacked) > 0:
		return []*history.Change{gap(c.Since, c.At, "could not be read until now: ", c.Lacked)}
	}
	switch c.Part {
	case capture.PartNft:
		return nftChanges(c)
	case capture.PartXt:
		return xtChanges(c)
	}
	return hostChanges(c)
}

func gap(from, to time.Time, what string, missing []host.Missing) *history.Change {
	why := what + strings.Join(host.MissingText(missing), "; ")
	return &history.Change{Kind: history.KindGap, At: to, Gap: &history.Gap{From: from, To: to, Why: why}}
}

// xtChanges compares iptables-legacy and ipsets. Elements that packets add or
// that go with time are nobody's change.
func xtChanges(c *capture.Changed) []*history.Change {
	d := history.Diff(c.Before.Rules, c.After.Rules)
	kept := d.Sets[:0]
	for _, s := range d.Sets {
		if !s.Volatile {
			kept = append(kept, s)
		}
	}
	if d.Sets = kept; d.Empty() {
		return nil
	}
	return []*history.Change{{
		Kind: history.KindRules, At: c.At, After: c.Since, Rules: d,
		Note: "found by comparing: iptables-legacy and ipset do not tell who changes them",
	}}
}

// hostChanges compares links, addresses, policy rules and routes.
func hostChanges(c *capture.Changed) (out []*history.Change) {
	d := history.DiffHost(c.Before, c.After)
	add := func(kind history.Kind, n int, fill func(*history.Change)) {
		if n == 0 {
			return
		}
		ch := &history.Change{Kind: kind, At: c.At, Omitted: max(0, n-maxListed)}
		if c.Overrun {
			ch.After = c.Since
		}
		fill(ch)
		out = append(out, ch)
	}
	add(history.KindLink, len(d.Links), func(ch *history.Change) { ch.Links = first(d.Links) })
	add(history.KindAddress, len(d.Addrs), func(ch *history.Change) { ch.Addrs = first(d.Addrs) })
	add(history.KindPolicy, len(d.Policies), func(ch *history.Change) { ch.Policies = first(d.Policies) })
	add(history.KindRoute, len(d.Routes), func(ch *history.Change) { ch.Routes = first(d.Routes) })
	return out
}

// maxListed bounds the addresses, links, routes or policies of one record.
const maxListed = 5000

func first[T any](list []T) []T { return list[:min(len(list), maxListed)] }
