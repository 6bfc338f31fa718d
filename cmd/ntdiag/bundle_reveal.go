package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ntdiag/ntdiag/diagnose/redact"
	"github.com/ntdiag/ntdiag/rules/nft"
)

// revealFlags are the flags of `bundle reveal`.
type revealFlags struct {
	keyFile string
	use     int
}

func newBundleRevealCmd(*app) *cobra.Command {
	var f revealFlags
	cmd := &cobra.Command{
		Use:   "reveal {TOKEN…|-} --key-file FILE",
		Short: "what a token or an address of a redacted bundle stands for",
		Long: `reveal takes redaction back, for who has the key file: a token, an address, a
network, a range, a hardware address, or a text with such in it. With - it reads
a text, JSON or HTML from standard input, and writes it as it would be without
redaction.

A key file that was used for bundles whose rules look at more of an address maps
some addresses otherwise since then: each use has a number. Where they differ,
each is told; --use takes one. Standard input is read with the last.

Exit code 3: something was made with another key, or was never redacted.`,
		Example: `  ntdiag bundle reveal chn-kqzmvwrt 10.81.3.77 --key-file ticket.key
  ntdiag rules --from b.tar.zst | ntdiag bundle reveal - --key-file b.key`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return usage(errors.New("bundle reveal takes tokens or addresses, or - for standard input"))
			case len(args) > 1 && slices.Contains(args, "-"):
				return usage(errors.New("bundle reveal: - stands alone"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return reveal(cmd, args, &f) },
	}
	fs := cmd.Flags()
	fs.StringVar(&f.keyFile, "key-file", "", "the key that the bundle was redacted with")
	fs.IntVar(&f.use, "use", 0, "which use of the key, from 1 on; 0 for all")
	_ = cmd.MarkFlagRequired("key-file")
	return cmd
}

func reveal(cmd *cobra.Command, args []string, f *revealFlags) error {
	keys, err := redact.ReadKeys(f.keyFile)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return incomplete(err)
	case err != nil:
		return usage(fmt.Errorf("--key-file: %w", err))
	}
	if keys.Warning != "" {
		fmt.Fprintf(cmd.ErrOrStderr(), "ntdiag: warning: %s\n", nft.Escape(keys.Warning))
	}
	switch {
	case keys.Uses() == 0:
		return usage(fmt.Errorf("--key-file: %s: was not used yet", f.keyFile))
	case f.use < 0 || f.use > keys.Uses():
		return usage(fmt.Errorf("--use %d: the key was used %d times", f.use, keys.Uses()))
	}
	if args[0] == "-" {
		return revealText(cmd, keys, cmp.Or(f.use, keys.Uses()))
	}
	return revealEach(cmd, keys, args, f.use)
}

// revealText takes standard input back. What it writes is a document, and not
// escaped.
func revealText(cmd *cobra.Command, keys *redact.Keys, use int) error {
	text, err := io.ReadAll(cmd.InOrStdin())
	if err != nil {
		return incomplete(fmt.Errorf("standard input: %w", err))
	}
	_, err = io.WriteString(cmd.OutOrStdout(), keys.Use(use).Reveal(string(text)))
	return err
}

// revealEach tells what each argument stands for, for each use where they differ.
func revealEach(cmd *cobra.Command, keys *redact.Keys, args []string, only int) error {
	first, last := 1, keys.Uses()
	if only > 0 {
		first, last = only, only
	}
	var unknown []string
	for _, token := range args {
		var uses []int
		var answers []string
		known := false
		for n := first; n <= last; n++ {
			m := keys.Use(n)
			answer := m.Reveal(token)
			known = known || answer != token || m.Stays(token)
			if len(answers) == 0 || answers[len(answers)-1] != answer {
				uses, answers = append(uses, n), append(answers, answer)
			}
		}
		if !known {
			unknown = append(unknown, token)
			continue
		}
		for i, answer := range answers {
			line := nft.Escape(token) + "  " + nft.Escape(answer)
			if len(answers) > 1 {
				line += fmt.Sprintf("  (use %d, from %s on)", uses[i], keys.At(uses[i]).Format(time.DateTime))
			}
			if _, err := fmt.Fprintln(cmd.OutOrStdout(), line); err != nil {
				return err
			}
		}
	}
	if len(unknown) > 0 {
		return incomplete(fmt.Errorf("not made with this key: %s", nft.Escape(strings.Join(unknown, ", "))))
	}
	return nil
}
