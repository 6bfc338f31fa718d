package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// newManCmd writes the manual pages from the commands' own help.
func newManCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:    "man DIR",
		Short:  "write the manual pages into DIR",
		Hidden: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(errors.New("man: name one directory to write the pages into"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return incomplete(err)
			}
			return writeMan(a.long, cmd.Root(), args[0])
		},
	}
}

func writeMan(long longTexts, cmd *cobra.Command, dir string) error {
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
	if err := os.WriteFile(filepath.Join(dir, name+".1"), []byte(manPage(cmd, long.of(cmd))), 0o644); err != nil {
		return incomplete(err)
	}
	for _, c := range cmd.Commands() {
		if c.Hidden || c.Name() == "help" {
			continue
		}
		if err := writeMan(long, c, dir); err != nil {
			return err
		}
	}
	return nil
}

// manPage is one page in man(7) macros.
func manPage(cmd *cobra.Command, long string) string {
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %s 1\n.SH NAME\n%s \\- %s\n", strings.ToUpper(roff(name)), roff(name), roff(cmd.Short))
	if cmd.Runnable() {
		use := cmd.UseLine()
		if !cmd.HasParent() {
			use = cmd.Name() + " COMMAND [flags]"
		}
		fmt.Fprintf(&b, ".SH SYNOPSIS\n.nf\n%s\n.fi\n", roff(use))
	}
	if long != "" {
		fmt.Fprintf(&b, ".SH DESCRIPTION\n%s", manText(long))
	}
	manFlags(&b, "OPTIONS", cmd.NonInheritedFlags().FlagUsagesWrapped(manWidth))
	manFlags(&b, "GLOBAL OPTIONS", cmd.InheritedFlags().FlagUsagesWrapped(manWidth))
	if cmd.Example != "" {
		fmt.Fprintf(&b, ".SH EXAMPLES\n.nf\n%s\n.fi\n", roff(cmd.Example))
	}
	var see []string
	for _, c := range cmd.Commands() {
		if !c.Hidden && c.Name() != "help" {
			see = append(see, roff(name+"-"+c.Name())+"(1)")
		}
	}
	if cmd.HasParent() {
		see = append(see, roff(cmd.Root().Name())+"(1)")
	}
	if len(see) > 0 {
		fmt.Fprintf(&b, ".SH SEE ALSO\n%s\n", strings.Join(see, ", "))
	}
	return b.String()
}

// manWidth is what man(1) leaves of maxWidth beside its indentation.
const manWidth = maxWidth - 7

// manText is help as roff: paragraphs are filled, lists stay as they are.
func manText(text string) string {
	var b strings.Builder
	for _, p := range strings.Split(text, "\n\n") {
		p = strings.Trim(p, "\n")
		if strings.HasPrefix(p, " ") || strings.Contains(p, "\n ") {
			fmt.Fprintf(&b, ".PP\n.nf\n%s\n.fi\n", roff(p))
		} else {
			fmt.Fprintf(&b, ".PP\n%s\n", roff(p))
		}
	}
	return b.String()
}

func manFlags(b *strings.Builder, title, usages string) {
	if usages != "" {
		fmt.Fprintf(b, ".SH %s\n.nf\n%s.fi\n", title, roff(usages))
	}
}

// roff escapes what roff reads as its own: backslashes, hyphens, and a dot or
// quote that begins a line.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}
