package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/report"
)

func newFlowsInsertCmd(a *app) *cobra.Command {
	ins := &insertFlags{}
	cmd := &cobra.Command{
		Use:   "insert [PROTO SRC:PORT > DST:PORT]",
		Short: "make an entry, with NAT or without",
		Long: fmt.Sprintf(`insert makes an entry of the conntrack table, and shows it as it was made. The
tuple is that of the first packet, in the words that queries take or by flags.
--dnat and --snat make an entry with NAT; without them it has none, and the NAT
rules are not asked for its packets.

What is not said: TCP and SCTP are ESTABLISHED, and those are SEEN_REPLY and
ASSURED; the timeout is %d s, and that of its state from the next packet on; an
ICMP query is an echo request. TCP windows are not checked, as for a connection
that the kernel picks up midway. Exit code 1 when an entry has the tuple.`, insertTimeout),
		Example: `  ntdiag flows insert 'tcp 10.0.0.10:5536 > 10.0.0.1:80' --dnat 192.168.1.80:80
  ntdiag flows insert udp 10.0.0.10:5353 10.8.2.12:53 --snat 192.168.1.2
  ntdiag flows insert --proto icmp --src 10.0.0.10 --dst 10.8.2.12 --icmp-id 77
  ntdiag flows insert 'tcp 10.0.0.10:4000 > 10.0.0.1:21' --helper ftp --zone 3`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return a.flowsInsert(cmd, ins, args) },
	}
	for _, row := range insertValues {
		ins.text = append(ins.text, cmd.Flags().String(row.name, "", row.help))
	}
	outputFlag(cmd, &ins.output)
	values := flowValues()
	values["status"], values["helper"] = append(settable(), natDoneWords...), helperNames
	for _, name := range []string{"proto", "state", "status", "helper"} {
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values[name], cobra.ShellCompDirectiveNoFileComp))
	}
	_ = cmd.RegisterFlagCompletionFunc("label", completeLabels)
	return cmd
}

type insertFlags struct {
	output string
	text   []*string // of insertValues
}

// insertGroups are flags of which one at most can be said, or of which those
// of the first part exclude those of the second.
var insertGroups = [][2][]string{
	{{"zone"}, {"orig-zone", "reply-zone"}},
	{{"orig-zone"}, {"reply-zone"}},
	{{"dnat", "snat"}, {"reply-src", "reply-dst", "reply-sport", "reply-dport"}},
}

// entry reads the words and the flags.
func (ins *insertFlags) entry(cmd *cobra.Command, args []string) (*newEntry, error) {
	changed := cmd.Flags().Changed
	for _, group := range insertGroups {
		for _, a := range group[0] {
			for _, b := range group[1] {
				if changed(a) && changed(b) {
					return nil, fmt.Errorf("--%s and --%s exclude each other", a, b)
				}
			}
		}
	}
	e := &newEntry{}
	for i, row := range insertValues {
		if !changed(row.name) {
			continue
		}
		if row.tuple && len(args) > 0 {
			return nil, fmt.Errorf("--%s: the tuple is named by words already", row.name)
		}
		if err := row.set(e, *ins.text[i]); err != nil {
			return nil, fmt.Errorf("--%s: %w", row.name, err)
		}
	}
	if len(args) == 0 {
		args = e.words()
	}
	return e, e.finish(args)
}

func (a *app) flowsInsert(cmd *cobra.Command, ins *insertFlags, args []string) error {
	format, err := formatOf(ins.output)
	if err != nil {
		return err
	}
	e, err := ins.entry(cmd, args)
	if err != nil {
		return usage(err)
	}
	l, err := a.openLive()
	if err != nil {
		return err
	}
	defer l.Close()
	entries, err := l.Entries()
	if err != nil {
		return cannot(err)
	}
	defer entries.Close()
	if err := entries.Insert(cmd.Context(), &e.flow); err != nil {
		if errors.Is(err, capture.ErrExists) {
			return &codeError{exitFound, exists(cmd.Context(), l, &e.flow)}
		}
		return cannot(err)
	}
	made, err := entries.Get(cmd.Context(), &e.flow)
	if err != nil {
		return incomplete(fmt.Errorf("inserted, but not there to be read: %w", err))
	}
	doc := &report.Entries{
		Header: report.NewHeader("flows.insert", a.host(cmd.Context(), l), nil),
		Query:  e.text, Flows: []report.Flow{{Flow: *made}},
	}
	if err := format.Entries(cmd.OutOrStdout(), doc, a.style(format)); err != nil {
		return incomplete(err)
	}
	if made.Labels != e.flow.Labels {
		return incomplete(errors.New("made without the labels: no rule here uses ct labels"))
	}
	return nil
}

// exists names the entry that has a tuple of f.
func exists(ctx context.Context, l *capture.Live, f *host.Flow) error {
	dirs := []struct {
		dir  capture.Direction
		name string
	}{{capture.Original, "this tuple"}, {capture.Reply, "the reply tuple"}}
	for _, d := range dirs {
		t := f.Original
		if d.dir == capture.Reply {
			t = f.Reply
		}
		has, err := l.Get(ctx, t, d.dir, f.Family, f.Zone)
		if err != nil {
			continue // in a zone of one direction, or gone again
		}
		return fmt.Errorf("an entry has %s already: %s, id %d", d.name, report.FlowName(has), has.ID)
	}
	return capture.ErrExists
}

// helperNames are the conntrack helpers of the kernel.
var helperNames = strings.Fields("amanda ftp h323 irc netbios-ns pptp Q.931 RAS sane sip snmp tftp")

// natDoneWords are status bits that an inserted entry can have beside those
// that an update sets: NAT was decided, and it is none.
var natDoneWords = []string{"src_nat_done", "dst_nat_done"}
