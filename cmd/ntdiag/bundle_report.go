package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/ntdiag/ntdiag/diagnose/bundle"
	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/query"
	"github.com/ntdiag/ntdiag/report"
	"github.com/ntdiag/ntdiag/report/ticket"
)

// reportFlags are the flags of `bundle report`.
type reportFlags struct {
	output, out string
	explain     []string
}

func newBundleReportCmd(a *app) *cobra.Command {
	f := &reportFlags{}
	cmd := &cobra.Command{
		Use:   "report [BUNDLE]",
		Short: "one page for the ticket: HTML in one file, or Markdown",
		Long: `report puts what the reading commands say on one page: the worst finding first,
what to do, the evidence; the way of flows through hooks and rules as a picture;
the NAT rules with their flows; stale flows; counters; invalid packets; and what
could not be known: of BUNDLE, or without one of this machine as it is now.

The HTML page is one file that asks the network for nothing. It can be read, and
printed, without JavaScript; with it tables can be sorted and filtered. -o
markdown is for pasting into an issue, and keeps below the length that GitHub
takes.

Flows that a finding is about are explained, then one of each NAT rule; what
--explain QUERY asks for comes before them (ntdiag help queries).`,
		Example: `  sudo ntdiag bundle report --out report.html
  ntdiag bundle report ticket-4711.tar.zst --explain :443 --out report.html
  sudo ntdiag bundle report -o markdown | xclip`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.takeBundle(args); err != nil {
				return usage(err)
			}
			return a.bundleReport(cmd, f)
		},
	}
	fs := cmd.Flags()
	fs.StringVarP(&f.output, "output", "o", ticket.Formats()[0], "output format: "+strings.Join(ticket.Formats(), ", "))
	fs.StringVar(&f.out, "out", "", "write to this `FILE`; .md makes it markdown where -o says nothing")
	fs.StringArrayVar(&f.explain, "explain", nil, "explain the flows that fit `QUERY` too; can be given several times")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(ticket.Formats(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// takeBundle takes the argument BUNDLE as --from.
func (a *app) takeBundle(args []string) error {
	switch {
	case len(args) > 1:
		return fmt.Errorf("bundle report takes one BUNDLE, here %d", len(args))
	case len(args) == 1 && a.from != "":
		return errors.New("bundle report: a BUNDLE and --from at once")
	case len(args) == 1:
		a.from = args[0]
	}
	return nil
}

func (a *app) bundleReport(cmd *cobra.Command, f *reportFlags) error {
	format, queries, err := f.check(cmd)
	if err != nil {
		return usage(err)
	}
	l, err := a.open(cmd.Context())
	if err != nil {
		return err
	}
	defer l.Close()
	r := &ticketRun{app: a, cmd: cmd, source: l, ticket: &ticket.Ticket{Tool: version, Made: time.Now(), Now: l.Now()}}
	if err := r.fill(cmd.Context(), queries); err != nil {
		return err
	}
	if err := r.write(format, f.out); err != nil {
		return incomplete(err)
	}
	missing := r.ticket.Incomplete()
	return finish(cmd, report.Header{Complete: len(missing) == 0, Missing: missing}, r.ticket.Found())
}

// check reads the flags.
func (f *reportFlags) check(cmd *cobra.Command) (ticket.Format, []query.Query, error) {
	name := f.output
	if !cmd.Flags().Changed("output") && strings.EqualFold(filepath.Ext(f.out), ".md") {
		name = "markdown"
	}
	format, err := ticket.FormatByName(name)
	if err != nil {
		return format, nil, err
	}
	if format.Name == "html" && f.out == "" && term.IsTerminal(int(os.Stdout.Fd())) {
		return format, nil, errors.New("bundle report: a page is no text for a terminal: name a file with --out report.html, or use -o markdown")
	}
	var queries []query.Query
	for _, text := range f.explain {
		q, err := query.Parse([]string{text})
		if err != nil {
			return format, nil, fmt.Errorf("--explain %q: %w", text, err)
		}
		queries = append(queries, q)
	}
	return format, queries, nil
}

// ticketRun gathers what the commands say.
type ticketRun struct {
	*app
	cmd    *cobra.Command
	source capture.Source
	ticket *ticket.Ticket

	snapshot *host.Snapshot
	explains func(f *host.Flow, as string) report.Explained
	shown    []host.Flow // the flows that are explained
}

func (r *ticketRun) fill(ctx context.Context, queries []query.Query) error {
	var err error
	if r.snapshot, err = snapshot(ctx, r.source); err != nil {
		return err
	}
	r.explains = explainer(r.snapshot, true)
	t := r.ticket
	t.Host = report.NewHeader("", r.snapshot, nil).Host
	// what one command cannot say is missing, and the others are asked all the
	// same
	for _, part := range []struct {
		command string
		ask     func(context.Context) error
	}{
		{"rules", r.rules}, {"stale", r.stale}, {"counters", r.counters}, {"invalid", r.invalid},
	} {
		if err := part.ask(ctx); err != nil {
			t.Missing = append(t.Missing, host.Missing{What: "what ntdiag " + part.command + " says", Why: err.Error()})
		}
	}
	for i := range queries {
		if err := r.asked(ctx, &queries[i]); err != nil {
			return err
		}
	}
	r.flows()
	r.about()
	return nil
}

func (r *ticketRun) rules(ctx context.Context) (err error) {
	r.ticket.Rules, err = rulesOf(ctx, r.source, &rulesFlags{})
	return err
}

func (r *ticketRun) stale(ctx context.Context) error {
	format, err := formatOf(report.Formats()[0])
	if err != nil {
		return err
	}
	p := &staleRun{app: r.app, source: r.source, flags: &staleFlags{expand: true}, format: format}
	if err := p.judgeAll(ctx, &held{w: io.Discard}); err != nil {
		return err
	}
	r.ticket.Stale = p.document("ntdiag stale" + report.NetnsFlag(r.snapshot.Netns))
	return nil
}

func (r *ticketRun) counters(ctx context.Context) (err error) {
	w := &countersWatch{app: r.app, flags: &countersFlags{}, source: r.source, host: r.host(ctx, r.source)}
	r.ticket.Counters, err = w.answer(ctx)
	return err
}

func (r *ticketRun) invalid(ctx context.Context) error {
	run := r.newInvalidRun(r.cmd, nil, &invalidFlags{})
	run.source = r.source
	run.live, _ = r.source.(*capture.Live)
	if err := run.past(); err != nil {
		return err
	}
	if _, err := run.document(ctx, maxShownOfTable); err != nil {
		return err
	}
	r.ticket.Invalid = run.doc
	return nil
}

// asked explains what was asked for.
func (r *ticketRun) asked(ctx context.Context, q *query.Query) error {
	got, err := find(ctx, r.source, q, explainPage)
	if err != nil {
		return cannot(err)
	}
	doc, err := r.explainFound(ctx, r.source, q, got, true)
	if err != nil {
		return err
	}
	for i := range doc.Flows {
		r.shown = append(r.shown, doc.Flows[i].Flow.Flow)
	}
	r.ticket.Asked = append(r.ticket.Asked, doc)
	return nil
}

// maxTicketFlows is how many flows a page explains by itself.
const maxTicketFlows = 20

// flows explains those of findings, one of each group in turn, then one of each
// rule.
func (r *ticketRun) flows() {
	t := r.ticket
	if t.Stale != nil {
		r.staleFlows()
	}
	if t.Invalid != nil {
		for i := range t.Invalid.Messages {
			m := &t.Invalid.Messages[i]
			for j := range m.Flows {
				if f := m.Flows[j].Flow; f != nil {
					r.show("its packets were invalid: "+m.Reason, &f.Flow)
				}
			}
		}
	}
	if t.Rules != nil {
		for i := range t.Rules.Rules {
			row := &t.Rules.Rules[i]
			if f := row.First(); f != nil {
				r.show("a flow of "+row.Rule.Name(), f)
			}
		}
	}
}

// staleFlows take the first of each group, then the second, so that each group
// has one where there are many.
func (r *ticketRun) staleFlows() {
	groups := r.ticket.Stale.Groups
	for n := 0; n < staleExamples; n++ {
		for i := range groups {
			if all := groups[i].Examples(); n < len(all) {
				r.show("stale: "+string(groups[i].Class), &all[n].Flow.Flow)
			}
		}
	}
}

// show explains f unless it is there, or the page is full.
func (r *ticketRun) show(why string, f *host.Flow) {
	for i := range r.shown {
		if o := &r.shown[i]; o.Original == f.Original && o.Zone == f.Zone && o.ID == f.ID {
			return
		}
	}
	r.shown = append(r.shown, *f)
	if len(r.ticket.Flows) >= maxTicketFlows {
		r.ticket.MoreFlows++
		return
	}
	r.ticket.Flows = append(r.ticket.Flows, ticket.Flow{Why: why, Explained: r.explains(f, "")})
}

// about adds what is known of the machine.
func (r *ticketRun) about() {
	add := func(name, value string) {
		r.ticket.About = append(r.ticket.About, ticket.Fact{Name: name, Value: value})
	}
	if n, most, err := r.source.Count(); err == nil {
		text := report.Thousands(int(n))
		if most > 0 {
			text += " of at most " + report.Thousands(int(most))
		}
		add("Conntrack entries", text)
	}
	if w, ok := r.source.(capture.Whole); ok {
		if up := w.Uptime(); up.OK {
			add("Running for", up.Value.Round(time.Second).String())
		}
	}
	if r.captured != nil && r.captured.manifest != nil {
		r.bundle(r.captured.manifest, add)
	}
}

// bundle adds what the bundle says of itself.
func (r *ticketRun) bundle(m *bundle.Manifest, add func(name, value string)) {
	t := r.ticket
	t.From = r.from
	add("Machine", m.Machine.Arch)
	add("Bundle made by", strings.TrimSpace(m.Tool+" "+m.Version))
	add("Bundle made", m.Created.UTC().Format(time.RFC3339))
	if m.Redaction != nil {
		t.Redacted = true
		for _, k := range m.Redaction.Kept {
			t.Kept = append(t.Kept, ticket.Fact{Name: k.What, Value: k.Why})
		}
	}
	t.Missing = append(t.Missing, m.Missing...)
	for _, x := range m.Truncated {
		t.Missing = append(t.Missing, host.Missing{What: fmt.Sprintf("%s %s of %s", report.Thousands(int(x.LeftOut)), x.What, x.Member), Why: x.Why})
	}
}

// write writes the page to the file out, or to standard output.
func (r *ticketRun) write(format ticket.Format, out string) error {
	if out == "" {
		return format.Write(r.cmd.OutOrStdout(), r.ticket)
	}
	n, err := replaceFile(out, func(w io.Writer) error { return format.Write(w, r.ticket) })
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(r.cmd.OutOrStdout(), "%s: %s\n", out, byteCount(n))
	return err
}

// replaceFile writes a file beside name and puts it in its place when it is
// whole. It is for its owner alone: a page has what the machine's rules have.
func replaceFile(name string, write func(io.Writer) error) (n int64, err error) {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	w := bufio.NewWriter(f)
	if err := write(w); err != nil {
		return 0, err
	}
	if err := w.Flush(); err != nil {
		return 0, err
	}
	if n, err = f.Seek(0, io.SeekCurrent); err != nil {
		return 0, err
	}
	if err := f.Close(); err != nil {
		return 0, err
	}
	return n, os.Rename(f.Name(), name)
}

func byteCount(n int64) string {
	if n < 10<<10 {
		return fmt.Sprintf("%d bytes", n)
	}
	return fmt.Sprintf("%d KiB", n>>10)
}
