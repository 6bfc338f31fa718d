//go:build linux

package explain_test

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/rules"
)

// tracer marks every packet before any other chain sees it. It is taken away
// again before the machine is captured.
const tracer = `table inet tracer {
	chain pre { type filter hook prerouting priority -450; meta nftrace set 1; }
	chain out { type filter hook output priority -450; meta nftrace set 1; }
}`

// traceNamesEntries: the trace holds the conntrack id since 6.16.
func traceNamesEntries() error {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return err
	}
	release := unix.ByteSliceToString(u.Release[:])
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil {
		return fmt.Errorf("kernel release %q: %w", release, err)
	}
	if major < 6 || major == 6 && minor < 16 {
		return fmt.Errorf("kernel %s: its trace does not name the conntrack entry (6.16 and later do)", release)
	}
	return nil
}

// nft runs nft inside h, with script as its input when it is not empty.
func nft(h *lab.Host, script string, args ...string) (string, error) {
	if len(args) == 0 {
		args = []string{"-f", "-"}
	}
	return h.Run(script, "nft", args...)
}

// ruleID names a rule for good: handles count per table, and a table made
// again has another handle.
type ruleID struct {
	family, table string
	tableHandle   uint64
	handle        uint64
	// chain and position name a rule of iptables-legacy, which has no handle.
	chain    string
	position int
}

func (r ruleID) String() string {
	if r.handle == 0 {
		return fmt.Sprintf("legacy %s %s %s rule %d", r.family, r.table, r.chain, r.position)
	}
	return fmt.Sprintf("%s %s handle %d", r.family, r.table, r.handle)
}

// is tells whether u is that rule.
func (r ruleID) is(u *rules.Rule) bool {
	if u.Chain.Table.Name != r.table || u.Chain.Table.Family.String() != r.family || u.Handle != r.handle {
		return false
	}
	return r.handle != 0 || u.Chain.Name == r.chain && u.Position == r.position
}

// present lists the rules of the namespace that set up a rewrite, and which:
// by another reading of them than that under test. nft's JSON leaves the rules
// of anonymous chains out, and the library leaves the handles of tables out.
func present(h *lab.Host) (map[ruleID]rules.Manip, error) {
	handles, err := tableHandles(h)
	if err != nil {
		return nil, err
	}
	c, err := nftables.New(nftables.WithNetNSFd(h.Fd()))
	if err != nil {
		return nil, err
	}
	chains, err := c.ListChains()
	if err != nil {
		return nil, err
	}
	nat := map[ruleID]rules.Manip{}
	for _, ch := range chains {
		list, err := c.GetRules(ch.Table, ch)
		if err != nil {
			return nil, err
		}
		family := rules.Family(ch.Table.Family).String()
		for _, r := range list {
			id := ruleID{family: family, table: ch.Table.Name, tableHandle: handles[[2]string{family, ch.Table.Name}], handle: r.Handle}
			for _, e := range r.Exprs {
				if m, ok := manipOf(e); ok {
					nat[id] = m
				}
			}
		}
	}
	return nat, nil
}

func manipOf(e expr.Any) (rules.Manip, bool) {
	switch x := e.(type) {
	case *expr.NAT:
		if x.Type == expr.NATTypeSourceNAT {
			return rules.ManipSrc, true
		}
		return rules.ManipDst, true
	case *expr.Masq:
		return rules.ManipSrc, true
	case *expr.Redir:
		return rules.ManipDst, true
	case *expr.Target:
		m, ok := xtTargets[x.Name]
		return m, ok
	}
	return 0, false
}

var xtTargets = map[string]rules.Manip{
	"DNAT": rules.ManipDst, "REDIRECT": rules.ManipDst,
	"SNAT": rules.ManipSrc, "MASQUERADE": rules.ManipSrc,
	"NETMAP": manipOfHook,
}

// manipOfHook is what NETMAP rewrites: as the chain's hook asks for.
const manipOfHook = rules.Manip(0xff)

// bases are the chains of iptables' nat tables.
var bases = map[string]rules.Manip{
	"PREROUTING": rules.ManipDst, "OUTPUT": rules.ManipDst, "INPUT": rules.ManipSrc, "POSTROUTING": rules.ManipSrc,
}

func tableHandles(h *lab.Host) (map[[2]string]uint64, error) {
	text, err := nft(h, "", "-j", "list", "tables")
	if err != nil {
		return nil, err
	}
	var doc struct {
		Nftables []struct {
			Table *struct {
				Family, Name string
				Handle       uint64
			}
		}
	}
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		return nil, fmt.Errorf("nft -j: %w", err)
	}
	out := map[[2]string]uint64{}
	for _, o := range doc.Nftables {
		if o.Table != nil {
			out[[2]string{o.Table.Family, o.Table.Name}] = o.Table.Handle
		}
	}
	return out, nil
}

// verdict is what the kernel says of one entry: the rule that set up each
// rewrite, if any did.
type verdict struct {
	id   uint32
	rule [2]*ruleID // by rules.Manip
}

// judge reads the trace: for every entry, the NAT rules that ran while it was
// not confirmed yet. Later packets can run a rule too, without effect.
func judge(events []lab.TraceEvent, nat map[ruleID]rules.Manip) map[uint32]*verdict {
	tables := map[[2]string]uint64{}
	for id := range nat {
		tables[[2]string{id.family, id.table}] = id.tableHandle
	}
	out := map[uint32]*verdict{}
	base := map[uint32]string{} // the base chain that a packet is in
	for _, e := range events {
		if e.First {
			base[e.Packet] = e.Chain
		}
		if !e.HasCt || e.CtDir != 0 {
			continue
		}
		v := out[e.CtID]
		if v == nil {
			v = &verdict{id: e.CtID}
			out[e.CtID] = v
		}
		// a statement for the other family lets the walk go on
		if e.Type != 3 || e.Verdict == -1 || host.Status(e.CtStatus).Has(host.StatusConfirmed) {
			continue
		}
		family := rules.Family(e.Family).String()
		id := ruleID{family: family, table: e.Table, tableHandle: tables[[2]string{family, e.Table}], handle: e.Handle}
		m, ok := nat[id]
		if m == manipOfHook {
			m = bases[base[e.Packet]]
		}
		if ok && v.rule[m] == nil {
			v.rule[m] = &id
		}
	}
	return out
}

// fresh are the entries that began in events, in the order of their first
// packets. Those to groups are nobody's traffic: a device that comes up tells
// routers which groups it listens to, when it likes.
func fresh(events []lab.TraceEvent) []uint32 {
	var ids []uint32
	seen := map[uint32]bool{}
	for _, e := range events {
		if e.HasCt && e.CtDir == 0 && !seen[e.CtID] && !host.Status(e.CtStatus).Has(host.StatusConfirmed) {
			seen[e.CtID] = true
			if toGroup(e.Network) {
				continue
			}
			ids = append(ids, e.CtID)
		}
	}
	return ids
}

// toGroup tells whether an IP header has a multicast destination.
func toGroup(header []byte) bool {
	switch {
	case len(header) >= 20 && header[0]>>4 == 4:
		return header[16]>>4 == 0xe
	case len(header) >= 40 && header[0]>>4 == 6:
		return header[24] == 0xff
	}
	return false
}

// printTrace prints the events of one entry, or of all for id 0.
func printTrace(events []lab.TraceEvent, id uint32) string {
	var b strings.Builder
	for _, e := range events {
		if id != 0 && e.HasCt && e.CtID != id || e.Table == "tracer" {
			continue
		}
		fmt.Fprintf(&b, "    %s %s %s handle %d type %d verdict %d %s mark %#x ct %d status %#x state %d iif %d oif %d\n",
			rules.Family(e.Family), e.Table, e.Chain, e.Handle, e.Type, e.Verdict, e.Target, e.Mark, e.CtID, e.CtStatus, e.CtState, e.Iif, e.Oif)
	}
	return b.String()
}
