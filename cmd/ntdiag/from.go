package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ntdiag/ntdiag/diagnose/bundle"
	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/report"
)

// Why a flag does not go with --from.
const (
	notChanged  = "a file cannot be changed"
	notFollowed = "a file cannot be followed"
	hasRecords  = "a bundle has the records of its machine"
)

// reading are the commands that work on a file as well, with those of their
// flags that are for the running kernel.
var reading = map[string][]struct{ flag, why string }{
	"explain":   nil,
	"flows":     nil,
	"flows get": nil,
	"rules":     nil,
	"simulate":  nil,
	"stale":     {{"delete", notChanged}, {"state-dir", hasRecords}},
	"history":   {{"state-dir", hasRecords}},
	"counters":  {{"follow", notFollowed}, {"interval", "a bundle has two readings, and what was counted between them is shown"}},
	"invalid":   {{"follow", notFollowed}, {"for", notFollowed}, {"nflog", notFollowed}, {"enable", notChanged}},
}

func (a *app) fromFlags(root *cobra.Command) {
	f := root.PersistentFlags()
	f.StringVar(&a.from, "from", "", "work on what a bundle or a report `FILE` holds, - for standard input, and not on this machine")
	f.IntVar(&a.round, "round", 1, "with --from: which of the two readings of the flows, 1 or 2")
	_ = root.RegisterFlagCompletionFunc("round", cobra.FixedCompletions([]string{"1", "2"}, cobra.ShellCompDirectiveNoFileComp))
}

// checkFrom refuses --from where there is nothing to be read.
func (a *app) checkFrom(cmd *cobra.Command) error {
	path := strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
	if !a.fromTexts() {
		if cmd.Flags().Changed("from") {
			return errors.New("--from: no file is named")
		}
		if cmd.Flags().Changed("round") {
			return errors.New("--round is for --from")
		}
		return nil
	}
	if path == "bundle" || strings.HasPrefix(path, "bundle ") {
		if given := a.textFiles(); len(given) > 0 && path != "bundle report" {
			return fmt.Errorf("--%s: %s does not work on what other tools printed", given[0].Flag, path)
		}
		return nil
	}
	flags, ok := reading[path]
	if !ok {
		return fmt.Errorf("--from: %s is not for files, which cannot be changed or followed", path)
	}
	for _, f := range flags {
		if cmd.Flags().Changed(f.flag) {
			return fmt.Errorf("--%s: %s: it does not go with --from", f.flag, f.why)
		}
	}
	if a.round < 1 {
		return fmt.Errorf("--round %d: 1 or 2", a.round)
	}
	return nil
}

// fromFile is a namespace of a file that is open as long as it is.
type fromFile struct {
	*bundle.Source
	file io.Closer
	// redaction is nil where addresses and names are those of the machine.
	redaction *bundle.Redaction
}

func (f *fromFile) Close() error { return f.file.Close() }

// openFile is the namespace asked for of the file of --from.
func (a *app) openFile(ctx context.Context) (capture.Source, error) {
	if len(a.textFiles()) > 0 {
		return a.openTexts(ctx)
	}
	l, err := a.openBundle(ctx)
	if errors.Is(err, bundle.ErrNoBundle) && a.from != "-" {
		return a.openTexts(ctx)
	}
	if err != nil {
		return nil, fileError(ctx, "--from", err)
	}
	return l, nil
}

func (a *app) openBundle(ctx context.Context) (*fromFile, error) {
	r, err := bundle.Open(ctx, a.from)
	if err != nil {
		return nil, err
	}
	l, err := a.namespace(ctx, r)
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	a.captured = newCaptured(r.Manifest(), l)
	return &fromFile{l, r, r.Manifest().Redaction}, nil
}

// fileError: a file that cannot be used is a wrong argument.
func fileError(ctx context.Context, what string, err error) error {
	err = fmt.Errorf("%s %w", what, err)
	if ctx.Err() != nil {
		return incomplete(err)
	}
	return usage(err)
}

// namespace is the one of --netns; else the one that the bundle was made from,
// or the first, and which others there are is said.
func (a *app) namespace(ctx context.Context, r *bundle.Reader) (*bundle.Source, error) {
	n, err := r.Namespace(a.netns)
	all := r.Manifest().Namespaces
	if err != nil && (a.netns != "" || len(all) == 0) {
		return nil, err
	}
	if err != nil {
		n = &all[0]
	}
	if a.netns == "" && len(all) > 1 && a.warn != nil {
		var others []string
		for i := range all {
			if &all[i] != n {
				others = append(others, all[i].Label())
			}
		}
		fmt.Fprintf(a.warn, "ntdiag: this is of network namespace %s; --netns takes the others: %s\n", n.Label(), strings.Join(others, ", "))
	}
	return r.Source(ctx, n, a.round)
}

// captured is of what and when an answer is.
type captured struct {
	hostname, netns string
	at              time.Time
	manifest        *bundle.Manifest
}

// redacted tells whether addresses and names are not those of the machine.
func (c *captured) redacted() bool { return c.manifest != nil && c.manifest.Redaction != nil }

// newCaptured is that of a namespace; m is nil where it is not of a bundle.
func newCaptured(m *bundle.Manifest, l *bundle.Source) *captured {
	s := l.State().Snapshot
	return &captured{hostname: s.Hostname, netns: s.Netns, at: l.Now(), manifest: m}
}

// out is where text goes; that of a file begins with of what it is.
func (a *app) out(cmd *cobra.Command, format report.Format) io.Writer {
	if a.captured == nil || !format.Human {
		return cmd.OutOrStdout()
	}
	c := a.captured
	return &led{w: cmd.OutOrStdout(), line: report.CapturedLine(c.hostname, c.netns, c.redacted(), c.at, time.Now(), a.style(format))}
}

// led writes a line before all else.
type led struct {
	w    io.Writer
	line string
}

func (l *led) Write(b []byte) (int, error) {
	if l.line != "" {
		line := l.line
		l.line = ""
		if _, err := io.WriteString(l.w, line); err != nil {
			return 0, err
		}
	}
	return l.w.Write(b)
}

// completeFrom offers the namespaces that a bundle holds.
func (a *app) completeFrom(ctx context.Context, prefix string) []string {
	r, err := bundle.Open(ctx, a.from)
	if err != nil {
		return nil
	}
	defer r.Close()
	var out []string
	for _, n := range r.Manifest().Namespaces {
		if label := n.Label(); strings.HasPrefix(label, prefix) && !slices.Contains(out, label) {
			out = append(out, label)
		}
	}
	return out
}

// readings are those of the counters that a file holds, nil of the running
// kernel.
func readings(l capture.Source) []bundle.Reading {
	if f, ok := l.(interface{ Readings() []bundle.Reading }); ok {
		return f.Readings()
	}
	return nil
}
