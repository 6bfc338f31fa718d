package report

import (
	"strconv"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/stale"
)

// traps says of each risk what happens, and what to do about it.
var traps = map[stale.Risk]struct{ what, do string }{
	stale.RiskWorks: {"an established connection whose ends both still answer breaks when its entry goes: TCP cannot move to another address",
		"leave it alone, unless it is to end now"},
	stale.RiskTCPLoose: {"nf_conntrack_tcp_loose is on: the next packet of either end makes a new entry in the middle of the connection",
		"have a rule of the forward chain end it first: ct state new tcp flags & (fin|syn|rst|ack) != syn reject with tcp reset"},
	stale.RiskReversed: {"if the far end sends first, its packet makes an entry the other way round, which no rule rewrites",
		"look again afterwards: ntdiag says which came back so; delete those too"},
	stale.RiskInvalid: {"nf_conntrack_tcp_loose is off: the packets of a connection without NAT are invalid then, and go on past the rules",
		"have a rule drop ct state invalid first, or end the connection at one of its ends (ss -K)"},
	stale.RiskOffload: {"a flowtable forwards the packets past the rules for as long as it has the flow, and some kernels refuse to delete the entry until then",
		"take the rule away that adds to the flowtable, and delete once the flow is no longer offloaded"},
	stale.RiskMaster: {"a helper watches this connection: what it expects (FTP data, SIP media) loses its master",
		"expect these sessions to start anew"},
}

// writeTraps tells what each risk that applies to any flow means; of says to
// how many it does.
func writeTraps(b *strings.Builder, s Style, of func(stale.Risk) int) {
	first := true
	for _, r := range stale.Risks() {
		n := of(r)
		if n == 0 {
			continue
		}
		if first {
			b.WriteString("\n" + s.paint(bold, "Before deleting:") + "\n")
			first = false
		}
		wrap(b, s.width(), "  "+s.paint(yellow, string(r))+" ("+counted(n, "flow", "flows")+"): ", "    ", traps[r].what)
		wrap(b, s.width(), "    do: ", "        ", traps[r].do)
	}
}

// thousands is n with commas, as counts of flows are long.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return thousands(n) + " " + many
}
