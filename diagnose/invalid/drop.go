package invalid

import (
	"slices"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

const costDrop = "connections of which only one direction passes this host end for good; with counter in place of drop it only counts them"

// dropRule is the rule that would end invalid packets before they do harm: in a
// table of its own, which a firewall's reload leaves alone, or for iptables
// where that has all the rules.
func dropRule(s *host.Snapshot, flows []*Flow) Fix {
	sent := !slices.ContainsFunc(flows, func(f *Flow) bool { return !f.Sent })
	six := !slices.ContainsFunc(flows, func(f *Flow) bool { return f.Packet.Family != rules.FamilyIPv6 })
	tool := ""
	for _, t := range s.Rules.Tables {
		switch {
		case !t.Backend.Iptables():
			tool = "nft"
		case tool == "" && t.Backend == rules.BackendIptablesLegacy:
			tool = "-legacy"
		case tool == "" || tool == "-legacy":
			tool = "-nft"
		}
		if tool == "nft" {
			break
		}
	}
	if tool == "nft" || tool == "" {
		hook := "prerouting"
		if sent {
			hook = "output"
		}
		return Fix{"nft 'table inet invalid { chain " + hook + " { type filter hook " + hook + " priority mangle; ct state invalid drop; }; }'", costDrop}
	}
	command, chain := "iptables", "PREROUTING"
	if six {
		command = "ip6tables"
	}
	if tool == "-legacy" {
		command += tool
	}
	if sent {
		chain = "OUTPUT"
	}
	return Fix{command + " -t mangle -I " + chain + " -m conntrack --ctstate INVALID -j DROP", costDrop}
}

// drop is dropRule where a fate does harm that it would end.
func (d *Diagnosis) drop(s *host.Snapshot) {
	var flows []*Flow
	for i := range d.Fates {
		if f := &d.Fates[i]; f.Fate == FateLeaks || f.Fate == FateAnswered {
			flows = append(flows, f.Flows...)
		}
	}
	if len(flows) > 0 {
		fix := dropRule(s, flows)
		d.Drop = &fix
	}
}
