//go:build linux

package explain_test

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/rules"
)

// legacyTracer has the trace name the entry also where no nf_tables chain
// follows conntrack: a chain without rules is traced by its policy.
const legacyTracer = tracer + `
table inet tracer {
	chain pre-entry { type filter hook prerouting priority -199; }
	chain out-entry { type filter hook output priority -199; }
}`

// tracers are what the flavours of iptables need.
var tracers = map[string]string{"nft": tracer, "legacy": legacyTracer}

// Rules of iptables-legacy are not in the trace: what tells which of them ran
// is their counters, read around each flow. Only the first packet of a flow
// meets the nat table, and a NAT target that it meets sets up the rewrite.

// legacyRule is a rule of a nat table that sets up a rewrite.
type legacyRule struct {
	manip   rules.Manip
	packets uint64
}

// legacyNAT reads them all with iptables-legacy-save: another reading than
// that under test.
func legacyNAT(h *lab.Host) (map[ruleID]legacyRule, error) {
	out := map[ruleID]legacyRule{}
	for family, tool := range map[string]string{"ip": "iptables", "ip6": "ip6tables"} {
		var names []byte
		err := h.Do(func() (err error) {
			names, err = os.ReadFile("/proc/thread-self/net/" + family + "_tables_names")
			return err
		})
		if err != nil {
			return nil, err
		}
		if !slices.Contains(strings.Fields(string(names)), "nat") {
			continue // asking for the table would make it
		}
		text, err := h.Run("", tool+"-legacy-save", "-c", "-t", "nat")
		if err != nil {
			return nil, err
		}
		if err := parseLegacySave(family, text, out); err != nil {
			return nil, fmt.Errorf("%s-legacy-save: %w", tool, err)
		}
	}
	return out, nil
}

// parseLegacySave reads lines like "[3:180] -A PREROUTING -i c0 -j DNAT …";
// rules count from 1 in each chain.
func parseLegacySave(family, text string, out map[ruleID]legacyRule) error {
	position := map[string]int{}
	for line := range strings.Lines(text) {
		counters, rule, ok := strings.Cut(line, "] -A ")
		if !ok {
			continue
		}
		var r legacyRule
		var bytes uint64
		if _, err := fmt.Sscanf(counters, "[%d:%d", &r.packets, &bytes); err != nil {
			return fmt.Errorf("%q: %w", line, err)
		}
		chain, _, _ := strings.Cut(strings.TrimSpace(rule), " ")
		position[chain]++
		_, target, _ := strings.Cut(rule, " -j ")
		target, _, _ = strings.Cut(strings.TrimSpace(target), " ")
		if m, ok := xtTargets[target]; ok {
			if b, isBase := bases[chain]; isBase && m == manipOfHook {
				m = b
			}
			r.manip = m
			out[ruleID{family: family, table: "nat", chain: chain, position: position[chain]}] = r
		}
	}
	return nil
}

// countLegacy notes which rules have run since they were counted last, for the
// entries made meanwhile.
func (r *oracleRun) countLegacy(ids []uint32) error {
	if r.flavour != "legacy" {
		return nil
	}
	now, err := legacyNAT(r.net.Router)
	if err != nil {
		return err
	}
	var ran [2]*ruleID
	for id, x := range now {
		if x.packets == r.legacy[id].packets {
			continue
		}
		if x.manip == manipOfHook {
			return fmt.Errorf("%s: its counter does not tell the hook", id)
		}
		if ran[x.manip] != nil {
			return fmt.Errorf("%s and %s both ran", ran[x.manip], id)
		}
		ran[x.manip] = &id
	}
	r.legacy = now
	switch {
	case len(ids) == 1:
		r.legacyRan[ids[0]] = ran
	case ran != [2]*ruleID{} && len(ids) > 1:
		return fmt.Errorf("%d entries were made, and counters do not tell which of them a rule was for", len(ids))
	}
	return nil
}

// judgeLegacy adds what the counters told to the verdicts, and the rules that
// are left to those of nf_tables.
func (r *oracleRun) judgeLegacy() error {
	if r.flavour != "legacy" {
		return nil
	}
	for id, ran := range r.legacyRan {
		for m, rule := range ran {
			if v := r.verdicts[id]; v != nil && v.rule[m] == nil {
				v.rule[m] = rule
			}
		}
	}
	left, err := legacyNAT(r.net.Router)
	for id, x := range left {
		r.left[id] = x.manip
	}
	return err
}
