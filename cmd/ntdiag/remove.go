package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/journal"
	"github.com/ntdiag/ntdiag/diagnose/remove"
	"github.com/ntdiag/ntdiag/diagnose/stale"
	"github.com/ntdiag/ntdiag/report"
)

// removal is the flags of a command that deletes flows.
type removal struct {
	yes, dryRun bool
	journal     string
}

func (r *removal) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&r.yes, "yes", false, "delete without asking")
	cmd.Flags().BoolVar(&r.dryRun, "dry-run", false, "show what would be deleted, and delete nothing")
	cmd.Flags().StringVar(&r.journal, "journal", "", "directory of the journal (default "+journalDir("")+")")
	_ = cmd.MarkFlagDirname("journal")
}

// check refuses what could not be asked. It is for before the table is read.
func (r *removal) check() error {
	if r.yes || r.dryRun || term.IsTerminal(int(os.Stdin.Fd())) {
		return nil
	}
	return usage(errors.New("no terminal to ask on: --yes deletes without asking, --dry-run only shows"))
}

// journalDir is where journals are kept: as told, or in the state directory.
func journalDir(told string) string {
	if told != "" {
		return told
	}
	return inState("", "journal")
}

// removeOptions are what removeFlows is told beside the plan.
type removeOptions struct {
	*removal
	format report.Format
	// judge says what the rules make of what comes back; nil for nobody.
	judge *stale.Judge
	// show writes the plan, with what deleting it may lead to.
	show func(io.Writer) error
	// still says, after the answer, whether the plan holds; nil for nobody.
	still func() error
}

// errNo is that the question was not answered with yes.
var errNo = errors.New("nothing was deleted")

// removeFlows deletes the planned flows from the table of l, entry by entry:
// it shows the plan, asks unless --yes, writes the journal, deletes, and looks
// whether they stay away. The plan and the question go to standard output for
// people, else to standard error.
//
// There is one result for each flow of the plan, in its order, also with an
// error and after --dry-run, which leaves all of them None. The path is that of
// the journal, "" where none was needed. An error has its exit code: usage
// without a terminal, errNo as found, incomplete where not all could be done.
func (a *app) removeFlows(cmd *cobra.Command, l *capture.Live, plan []remove.Planned, o removeOptions) ([]remove.Result, string, error) {
	results := remove.Untouched(plan)
	if err := o.check(); err != nil || len(plan) == 0 {
		return results, "", err
	}
	out := cmd.OutOrStdout()
	if !o.format.Human {
		out = cmd.ErrOrStderr()
	}
	if err := o.show(out); err != nil {
		return results, "", incomplete(err)
	}
	if o.dryRun {
		return results, "", nil
	}
	if !o.yes {
		if err := ask(cmd, len(plan)); err != nil {
			return results, "", err
		}
	}
	if o.still != nil {
		if err := o.still(); err != nil {
			return results, "", err
		}
	}
	return a.removePlanned(cmd.Context(), l, plan, o)
}

func (a *app) removePlanned(ctx context.Context, l *capture.Live, plan []remove.Planned, o removeOptions) ([]remove.Result, string, error) {
	table, err := l.Entries()
	if err != nil {
		return remove.Untouched(plan), "", cannot(err)
	}
	defer table.Close()
	w, err := journal.Create(journalDir(o.journal), a.journalHeader(l))
	if err != nil {
		hint := ""
		if errors.Is(err, fs.ErrPermission) && o.journal == "" {
			hint = " (--journal names another directory)"
		}
		return remove.Untouched(plan), "", incomplete(fmt.Errorf("%w%s: nothing is deleted", err, hint))
	}
	results, err := remove.Run(ctx, table, w, plan, remove.Options{Judge: o.judge})
	path := ""
	if !w.Empty() {
		path = w.Path()
	}
	if cerr := w.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return results, path, incomplete(err)
	}
	return results, path, nil
}

func (a *app) journalHeader(l *capture.Live) journal.Header {
	s := a.host(context.Background(), l)
	return journal.Header{
		Host: journal.Host{Hostname: s.Hostname, Kernel: s.Kernel}, Netns: a.netns, Place: l.Place(),
		Command: strings.Join(os.Args, " "), Created: time.Now(),
	}
}

// ask asks on the terminal, and takes no answer for no.
func ask(cmd *cobra.Command, n int) error {
	what := fmt.Sprintf("these %d flows", n)
	if n == 1 {
		what = "this flow"
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "\ndelete %s? [y/N] ", what)
	answers := make(chan string, 1)
	go func() {
		// an answer that cannot be read is none
		line, _ := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
		answers <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case answer := <-answers:
		if answer == "y" || answer == "yes" {
			return nil
		}
	case <-cmd.Context().Done():
		fmt.Fprintln(cmd.ErrOrStderr())
	}
	return &codeError{exitFound, errNo}
}
