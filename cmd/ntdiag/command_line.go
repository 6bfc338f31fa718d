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
var showing = []string{"output", "color", "all", "expand", "delete", "yes", "include", "dry-run", "journal"}

// commandLine is the command again, with what was chosen and without how it was
// to be shown.
func commandLine(cmd *cobra.Command) string {
	words := []string{cmd.CommandPath()}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if slices.Contains(showing, f.Name) {
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
	return strings.Join(words, " ")
}
