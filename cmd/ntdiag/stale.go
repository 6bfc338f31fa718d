package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/explain"
	"github.com/ntdiag/ntdiag/diagnose/history"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/query"
	"github.com/ntdiag/ntdiag/diagnose/remove"
	"github.com/ntdiag/ntdiag/diagnose/simulate"
	"github.com/ntdiag/ntdiag/diagnose/stale"
	"github.com/ntdiag/ntdiag/report"
	"github.com/ntdiag/ntdiag/rules"
)

// staleFlags are the flags of `stale`.
type staleFlags struct {
	flowFlags
	removal
	delete    bool
	include   string
	olderThan time.Duration
	class     []string
	leave     []string
	to, rule  string
	stateDir  string
	expand    bool
}

func newStaleCmd(a *app) *cobra.Command {
	f := &staleFlags{}
	cmd := &cobra.Command{
		Use:   "stale",
		Short: "find, and delete, flows that are no longer what the rules say",
		Example: `  sudo ntdiag stale
  sudo ntdiag stale --proto udp --class target-changed --expand
  sudo ntdiag stale --rule 'PREROUTING rule 2' --older-than 10m -o jsonl
  sudo ntdiag stale --delete --to 10.244.1.7:53
  sudo ntdiag stale --delete --include likely --yes -o json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.stale(cmd, f) },
	}
	f.addFilters(cmd)
	fs := cmd.Flags()
	fs.DurationVar(&f.olderThan, "older-than", 0, "only flows that began longer ago than this (10m, 2h): needs nf_conntrack_timestamp")
	fs.StringSliceVar(&f.class, "class", nil, "only these classes of stale flows, parted by commas")
	fs.StringSliceVar(&f.leave, "leave", nil, "leave out flows that these traps are of, parted by commas: works, offload, …")
	fs.StringVar(&f.to, "to", "", "only flows that still go to, or leave from, this `ADDR[:PORT]`")
	fs.StringVar(&f.rule, "rule", "", "only flows that this rule would take now, or may have made: a handle, CHAIN rule N, …")
	fs.BoolVar(&f.delete, "delete", false, "delete those that are certain, after asking, with a journal to put them back")
	fs.StringVar(&f.include, "include", "", "with --delete: those that are `likely` too")
	f.removal.add(cmd)
	stateDirFlag(cmd, &f.stateDir)
	fs.BoolVarP(&f.expand, "expand", "v", false, "every group, with its flows")
	_ = cmd.RegisterFlagCompletionFunc("class", completeList(classNames()))
	_ = cmd.RegisterFlagCompletionFunc("leave", completeList(riskNames()))
	_ = cmd.RegisterFlagCompletionFunc("include", cobra.FixedCompletions([]string{string(stale.Likely)}, cobra.ShellCompDirectiveNoFileComp))
	a.long.add(cmd, staleHelp)
	return cmd
}

// classDocs is what each class means.
var classDocs = map[stale.Class]string{
	stale.RuleGone:        "it is rewritten, and no present rule does that",
	stale.TargetChanged:   "a rule, a map or a set now sends it elsewhere",
	stale.RuleAdded:       "it is not rewritten, and a rule now would",
	stale.SNATAddressGone: "neither this host nor a rule has its source address any more",
	stale.RouteChanged:    "it would leave by another device, from another address",
	stale.NotYetNAT:       "it began before NAT was set up",
}

func classNames() []string {
	var out []string
	for _, c := range stale.Classes() {
		out = append(out, string(c))
	}
	return out
}

func riskNames() []string {
	var out []string
	for _, r := range stale.Risks() {
		out = append(out, string(r))
	}
	return out
}

func staleHelp() string {
	var b strings.Builder
	b.WriteString(`stale walks every live flow through the rules, addresses and routes as they are
now, and lists those of which a new packet would become something else: a flow
keeps the rewrite of its first packet for as long as it lives.

Flows for which the same changed are one group, with what new packets get, by
which rule, and what deleting them may lead to. The classes:

`)
	for _, c := range stale.Classes() {
		listed(&b, 18, string(c), classDocs[c])
	}
	b.WriteString(`
A flow is certain when nothing that is not known, and nothing that was assumed,
could make a new packet get what it has; else it is likely. Of a random choice
all targets count. A flow that cannot be decided is counted, with the reason.

--delete shows what it will delete and what that may lead to, and asks. It takes
what is certain, entry by entry: each is read again first, and one that changed
meanwhile is told, not touched. A journal is written before, from which
ntdiag undo puts them back. Afterwards it looks what came back, and as what.

Exit code 1 when something is stale, also when all of it was deleted; 0 when
nothing is.`)
	return b.String()
}

// completeList completes the last of several values parted by commas.
func completeList(values []string) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
		said, last := "", prefix
		if i := strings.LastIndexByte(prefix, ','); i >= 0 {
			said, last = prefix[:i+1], prefix[i+1:]
		}
		var out []string
		for _, v := range values {
			if strings.HasPrefix(v, last) && !slices.Contains(strings.Split(said, ","), v) {
				out = append(out, said+v)
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}

// staleChoice is which stale flows are asked for.
type staleChoice struct {
	flows query.Filter
	// before is when a flow must have begun, in ns since the epoch; 0 for any
	// time.
	before int64
	class  []stale.Class
	leave  []stale.Risk
	to     host.Endpoint
	rule   simulate.RuleName
	byRule bool
}

func (f *staleFlags) choice(cmd *cobra.Command) (staleChoice, error) {
	var c staleChoice
	if err := f.checkDelete(cmd); err != nil {
		return c, err
	}
	var err error
	if c.flows, err = f.filter(cmd); err != nil {
		return c, err
	}
	if cmd.Flags().Changed("older-than") {
		if f.olderThan <= 0 {
			return c, errors.New("--older-than: must be longer than nothing")
		}
	}
	for _, name := range f.class {
		if !slices.Contains(stale.Classes(), stale.Class(name)) {
			return c, fmt.Errorf("--class %q: known are %s", name, strings.Join(classNames(), ", "))
		}
		c.class = append(c.class, stale.Class(name))
	}
	for _, name := range f.leave {
		if !slices.Contains(stale.Risks(), stale.Risk(name)) {
			return c, fmt.Errorf("--leave %q: known are %s", name, strings.Join(riskNames(), ", "))
		}
		c.leave = append(c.leave, stale.Risk(name))
	}
	if f.to != "" {
		if c.to, err = parseEnd(f.to); err != nil {
			return c, fmt.Errorf("--to: %w", err)
		}
	}
	if c.byRule = f.rule != ""; c.byRule {
		if c.rule, err = simulate.ParseRuleName(f.rule); err != nil {
			return c, fmt.Errorf("--rule: %w", err)
		}
	}
	return c, nil
}

// parseEnd reads ADDR or ADDR:PORT; Port 0 is any.
func parseEnd(text string) (host.Endpoint, error) {
	if a, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return host.Endpoint{Addr: a}, nil
	}
	ap, err := netip.ParseAddrPort(text)
	if err != nil {
		return host.Endpoint{}, fmt.Errorf("%q is neither ADDR nor ADDR:PORT", text)
	}
	return host.Endpoint{Addr: ap.Addr(), Port: ap.Port()}, nil
}

// rulesNamed are the present rules of a name. A bare number after a chain is
// its place where the chain is of iptables.
func rulesNamed(rs *rules.Ruleset, text string, n simulate.RuleName) (out []*rules.Rule) {
	byPlace := n
	if n.Chain != "" && !strings.Contains(text, "handle") {
		byPlace.Number, byPlace.Handle = int(n.Handle), 0
	}
	for _, t := range rs.Tables {
		name := n
		if byPlace.Number != 0 && t.Backend.Iptables() {
			name = byPlace
		}
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				if name.Names(r) {
					out = append(out, r)
				}
			}
		}
	}
	return out
}

// staleTries is how often flows are judged anew because the rules changed
// meanwhile.
const staleTries = 3

func (a *app) stale(cmd *cobra.Command, f *staleFlags) error {
	format, err := formatOf(f.output)
	if err != nil {
		return err
	}
	c, err := f.choice(cmd)
	if err != nil {
		return usage(err)
	}
	l, err := a.open(cmd.Context())
	if err != nil {
		return err
	}
	defer l.Close()
	if f.olderThan > 0 {
		c.before = l.Now().Add(-f.olderThan).UnixNano()
	}
	style := a.style(format)
	style.Verbose = f.expand
	if *f.on["all"] || f.expand {
		style.Rows = 0
	}
	out := &held{w: a.out(cmd, format)}
	p := &staleRun{app: a, source: l, flags: f, choice: c, format: format, style: style}
	if err := p.judgeAll(cmd.Context(), out); err != nil {
		return err
	}
	return p.end(cmd, out)
}

// judgeAll judges the table by rules that do not change meanwhile, if it can.
func (p *staleRun) judgeAll(ctx context.Context, out *held) error {
	first := *p
	first.history, first.unrecorded = recorded(p.source, p.flags.stateDir)
	for try := 1; ; try++ {
		*p = first
		var err error
		if p.snapshot, err = light(ctx, p.source); err != nil {
			return err
		}
		p.writer = p.format.Stale(out, p.style)
		if err := p.run(ctx); err != nil {
			return err
		}
		changed, err := p.changed(ctx)
		if err != nil && !isLive(p.source) {
			p.missing = append(p.missing, host.Missing{What: "whether the rules changed meanwhile", Why: err.Error()})
			return nil
		}
		if err != nil {
			return cannot(err)
		}
		if changed == "" {
			return nil
		}
		// what a file says of it stays so
		if p.captured == nil && try < staleTries && out.reset() {
			continue
		}
		p.torn = true
		p.missing = append(p.missing, host.Missing{What: "present rules", Why: changed})
		return nil
	}
}

// end writes what was found, and deletes what is to go.
func (p *staleRun) end(cmd *cobra.Command, out *held) error {
	doc := p.document(p.commandLine(cmd))
	if p.flags.delete {
		return p.remove(cmd, out, doc)
	}
	if err := p.write(out, doc); err != nil {
		return err
	}
	return finish(cmd, doc.Header, doc.Certain+doc.Likely > 0)
}

func (p *staleRun) write(out *held, doc *report.Stale) error {
	if err := p.writer.Close(doc); err != nil {
		return incomplete(err)
	}
	if err := out.flush(); err != nil {
		return incomplete(err)
	}
	return nil
}

// recorded is what was recorded of the namespace of l, or why there is nothing.
func recorded(l capture.Source, dir string) (*history.History, string) {
	h, _, err := readHistory(l, dir)
	switch {
	case errors.Is(err, history.ErrNoStore):
		return nil, "nothing was recorded; ntdiag record keeps it from when it runs"
	case err != nil:
		return nil, err.Error()
	}
	return h, ""
}

// staleRun is the table judged once by one snapshot.
type staleRun struct {
	*app
	source   capture.Source
	flags    *staleFlags
	choice   staleChoice
	snapshot *host.Snapshot
	format   report.Format
	style    report.Style
	writer   report.StaleWriter

	judge     *stale.Judge
	rules     []*rules.Rule
	explainer *explain.Explainer
	tally     *stale.Tally
	undated   int
	notChosen int
	missing   []host.Missing
	torn      bool // the rules changed meanwhile
	// history is what was recorded of the namespace, nil for nothing, and
	// unrecorded why.
	history    *history.History
	unrecorded string
	// plan is what is to be deleted, and of the change for each; chosen are all
	// that were, where each is written with what became of it.
	plan   []remove.Planned
	of     []stale.Change
	chosen []chosenFlow
}

// Verdicts that a table keeps as examples, of each group and of all.
const (
	staleExamples = 3
	staleSome     = 1000
	staleExpanded = 5000
)

// run goes through the table once.
func (p *staleRun) run(ctx context.Context) error {
	if p.choice.byRule {
		if p.rules = rulesNamed(p.snapshot.Rules, p.flags.rule, p.choice.rule); len(p.rules) == 0 {
			return usage(fmt.Errorf("--rule %q: there is no such rule now; flows of a rule that is gone are --class %s", p.flags.rule, stale.RuleGone))
		}
		p.explainer = explain.New(p.snapshot)
	}
	each, all := staleExamples, staleSome
	if p.flags.expand {
		each, all = staleExpanded, staleExpanded
	}
	p.tally = stale.NewTally(each, all)
	p.judge = stale.New(p.snapshot)
	stream := p.judge.Stream(runtime.GOMAXPROCS(0), p.verdict)
	info, err := p.source.Flows(ctx, kernelFilter(&p.choice.flows), func(f *host.Flow) error {
		if !p.choice.flows.Match(f) || !p.old(f) {
			return nil
		}
		return stream.Add(f)
	})
	if werr := stream.Close(); werr != nil {
		return incomplete(werr)
	}
	if err != nil {
		return cannot(err)
	}
	p.missing = append(p.missing, info.Missing()...)
	return nil
}

// old tells whether f is as old as asked, and counts those of which that is not
// known.
func (p *staleRun) old(f *host.Flow) bool {
	switch {
	case p.choice.before == 0:
		return true
	case f.Has&host.HasStart == 0:
		p.undated++
		return false
	}
	return f.Start < p.choice.before
}

// verdict takes each in the order of the table.
func (p *staleRun) verdict(v *stale.Verdict) error {
	if v.Fate == stale.Stale && !p.chooses(v) {
		p.notChosen++
		p.tally.Checked++
		return nil
	}
	p.tally.Add(v)
	if v.Fate != stale.Stale {
		return nil
	}
	if p.flags.delete {
		p.keep(v)
		return nil
	}
	return p.writer.Add(v, nil)
}

// chooses tells whether a stale flow is one that was asked for.
func (p *staleRun) chooses(v *stale.Verdict) bool {
	c := &p.choice
	if len(c.class) > 0 && !slices.Contains(c.class, v.Class) ||
		slices.ContainsFunc(v.Risks, func(r stale.Risk) bool { return slices.Contains(c.leave, r) }) ||
		c.to.Addr.IsValid() && (c.to.Addr != v.To.Addr || c.to.Port != 0 && c.to.Port != v.To.Port) {
		return false
	}
	return !c.byRule || p.ofRule(v)
}

// ofRule tells whether one of the rules would take the flow now, or may have
// made it.
func (p *staleRun) ofRule(v *stale.Verdict) bool {
	for _, way := range append([][2]*simulate.NAT{v.Now}, v.Others...) {
		for _, n := range way {
			if n != nil && slices.Contains(p.rules, n.Rule) {
				return true
			}
		}
	}
	for _, rw := range p.explainer.Explain(&v.Flow, explain.Options{}).Rewrites {
		for _, r := range rw.Rules {
			if slices.Contains(p.rules, r) {
				return true
			}
		}
	}
	return false
}

// changed says that the rules are not those that the flows were judged by.
func (p *staleRun) changed(ctx context.Context) (string, error) {
	if p.snapshot.Rules.Generation == 0 && !isLive(p.source) {
		return "", nil // a text has none, and nothing happens while it is read
	}
	now, err := p.source.Generation(ctx)
	if err != nil || now == p.snapshot.Rules.Generation {
		return "", err
	}
	return fmt.Sprintf("they changed while the flows were judged (nf_tables generation %d, then %d): this is by the former", p.snapshot.Rules.Generation, now), nil
}

// document is what was found; command is what found it.
func (p *staleRun) document(command string) *report.Stale {
	d := report.NewStale(p.tally, p.snapshot, p.missing, p.history)
	d.NotChosen, d.Undated, d.OlderThan = p.notChosen, p.undated, p.flags.olderThan
	d.Command, d.Unrecorded = command, p.unrecorded
	return d
}
