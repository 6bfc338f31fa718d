package main

import "github.com/spf13/cobra"

// longTexts are the long texts of commands that are put together from tables:
// made when somebody reads them, since most runs print none.
type longTexts map[*cobra.Command]func() string

// add gives a command the text that text makes.
func (l *longTexts) add(cmd *cobra.Command, text func() string) {
	if *l == nil {
		*l = longTexts{}
	}
	(*l)[cmd] = text
}

// of is the command's long text, with that of cmd.Long made.
func (l longTexts) of(cmd *cobra.Command) string {
	if text := l[cmd]; text != nil && cmd.Long == "" {
		cmd.Long = text()
	}
	return cmd.Long
}

// helpFunc is cobra's own help, with the text made before.
func (l longTexts) helpFunc(root *cobra.Command) func(*cobra.Command, []string) {
	help := root.HelpFunc()
	return func(cmd *cobra.Command, args []string) {
		l.of(cmd)
		help(cmd, args)
	}
}
