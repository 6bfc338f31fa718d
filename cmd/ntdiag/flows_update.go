package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/query"
	"github.com/ntdiag/ntdiag/report"
)

func newFlowsUpdateCmd(a *app) *cobra.Command {
	u := &updateFlags{flowFlags: flowFlags{renamed: map[string]string{"mark": "match-mark", "status": "match-status"}}}
	cmd := &cobra.Command{
		Use:   "update [QUERY…]",
		Short: "change mark, timeout, status or labels of entries",
		Long: `update changes entries of the conntrack table: those that fit the query and the
filters, or with --every all of them. Each is read again before it is changed,
so that an entry which has taken its place is left alone.

The kernel sets the status bits seen_reply, assured, fixed_timeout and helper,
and clears none. It keeps labels only while a rule uses them, and takes no new
timeout where the timeout is fixed. Exit code 1 when a flow was not changed, or
none fits the query.`,
		Example: `  ntdiag flows update --mark 42 --proto tcp
  ntdiag flows update --mark 0x10/0xf0 --match-mark 0x20/0xf0
  ntdiag flows update --timeout 1h --status assured 10.0.0.10:5536 10.8.2.12:80
  ntdiag flows update --label-add 3 --label-del 5 --dst 10.8.0.0/16 -o jsonl`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: a.completeFlows,
		RunE:              func(cmd *cobra.Command, args []string) error { return a.flowsUpdate(cmd, u, args) },
	}
	for _, row := range updateSets {
		u.set = append(u.set, cmd.Flags().String(row.name, "", row.help))
	}
	u.addChoice(cmd)
	cmd.Flags().BoolVar(&u.every, "every", false, "change every entry of the table")
	outputFlag(cmd, &u.output)
	_ = cmd.RegisterFlagCompletionFunc("status", cobra.FixedCompletions(settable(), cobra.ShellCompDirectiveNoFileComp))
	for _, name := range []string{"label-add", "label-del"} {
		_ = cmd.RegisterFlagCompletionFunc(name, completeLabels)
	}
	return cmd
}

type updateFlags struct {
	flowFlags
	set   []*string // of updateSets
	every bool
}

// updateSets are the flags that say what is set, and how that is told.
var updateSets = []struct {
	name, help string
	set        func(c *capture.Change, v string) (what string, err error)
}{
	{"mark", "new ct mark: V, or V/MASK for the bits of MASK", changeMark},
	{"timeout", "seconds until it ends, or a time as 90s, 5m, 2h", changeTimeout},
	{"status", "status bits to set, parted by commas", changeStatus},
	{"label-add", "labels to set, by number or name, parted by commas", func(c *capture.Change, v string) (string, error) { return changeLabels(c, v, true) }},
	{"label-del", "labels to clear", func(c *capture.Change, v string) (string, error) { return changeLabels(c, v, false) }},
}

func changeMark(c *capture.Change, v string) (string, error) {
	mark, mask, err := query.ParseMark(v)
	switch {
	case err != nil:
		return "", err
	case mask == 0:
		return "", errors.New("a mask of 0 changes nothing")
	case mark&^mask != 0:
		return "", fmt.Errorf("0x%x has bits outside of its mask 0x%x", mark, mask)
	}
	c.SetMark, c.Mark, c.MarkMask = true, mark, mask
	if mask != math.MaxUint32 {
		return fmt.Sprintf("mark 0x%x/0x%x", mark, mask), nil
	}
	return fmt.Sprintf("mark 0x%x", mark), nil
}

func changeTimeout(c *capture.Change, v string) (what string, err error) {
	c.SetTimeout = true
	c.Timeout, err = parseSeconds(v)
	return fmt.Sprintf("timeout %d s", c.Timeout), err
}

// parseSeconds reads whole seconds, plain or as a Go duration.
func parseSeconds(v string) (uint32, error) {
	if n, err := strconv.ParseUint(v, 10, 32); err == nil {
		return uint32(n), nil
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < 0 || d > math.MaxUint32*time.Second || d%time.Second != 0 {
		return 0, fmt.Errorf("bad time %q: want seconds, or 90s, 5m, 2h", v)
	}
	return uint32(d / time.Second), nil
}

func changeStatus(c *capture.Change, v string) (string, error) {
	bits, err := parseSettable(v, capture.SettableStatus)
	c.Status = bits
	return "status " + strings.Join(bits.Names(), ","), err
}

// parseSettable reads status bits of those that can be set.
func parseSettable(v string, can host.Status) (host.Status, error) {
	value, mask, err := query.ParseStatus(v)
	switch {
	case err != nil:
		return 0, err
	case value != mask:
		return 0, fmt.Errorf("%q: the kernel clears no status bit", v)
	case value&^can != 0:
		return 0, fmt.Errorf("%q: only %s can be set", v, strings.ToLower(strings.Join(can.Names(), ", ")))
	}
	return value, nil
}

func settable() []string {
	return strings.Fields(strings.ToLower(strings.Join(capture.SettableStatus.Names(), " ")))
}

func changeLabels(c *capture.Change, v string, on bool) (string, error) {
	labels, err := parseLabels(v)
	if err != nil {
		return "", err
	}
	for i, bits := range labels {
		if c.LabelsMask[i]&bits != 0 {
			return "", errors.New("a label is both set and cleared")
		}
		c.LabelsMask[i] |= bits
		if on {
			c.Labels[i] |= bits
		}
	}
	if on {
		return "labels " + v + " set", nil
	}
	return "labels " + v + " cleared", nil
}

// change reads what is to be set.
func (u *updateFlags) change(cmd *cobra.Command) (c capture.Change, what string, err error) {
	var said []string
	for i, row := range updateSets {
		if !cmd.Flags().Changed(row.name) {
			continue
		}
		text, err := row.set(&c, *u.set[i])
		if err != nil {
			return c, "", fmt.Errorf("--%s: %w", row.name, err)
		}
		said = append(said, text)
	}
	if len(said) == 0 {
		return c, "", errors.New("nothing to set: name --mark, --timeout, --status, --label-add or --label-del")
	}
	return c, strings.Join(said, ", "), nil
}

// update is one run of the command.
type update struct {
	ctx     context.Context
	entries *capture.Entries
	change  capture.Change
	filter  query.Filter
	out     report.ChangeWriter
	end     report.ChangesEnd
	undone  bool // something was not changed that is still there
}

func (a *app) flowsUpdate(cmd *cobra.Command, u *updateFlags, args []string) error {
	format, err := formatOf(u.output)
	if err != nil {
		return err
	}
	run := update{ctx: cmd.Context(), out: format.Changes(cmd.OutOrStdout(), a.style(format))}
	if run.change, run.end.What, err = u.change(cmd); err != nil {
		return usage(err)
	}
	if run.filter, err = u.filter(cmd); err != nil {
		return usage(err)
	}
	switch chosen := len(args) > 0 || u.given(cmd); {
	case !chosen && !u.every:
		return usage(errors.New("no query and no filter: name the flows, or say --every"))
	case chosen && u.every:
		return usage(errors.New("--every goes with no query and no filter"))
	}
	var q *query.Query
	if len(args) > 0 {
		parsed, err := query.Parse(args)
		if err != nil {
			return usage(err)
		}
		q = &parsed
	}
	l, err := a.openLive()
	if err != nil {
		return err
	}
	defer l.Close()
	if run.entries, err = l.Entries(); err != nil {
		return cannot(err)
	}
	defer run.entries.Close()
	missing, err := run.all(l, q)
	if err != nil {
		return cannot(err)
	}
	run.end.Header = report.NewHeader("flows.update", a.host(cmd.Context(), l), missing)
	if err := run.out.Close(run.end); err != nil {
		return incomplete(err)
	}
	return finish(cmd, run.end.Header, run.undone || q != nil && run.end.Matched == 0)
}

// all changes the flows as they are read, or those that the query names.
func (r *update) all(l *capture.Live, q *query.Query) (missing []host.Missing, err error) {
	if q != nil {
		got, err := find(r.ctx, l, q, math.MaxInt)
		if err != nil {
			return nil, err
		}
		missing = got.missing
		for i := 0; i < len(got.matches) && err == nil; i++ {
			err = r.one(&got.matches[i].flow)
		}
		err = ignoreStop(err)
		return append(missing, r.interrupted()...), err
	}
	info, err := l.Flows(r.ctx, kernelFilter(&r.filter), r.one)
	if r.ctx.Err() != nil {
		err = nil
	}
	return append(info.Missing(), r.interrupted()...), err
}

func ignoreStop(err error) error {
	if errors.Is(err, capture.ErrStop) {
		return nil
	}
	return err
}

func (r *update) interrupted() []host.Missing {
	if r.ctx.Err() == nil {
		return nil
	}
	return []host.Missing{{What: "the rest of the flows", Why: "interrupted"}}
}

// one changes a flow that passes the filter, and tells what became of it. The
// entry that it tells is the changed one.
func (r *update) one(f *host.Flow) error {
	if r.ctx.Err() != nil {
		return capture.ErrStop
	}
	r.end.Checked++
	if !r.filter.Match(f) {
		return nil
	}
	r.end.Matched++
	c := report.Change{Flow: report.Flow{Flow: *f}, Action: report.ActionUpdated}
	err := r.entries.Update(r.ctx, f, r.change)
	switch {
	case err == nil:
		if now, err := r.entries.Get(r.ctx, f); err == nil && now.ID == f.ID {
			c.Flow.Flow = *now
		}
	case errors.Is(err, capture.ErrNotFound):
		c.Action, c.Why = report.ActionGone, "it ended before"
	case errors.Is(err, capture.ErrChanged):
		c.Action, c.Why, r.undone = report.ActionChanged, capture.ErrChanged.Error(), true
	default:
		c.Action, c.Why, r.undone = report.ActionFailed, whyOf(err), true
	}
	return r.out.Add(&c)
}

// whyOf is an error of the kernel without the operation.
func whyOf(err error) string {
	var op *capture.OpError
	if errors.As(err, &op) {
		return op.Why
	}
	return err.Error()
}
