// Command ntbench measures ntdiag beside the tools that one would use instead:
// the same table and the same rules, in namespaces of its own, by turns in one
// run. It fails where ntdiag takes longer or more memory than it may, or
// answers otherwise than what was built says.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/ntdiag/ntdiag/diagnose/lab/scale"
)

// Sizes are those of what is built, and how often each thing is run.
type Sizes struct {
	Flows    int `json:"flows"`
	Rules    int `json:"rules"`
	Few      int `json:"few_rules"`
	Elements int `json:"elements"`
	Runs     int `json:"runs"`
}

// config is what the command line says.
type config struct {
	Sizes
	ntdiag string // the program that is measured
	self   []string
	folder string // of results
	readme string // a file whose table is to be that of this run, "" for none
	shapes []string
	growth bool
	bounds bool
}

// Exit codes, as those of ntdiag.
const (
	exitOK      = 0
	exitMissed  = 1
	exitUsage   = 2
	exitFailure = 3
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, out, errs io.Writer) int {
	if len(args) > 0 {
		if w, ok := workers[args[0]]; ok {
			return w(args[1:], out, errs)
		}
	}
	c, err := parse(args, errs)
	if err != nil {
		fmt.Fprintf(errs, "ntbench: %v\n", err)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	code, err := whole(ctx, c, out)
	if err != nil {
		fmt.Fprintf(errs, "ntbench: %v\n", err)
	}
	return code
}

func parse(args []string, errs io.Writer) (*config, error) {
	c := &config{self: []string{"/proc/self/exe"}}
	fs := flag.NewFlagSet("ntbench", flag.ContinueOnError)
	fs.SetOutput(errs)
	fs.IntVar(&c.Flows, "flows", 1_000_000, "entries of the table")
	fs.IntVar(&c.Rules, "rules", 40_000, "rules, about")
	fs.IntVar(&c.Few, "few", 1000, "rules, about, where few are asked for")
	fs.IntVar(&c.Elements, "elements", 100_000, "elements of a map")
	fs.IntVar(&c.Runs, "runs", 5, "runs of each, of which the median counts")
	fs.StringVar(&c.ntdiag, "ntdiag", "bin/ntdiag", "the `program` that is measured")
	fs.StringVar(&c.folder, "out", "out/bench", "the `folder` for results and plots")
	fs.StringVar(&c.readme, "readme", "", "put the table of results into this `file`, where it has one")
	shapes := fs.String("shapes", strings.Join(shapeNames(), ","), "shapes of the rules, parted by commas")
	fs.BoolVar(&c.growth, "growth", true, "measure and plot how time and memory grow")
	fs.BoolVar(&c.bounds, "bounds", true, "fail where a bound is missed, not only where an answer is wrong")
	if err := fs.Parse(args); err != nil {
		return nil, fmt.Errorf("usage: ntbench [flags]: %w", err)
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("%q: no arguments are taken, only flags", fs.Arg(0))
	}
	c.shapes = strings.Split(*shapes, ",")
	for _, s := range c.shapes {
		if !slices.Contains(shapeNames(), s) {
			return nil, fmt.Errorf("-shapes %q: known are %s", s, strings.Join(shapeNames(), ", "))
		}
	}
	c.Few = min(c.Few, c.Rules)
	return c, c.check()
}

func (c *config) check() error {
	for _, n := range []struct {
		flag      string
		is, least int
		most      int
	}{
		// the ports of what is built are apart up to here
		{"flows", c.Flows, 100, 4_000_000},
		{"rules", c.Rules, 1, 100_000},
		{"few", c.Few, 1, 100_000},
		{"elements", c.Elements, 1, 1_000_000},
		{"runs", c.Runs, 1, 1000},
	} {
		if n.is < n.least || n.is > n.most {
			return fmt.Errorf("-%s %d: want %d to %d", n.flag, n.is, n.least, n.most)
		}
	}
	return nil
}

func shapeNames() (out []string) {
	for i := range scale.Shapes {
		out = append(out, scale.Shapes[i].Name)
	}
	return out
}

// mostFlows is how many flows there are where the rules grow.
const mostFlows = 100_000

func (c *config) someFlows() int { return min(mostFlows, c.Flows) }
