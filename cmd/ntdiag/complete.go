package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/host"
)

// maxCompletions bounds what a shell is offered.
const maxCompletions = 100

// completeNetns offers the names that ip netns knows, or those of a file.
func (a *app) completeNetns(cmd *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if a.from != "" {
		return a.completeFrom(cmd.Context(), prefix), cobra.ShellCompDirectiveNoFileComp
	}
	var out []string
	for _, dir := range []string{"/run/netns", "/var/run/netns"} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), prefix) {
				out = append(out, filepath.Base(e.Name()))
			}
		}
		break
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// completeOf offers names of what the machine has.
func (a *app) completeOf(names func(*host.Snapshot) []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
		const stop = cobra.ShellCompDirectiveNoFileComp
		l, err := a.open(cmd.Context())
		if err != nil {
			return nil, stop
		}
		defer l.Close()
		s, err := l.Snapshot(cmd.Context())
		if err != nil {
			return nil, stop
		}
		var out []string
		for _, n := range names(s) {
			if strings.HasPrefix(n, prefix) && !slices.Contains(out, n) && len(out) < maxCompletions {
				out = append(out, n)
			}
		}
		return out, stop
	}
}

func deviceNames(s *host.Snapshot) (out []string) {
	for _, l := range s.Links {
		out = append(out, l.Name)
	}
	return out
}

func tableNames(s *host.Snapshot) (out []string) {
	for _, t := range s.Rules.Tables {
		out = append(out, t.Name)
	}
	return out
}

func chainNames(s *host.Snapshot) (out []string) {
	for _, t := range s.Rules.Tables {
		for _, c := range t.Chains {
			out = append(out, c.Name)
		}
	}
	return out
}

// completeFlows offers sources of live flows, then destinations of those that
// have the source already given.
func (a *app) completeFlows(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	const stop = cobra.ShellCompDirectiveNoFileComp
	if len(args) > 1 {
		return nil, stop
	}
	l, err := a.open(cmd.Context())
	if err != nil {
		return nil, stop
	}
	defer l.Close()
	seen := map[string]bool{}
	var out []string
	_, _ = l.Flows(cmd.Context(), capture.Filter{}, func(f *host.Flow) error {
		word := netip.AddrPortFrom(f.Original.Src, f.Original.SrcPort).String()
		if len(args) == 1 {
			if word != args[0] {
				return nil
			}
			word = netip.AddrPortFrom(f.Original.Dst, f.Original.DstPort).String()
		}
		if f.HasPorts() && strings.HasPrefix(word, prefix) && !seen[word] {
			seen[word] = true
			out = append(out, word)
		}
		if len(out) == maxCompletions {
			return capture.ErrStop
		}
		return nil
	})
	return out, stop
}
