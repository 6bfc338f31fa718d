package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/journal"
	"github.com/ntdiag/ntdiag/diagnose/packet"
	"github.com/ntdiag/ntdiag/diagnose/remove"
	"github.com/ntdiag/ntdiag/diagnose/stale"
	"github.com/ntdiag/ntdiag/report"
)

// checkDelete refuses flags that do not go together, and what could not be
// asked.
func (f *staleFlags) checkDelete(cmd *cobra.Command) error {
	if f.include != "" && f.include != string(stale.Likely) {
		return fmt.Errorf("--include %q: known is %s", f.include, stale.Likely)
	}
	if f.delete {
		return f.check()
	}
	for _, name := range []string{"yes", "dry-run", "journal", "include"} {
		if cmd.Flags().Changed(name) {
			return fmt.Errorf("--%s is for --delete", name)
		}
	}
	return nil
}

// takes tells whether flows of that confidence are to go.
func (f *staleFlags) takes(c stale.Confidence) bool {
	return c == stale.Certain || f.include == string(c)
}

// chosenFlow is a stale flow that was asked for, and where it is in the plan; -1
// where it stays.
type chosenFlow struct {
	verdict stale.Verdict
	planned int
}

// keep takes v into the plan where it is to go.
func (p *staleRun) keep(v *stale.Verdict) {
	at := -1
	if p.flags.takes(v.Confidence) {
		at = len(p.plan)
		p.plan, p.of = append(p.plan, planned(v)), append(p.of, v.Change)
	}
	if !p.format.Human {
		p.chosen = append(p.chosen, chosenFlow{*v, at})
	}
}

// remove deletes what is to go, and writes what became of it.
func (p *staleRun) remove(cmd *cobra.Command, out *held, doc *report.Stale) error {
	live, ok := p.source.(*capture.Live)
	if !ok {
		return usage(errors.New("--delete: a file cannot be changed"))
	}
	if p.torn || p.snapshot.RulesUnread() {
		return incomplete(fmt.Errorf("%s: nothing is deleted", strings.Join(host.MissingText(doc.Missing), "; ")))
	}
	if len(p.plan) == 0 && p.format.Human {
		// there is nothing to ask
		if err := p.write(out, doc); err != nil {
			return err
		}
		return finish(cmd, doc.Header, doc.Likely > 0)
	}
	results, path, failed := p.removeFlows(cmd, live, p.plan, removeOptions{
		removal: &p.flags.removal, format: p.format, judge: p.judge,
		show: func(w io.Writer) error {
			return report.StalePlan(w, doc, p.flags.takes, ownSession(p.plan), p.style)
		},
		still: func() error { return p.still(cmd) },
	})
	if errors.Is(failed, errNo) {
		return failed
	}
	doc.Journal, doc.DryRun = path, p.flags.dryRun
	if err := p.told(cmd, out, doc, results); err != nil {
		return err
	}
	if failed != nil {
		return failed
	}
	return finish(cmd, doc.Header, doc.Certain+doc.Likely > 0)
}

// told writes what became of the flows.
func (p *staleRun) told(cmd *cobra.Command, out *held, doc *report.Stale, results []remove.Result) error {
	if p.format.Human {
		if err := report.StaleGone(cmd.OutOrStdout(), doc, results, p.of, p.style); err != nil {
			return incomplete(err)
		}
		return nil
	}
	for i := range p.chosen {
		c := &p.chosen[i]
		var r *remove.Result
		if c.planned >= 0 {
			r = &results[c.planned]
		}
		if err := p.writer.Add(&c.verdict, r); err != nil {
			return incomplete(err)
		}
	}
	return p.write(out, doc)
}

func planned(v *stale.Verdict) remove.Planned {
	out := remove.Planned{Flow: v.Flow, Risks: v.Risks, Why: journal.Why{Class: string(v.Class), Confidence: string(v.Confidence), Text: v.Why}}
	if v.Rule != nil {
		out.Why.Rule = packet.RuleName(v.Rule)
	}
	return out
}

// still refuses to delete by rules that are not the present ones any more.
func (p *staleRun) still(cmd *cobra.Command) error {
	changed, err := p.changed(cmd.Context())
	if err != nil {
		return cannot(err)
	}
	if changed != "" {
		return incomplete(errors.New("the rules changed since the flows were judged: nothing is deleted; look again"))
	}
	return nil
}
