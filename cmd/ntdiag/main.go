// Ntdiag says which rule rewrote a flow that is already in the conntrack table.
//
//	ntdiag explain QUERY…   which rule made each rewrite of a flow, and how sure that is
//	ntdiag flows            the conntrack table, rewrites as before → after
//	ntdiag flows get|insert|update|delete
//	                        all of an entry; make, change, remove entries
//	ntdiag flows watch      flows as they come, change and go, with their rules
//	ntdiag rules            the NAT rules in the order in which packets meet them
//	ntdiag simulate PACKET… what would happen to a packet, with every way it could take
//	ntdiag stale            flows that are no longer what the rules make of them
//	ntdiag counters         what conntrack counts of itself, why it moves, what to do
//	ntdiag invalid          why packets are invalid, and what becomes of them
//	ntdiag undo JOURNAL     put back what a delete removed
//	ntdiag record           keep who changes rules, addresses and routes, and when
//	ntdiag history          the changes that record has kept, rule by rule
//	ntdiag bundle           a machine in one file for the ticket: create, report, diff,
//	                        reveal
//	ntdiag demo             all of this on a small network of its own
//
// What reads works on a bundle of another machine as well, without privilege
// and on any system: ntdiag explain --from FILE QUERY….
//
// It adds no rule, sends no traffic, and loads no module. It changes conntrack
// entries on request only: flows insert, update and delete, stale --delete,
// undo; invalid --enable and --nflog set sysctls, and put them back (kernels
// from 6.17 then load nf_log_syslog by themselves where no logger is there).
// Exit codes: 0 answered and nothing wrong, 1 answered and something found, 2
// usage, 3 could not answer completely.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set by the linker.
var version = "unknown"

func main() {
	paceCollector()
	os.Exit(run())
}

func run() int {
	end := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as nohup does
		end = append(end, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), end...)
	defer stop()
	return execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
}

// Exit codes.
const (
	exitOK         = 0
	exitFound      = 1
	exitUsage      = 2
	exitIncomplete = 3
)

// codeError carries an exit code; a nil err is an answer already printed.
type codeError struct {
	code int
	err  error
}

func (e *codeError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *codeError) Unwrap() error { return e.err }

func found() error               { return &codeError{code: exitFound} }
func usage(err error) error      { return &codeError{exitUsage, err} }
func incomplete(err error) error { return &codeError{exitIncomplete, err} }

// execute runs one command line and returns its exit code. What cobra itself
// refuses (an unknown command or flag) is usage.
func execute(ctx context.Context, args []string, out, errOut io.Writer) int {
	root := newRoot(&app{}, args...)
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	ce := &codeError{exitUsage, err}
	errors.As(err, &ce)
	if ce.err != nil {
		fmt.Fprintf(errOut, "ntdiag: %v\n", ce.err)
	}
	return ce.code
}

func newRootCmd() *cobra.Command { return newRoot(&app{}) }

// loadNft is the hidden command that nftScratch starts.
const loadNft = "load-nft"

// namedCommand makes one command.
type namedCommand struct {
	name string
	make func(*app) *cobra.Command
}

func commands() []namedCommand {
	return []namedCommand{
		{"explain", newExplainCmd},
		{"flows", newFlowsCmd},
		{"rules", newRulesCmd},
		{"simulate", newSimulateCmd},
		{"stale", newStaleCmd},
		{"undo", newUndoCmd},
		{"counters", newCountersCmd},
		{"invalid", newInvalidCmd},
		{"record", newRecordCmd},
		{"history", newHistoryCmd},
		{"bundle", newBundleCmd},
		{"demo", func(*app) *cobra.Command { return newDemoCmd() }},
		{"version", func(*app) *cobra.Command { return newVersionCmd() }},
		{"man", newManCmd},
		{loadNft, func(*app) *cobra.Command { return newLoadNftCmd() }},
	}
}

// newRoot makes the commands of one run. Where args begin with the name of a
// command, no other one is made: to make them all takes longer than most runs.
// help, completion and man list them all.
func newRoot(a *app, args ...string) *cobra.Command {
	root := &cobra.Command{
		Use:   "ntdiag",
		Short: "say which NAT rule rewrote a flow that is already there",
		Long: `ntdiag says which rule rewrote a flow that is already in the conntrack table,
how sure that is, and what could not be known; which flows are stale; and why
packets are invalid, or lost. It adds no rule and sends no traffic. Conntrack
entries are changed on request only, by flows insert, update and delete, stale
--delete, and undo; settings of logging while invalid --enable or --nflog runs,
which puts them back.

With --from FILE the commands that read (explain, flows, flows get, rules,
simulate, stale, counters, invalid, history) work on a bundle that was made on
another machine: without privilege, on any system, with the same answers. Where
there is no bundle a sos report will do, or what conntrack, iptables-save, nft
and ip printed; see: ntdiag help evidence`,
		Example: `  sudo ntdiag explain 10.0.0.10:5536 10.8.2.12:80
  sudo ntdiag flows --dnat --port 443
  sudo ntdiag rules
  sudo ntdiag stale
  sudo ntdiag simulate 'tcp 10.0.0.10:5536 > 10.0.0.1:8080'
  sudo ntdiag counters --interval 10s
  sudo ntdiag invalid --enable --for 60s
  ntdiag stale --from ticket-4711.tar.zst
  ntdiag demo`,
		Args:              cobra.NoArgs,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: false},
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.check(cmd) },
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	a.flags(root)
	made, all := commands(), true
	for i, c := range made {
		if len(args) > 0 && args[0] == c.name && c.name != "man" {
			made, all = made[i:i+1], false
			break
		}
	}
	for _, c := range made {
		root.AddCommand(c.make(a))
	}
	root.SetHelpCommand(newHelpCmd())
	if all {
		root.AddCommand(helpTopics(a)...)
	}
	root.SetUsageFunc(usageFunc)
	root.SetHelpFunc(a.long.helpFunc(root))
	if all {
		completion(root)
	}
	root.CompletionOptions.DisableDefaultCmd = !all
	return root
}
