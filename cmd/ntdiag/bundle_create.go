package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/ntdiag/ntdiag/diagnose/bundle"
	"github.com/ntdiag/ntdiag/diagnose/collect"
	"github.com/ntdiag/ntdiag/report"
)

// bundleFlags are the flags of bundle create.
type bundleFlags struct {
	redact, keep, dryRun, force bool
	keyFile, maxSize, stateDir  string
	interval                    time.Duration
	max                         int64
}

func newBundleCreateCmd(a *app) *cobra.Command {
	f := &bundleFlags{}
	cmd := &cobra.Command{
		Use:   "create [FILE]",
		Short: "write one file that has all that a diagnosis needs",
		Long: `create collects what a network namespace is made of, for a ticket: flows (twice,
so that growth and re-armed timeouts show), expectations, rules of both backends
with sets, ipsets, counters twice, settings, devices, addresses, routes, policy
rules, neighbours, xfrm policies, netfilter's lines of the kernel's log, what
ntdiag record kept, and what each command says of it now. Beside that stand the
same things as nft, iptables-save, conntrack and ip print them.

Every reading command works on the file: ntdiag explain --from FILE QUERY…

Addresses and names are hidden (--redact) unless --no-redact is given: networks
stay networks, so that rules, routes and flows mean the same, and the answers
are the same. The key is made anew and thrown away; --key-file keeps it, outside
of the file. The finished file is searched for every original, and removed if
one is found.

Without FILE it is ntdiag-HOST-TIME.tar.zst in this directory; - is standard
output. --netns all collects every network namespace that has a name or a
process; several names are parted by commas. Nothing is changed: no module is
loaded, no table is made.

Exit code 3 when something could not be read; the file says what, and why.`,
		Example: `  sudo ntdiag bundle create
  sudo ntdiag bundle create --netns all --key-file ticket-4711.key
  sudo ntdiag bundle create --no-redact router.tar.zst
  sudo ntdiag bundle create --dry-run`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage(fmt.Errorf("bundle create takes one FILE, here %d", len(args)))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(a); err != nil {
				return usage(err)
			}
			if f.dryRun {
				return a.bundlePlan(cmd, f)
			}
			return a.bundleCreate(cmd, f, args)
		},
	}
	fs := cmd.Flags()
	fs.BoolVar(&f.redact, "redact", true, "hide addresses and names")
	fs.BoolVar(&f.keep, "no-redact", false, "keep addresses and names as they are")
	fs.StringVar(&f.keyFile, "key-file", "", "`FILE` with the key of the redaction; made when it is not there")
	fs.StringVar(&f.maxSize, "max-size", "100M", "how large the file becomes at most: of the flows a part is left out, and counted")
	fs.DurationVar(&f.interval, "interval", 5*time.Second, "how long after the first reading the second comes")
	fs.BoolVar(&f.dryRun, "dry-run", false, "list what would be collected, what that needs, and whether it is there")
	fs.BoolVar(&f.force, "force", false, "replace a file that exists")
	stateDirFlag(cmd, &f.stateDir)
	cmd.MarkFlagsMutuallyExclusive("redact", "no-redact")
	_ = cmd.MarkFlagFilename("key-file")
	return cmd
}

func (f *bundleFlags) check(a *app) (err error) {
	if a.from != "" {
		return errors.New("--from: bundle create reads the running kernel")
	}
	f.redact = f.redact && !f.keep
	if !f.redact && f.keyFile != "" {
		return errors.New("--key-file is for --redact")
	}
	if f.interval < 0 {
		return fmt.Errorf("--interval %v: cannot be negative", f.interval)
	}
	if f.max, err = parseSize(f.maxSize); err != nil {
		return fmt.Errorf("--max-size %q: %w", f.maxSize, err)
	}
	if f.max < bundle.MinMaxBytes {
		return fmt.Errorf("--max-size %s: at least %s is needed", f.maxSize, bundle.SizeText(bundle.MinMaxBytes))
	}
	return nil
}

// parseSize reads a number of bytes: K, M and G are 1024 of each other.
func parseSize(s string) (int64, error) {
	digits := strings.TrimRight(s, "KMGiB")
	unit, ok := map[string]int64{"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}[strings.TrimSuffix(strings.TrimSuffix(s[len(digits):], "B"), "i")]
	var n int64
	if _, err := fmt.Sscanf(digits, "%d", &n); err != nil || !ok || fmt.Sprint(n) != digits || n < 0 || n > 1<<62/unit {
		return 0, errors.New("want a number of bytes, as 10M, 100M or 1G")
	}
	return n * unit, nil
}

// bundleRun is one file that is made.
type bundleRun struct {
	*app
	cmd     *cobra.Command
	flags   *bundleFlags
	spaces  *spaces
	hider   *hider // nil when nothing is hidden
	of      []*collect.Space
	results []collect.Result
	screen  *report.Screen
}

func (a *app) bundleCreate(cmd *cobra.Command, f *bundleFlags, args []string) error {
	ctx := cmd.Context()
	toStdout := len(args) == 1 && args[0] == "-"
	if toStdout && term.IsTerminal(int(os.Stdout.Fd())) {
		return usage(errors.New("standard output is a terminal: name a FILE"))
	}
	s, err := a.openSpaces(ctx, f.stateDir)
	if err != nil {
		return err
	}
	defer s.close()
	r := &bundleRun{app: a, cmd: cmd, flags: f, spaces: s}
	if term.IsTerminal(int(os.Stderr.Fd())) {
		r.screen = report.NewScreen(cmd.ErrOrStderr())
	}
	if err := r.prepare(ctx); err != nil {
		return err
	}
	path := ""
	if len(args) == 1 {
		path = args[0]
	}
	switch {
	case toStdout:
		dir, err := os.MkdirTemp("", "ntdiag-")
		if err != nil {
			return incomplete(err)
		}
		defer os.RemoveAll(dir)
		path = dir + "/bundle.tar.zst"
	case path == "":
		path = defaultName(r.of[0].Snapshot.Hostname, time.Now())
	}
	m, size, err := r.write(ctx, path)
	if err != nil {
		return bundleError(err)
	}
	if toStdout {
		if err := r.copyOut(path); err != nil {
			return incomplete(err)
		}
		path = "-"
	}
	return r.tell(path, size, m)
}

func bundleError(err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		err = errors.New("interrupted: no file is left")
	case errors.Is(err, fs.ErrExist):
		return usage(fmt.Errorf("%w: --force replaces it", err))
	}
	return incomplete(err)
}

// defaultName is where a bundle goes that no other place was told for.
func defaultName(hostname string, now time.Time) string {
	plain := func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' {
			return c
		}
		return '_'
	}
	return fmt.Sprintf("ntdiag-%s-%s.tar.zst", strings.Map(plain, hostname), now.UTC().Format("20060102T150405Z"))
}

func (r *bundleRun) progress(what string) {
	if r.screen != nil {
		width, _, err := term.GetSize(int(os.Stderr.Fd()))
		if err != nil {
			width = maxWidth
		}
		// what the terminal does with it decides nothing here
		_ = r.screen.Draw(what, width, 2)
	}
}

// prepare reads what the redaction has to look at first.
func (r *bundleRun) prepare(ctx context.Context) error {
	for i, l := range r.spaces.live {
		r.progress("reading the rules of " + spaceName(r.spaces.names[i]))
		snap, err := collect.Snapshot(ctx, l)
		if err != nil {
			return cannot(err)
		}
		s := &collect.Space{Source: l, Snapshot: snap}
		if strings.Contains(r.spaces.names[i], "/") {
			s.Path = r.spaces.names[i]
		} else {
			s.Name = r.spaces.names[i]
		}
		r.of = append(r.of, s)
	}
	if !r.flags.redact {
		return nil
	}
	return r.hide(ctx)
}

// write makes the file, whole or not at all.
func (r *bundleRun) write(ctx context.Context, path string) (*bundle.Manifest, int64, error) {
	file, err := bundle.CreateFile(ctx, path, r.flags.force)
	if err != nil {
		return nil, 0, err
	}
	defer file.Abort()
	w, err := bundle.NewWriter(file, r.info())
	if err != nil {
		return nil, 0, err
	}
	w.Missing(r.hider.missing(r.spaces.missing, r.spaces.lost)...)
	r.results, err = collect.Run(ctx, w, r.of, collect.Options{Interval: r.flags.interval, Findings: r.findings, Progress: r.progress})
	if err != nil {
		return nil, 0, err
	}
	if r.hider != nil {
		w.Redacted(r.hider.said())
	}
	if err := w.Close(); err != nil {
		return nil, 0, err
	}
	r.progress("verifying the file")
	in, err := bundle.Open(ctx, file.Temporary())
	if err != nil {
		return nil, 0, fmt.Errorf("what was written cannot be read: %w", err)
	}
	defer in.Close()
	m := *in.Manifest()
	if err := r.hider.scan(ctx, in); err != nil {
		return nil, 0, err
	}
	info, err := os.Stat(file.Temporary())
	if err != nil {
		return nil, 0, err
	}
	if err := r.hider.save(r.flags.keyFile); err != nil {
		return nil, 0, err
	}
	return &m, info.Size(), file.Commit()
}

// info is what the bundle says of itself.
func (r *bundleRun) info() bundle.Info {
	first := r.of[0].Snapshot
	order := "little"
	if b := first.Order; b != nil && b.Uint16([]byte{1, 0}) != 1 {
		order = "big"
	}
	info := bundle.Info{
		Tool: "ntdiag", Version: version, Created: time.Now(), MaxBytes: r.flags.max,
		Machine: bundle.Machine{Hostname: first.Hostname, Kernel: first.Kernel, Arch: arch(), ByteOrder: order},
		Command: r.asked(),
	}
	for _, s := range r.of {
		if n, _, err := s.Source.Count(); err == nil {
			info.Flows += 2 * n
		}
	}
	return info
}

// arch is the machine as uname -m names it.
func arch() string {
	if b, err := os.ReadFile("/proc/sys/kernel/arch"); err == nil { // 6.1
		return strings.TrimSpace(string(b))
	}
	if name := map[string]string{"amd64": "x86_64", "arm64": "aarch64", "386": "i686"}[runtime.GOARCH]; name != "" {
		return name
	}
	return runtime.GOARCH
}

// asked is the command line without names that are to be hidden.
func (r *bundleRun) asked() []string {
	out := []string{"ntdiag", "bundle", "create"}
	if r.flags.redact {
		out = append(out, "--redact")
	} else {
		out = append(out, "--no-redact")
	}
	if r.netns == "all" {
		out = append(out, "--netns", "all")
	} else if r.netns != "" {
		var names []string
		for _, s := range r.of {
			names = append(names, s.Name+s.Path)
		}
		out = append(out, "--netns", strings.Join(names, ","))
	}
	return append(out, "--interval", r.flags.interval.String(), "--max-size", r.flags.maxSize)
}
