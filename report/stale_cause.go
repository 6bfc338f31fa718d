package report

import (
	"strings"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/history"
	"github.com/ntdiag/ntdiag/diagnose/stale"
)

// StaleCause is the recorded change behind a group of stale flows, or, without
// a time, what the records leave open.
type StaleCause struct {
	Text string `json:"text,omitempty"`
	// At is when it was; with After, between the two.
	At    *time.Time       `json:"at,omitempty"`
	After *time.Time       `json:"after,omitempty"`
	By    []history.Author `json:"by,omitempty"`
	Sure  bool             `json:"sure"`
	// Before is how many of the flows with a start time began before it.
	Before int      `json:"flows_before"`
	Limits []string `json:"limits,omitempty"`
}

// causeOf asks the records what changed for g, nil without records.
func causeOf(h *history.History, g *stale.Group, now time.Time) *StaleCause {
	if h == nil {
		return nil
	}
	var e history.Event
	for _, q := range causeQueries(g) {
		q.Family, q.Proto, q.Original, q.Now = g.Examples[0].Flow.Family, g.Proto, g.Examples[0].Flow.Original, now
		if len(g.Starts) > 0 {
			q.Start = time.Unix(0, g.Oldest())
		}
		var ok bool
		if e, ok = h.Cause(q); ok {
			break
		}
	}
	out := &StaleCause{Limits: e.Limits}
	if e.Change == nil {
		return out
	}
	out.Text, out.At, out.By, out.Sure = e.Sentence(now), &e.At, e.By, e.Sure
	out.Before = g.Before(e.At.UnixNano())
	if !e.After.IsZero() {
		out.After, out.Before = &e.After, g.Before(e.After.UnixNano())
	}
	return out
}

// causeQueries are what can have changed for g, the likeliest first.
func causeQueries(g *stale.Group) []history.CauseQuery {
	f := &g.Examples[0].Flow
	var out []history.CauseQuery
	switch g.Class {
	case stale.SNATAddressGone:
		out = append(out, history.CauseQuery{Gone: g.To.Addr})
	case stale.RouteChanged:
		out = append(out, history.CauseQuery{Dst: f.Reply.Src})
	case stale.RuleGone, stale.TargetChanged:
		end := f.Ends()[g.Manip]
		out = append(out, history.CauseQuery{Rewrite: &end})
	}
	if g.Rule != nil {
		out = append(out, history.CauseQuery{Rule: g.Rule})
	}
	return out
}

// causeTexts are what the records say of a section: of each group that has a
// cause of its own.
func causeTexts(x *section) []string {
	var out []string
	seen := map[string]bool{}
	for _, g := range x.groups {
		c := g.Cause
		if c == nil {
			continue
		}
		text := "not recorded"
		if c.At != nil {
			text = c.Text
			if !c.Sure {
				text = "perhaps " + text
			}
			switch {
			case g.Dated == 0:
			case c.Before == g.Flows:
				text += "; " + verb(g.Flows, "the flow", "all of these flows") + " began before"
			case c.Before == 0:
				text += "; none of these flows began before"
			default:
				text += "; " + thousands(c.Before) + " of these flows began before"
			}
		} else if len(c.Limits) > 0 {
			text += ": " + strings.Join(c.Limits, "; ")
		}
		if !seen[text] {
			seen[text] = true
			out = append(out, text)
		}
	}
	return out
}
