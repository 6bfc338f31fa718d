package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/report"
)

// app holds the flags that every command has.
type app struct {
	netns string
	color string
	from  string // a file to read in place of the kernel
	round int
	texts texts
	long  longTexts
	// source, when given, is what reading commands work on.
	source capture.Source
	// captured is of what and when the file is, once it is open.
	captured *captured
	warn     io.Writer
}

var colors = []string{"auto", "always", "never"}

func (a *app) flags(root *cobra.Command) {
	f := root.PersistentFlags()
	f.StringVar(&a.netns, "netns", "", "network namespace: a name of ip netns, a path, or a process id")
	f.StringVar(&a.color, "color", "auto", "colour: auto, always or never (NO_COLOR is respected)")
	a.fromFlags(root)
	a.evidenceFlags(root)
	_ = root.RegisterFlagCompletionFunc("netns", a.completeNetns)
	_ = root.RegisterFlagCompletionFunc("color", cobra.FixedCompletions(colors, cobra.ShellCompDirectiveNoFileComp))
}

func (a *app) check(cmd *cobra.Command) error {
	if !slices.Contains(colors, a.color) {
		return usage(fmt.Errorf("--color %q: known are %s", a.color, strings.Join(colors, ", ")))
	}
	if err := a.checkFrom(cmd); err != nil {
		return usage(err)
	}
	a.warn = cmd.ErrOrStderr()
	return nil
}

// open is what a reading command works on: the namespace asked for, of the
// running kernel or of a file.
func (a *app) open(ctx context.Context) (capture.Source, error) {
	if a.source != nil {
		return a.source, nil
	}
	if a.fromTexts() {
		return a.openFile(ctx)
	}
	l, err := a.openLive()
	if err != nil {
		return nil, err // and no nil *Live
	}
	return l, nil
}

// openLive enters the namespace asked for, for what changes or follows it.
func (a *app) openLive() (*capture.Live, error) {
	l, err := capture.Open(a.netns)
	if errors.Is(err, capture.ErrLinux) {
		return nil, incomplete(fmt.Errorf("%w; --from reads a bundle", err))
	}
	if err != nil {
		return nil, cannot(err)
	}
	return l, nil
}

const withoutIt = "; demo, version, help and completion work without it"

// cannot words an error of the kernel: without the capability it says what
// works all the same.
func cannot(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("%w%s", err, withoutIt)
	}
	return incomplete(err)
}

// maxWidth is where text is wrapped however wide the terminal is.
const maxWidth = 80

// pageRows is a page where output is no terminal.
const pageRows = 40

// style is how text goes to standard output.
func (a *app) style(format report.Format) report.Style {
	s := report.Style{Width: maxWidth, Rows: pageRows, Wide: format.Name == "wide"}
	fd := int(os.Stdout.Fd())
	tty := term.IsTerminal(fd)
	if tty {
		if w, h, err := term.GetSize(fd); err == nil && w > 0 {
			s.Width = min(w, maxWidth)
			s.Rows = max(h-4, 5)
			s.Fold = w
		}
	}
	if a.captured != nil {
		s.Now, s.Redacted = a.captured.at, a.captured.redacted()
	}
	s.Color = a.color == "always" ||
		a.color == "auto" && tty && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return s
}

// outputFlag adds -o.
func outputFlag(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVarP(to, "output", "o", report.Formats()[0], "output format: "+strings.Join(report.Formats(), ", "))
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(report.Formats(), cobra.ShellCompDirectiveNoFileComp))
}

func formatOf(name string) (report.Format, error) {
	f, err := report.FormatByName(name)
	if err != nil {
		return f, usage(err)
	}
	return f, nil
}

// lackText names what could not be read, each thing once; why is in the answer.
func lackText(missing []host.Missing) string {
	var out []string
	for _, m := range missing {
		if !slices.Contains(out, m.What) {
			out = append(out, m.What)
		}
	}
	return strings.Join(out, ", ")
}

// finish turns a header into the exit: found goes before incomplete, and what is
// not known is named on stderr.
func finish(cmd *cobra.Command, h report.Header, something bool) error {
	if something {
		return found()
	}
	if h.Complete {
		return nil
	}
	why := host.MissingText(h.Missing)
	if len(why) > 1 { // the answer has them all
		return incomplete(fmt.Errorf("the answer is not complete; not read: %s", lackText(h.Missing)))
	}
	return incomplete(fmt.Errorf("the answer is not complete: %s", why[0]))
}

// named is the namespace as it is called on the machine.
func (a *app) named() string {
	if a.captured != nil {
		return a.captured.netns
	}
	return a.netns
}

// host names the machine that l is of, where nothing else of it is read.
func (a *app) host(ctx context.Context, l capture.Source) *host.Snapshot {
	if l != nil && !isLive(l) {
		if s, err := l.Snapshot(ctx); err == nil {
			return &host.Snapshot{Hostname: s.Hostname, Kernel: s.Kernel, Netns: s.Netns, CapturedAt: s.CapturedAt}
		}
	}
	s := &host.Snapshot{Netns: a.netns, CapturedAt: time.Now()}
	// what cannot be read stays empty: the flows are the answer
	s.Hostname, _ = os.Hostname()
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		s.Kernel = strings.TrimSpace(string(b))
	}
	return s
}

// isLive tells whether l is of the running kernel, and nothing stands between.
func isLive(l capture.Source) bool {
	_, live := l.(*capture.Live)
	return live
}

// light is a snapshot for what goes through all flows. Of a live one, which is
// nobody else's, what is not asked for is let go.
func light(ctx context.Context, l capture.Source) (*host.Snapshot, error) {
	s, err := snapshot(ctx, l)
	if err == nil && isLive(l) {
		s.Rules.ForgetRaw()
	}
	return s, err
}

// snapshot reads everything but the flows.
func snapshot(ctx context.Context, l capture.Source) (*host.Snapshot, error) {
	s, err := l.Snapshot(ctx)
	if err != nil {
		return nil, cannot(err)
	}
	return s, nil
}
