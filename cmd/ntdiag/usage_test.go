package main

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// Every page of help fits a terminal of 80 columns. What cobra writes on how to
// load a completion script is its own.
func TestHelpFits(t *testing.T) {
	pages := 0
	var look func(*cobra.Command)
	look = func(cmd *cobra.Command) {
		var out bytes.Buffer
		cmd.InitDefaultHelpFlag()
		cmd.SetOut(&out)
		if err := cmd.Help(); err != nil {
			t.Fatal(err)
		}
		if out.Len() == 0 {
			t.Errorf("%s: no help", cmd.CommandPath())
		}
		for _, line := range strings.Split(out.String(), "\n") {
			if utf8.RuneCountInString(line) > maxWidth {
				t.Errorf("%s: %d columns: %s", cmd.CommandPath(), utf8.RuneCountInString(line), line)
			}
		}
		pages++
		for _, c := range cmd.Commands() {
			if cmd.Name() != "completion" {
				look(c)
			}
		}
	}
	root := newRootCmd()
	look(root)
	if pages < len(topics)+8 {
		t.Errorf("%d pages of help", pages)
	}
}

// TestCommandAlone: a command that is made without the others says the same of
// itself.
func TestCommandAlone(t *testing.T) {
	for _, c := range commands() {
		if name := c.make(&app{}).Name(); name != c.name {
			t.Errorf("%s is made as %s", name, c.name)
		}
	}
	said := func(root *cobra.Command, args []string) string {
		var out strings.Builder
		root.SetArgs(args)
		root.SetOut(&out)
		root.SetErr(&out)
		if err := root.Execute(); err != nil {
			return err.Error()
		}
		return out.String()
	}
	alone := 0
	var look func(cmd *cobra.Command)
	look = func(cmd *cobra.Command) {
		args := append(strings.Fields(cmd.CommandPath())[1:], "--help")
		if got, want := said(newRoot(&app{}, args...), args), said(newRootCmd(), args); got != want {
			t.Errorf("%q says\n%s\nwant\n%s", args, got, want)
		}
		if len(newRoot(&app{}, args...).Commands()) == 1 {
			alone++
		}
		for _, c := range cmd.Commands() {
			look(c)
		}
	}
	look(newRootCmd())
	if alone < len(commands())-1 {
		t.Errorf("%d commands are made alone", alone)
	}
}
