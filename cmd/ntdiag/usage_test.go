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
