package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ntdiag/ntdiag/report"
)

// showing are the flags that say how an answer is shown, or what is done with
// it, and not what it is about.
var showing = []string{"output", "color", "all", "expand", "delete", "yes", "include", "dry-run", "journal", "from", "round"}

// commandLine is the command again for the machine itself, with what was chosen
// and without how it was to be shown.
func (a *app) commandLine(cmd *cobra.Command) string {
	words := []string{cmd.CommandPath()}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if slices.Contains(showing, f.Name) || a.texts.files[f.Name] != nil || a.captured != nil && f.Name == "netns" {
			return
		}
		words = append(words, "--"+f.Name)
		switch v := f.Value.(type) {
		case pflag.SliceValue:
			words = append(words, report.ShellWord(strings.Join(v.GetSlice(), ",")))
		default:
			if f.NoOptDefVal == "" {
				words = append(words, report.ShellWord(v.String()))
			}
		}
	})
	if a.captured != nil && a.captured.netns != "" { // as it was called on the machine
		words = append(words, "--netns", report.ShellWord(a.captured.netns))
	}
	return strings.Join(words, " ")
}
