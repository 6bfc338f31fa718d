package main

import "github.com/spf13/cobra"

// newBundleCmd holds the commands of support bundles.
func newBundleCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bundle",
		Short: "support bundles: what a machine was, in one file for the ticket",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, add := range bundleCommands() {
		cmd.AddCommand(add(a))
	}
	return cmd
}

// bundleCommands is one row each. It is no variable, which would hang on itself:
// create runs commands.
func bundleCommands() []func(*app) *cobra.Command {
	return []func(*app) *cobra.Command{
		newBundleCreateCmd,
		newBundleReportCmd,
		newBundleDiffCmd,
		newBundleRevealCmd,
	}
}
