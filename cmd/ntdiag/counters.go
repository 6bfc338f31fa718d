package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ntdiag/ntdiag/diagnose/bundle"
	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/counters"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/report"
)

type countersFlags struct {
	output   string
	interval time.Duration
	follow   bool
	perCPU   bool
	kernel   string
}

func newCountersCmd(a *app) *cobra.Command {
	var f countersFlags
	cmd := &cobra.Command{
		Use:   "counters [FILE|-]",
		Short: "what conntrack counts of itself, why it moves, and what to do",
		Example: `  ntdiag counters --interval 10s
  ntdiag counters --follow --per-cpu
  conntrack -S | ntdiag counters -
  ntdiag counters old.txt --kernel 5.4.0`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage(fmt.Errorf("counters takes one FILE, or - for standard input, here %d", len(args)))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.counters(cmd, &f, args) },
	}
	outputFlag(cmd, &f.output)
	fs := cmd.Flags()
	fs.DurationVar(&f.interval, "interval", 0, "count for this long (10s); with --follow, each step (2s)")
	fs.BoolVar(&f.follow, "follow", false, "go on until interrupted")
	fs.BoolVar(&f.perCPU, "per-cpu", false, "a row for each CPU")
	fs.StringVar(&f.kernel, "kernel", "", "the kernel that counted, of a file: 5.4.0")
	a.long.add(cmd, countersHelp)
	return cmd
}

// check says what of the flags makes no sense.
func (f *countersFlags) check(args []string, netns, from string) (host.Release, error) {
	var told host.Release
	switch {
	case len(args) > 0 && from != "":
		return told, errors.New("--from and a FILE: a bundle has its own counters")
	case f.interval < 0:
		return told, fmt.Errorf("--interval %v: must not be negative", f.interval)
	case len(args) > 0 && (f.interval > 0 || f.follow):
		return told, errors.New("--interval and --follow are for the running kernel, not for a file")
	case len(args) > 0 && netns != "":
		return told, errors.New("--netns is for the running kernel, not for a file")
	case f.kernel != "" && len(args) == 0:
		return told, errors.New("--kernel is for a file: the running kernel tells its own version")
	case f.follow && f.output == "json":
		return told, errors.New("-o json is one document, and --follow has no end: use -o jsonl")
	}
	if f.kernel != "" {
		var ok bool
		if told, ok = host.ParseRelease(f.kernel); !ok {
			return told, fmt.Errorf("--kernel %q: want a version, as 5.4.0", f.kernel)
		}
	}
	return told, nil
}

func (a *app) counters(cmd *cobra.Command, f *countersFlags, args []string) error {
	format, err := formatOf(f.output)
	if err != nil {
		return err
	}
	told, err := f.check(args, a.netns, a.from)
	if err != nil {
		return usage(err)
	}
	if len(args) > 0 {
		return a.countersFile(cmd, f, format, args[0], told)
	}
	l, err := a.open(cmd.Context())
	if err != nil {
		return err
	}
	defer l.Close()
	w := &countersWatch{app: a, flags: f, source: l, host: a.host(cmd.Context(), l)}
	if f.follow {
		return w.follow(cmd, format)
	}
	return w.once(cmd, format)
}

// countersFile says what a file holds.
func (a *app) countersFile(cmd *cobra.Command, f *countersFlags, format report.Format, name string, told host.Release) error {
	in := cmd.InOrStdin()
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return usage(fmt.Errorf("counters: %w", err))
		}
		defer file.Close()
		in = file
	} else {
		name = "standard input"
	}
	r, err := counters.Read(in, name)
	if err != nil {
		return usage(fmt.Errorf("counters: %w", err))
	}
	why := "told by --kernel"
	if !told.Known() {
		told, why = r.Kernel, "as the document says"
	}
	c := &counters.Case{Stats: &r.Stats, Kernel: counters.KernelBy(r.Stats.Columns, told, why)}
	if r.First != nil {
		// how long it was is not known of text
		c.Interval, c.Before, c.Untimed = time.Duration(r.Seconds*float64(time.Second)), r.First.Entries, r.Seconds == 0
	}
	found := counters.Diagnose(c)
	h := &host.Snapshot{Hostname: r.Host, CapturedAt: time.Now()}
	if r.Kernel.Known() {
		h.Kernel = r.Kernel.String()
	}
	doc := report.NewCounters(report.NewHeader("counters", h, nil), c, found)
	doc.PerCPU = f.perCPU
	if err := format.Counters(cmd.OutOrStdout(), doc, a.style(format)); err != nil {
		return incomplete(err)
	}
	return finish(cmd, doc.Header, doc.Wrong())
}

// countersWatch reads the counters of the running kernel.
type countersWatch struct {
	app    *app
	flags  *countersFlags
	source capture.Source
	host   *host.Snapshot
	growth counters.Growth
}

// read reads them now.
func (w *countersWatch) read(ctx context.Context) (*counters.Stats, time.Time, error) {
	s, err := w.source.Stats(ctx)
	at := w.source.Now()
	if err != nil {
		return nil, at, cannot(err)
	}
	w.growth.Add(at, s.Entries)
	return s, at, nil
}

// once reads twice where there is an interval, and says what it means.
func (w *countersWatch) once(cmd *cobra.Command, format report.Format) error {
	doc, err := w.answer(cmd.Context())
	if err != nil {
		return err
	}
	if err := format.Counters(w.app.out(cmd, format), doc, w.app.style(format)); err != nil {
		return incomplete(err)
	}
	return finish(cmd, doc.Header, doc.Wrong())
}

func (w *countersWatch) answer(cancel context.Context) (*report.Counters, error) {
	ctx := context.WithoutCancel(cancel)
	if r := readings(w.source); len(r) > 1 {
		return w.of(ctx, r), nil
	}
	s, began, err := w.read(ctx)
	if err != nil {
		return nil, err
	}
	first := s
	var took time.Duration
	if w.flags.interval > 0 {
		select {
		case <-time.After(w.flags.interval):
		case <-cancel.Done(): // what was counted until then
		}
		now, at, err := w.read(ctx)
		if err != nil {
			return nil, err
		}
		delta := now.Since(s)
		s, took = &delta, at.Sub(began)
	}
	return w.document(ctx, s, first.Entries, took, true), nil
}

// of says what readings mean that were made before: the last of them, and apart
// from that what was counted between the first and the last.
func (w *countersWatch) of(ctx context.Context, r []bundle.Reading) *report.Counters {
	first, last := r[0], r[len(r)-1]
	doc := w.document(ctx, last.Stats, last.Stats.Entries, 0, true)
	w.growth.Add(first.At, first.Stats.Entries)
	w.growth.Add(last.At, last.Stats.Entries)
	delta := last.Stats.Since(first.Stats)
	doc.Meanwhile = w.document(ctx, &delta, first.Stats.Entries, last.At.Sub(first.At), true)
	return doc
}

// document says what s means; look for with evidence.
func (w *countersWatch) document(ctx context.Context, s *counters.Stats, before uint64, took time.Duration, look bool) *report.Counters {
	release, _ := host.ParseRelease(w.host.Kernel)
	c := &counters.Case{
		Stats: s, Kernel: counters.KernelBy(s.Columns, release, ""), Netns: w.app.named(), Now: w.source.Now(), Enter: w.source.Enter(),
		Before: before,
	}
	if took > 0 { // 0 is since boot
		c.Interval = max(took.Round(time.Millisecond), time.Millisecond)
	}
	c.Look = &evidence{ctx: ctx, source: w.source, kernel: release}
	c.Brief = !look
	if full, ok := w.growth.Full(s.Max); ok {
		c.Full = full.Round(time.Second)
	}
	found := counters.Diagnose(c)
	w.host.CapturedAt = w.source.Now()
	doc := report.NewCounters(report.NewHeader("counters", w.host, c.Missing), c, found)
	doc.PerCPU = w.flags.perCPU
	return doc
}

const countersText = `counters reads the statistics of conntrack, puts together what moves together,
and says what it means on this kernel: what is lost, by what, with the evidence
for each cause, and what to do. Evidence is looked up when a finding needs it:
rules, settings, the flows of the table, the kernel's log.

They count since the network namespace was made: with --interval they are what
was counted meanwhile, and together. --follow goes on until it is interrupted:
on a terminal a table in one place, otherwise a record each interval, as -o
jsonl; the sum of all, with what is behind it, comes last.

FILE is the output of conntrack -S of any version, /proc/net/stat/nf_conntrack,
or a document of ntdiag counters; of several readings one after the other, what
was counted between them. The columns tell the kernel's age, or --kernel does.

What moves each counter, by kernel:

`

// countersHelp ends with the table of counters by kernel.
func countersHelp() string {
	var b strings.Builder
	b.WriteString(countersText)
	for i := range counters.Table {
		c := &counters.Table[i]
		for j, e := range c.Eras {
			name := ""
			if j == 0 {
				name = c.Name
			}
			listed(&b, 27, fmt.Sprintf("%-15s %s", name, eraText(e)), e.Meaning)
		}
	}
	return strings.TrimRight(b.String(), "\n")
}

// eraText is the kernels of an era: "to 4.8", "4.9 to 5.9", "5.10 on".
func eraText(e counters.Era) string {
	text := "on"
	switch b := e.Before; {
	case b.Known():
		b.Minor-- // no era ends with a new major number
		text = "to " + b.String()
	case !e.Since.Known():
		return "all"
	}
	return strings.TrimSpace(e.Since.String() + " " + text)
}
