package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/bundle"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/report"
	"github.com/ntdiag/ntdiag/rules/nft"
)

// copyOut copies the finished file to standard output.
func (r *bundleRun) copyOut(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(r.cmd.OutOrStdout(), f)
	return err
}

// tell says what was written, and what is not in it.
func (r *bundleRun) tell(path string, size int64, m *bundle.Manifest) error {
	out := r.cmd.OutOrStdout()
	if path == "-" {
		out = r.cmd.ErrOrStderr()
	}
	r.progress("")
	var flows, seen uint64
	read := false
	for _, n := range m.Namespaces {
		if k := len(n.Rounds); k > 0 {
			read = true
			flows, seen = flows+n.Rounds[k-1].Kept, seen+n.Rounds[k-1].Seen
		}
	}
	count := plural(flows, "flow", "flows") + ", twice"
	switch {
	case !read:
		count = "without flows"
	case flows < seen:
		count = fmt.Sprintf("%d of %s, twice", flows, plural(seen, "flow", "flows"))
	}
	where := path
	if path == "-" {
		where = "standard output"
	}
	fmt.Fprintf(out, "%s: %s, %s, %s\n", where, bundle.SizeText(size), plural(uint64(len(m.Namespaces)), "network namespace", "network namespaces"), count)
	var missing, undone []host.Missing
	for _, res := range r.results {
		missing, undone = append(missing, res.Missing...), append(undone, res.Undone...)
	}
	missing = append(missing, m.Missing...)
	var b strings.Builder
	for _, m := range host.MissingText(missing) {
		listed(&b, saidColumn, "missing", nft.Escape(m))
	}
	for _, m := range host.MissingText(undone) {
		listed(&b, saidColumn, "not run", nft.Escape(m))
	}
	for _, t := range m.Truncated {
		listed(&b, saidColumn, "cut", nft.Escape(fmt.Sprintf("%s: %d %s left out: %s", t.Member, t.LeftOut, t.What, t.Why)))
	}
	for _, d := range r.hider.differs() {
		listed(&b, saidColumn, "differs", nft.Escape(d))
	}
	if r.hider != nil {
		listed(&b, saidColumn, "hidden", "addresses, hardware addresses, names, comments. Not hidden: ports, protocols, marks, handles, times, sizes, and which addresses share a prefix")
	} else {
		listed(&b, saidColumn, "hidden", "nothing: addresses and names are those of this machine")
	}
	if file := r.flags.keyFile; file != "" {
		listed(&b, saidColumn, "key", nft.Escape(file)+": for its owner alone. What a token stands for: ntdiag bundle reveal TOKEN --key-file "+report.ShellWord(file))
	}
	from := path
	if path == "-" {
		from = "FILE"
	}
	// one line: it is to be copied
	fmt.Fprintf(&b, "  %-*s ntdiag explain --from %s QUERY…\n", saidColumn, "next", report.ShellWord(from))
	fmt.Fprint(out, b.String())
	for _, why := range missing {
		if why.Why != host.NotThere {
			return incomplete(fmt.Errorf("not all could be read; %s says what and why", from))
		}
	}
	return nil
}

// saidColumn is as wide as the longest word before what is said.
const saidColumn = len("missing")

func plural(n uint64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
