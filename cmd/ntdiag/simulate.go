package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/query"
	"github.com/ntdiag/ntdiag/diagnose/simulate"
	"github.com/ntdiag/ntdiag/report"
)

// simulateFlags are the flags of `simulate`.
type simulateFlags struct {
	output  string
	verbose bool
	expect  []string
	said    map[string]*string // of the packet, by key
}

func newSimulateCmd(a *app) *cobra.Command {
	f := simulateFlags{said: map[string]*string{}}
	cmd := &cobra.Command{
		Use:   "simulate PACKET…",
		Short: "say what would happen to a packet",
		Example: `  ntdiag simulate 'tcp 10.0.0.10:5536 > 10.0.0.1:8080'
  ntdiag simulate icmp 10.0.0.10 192.0.2.7 iif eth0 -v
  ntdiag simulate 'udp [fd00::10]:5000 > [fd00::53]:53' --mark 0x2a -o json
  ntdiag simulate 'tcp 10.0.0.10 > 10.0.0.1:80' --expect 'dnat to 10.0.0.5:80'`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, args []string) error { return a.runSimulate(cmd, args, &f) },
	}
	outputFlag(cmd, &f.output)
	fs := cmd.Flags()
	fs.BoolVarP(&f.verbose, "verbose", "v", false, "show every rule looked at, and why it did not match")
	fs.StringArrayVar(&f.expect, "expect", nil, "an `expectation` of every outcome, may be given several times: 'dnat to 10.0.0.5:80', 'no nat', drop, …")
	for _, k := range query.PacketKeys() {
		f.said[k.Names[0]] = fs.String(k.Names[0], "", k.Help)
		fs.Lookup(k.Names[0]).Value = &typed{fs.Lookup(k.Names[0]).Value, strings.ToLower(strings.Split(k.Value, "|")[0])}
	}
	_ = cmd.RegisterFlagCompletionFunc("iif", a.completeOf(deviceNames))
	_ = cmd.RegisterFlagCompletionFunc("oif", a.completeOf(deviceNames))
	a.long.add(cmd, simulateHelp)
	return cmd
}

func simulateHelp() string {
	return `simulate takes a packet that nobody has sent through the rules and routes as
they are now: the hooks in their order, the routing decision after DNAT,
forwarding or delivery, and the source rewrite. It sends nothing.

A packet is written as a flow is for explain, with what else the rules ask for:

  tcp 10.0.0.10:5536 > 10.0.0.1:8080 iif eth0 mark 0x10
` + packetKeysText() + `
What is not said is assumed with a reason (the device from the reverse path,
mark 0, a SYN) or is unknown. The packet is the first of its flow; with "state
invalid" it is one that conntrack takes for invalid, which no NAT rule sees.
Each choice by chance, or by what is unknown, makes an outcome of its own, with
its probability where a rule states one.
An outcome is certain when there is no other, and would be none had what was
assumed been otherwise.

With --expect the exit code is 1 unless it is so:

` + simulate.ExpectHelp
}

func (a *app) runSimulate(cmd *cobra.Command, args []string, f *simulateFlags) error {
	format, err := formatOf(f.output)
	if err != nil {
		return err
	}
	p, err := query.ParsePacket(append(args, flagWords(f.said)...))
	if err != nil {
		return usage(err)
	}
	wants, err := expectations(f.expect)
	if err != nil {
		return usage(err)
	}
	doc, err := a.simulate(cmd.Context(), p, wants)
	if err != nil {
		return err
	}
	style := a.style(format)
	style.Verbose = f.verbose
	if err := format.Simulate(a.out(cmd, format), doc, style); err != nil {
		return incomplete(err)
	}
	if why := failed(doc); why != "" {
		return &codeError{exitFound, errors.New(why)}
	}
	return finish(cmd, doc.Header, false)
}

// typed is a flag's value with the name of its type as help shows it.
type typed struct {
	value interface {
		String() string
		Set(string) error
	}
	name string
}

func (t *typed) String() string     { return t.value.String() }
func (t *typed) Set(s string) error { return t.value.Set(s) }
func (t *typed) Type() string       { return t.name }

func packetKeysText() string {
	var b strings.Builder
	b.WriteByte('\n')
	for _, k := range query.PacketKeys() {
		listed(&b, 11, k.Names[0]+" "+k.Value, k.Help)
	}
	return b.String()
}

// flagWords are the flags as words of the packet.
func flagWords(said map[string]*string) []string {
	var out []string
	for _, k := range query.PacketKeys() {
		if v := *said[k.Names[0]]; v != "" {
			out = append(out, k.Names[0]+"="+v)
		}
	}
	return out
}

func expectations(texts []string) ([]simulate.Expectation, error) {
	var out []simulate.Expectation
	for _, t := range texts {
		e, err := simulate.ParseExpectation(t)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// simulate answers for one packet.
func (a *app) simulate(ctx context.Context, p query.Packet, wants []simulate.Expectation) (*report.Simulate, error) {
	l, err := a.open(ctx)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	s, err := snapshot(ctx, l)
	if err != nil {
		return nil, err
	}
	if s.RulesUnread() && len(s.Rules.Tables) == 0 {
		// whatever the rules are, an answer without any would be about none
		return nil, incomplete(errors.New(strings.Join(host.MissingText(s.Missing), "; ")))
	}
	r, err := simulate.New(s).Simulate(p)
	if err != nil {
		return nil, usage(err)
	}
	var missing []host.Missing
	if r.More {
		missing = append(missing, host.Missing{What: "outcomes", Why: "there are more ways than were gone"})
	}
	doc := &report.Simulate{Header: report.NewHeader("simulate", s, missing), Query: p.Text, Simulation: report.NewSimulation(r)}
	doc.Expect = report.Check(r, wants)
	doc.Entry = a.entry(ctx, l, &p)
	return doc, nil
}

// entry is one that is there for the packet's own tuple, nil when there is none
// or the tuple is not whole: its packets follow the entry, and not the rules.
func (a *app) entry(ctx context.Context, l capture.Source, p *query.Packet) *report.Flow {
	if p.SportOpen || p.IDOpen {
		return nil
	}
	f, err := l.Get(ctx, p.Tuple, capture.Original, p.Family, uint16(p.Zone.N))
	if err != nil || f.Original != p.Tuple {
		return nil // the answer is about a packet that finds none
	}
	return &report.Flow{Flow: *f}
}

// failed says which expectations do not hold, and what there is instead.
func failed(d *report.Simulate) string {
	var out []string
	for _, e := range d.Expect {
		if !e.Holds {
			out = append(out, fmt.Sprintf("expected %s; got: %s", e.Expect, e.Got))
		}
	}
	return strings.Join(out, "\nntdiag: ")
}
