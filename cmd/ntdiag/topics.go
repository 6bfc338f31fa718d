package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ntdiag/ntdiag/diagnose/query"
	"github.com/ntdiag/ntdiag/rules/nft"
	"github.com/ntdiag/ntdiag/rules/xt"
)

// topics are what `ntdiag help TOPIC` tells beside the commands.
var topics = []struct {
	name, short string
	text        func() string
}{
	{"grades", "how sure an answer is", func() string { return gradesText }},
	{"queries", "how to name a flow", queriesText},
	{"evidence", "what other tools printed, in place of the kernel", evidenceText},
	{"exit-codes", "what the exit code says", func() string { return exitCodesText }},
	{"invalid-messages", "what conntrack logs of invalid packets", invalidMessages},
	{"not-modelled", "what ntdiag does not understand", notModelledText},
}

// helpTopics are commands that cannot be run: cobra lists them as topics.
func helpTopics(a *app) []*cobra.Command {
	var out []*cobra.Command
	for _, t := range topics {
		cmd := &cobra.Command{Use: t.name, Short: t.short}
		a.long.add(cmd, func() string { return strings.Trim(t.text(), "\n") })
		out = append(out, cmd)
	}
	return out
}

// newHelpCmd is cobra's help, but a topic that is not there is an error.
func newHelpCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "help [TOPIC]",
		Short: "help on a command or a topic",
		RunE: func(cmd *cobra.Command, args []string) error {
			target, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return usage(fmt.Errorf("no help topic %q; ntdiag help lists them", strings.Join(args, " ")))
			}
			target.InitDefaultHelpFlag()
			return target.Help()
		},
		ValidArgsFunction: func(cmd *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
			var out []string
			for _, c := range cmd.Root().Commands() {
				if !c.Hidden && strings.HasPrefix(c.Name(), prefix) {
					out = append(out, c.Name())
				}
			}
			return out, cobra.ShellCompDirectiveNoFileComp
		},
	}
}

const gradesText = `
Every rewrite that explain attributes carries a grade:

  exact      every condition on the way is decided by the entry itself, or was
             assumed and the rewrite confirms it (the masquerade address is the
             interface's own)
  inferred   some conditions could not be known (a mark, a set that changes, a
             random choice), but of the present rules only this one can have
             made the rewrite; or another could have, had a device been other
             than routes say, which is then noted
  ambiguous  several rules can have made it; all are listed, the likeliest first
  none       no present rule can have made it: the rule was changed or removed,
             the entry was inserted by a program, or the kernel moved the port

What was assumed, and what could not be known, is listed under each rewrite.`

const exitCodesText = `
  0  answered, and nothing is wrong
  1  answered, and something was found: no entry fits the query, a rewrite that
     no present rule makes, a flow that is stale, (rules, counters) a warning
     or worse, notes do not count, (invalid) a packet that was invalid or
     dropped, by a message or by a counter that moved while it listened; those
     that were accepted do not count, nor does the counter error by itself,
     (simulate) an expectation that does not hold, or (delete, undo) a flow that
     is not as it should be now
  2  the command line is wrong
  3  could not answer completely; the reason is on stderr, and in JSON under
     "missing"`

func queriesText() string {
	var b strings.Builder
	b.WriteString(`A query names a flow by what you have at hand, in one argument or several.

  10.0.0.10:5536 10.8.2.12:80              two ends, source first
  tcp 10.0.0.10:5536 > 10.8.2.12:80        also ->, → and a protocol
  [fd00::10]:5536 [fd00::80]:443           IPv6 with brackets
  icmp 10.0.0.10 10.8.2.12 id=77           a ping
  id=4021521188                            the entry's id
  10.0.0.10    10.0.0.0/24    :443         every flow with it at either end
  src=10.0.0.10 dport=443 state=syn-sent   keys

Pasted lines of conntrack -L or -E, tcpdump, ss, and the kernel log (SRC= DST=
SPT= DPT=) are understood as they are.

A flow is found by the tuple of any of its sides: as the initiator sends it, as
the far end answers it, after NAT as the far end receives it, and as the forward
hook sees it between the two rewrites. explain says which one it was. A whole
tuple is looked up in the kernel; everything else reads the table.

Keys:
`)
	for _, k := range query.Keys() {
		listed(&b, 18, k.Names[0]+"="+k.Value, k.Help)
	}
	return b.String()
}

func notModelledText() string {
	match, target := xt.Extensions()
	var b strings.Builder
	b.WriteString(`What a rule holds beyond the names below is kept and shown, but what it does is
not known. So is an attribute, a key or a revision that this version does not
know. Answers that pass through it say so, and are never exact where it could
have mattered.
`)
	for _, list := range []struct {
		what  string
		names []string
	}{{"nf_tables expressions", nft.Expressions()}, {"xtables matches", match}, {"xtables targets", target}} {
		b.WriteString("\nThe " + list.what + " that are understood:\n\n" + wrapped(list.names))
	}
	b.WriteString(`
Rules of iptables are the same in both forms, iptables-nft and iptables-legacy,
with the ipsets that they ask. Not looked at: everything outside netfilter (XDP,
tc, IPVS, eBPF, routing by IPsec policy).`)
	return b.String()
}

// wrapped is names in lines of at most 80 columns.
func wrapped(names []string) string {
	var b strings.Builder
	line := " "
	for _, name := range names {
		if len(line)+1+len(name) > 80 {
			b.WriteString(line + "\n")
			line = " "
		}
		line += " " + name
	}
	return b.String() + line + "\n"
}
