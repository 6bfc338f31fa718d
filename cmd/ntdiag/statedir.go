package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/history"
	"github.com/ntdiag/ntdiag/diagnose/host"
)

// inState is a path in the state directory: the one told, that of a service
// manager, or that of the host.
func inState(told string, elem ...string) string {
	dir := history.DefaultDir
	if given, _, _ := strings.Cut(os.Getenv("STATE_DIRECTORY"), ":"); given != "" {
		dir = given
	}
	if told != "" {
		dir = told
	}
	return filepath.Join(append([]string{dir}, elem...)...)
}

func stateDirFlag(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVar(to, "state-dir", "", "directory of the records (default "+inState("")+")")
	_ = cmd.MarkFlagDirname("state-dir")
}

// readHistory reads what was recorded of the namespace of l. Without any record
// the error says how to begin.
func readHistory(l capture.Source, dir string) (*history.History, host.NetnsID, error) {
	id, err := l.Identity()
	if w, whole := l.(capture.Whole); whole && !isLive(l) {
		// of a file the records count, wherever they are from
		h, err := w.History()
		if errors.Is(err, history.ErrNoStore) {
			err = fmt.Errorf("%w before it was captured", err)
		}
		if err != nil {
			return nil, id, incomplete(err)
		}
		return h, id, nil
	}
	if err != nil {
		return nil, id, incomplete(err)
	}
	h, err := history.Read(inState(dir), id)
	if errors.Is(err, history.ErrNoStore) {
		err = fmt.Errorf("%w in %s: `ntdiag record` begins, ntdiag help record says how to have it always", err, inState(dir))
	}
	if err != nil {
		return nil, id, incomplete(err)
	}
	return h, id, nil
}
