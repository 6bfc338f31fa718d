//go:build linux

package explain_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/diagnose/query"
	"github.com/ntdiag/ntdiag/diagnose/simulate"
	"github.com/ntdiag/ntdiag/diagnose/stale"
	"github.com/ntdiag/ntdiag/rules"
)

// What a verdict is worth, by what a fresh connection of the same tuple got.
const (
	staleCertain outcome = "certain"   // it got what the verdict says, and not what the entry held
	staleLikely  outcome = "likely"    // the same, said with less
	needless     outcome = "needless"  // likely, and it got what the entry held
	staleFresh   outcome = "fresh"     // it got what the entry held, or what may be chosen as well
	open         outcome = "undecided" // nothing was said
	lost         outcome = "lost"      // it got no entry: refused, or its port was taken
	missed       outcome = "missed"    // fresh, and it got something else
)

// TestProveStale loads random rulesets and sends packets, changes rules, routes
// and addresses, and judges every entry. Then the entries are deleted and the
// same packets are sent again: what they get from the kernel is the answer.
func TestProveStale(t *testing.T) {
	eachSeed(t, short, newTally(staleCertain, staleLikely, needless, staleFresh, open, lost, missed, wrong), proveStale)
}

// calm keeps the router's own ICMP redirects away, which would meet the rules
// amid a packet's way.
var calm = []string{"net.ipv4.conf.all.send_redirects=0", "net.ipv4.conf.c0.send_redirects=0", "net.ipv4.conf.s0.send_redirects=0"}

func proveStale(t *testing.T, seed uint64, total *tally) {
	g := newGenerator(seed)
	r := &oracleRun{oracleCase: &oracleCase{outside: "s0", sysctl: calm}, tracer: proveTracer}
	first, then := g.change(seed)
	r.prove = g.flows(flowsPerCase)
	r.unrouted = map[rules.Tuple]bool{}
	routing := &routingSetup{}
	if g.in(40) {
		routing = g.routing()
	}
	if g.in(16) {
		routing.ip = append(routing.ip, renumber...)
		// nobody can begin a flow from an address that the host has no more
		r.prove = slices.DeleteFunc(r.prove, func(f proveFlow) bool { return f.host == "router" && f.Src == lab.RouterOut4 })
	}
	fail := func(err error) {
		t.Errorf("the case itself: %v\nfirst:\n%s\nthen:\n%s%s", err, first, then, againStale(seed))
	}
	if err := r.playProve(t, first); err != nil {
		fail(err)
		return
	}
	old := byTuple(r.entries)
	if err := r.changeTo(then, routing); err != nil {
		fail(err)
		return
	}
	now := r.snapshot
	judge := stale.New(now)
	verdicts := map[rules.Tuple]stale.Verdict{}
	for tuple, f := range old {
		verdicts[tuple] = judge.Judge(f)
	}
	if err := r.again(); err != nil {
		fail(err)
		return
	}
	fresh := byTuple(r.entries)
	sim := simulate.New(now)
	var bad []string
	for _, f := range r.prove {
		v, ok := verdicts[f.Tuple]
		if !ok {
			continue
		}
		o, why := staleWorth(&v, fresh[f.Tuple], sim)
		total.count(kindOfVerdict(&v), o)
		if o == wrong || o == missed {
			bad = append(bad, fmt.Sprintf("%s: %s: %s\n%s%s", f, o, why, printVerdict(&v, fresh[f.Tuple]), printTraceOf(r, fresh[f.Tuple])))
		}
	}
	for tuple, f := range fresh {
		if v := judge.Judge(f); v.Fate == stale.Stale && v.Confidence == stale.Certain {
			total.count("a fresh entry", wrong)
			bad = append(bad, fmt.Sprintf("%v: a fresh entry is called stale\n%s%s", tuple, printVerdict(&v, f), printTraceOf(r, f)))
		}
	}
	total.played(len(r.prove), len(old))
	if len(bad) > 0 {
		t.Errorf("%s\nfirst:\n%s\nthen:\n%s%s%s%s", strings.Join(bad, "\n"), first, then, r.listing, routing, againStale(seed))
	}
}

func againStale(seed uint64) string {
	return fmt.Sprintf("again: make prove-stale SEED=%d N=1", seed)
}

func byTuple(entries map[uint32]*host.Flow) map[rules.Tuple]*host.Flow {
	out := map[rules.Tuple]*host.Flow{}
	for _, e := range entries {
		out[e.Original] = e
	}
	return out
}

func kindOfVerdict(v *stale.Verdict) string {
	if v.Fate == stale.Stale {
		return string(v.Class)
	}
	return v.Fate.String()
}

// staleWorth compares a verdict with the entry that a fresh connection got, nil
// for none.
func staleWorth(v *stale.Verdict, got *host.Flow, sim *simulate.Simulator) (outcome, string) {
	switch {
	case v.Fate == stale.Undecided:
		return open, ""
	case got == nil:
		return lost, ""
	case v.Fate == stale.Fresh:
		if sameButPort(&v.Flow, got) || !onlyOne(sim, &v.Flow) {
			return staleFresh, ""
		}
		return missed, "a fresh connection got another rewrite"
	case v.Flow.Reply == got.Reply && v.Confidence == stale.Certain:
		return wrong, "a fresh connection got the same"
	case v.Flow.Reply == got.Reply:
		return needless, ""
	case v.Confidence == stale.Likely:
		return staleLikely, ""
	case !foretold(v, got):
		return wrong, "a fresh connection got something else than was said"
	}
	return staleCertain, ""
}

// sameButPort: the kernel may have chosen another source port, or another id.
func sameButPort(a, b *host.Flow) bool {
	x, y := a.Reply, b.Reply
	x.DstPort, y.DstPort = 0, 0
	if a.IsICMP() {
		x.SrcPort, y.SrcPort = 0, 0
	}
	return x == y
}

// onlyOne tells whether a packet of the flow's tuple has one certain outcome,
// one target in it.
func onlyOne(sim *simulate.Simulator, f *host.Flow) bool {
	r, err := sim.Outcomes(query.Packet{Family: f.Family, Tuple: f.Original})
	if err != nil || len(r.Outcomes) != 1 || !r.Outcomes[0].Certain {
		return false
	}
	for _, n := range []*simulate.NAT{r.Outcomes[0].DNAT, r.Outcomes[0].SNAT} {
		if n != nil && (n.To.Lo != n.To.Hi || n.Manip == rules.ManipDst && n.To.PortLo != n.To.PortHi) {
			return false
		}
	}
	return true
}

// foretold tells whether both rewrites are among those that the verdict names.
func foretold(v *stale.Verdict, got *host.Flow) bool {
	for _, pair := range append([][2]*simulate.NAT{v.Now}, v.Others...) {
		if becomes(pair, got) {
			return true
		}
	}
	return false
}

func becomes(pair [2]*simulate.NAT, got *host.Flow) bool {
	for m, e := range got.Ends() {
		if got.IsICMP() && rules.Manip(m) == rules.ManipDst {
			e.From.Port = e.To.Port
		}
		if n := pair[m]; n == nil && e.From.Addr != e.To.Addr || n != nil && n.Makes(e.From, e.To) == rules.No {
			return false
		}
	}
	return true
}

// changeTo puts other rules in the place of those that are there, in one step
// for each tool, and captures what there is then.
func (r *oracleRun) changeTo(then *proveRules, routing *routingSetup) error {
	router := r.net.Router
	if err := unload(router); err != nil {
		return err
	}
	if err := then.load(router); err != nil {
		return err
	}
	if err := routing.set(router); err != nil {
		return err
	}
	var err error
	if r.listing, err = nft(router, "", "-a", "list", "ruleset"); err != nil {
		return err
	}
	return r.capture()
}

// unload removes all rules, of nf_tables and of iptables-legacy.
func unload(h *lab.Host) error {
	if _, err := nft(h, "flush ruleset"); err != nil {
		return err
	}
	for tool, names := range map[string]string{"iptables-legacy": "/proc/thread-self/net/ip_tables_names", "ip6tables-legacy": "/proc/thread-self/net/ip6_tables_names"} {
		text, err := h.Run("", "cat", names)
		if err != nil {
			continue // no table of that family
		}
		for _, table := range strings.Fields(text) {
			for _, what := range []string{"-F", "-X"} {
				if _, err := h.Run("", tool, "-t", table, what); err != nil {
					return err
				}
			}
		}
	}
	if _, err := h.Run("", "ipset", "flush"); err != nil { // sets of sets hold their members
		return err
	}
	// nf_tables lets go of what its rules held a moment after they went
	// (nf_tables_trans_destroy_work)
	var err error
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		if _, err = h.Run("", "ipset", "destroy"); err == nil {
			return nil
		}
	}
	return err
}

// again deletes every entry, sends the packets once more, and captures what
// came of them.
func (r *oracleRun) again() error {
	router := r.net.Router
	if _, err := nft(router, proveTracer); err != nil {
		return err
	}
	if _, err := router.Run("", "conntrack", "-F"); err != nil {
		return err
	}
	before, err := r.trace.Events()
	if err != nil {
		return err
	}
	sent, err := r.sendAll()
	if err != nil {
		return err
	}
	since := len(before)
	if _, err := r.trace.Wait(func(e []lab.TraceEvent) bool { return arrived(e[since:], sent) }, 5*time.Second); err != nil {
		return err
	}
	if _, err := nft(router, "delete table inet tracer"); err != nil {
		return err
	}
	if r.events, err = r.trace.Events(); err != nil {
		return err
	}
	r.events = r.events[since:]
	return r.capture()
}

func printVerdict(v *stale.Verdict, got *host.Flow) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  %s %s %s %s: %s\n  entry %v\n        %v status %v\n  assumed %q unknown %q\n", v.Fate, v.Class, v.Confidence, v.Manip, v.Why, v.Flow.Original, v.Flow.Reply, v.Flow.Status.Names(), v.Assumed, v.Unknown)
	if got != nil {
		fmt.Fprintf(&b, "  fresh %v status %v\n", got.Reply, got.Status.Names())
	}
	return b.String()
}

func printTraceOf(r *oracleRun, f *host.Flow) string {
	if f == nil {
		return ""
	}
	return "  kernel's trace:\n" + printTrace(ofEntry(r.events, f.ID), f.ID)
}

// plainRules have conntrack look at packets, and no NAT.
const plainRules = `table inet plain {
	chain pre { type filter hook prerouting priority 0; ct state new counter; }
	chain out { type filter hook output priority 0; ct state new counter; }
}
`

// change draws two sets of rules: the second is the first with some of it
// changed, or the other way round, or another one altogether; or the first has
// no NAT.
func (g *generator) change(seed uint64) (first, then *proveRules) {
	first = g.proveRules(seed)
	n := g.IntN(100)
	switch {
	case n < 60:
		then = g.mutated(first)
	case n < 80:
		first, then = g.mutated(first), first
	case n < 90:
		g.b.Reset()
		then = g.proveRules(seed + 1)
	default:
		first, then = &proveRules{nft: plainRules}, first
	}
	return first, then
}

// mutated is rules with some of their rewrites changed or removed.
func (g *generator) mutated(r *proveRules) *proveRules {
	g.Rand = rand.New(rand.NewPCG(g.Uint64(), g.Uint64()))
	out := &proveRules{ipset: r.ipset, nft: g.mutate(r.nft), nftFirst: r.nftFirst}
	for _, x := range r.restores {
		out.restores = append(out.restores, restore{x.tool, g.mutate(x.text)})
	}
	return out
}

// mutate changes lines that rewrite, and elements of maps.
func (g *generator) mutate(text string) string {
	share := pick(g, []int{5, 15, 40})
	var out []string
	for _, line := range strings.Split(text, "\n") {
		rewrites := strings.Contains(line, "nat ") || strings.Contains(line, "masquerade") || strings.Contains(line, "redirect") ||
			strings.Contains(line, "NAT ") || strings.Contains(line, "-j ") && strings.HasSuffix(line, "MASQUERADE") || strings.Contains(line, "REDIRECT") || strings.Contains(line, "NETMAP")
		rewrites = rewrites && !strings.Contains(line, "type nat") && !strings.HasPrefix(line, "*") && !strings.HasPrefix(line, ":") && !strings.HasPrefix(line, "table")
		switch {
		case rewrites && g.in(share) && g.in(40):
			continue
		case (rewrites || strings.Contains(line, "\tmap ")) && g.in(share):
			line = g.retarget(line)
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}

// retarget moves the targets of a line, which are its addresses of the nets
// that targets are in, elsewhere.
func (g *generator) retarget(line string) string {
	for from, to := range map[string]string{"203.0.114.": "203.0.90.", "203.0.115.": "203.0.91.", "203.0.200.": "203.0.92.", "2001:db8:1::": "2001:db8:9::", "2001:db8:2::": "2001:db8:8::"} {
		if g.in(80) {
			line = strings.ReplaceAll(line, from, to)
		}
	}
	return line
}

// renumber gives the router another address outside.
var renumber = []string{
	"addr add 192.168.1.99/24 dev s0", "addr del 192.168.1.2/24 dev s0", "addr replace 192.168.1.99/24 dev s0",
	"route replace default via 192.168.1.80",
}
