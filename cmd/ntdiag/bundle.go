package main

import "github.com/spf13/cobra"

// newBundleCmd holds the commands of support bundles, one row each.
func newBundleCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bundle",
		Short: "support bundles: what a machine was, in one file for the ticket",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newBundleRevealCmd(a))
	return cmd
}
