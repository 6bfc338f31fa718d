package main

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/journal"
	"github.com/ntdiag/ntdiag/diagnose/remove"
	"github.com/ntdiag/ntdiag/report"
	"github.com/ntdiag/ntdiag/rules"
)

func newUndoCmd(a *app) *cobra.Command {
	var output string
	var force bool
	cmd := &cobra.Command{
		Use:   "undo JOURNAL",
		Short: "put back the flows that a journal says were deleted",
		Long: `undo makes the conntrack entries again that flows delete or stale --delete
removed, as their journal keeps them: tuples, NAT, zone, mark, labels, helper,
timeout and the state of the protocol. What of them cannot be kept is said.

Without --netns it works in the network namespace that the journal names. A
journal of another boot, or of another namespace of that name, is refused. An
entry that is there again is left as it is, so that undo can be repeated.

Exit code 1: some have another entry in their place; 3: not all were taken.`,
		Example: `  ntdiag undo /var/lib/ntdiag/journal/20260301T120000Z-1.jsonl
  ntdiag undo journal.jsonl --netns blue -o json`,
		Args: oneJournal,
		RunE: func(cmd *cobra.Command, args []string) error {
			format, err := formatOf(output)
			if err != nil {
				return err
			}
			return a.undo(cmd, args[0], format, force)
		},
	}
	outputFlag(cmd, &output)
	cmd.Flags().BoolVar(&force, "force", false, "also what was deleted in another boot or network namespace")
	return cmd
}

func oneJournal(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usage(errors.New("undo takes one journal: the file that the delete named"))
	}
	return nil
}

func (a *app) undo(cmd *cobra.Command, path string, format report.Format, force bool) (err error) {
	j, w, err := journal.Open(path)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return incomplete(err)
	case err != nil:
		return usage(err)
	case w != nil:
		defer func() {
			if cerr := w.Close(); err == nil && cerr != nil {
				err = incomplete(cerr)
			}
		}()
	default:
		fmt.Fprintln(cmd.ErrOrStderr(), "ntdiag: journal "+path+": may only be read: what is put back is not noted there")
	}
	if !cmd.Flags().Changed("netns") {
		a.netns = j.Netns
	}
	l, err := a.openLive()
	if err != nil {
		return err
	}
	defer l.Close()
	if err := samePlace(cmd, j, l, force); err != nil {
		return err
	}
	table, err := l.Entries()
	if err != nil {
		return cannot(err)
	}
	defer table.Close()
	undone, failed := remove.Undo(cmd.Context(), table, j, w)
	doc := report.NewUndo(report.NewHeader("undo", a.host(cmd.Context(), l), nil), path, j, undone)
	done := doc.Count(journal.Restored) + doc.Count(journal.There)
	if w != nil && failed == nil && done == len(undone) && j.Undone.IsZero() {
		failed = w.Undone(time.Now())
	}
	if err := format.Undo(cmd.OutOrStdout(), doc, a.style(format)); err != nil {
		return incomplete(err)
	}
	switch {
	case failed != nil:
		return cannot(failed)
	case doc.Count(journal.NotBack) > 0:
		return incomplete(fmt.Errorf("%d flows were not put back", doc.Count(journal.NotBack)))
	}
	return finish(cmd, doc.Header, doc.Count(journal.Taken) > 0)
}

// samePlace refuses a journal of another table.
func samePlace(cmd *cobra.Command, j *journal.Journal, l *capture.Live, force bool) error {
	same, why := j.Place.Same(l.Place())
	if same == rules.Yes {
		return nil
	}
	netns := "the network namespace that ntdiag ran in"
	if j.Netns != "" {
		netns = fmt.Sprintf("--netns %q", j.Netns)
	}
	text := fmt.Sprintf("journal of %s, %s: %s", j.Host.Hostname, netns, why)
	if same == rules.Unknown {
		fmt.Fprintln(cmd.ErrOrStderr(), "ntdiag: "+text+": whether it is the same table is not known")
		return nil
	}
	if force {
		fmt.Fprintln(cmd.ErrOrStderr(), "ntdiag: "+text)
		return nil
	}
	return usage(errors.New(text + " (--force puts them here all the same)"))
}
