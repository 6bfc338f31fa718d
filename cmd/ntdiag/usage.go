package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// usageFunc is what help shows below a command's text: cobra's own sections,
// with lines that fit the width.
func usageFunc(cmd *cobra.Command) error {
	w := cmd.OutOrStderr()
	fmt.Fprint(w, "Usage:\n")
	if cmd.Runnable() && cmd.HasParent() {
		fmt.Fprintf(w, "  %s\n", cmd.UseLine())
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(w, "  %s COMMAND [flags]\n", cmd.CommandPath())
	}
	if cmd.HasExample() {
		fmt.Fprintf(w, "\nExamples:\n%s\n", cmd.Example)
	}
	usageCommands(w, cmd, "Commands", func(c *cobra.Command) bool { return c.IsAvailableCommand() || c.Name() == "help" })
	usageFlags(w, "Flags", cmd.LocalFlags().FlagUsagesWrapped(maxWidth))
	usageFlags(w, "Global flags", cmd.InheritedFlags().FlagUsagesWrapped(maxWidth))
	usageCommands(w, cmd, "Topics", (*cobra.Command).IsAdditionalHelpTopicCommand)
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(w, "\n%s help COMMAND|TOPIC tells more.\n", cmd.Root().Name())
	}
	return nil
}

func usageCommands(w io.Writer, cmd *cobra.Command, title string, is func(*cobra.Command) bool) {
	column := 14
	for _, c := range cmd.Commands() {
		if is(c) {
			column = max(column, len(c.Name()))
		}
	}
	for _, c := range cmd.Commands() {
		if !is(c) {
			continue
		}
		if title != "" {
			fmt.Fprintf(w, "\n%s:\n", title)
			title = ""
		}
		fmt.Fprintf(w, "  %-*s %s\n", column, c.Name(), c.Short)
	}
}

func usageFlags(w io.Writer, title, text string) {
	if text != "" {
		fmt.Fprintf(w, "\n%s:\n%s", title, text)
	}
}

// listed is one row of a list in a help text: a name in a column of its own,
// and what it means, at most maxWidth wide.
func listed(b *strings.Builder, column int, name, meaning string) {
	line := fmt.Sprintf("  %-*s", column, name)
	for _, word := range strings.Fields(meaning) {
		if utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > maxWidth {
			b.WriteString(line + "\n")
			line = strings.Repeat(" ", 2+column)
		}
		line += " " + word
	}
	b.WriteString(line + "\n")
}

// noArgs refuses arguments.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage(fmt.Errorf("%s takes no argument, here %q", cmd.Name(), args[0]))
	}
	return nil
}

// completion makes cobra's completion command say which shells there are.
func completion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	cmd, _, err := root.Find([]string{"completion"})
	if err != nil {
		return
	}
	var shells []string
	for _, c := range cmd.Commands() {
		c.Short = "print the completion script of " + c.Name()
		shells = append(shells, c.Name())
	}
	cmd.Short = "print the completion script of a shell"
	cmd.Long = cmd.Short + ".\nntdiag help completion SHELL says how to load it."
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usage(errors.New("completion: name a shell: " + strings.Join(shells, ", ")))
		}
		return usage(fmt.Errorf("completion: unknown shell %q (known: %s)", args[0], strings.Join(shells, ", ")))
	}
}
