package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/collect"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules/nft"
)

// spaces are the namespaces asked for that can be opened.
type spaces struct {
	live    []*capture.Live
	names   []string // what each was opened by
	missing []host.Missing
	lost    []string // names of those in missing
}

func (s *spaces) close() {
	for _, l := range s.live {
		l.Close()
	}
}

// openSpaces opens what --netns names. Of several one that cannot be opened is
// missing.
func (a *app) openSpaces(ctx context.Context, stateDir string) (*spaces, error) {
	s := &spaces{}
	s.names = strings.Split(a.netns, ",")
	if a.netns == "all" {
		all, missing, err := capture.Namespaces(ctx)
		if err != nil {
			return nil, cannot(err)
		}
		s.missing, s.names = missing, nil
		for _, n := range all {
			s.names = append(s.names, n.Name)
		}
	}
	var names []string
	for _, name := range s.names {
		l, err := capture.Open(name)
		switch {
		case err == nil:
			l.StateDir = inState(stateDir)
			s.live, names = append(s.live, l), append(names, name)
		case len(s.names) == 1:
			return nil, cannot(err)
		default:
			s.missing = append(s.missing, host.Missing{What: fmt.Sprintf("network namespace %q", name), Why: whyOf(err)})
			s.lost = append(s.lost, name)
		}
	}
	if s.names = names; len(names) == 0 {
		return nil, incomplete(fmt.Errorf("no network namespace can be read: %s", strings.Join(host.MissingText(s.missing), "; ")))
	}
	return s, nil
}

// bundlePlan lists what would be collected.
func (a *app) bundlePlan(cmd *cobra.Command, f *bundleFlags) error {
	s, err := a.openSpaces(cmd.Context(), f.stateDir)
	if err != nil {
		return err
	}
	defer s.close()
	out := cmd.OutOrStdout()
	lacking := len(s.missing) > 0
	for i, l := range s.live {
		items, err := collect.Plan(cmd.Context(), l)
		if err != nil {
			return cannot(err)
		}
		if i > 0 {
			fmt.Fprintln(out)
		}
		fmt.Fprintf(out, "would be collected of %s:\n", spaceName(s.names[i]))
		for _, it := range items {
			there := it.There
			if it.Why != "" {
				there = "MISSING: " + nft.Escape(it.Why)
				lacking = lacking || it.Why != host.NotThere
			}
			var b strings.Builder
			listed(&b, 29, it.What, there)
			fmt.Fprintf(out, "%s      by %s\n", b.String(), it.How)
			if it.Needs != "" {
				fmt.Fprintf(out, "      needs %s\n", it.Needs)
			}
		}
	}
	for _, m := range s.missing {
		fmt.Fprintf(out, "MISSING: %s: %s\n", nft.Escape(m.What), nft.Escape(m.Why))
	}
	fmt.Fprintln(out, "nothing was written")
	if lacking {
		return incomplete(errors.New("not all of it can be read"))
	}
	return nil
}

// spaceName is a namespace for people.
func spaceName(name string) string {
	if name == "" {
		return "this network namespace"
	}
	return "network namespace " + nft.Escape(name)
}
