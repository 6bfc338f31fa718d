package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/spf13/cobra"

	"github.com/ntdiag/ntdiag/diagnose/lab"
)

// newDemoCmd is `ntdiag demo`: the program starts itself again inside
// namespaces of its own, builds the network there, and runs the real commands
// on it.
func newDemoCmd() *cobra.Command {
	var inside bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "show the main commands at work on a small network of its own",
		Long: `demo builds a client, a router and a server in network namespaces of its own,
loads NAT rules of several kinds into the router, sends real TCP, UDP and ICMP
traffic through it, and runs the real commands on what came of it.

It needs no root where user namespaces are allowed, no nft program and no
network. Nothing of this machine's own network is touched, and nothing is left
behind.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := demo(cmd, inside); err != nil {
				return incomplete(err)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&inside, "inside", false, "already in namespaces of its own")
	_ = cmd.Flags().MarkHidden("inside") // fails only for a flag that is not there
	return cmd
}

func demo(cmd *cobra.Command, inside bool) error {
	if !inside {
		code, err := lab.DemoInside(cmd.Context(), "demo", "--inside")
		if err == nil && code != 0 {
			return &codeError{code: code} // it has said why itself
		}
		return err
	}
	return lab.Demo(cmd.Context(), lab.DemoOptions{Out: cmd.OutOrStdout(), Run: runSelf})
}

// demoState is where the journal goes: the demonstration has a /run of its own,
// which ends with it.
const demoState = "/run/ntdiag"

// runSelf runs one command line of this program, with its output here.
func runSelf(ctx context.Context, args ...string) error {
	c := exec.CommandContext(ctx, "/proc/self/exe", args...)
	c.Args[0] = os.Args[0]
	c.Env = append(os.Environ(), "STATE_DIRECTORY="+demoState)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := c.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == exitFound {
		return nil // an answer: the demonstration has a rule that is gone
	}
	if err != nil {
		return fmt.Errorf("ntdiag %s: %w", args[0], err)
	}
	return nil
}
