package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/checks"
	"github.com/ntdiag/ntdiag/diagnose/explain"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/order"
	"github.com/ntdiag/ntdiag/report"
	"github.com/ntdiag/ntdiag/rules"
)

// rulesFlags are the flags of `rules`.
type rulesFlags struct {
	output                  string
	noFlows, all, allChains bool
	filter                  report.RulesFilter
	untold                  bool // see report.RulesInput
}

func newRulesCmd(a *app) *cobra.Command {
	var f rulesFlags
	cmd := &cobra.Command{
		Use:   "rules",
		Short: "list the NAT rules in the order in which packets meet them",
		Example: `  sudo ntdiag rules
  sudo ntdiag rules --finding any
  sudo ntdiag rules --owner docker --hook postrouting
  sudo ntdiag rules --all-chains -o json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runRules(cmd, &f) },
	}
	outputFlag(cmd, &f.output)
	fs := cmd.Flags()
	fs.BoolVar(&f.all, "all", false, "every rule, not only a page")
	fs.BoolVar(&f.allChains, "all-chains", false, "every chain with its number of rules, and what is found in rules not about NAT")
	fs.BoolVar(&f.noFlows, "no-flows", false, "do not read the conntrack table")
	for _, w := range rulesFilters {
		fs.StringVar(w.to(&f.filter), w.name, "", w.help)
		if w.values != nil {
			_ = cmd.RegisterFlagCompletionFunc(w.name, cobra.FixedCompletions(w.values(), cobra.ShellCompDirectiveNoFileComp))
		}
	}
	_ = cmd.RegisterFlagCompletionFunc("table", a.completeOf(tableNames))
	_ = cmd.RegisterFlagCompletionFunc("chain", a.completeOf(chainNames))
	a.long.add(cmd, rulesHelp)
	return cmd
}

// rulesFilters is one row a flag that chooses rules; where values is given,
// nothing else is taken.
var rulesFilters = []struct {
	name, help string
	to         func(*report.RulesFilter) *string
	values     func() []string
}{
	{"hook", "rules met at this hook", func(f *report.RulesFilter) *string { return &f.Hook }, hookNames},
	{"family", "rules of tables of this family; inet counts as ip and as ip6", func(f *report.RulesFilter) *string { return &f.Family }, func() []string { return []string{"ip", "ip6", "inet"} }},
	{"table", "rules of tables of this name", func(f *report.RulesFilter) *string { return &f.Table }, nil},
	{"chain", "rules of this chain, or met from this base chain", func(f *report.RulesFilter) *string { return &f.Chain }, nil},
	{"owner", "rules written by this program (docker, kube-proxy, …), or none for rules of nobody known", func(f *report.RulesFilter) *string { return &f.Owner }, ownerNames},
	{"finding", "rules with a finding of this check, a warning or worse, or any", func(f *report.RulesFilter) *string { return &f.Finding }, checkNames},
	{"grep", "rules with this in their text or comment", func(f *report.RulesFilter) *string { return &f.Text }, nil},
}

func hookNames() []string {
	var out []string
	for _, h := range order.Hooks {
		out = append(out, h.String())
	}
	return out
}

func ownerNames() []string { return append(rules.OwnerNames(), report.OwnerNone) }

func checkNames() []string {
	out := []string{report.FindingAny, string(checks.Warning), string(checks.Critical)}
	for _, c := range checks.All {
		out = append(out, c.Name)
	}
	return out
}

func rulesHelp() string {
	var b strings.Builder
	b.WriteString(`rules lists the rules that make NAT, and those that decide about it (exemptions,
marks that NAT rules test, notrack), of all tables and both backends in the
order in which the kernel evaluates them, with what their counters say, how many
live flows each made, and what is wrong with them.

What is looked for, by the name that --finding takes:

`)
	for _, c := range checks.All {
		listed(&b, 14, c.Name, c.Doc)
	}
	b.WriteString(`
A rule that is called shadowed or never matching is so for every packet; sets
are taken as they are now. With a flag that chooses rules, findings about chains
or the whole ruleset are left out, and do not count.

Exit code 1 when a warning or worse was found, 0 when there are notes only.`)
	return b.String()
}

func (a *app) runRules(cmd *cobra.Command, f *rulesFlags) error {
	format, err := formatOf(f.output)
	if err != nil {
		return err
	}
	for _, w := range rulesFilters {
		v := *w.to(&f.filter)
		if w.values != nil && v != "" && !slices.Contains(w.values(), v) {
			return usage(fmt.Errorf("--%s %q: known are %s", w.name, v, strings.Join(w.values(), ", ")))
		}
	}
	f.untold = true
	doc, err := a.rules(cmd.Context(), f)
	if err != nil {
		return err
	}
	style := a.style(format)
	if f.all {
		style.Rows = 0
	}
	if err := format.Rules(a.out(cmd, format), doc, style); err != nil {
		return incomplete(err)
	}
	return finish(cmd, doc.Header, doc.Found())
}

func (a *app) rules(ctx context.Context, f *rulesFlags) (*report.Rules, error) {
	l, err := a.open(ctx)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	return rulesOf(ctx, l, f)
}

// rulesOf are the rules of l, as f chooses them.
func rulesOf(ctx context.Context, l capture.Source, f *rulesFlags) (*report.Rules, error) {
	s, err := light(ctx, l)
	if err != nil {
		return nil, err
	}
	in := &report.RulesInput{Snapshot: s, Hooks: order.Of(s.Rules), Filter: f.filter, AllChains: f.allChains, Untold: f.untold}
	in.Findings = checks.Run(s, in.Hooks)
	if !f.noFlows {
		made := explain.New(s).Count(runtime.GOMAXPROCS(0), func(each func(*host.Flow)) error {
			info, err := l.Flows(ctx, capture.Filter{}, func(f *host.Flow) error { each(f); return nil })
			in.Missing = append(in.Missing, info.Missing()...)
			return err
		})
		in.Made, in.Missing = &made, append(in.Missing, made.Missing...)
	}
	return report.NewRules(in), nil
}
