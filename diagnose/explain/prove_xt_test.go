//go:build linux

package explain_test

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/rules"
)

// restore is one table file of iptables, and what loads it.
type restore struct{ tool, text string }

// proveRules are the rules of one case, of one tool or of several.
type proveRules struct {
	ipset    string
	restores []restore
	nft      string
	nftFirst bool
}

func (r *proveRules) String() string {
	var b strings.Builder
	if r.ipset != "" {
		b.WriteString("ipset restore:\n" + r.ipset)
	}
	for _, x := range r.restores {
		b.WriteString(x.tool + ":\n" + x.text)
	}
	if r.nft != "" {
		b.WriteString("nft -f -:\n" + r.nft)
	}
	return b.String()
}

// backends draws whose rules a case has: half of them nft's own, the others of
// iptables in one form, some with rules of nft beside them.
func (g *generator) proveRules(seed uint64) *proveRules {
	early := earlyRuleset(seed)
	n := g.IntN(10)
	if n < 4 {
		return &proveRules{nft: g.ruleset() + early}
	}
	form := map[bool]string{true: "-nft-restore", false: "-legacy-restore"}[n < 7]
	out := &proveRules{ipset: g.ipsets(), nftFirst: g.in(50)}
	for _, f := range []struct {
		ip, tool string
		share    int
	}{{"ip", "iptables", 100}, {"ip6", "ip6tables", 60}} {
		if g.in(f.share) {
			out.restores = append(out.restores, restore{f.tool + form, g.iptables(f.ip)})
		}
	}
	if g.in(20) {
		g.b.Reset()
		out.nft = g.ruleset()
	}
	out.nft += early
	return out
}

// load gives the rules to the router.
func (r *proveRules) load(h *lab.Host) error {
	if r.ipset != "" {
		if _, err := h.Run(r.ipset, "ipset", "restore"); err != nil {
			return err
		}
	}
	native := func() error {
		if r.nft == "" {
			return nil
		}
		_, err := nft(h, r.nft)
		return err
	}
	if r.nftFirst {
		if err := native(); err != nil {
			return err
		}
	}
	for _, x := range r.restores {
		if _, err := h.Run(x.text, x.tool); err != nil {
			return err
		}
	}
	if !r.nftFirst {
		return native()
	}
	return nil
}

// legacy tells whether some of the rules are iptables-legacy's.
func (r *proveRules) legacy() bool {
	for _, x := range r.restores {
		if strings.Contains(x.tool, "legacy") {
			return true
		}
	}
	return false
}

// judgeXT adds what iptables-legacy traced: packets are told by the number that
// each of them carries, and by what their flow keeps until it is rewritten.
func (r *oracleRun) judgeXT(events []lab.XTTraceEvent, nat map[ruleID]legacyRule) {
	entries := map[rules.Tuple]*host.Flow{}
	for _, e := range r.entries {
		entries[e.Original] = e
	}
	for i := range events {
		e := &events[i]
		id := ruleID{family: rules.Family(e.Family).String(), table: e.Table, chain: e.Chain, position: e.Position}
		if _, ok := nat[id]; !ok || e.Kind != "rule" {
			continue
		}
		n := packetNumber(e.Payload)
		if n < 1 || n > len(r.prove) {
			continue
		}
		f := r.prove[n-1]
		entry := entries[f.Tuple]
		if entry == nil || !keepsSource(e.Payload, f.Tuple, n) {
			continue
		}
		v := r.verdicts[entry.ID]
		if v == nil {
			v = &verdict{id: entry.ID}
			r.verdicts[entry.ID] = v
		}
		if m := rules.HookManip(rules.Hook(e.Hook)); v.rule[m] == nil {
			v.rule[m] = &id
		}
	}
}

// packetNumber is what numbered wrote: the IP id, or the flow label.
func packetNumber(b []byte) int {
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		return int(binary.BigEndian.Uint16(b[4:]))
	case len(b) >= 40 && b[0]>>4 == 6:
		return int(binary.BigEndian.Uint32(b) & 0xfffff)
	}
	return 0
}

// keepsSource tells whether the packet has the source that its flow began with:
// what a router says of a packet has not.
func keepsSource(b []byte, t rules.Tuple, n int) bool {
	proto, src, trans := b[9], b[12:16], b[20:]
	if t.Src.Is6() {
		if len(b) < 40 {
			return false
		}
		proto, src, trans = b[6], b[8:24], b[40:]
	}
	if proto != t.Proto || string(src) != string(t.Src.AsSlice()) || len(trans) < 8 {
		return false
	}
	if isPing(proto) {
		return int(binary.BigEndian.Uint16(trans[6:])) == n
	}
	return binary.BigEndian.Uint16(trans) == t.SrcPort
}

// printXTTrace prints the lines of one packet.
func printXTTrace(events []lab.XTTraceEvent, n int) string {
	var b strings.Builder
	for _, e := range events {
		if packetNumber(e.Payload) == n {
			fmt.Fprintf(&b, "    legacy %s %s %s %s %d\n", rules.Hook(e.Hook), e.Table, e.Chain, e.Kind, e.Position)
		}
	}
	return b.String()
}
