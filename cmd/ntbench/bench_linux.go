package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/diagnose/lab/scale"
)

// inside marks a process that has namespaces of its own already.
const inside = "NTBENCH_INSIDE"

// whole is the bench, and the exit code.
func whole(ctx context.Context, c *config, out io.Writer) (code int, err error) {
	if err := c.tools(); err != nil {
		return exitUsage, err
	}
	if os.Geteuid() != 0 && os.Getenv(inside) == "" {
		// iptables-legacy locks a file in /run, which is not ours
		code, err := lab.Reexec(ctx, os.Args[1:], []string{inside + "=1", "XTABLES_LOCKFILE=/proc/self/ns/net"})
		if err != nil {
			return exitFailure, err
		}
		return code, nil
	}
	restore, err := room(c.Flows + 10*perSec)
	if err != nil {
		return exitFailure, err
	}
	defer func() {
		if failed := restore(); failed != nil {
			code, err = exitFailure, errors.Join(err, failed)
		}
	}()
	b := &bench{config: c, out: out, report: newReport(c)}
	err = b.all(ctx)
	if len(b.report.Results) > 0 { // before an error, or an interrupt
		err = errors.Join(err, b.write())
	}
	if err == nil && c.readme != "" {
		err = b.report.intoReadme(c.readme)
	}
	if err != nil {
		return exitFailure, err
	}
	return b.report.code(c.bounds), nil
}

// tools looks for the programs.
func (c *config) tools() error {
	programs := []string{"conntrack", "nft"}
	for i := range scale.Shapes {
		if slices.Contains(c.shapes, scale.Shapes[i].Name) {
			programs = append(programs, scale.Shapes[i].Loader[0])
		}
	}
	var lacking []string
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			lacking = append(lacking, p)
		}
	}
	if lacking != nil {
		return fmt.Errorf("%s: not found: install it (nftables, iptables, conntrack), or choose -shapes", strings.Join(lacking, ", "))
	}
	path, err := exec.LookPath(c.ntdiag)
	if err == nil {
		c.ntdiag, err = filepath.Abs(path)
	}
	return err
}

const maxPath = "/proc/sys/net/netfilter/nf_conntrack_max"

// room raises the limit of the table, which is one for the whole machine, where
// it is below n.
func room(n int) (restore func() error, err error) {
	now, err := numberIn(maxPath)
	if err != nil || now >= n {
		return func() error { return nil }, err
	}
	restore, err = lab.SetGlobal(fmt.Sprintf("net.netfilter.nf_conntrack_max=%d", max(n, lab.Crowd)))
	if errors.Is(err, lab.ErrNoGlobal) {
		err = fmt.Errorf("at most %d entries fit, %d are needed: %w", now, n, err)
	}
	return restore, err
}

func numberIn(path string) (int, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

func newReport(c *config) *Report {
	r := &Report{Kernel: kernel(), Cores: runtime.NumCPU(), Go: runtime.Version(), Date: time.Now(), Sizes: c.Sizes}
	r.Buckets, _ = numberIn("/proc/sys/net/netfilter/nf_conntrack_buckets")
	r.Ntdiag = version(c.ntdiag, "version")
	for _, tool := range []string{"conntrack", "nft", "iptables"} {
		r.Tools = append(r.Tools, version(tool, "--version"))
	}
	return r
}

// version is the name and the version that a program tells of itself.
func version(argv ...string) string {
	said, err := exec.Command(argv[0], argv[1:]...).Output()
	words := strings.Fields(string(said))
	if err != nil || len(words) < 2 {
		return argv[0] + " of unknown version"
	}
	return words[0] + " " + words[1]
}

type bench struct {
	*config
	out    io.Writer
	report *Report
}

func (b *bench) say(format string, args ...any) { fmt.Fprintf(b.out, format+"\n", args...) }

func (b *bench) all(ctx context.Context) error {
	start := time.Now()
	defer func() {
		place := func(r *Result) int { return slices.IndexFunc(Rows, func(x Row) bool { return x.Name == r.Name }) }
		slices.SortStableFunc(b.report.Results, func(x, y *Result) int { return place(x) - place(y) })
		b.report.Took = time.Since(start).Seconds()
	}()
	if err := b.empty(); err != nil {
		return err
	}
	for _, text := range b.report.header() {
		b.say("%s", text)
	}
	b.say("")
	lineHead(b.out)
	for i := range scale.Shapes {
		shape := &scale.Shapes[i]
		if !slices.Contains(b.shapes, shape.Name) {
			continue
		}
		for _, part := range []func(context.Context, *scale.Shape) error{b.bare, b.busy, b.elements, b.growthRules} {
			if err := part(ctx, shape); err != nil {
				return fmt.Errorf("%s: %w", shape.Name, err)
			}
		}
	}
	return nil
}

// empty is how long a table without entries takes to read: the hash is one for
// all namespaces, and entries of others are passed by.
func (b *bench) empty() error {
	l, err := lab.New()
	if err != nil {
		return err
	}
	defer l.Close()
	h, err := l.Host("empty")
	if err != nil {
		return err
	}
	start := time.Now()
	_, err = lab.Receive(h)
	b.report.Empty = time.Since(start).Seconds()
	return err
}

// rows are those of a stage that are measured with a shape.
func (b *bench) rows(stage Stage, shape *scale.Shape) (out []*Row) {
	for i := range Rows {
		if r := &Rows[i]; r.Stage == stage && r.on(shape.Name, b.shapes[0]) {
			out = append(out, r)
		}
	}
	return out
}

func (b *bench) bare(ctx context.Context, shape *scale.Shape) error {
	rows := b.rows(Bare, shape)
	if len(rows) == 0 {
		return nil
	}
	l, err := lab.New()
	if err != nil {
		return err
	}
	defer l.Close()
	x := &node{config: b.config, lab: l}
	if x.host, err = l.Host("bare"); err != nil {
		return err
	}
	return b.measure(ctx, x, rows, "")
}

// busy has all flows, first with all rules, then with few.
func (b *bench) busy(ctx context.Context, shape *scale.Shape) (err error) {
	x, err := newNode(b.config, shape, b.Rules)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, x.close()) }()
	if err := b.growthFlows(ctx, x); err != nil {
		return err
	}
	if err := x.fill(ctx, b.Flows); err != nil {
		return err
	}
	if err := b.measure(ctx, x, b.rows(Busy, shape), shape.Name); err != nil {
		return err
	}
	rows := b.rows(Few, shape)
	if len(rows) == 0 {
		return nil
	}
	if err := x.choose(shape.Cluster(b.Few)); err != nil {
		return err
	}
	if err := x.fewer(b.Few); err != nil {
		return err
	}
	return b.measure(ctx, x, rows, shape.Name)
}

// handful is how many flows there are where few are judged.
const handful = 600

func (b *bench) elements(ctx context.Context, shape *scale.Shape) (err error) {
	rows := b.rows(Elements, shape)
	if len(rows) == 0 {
		return nil
	}
	x, err := newNode(b.config, shape, b.Rules)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, x.close()) }()
	if err := x.addElements(b.Elements); err != nil {
		return err
	}
	if err := x.fill(ctx, min(handful, b.Flows)); err != nil {
		return err
	}
	return b.measure(ctx, x, rows, shape.Name)
}

// write writes the report and the plots.
func (b *bench) write() error {
	if err := os.MkdirAll(b.folder, 0o755); err != nil {
		return err
	}
	var plots []string
	for _, f := range b.report.figures() {
		var svg strings.Builder
		f.write(&svg)
		if err := os.WriteFile(filepath.Join(b.folder, f.Name), []byte(svg.String()), 0o644); err != nil {
			return err
		}
		plots = append(plots, f.Name)
	}
	data, err := json.MarshalIndent(b.report, "", "  ")
	if err != nil {
		return err
	}
	var page strings.Builder
	b.report.page(&page, plots)
	for name, text := range map[string]string{"results.json": string(data) + "\n", "results.md": page.String()} {
		if err := os.WriteFile(filepath.Join(b.folder, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	b.say("\n%s: results.md, results.json%s", b.folder, strings.Join(append([]string{""}, plots...), ", "))
	return nil
}
