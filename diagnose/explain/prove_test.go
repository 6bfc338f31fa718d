//go:build linux

package explain_test

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/explain"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/rules"
)

// proveTracer marks every packet and keeps the router from ending what it
// began: a RST in answer to a SYN would delete the entry.
const proveTracer = `table inet tracer {
	chain pre { type filter hook prerouting priority -450; meta nftrace set 1; }
	chain out { type filter hook output priority -450; tcp flags rst drop; meta nftrace set 1; }
}`

// silent keeps client and server from answering.
const silent = `table inet silent {
	chain pre {
		type filter hook prerouting priority -300; policy drop;
		icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
	}
}`

const flowsPerCase = 40

// enough rewrites make the share of untold ones mean something.
const enough = 1000

// TestProve compares random rulesets and packets with the kernel's own trace.
// NTDIAG_PROVE_N is how many rulesets, NTDIAG_PROVE_SEED the seed of the
// first; the next ones follow it. See the Makefile's target prove.
func TestProve(t *testing.T) {
	total := newTally(outcomes...)
	eachSeed(t, short, total, prove)
	open := total.in[ambiguous] + total.in[none]
	if all := open + total.in[exact] + total.in[inferred]; open*50 > all && all >= enough {
		t.Errorf("%d of %d rewrites were not told, more than 2 %%", open, all)
	}
}

// short is how many rulesets are played where none were asked for.
const short = 3

// eachSeed plays the rulesets that are asked for, some at a time; n where none
// are.
func eachSeed(t *testing.T, n uint64, total *tally, play func(*testing.T, uint64, *tally)) {
	t.Helper()
	needKernel(t)
	n, seed := envUint(t, "NTDIAG_PROVE_N", n), envUint(t, "NTDIAG_PROVE_SEED", 1)
	t.Run("cases", func(t *testing.T) {
		slots := make(chan bool, runtime.GOMAXPROCS(0))
		for s := seed; s < seed+n; s++ {
			t.Run(fmt.Sprintf("seed=%d", s), func(t *testing.T) {
				t.Parallel()
				slots <- true
				defer func() { <-slots }()
				play(t, s, total)
			})
		}
	})
	t.Log(total)
}

func envUint(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return otherwise
	}
	v, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return v
}

// prove plays one ruleset.
func prove(t *testing.T, seed uint64, total *tally) {
	g := newGenerator(seed)
	// an ICMP redirect would meet the rules amid its packet's way
	calm := []string{"net.ipv4.conf.all.send_redirects=0", "net.ipv4.conf.c0.send_redirects=0", "net.ipv4.conf.s0.send_redirects=0"}
	c := &oracleCase{outside: "s0", sysctl: calm}
	given := g.proveRules(seed)
	r := &oracleRun{oracleCase: c, tracer: proveTracer, prove: g.flows(flowsPerCase)}
	if err := r.playProve(t, given); err != nil {
		t.Errorf("the case itself: %v\n%s%s", err, given, again(seed))
		return
	}
	ex := explain.New(r.snapshot)
	entries := map[rules.Tuple]*host.Flow{}
	for _, e := range r.entries {
		entries[e.Original] = e
	}
	var bad []string
	made := 0
	for i, f := range r.prove {
		e := entries[f.Tuple]
		if e == nil {
			continue
		}
		made++
		if why := r.proveEntry(ex, e, total); why != "" {
			bad = append(bad, fmt.Sprintf("%s: %s%s", f, why, printXTTrace(r.xtEvents, i+1)))
		}
	}
	if err := r.heldAlike(seed); err != nil {
		bad = append(bad, err.Error())
	}
	total.played(len(r.prove), made)
	if len(bad) > 0 {
		t.Errorf("%s\nruleset:\n%s\n%s%s", strings.Join(bad, "\n"), r.listing, given, again(seed))
	}
}

func again(seed uint64) string { return fmt.Sprintf("again: make prove SEED=%d N=1", seed) }

// proveEntry holds one answer against the kernel's trace, and says what is
// wrong with it.
func (r *oracleRun) proveEntry(ex *explain.Explainer, e *host.Flow, total *tally) string {
	x := ex.Explain(e, explain.Options{Path: true})
	ran := [2]*ruleID{}
	if v := r.verdicts[e.ID]; v != nil {
		ran = v.rule
	}
	var bad []string
	if why := r.indexed(e); why != "" {
		total.count("index", wrong)
		bad = append(bad, why)
	}
	showOpen := os.Getenv("NTDIAG_PROVE_OPEN") != ""
	for i := range x.Rewrites {
		rw := &x.Rewrites[i]
		outcome := outcomeOf(rw, ran[rw.Manip])
		total.count(r.kindOf(ran[rw.Manip]), outcome)
		if outcome == wrong || showOpen && (outcome == none || outcome == ambiguous) {
			bad = append(bad, fmt.Sprintf("%s: %s, %s, but the kernel ran %v", outcome, rw.Manip, rw.Grade, ran[rw.Manip]))
		}
	}
	if len(x.Rewrites) == 0 && falseReason(x.WhyNone, ran[0] != nil || ran[1] != nil) {
		total.count("no rewrite", wrong)
		bad = append(bad, fmt.Sprintf("%s: %q, but the kernel ran %v and %v", wrong, x.WhyNone, ran[0], ran[1]))
	}
	if len(bad) == 0 {
		return ""
	}
	return strings.Join(bad, "; ") + "\n" + printExplanation(x) + "  kernel's trace:\n" + printTrace(ofEntry(r.events, e.ID), e.ID)
}

// outcomeOf compares one answer with the rule that the kernel ran, nil for
// none.
func outcomeOf(rw *explain.Rewrite, ran *ruleID) outcome {
	if ran == nil {
		if rw.Cause == explain.CausePortClash && len(rw.Rules) == 0 {
			return clash
		}
		if rw.Grade == explain.GradeAmbiguous && orNoRule(rw) {
			return ambiguous
		}
		return wrong
	}
	named := slices.ContainsFunc(rw.Rules, ran.is)
	switch {
	case len(rw.Rules) == 0:
		return none
	case !named:
		return wrong
	case rw.Grade == explain.GradeAmbiguous:
		return ambiguous
	case len(rw.Rules) != 1:
		return wrong
	case rw.Grade == explain.GradeInferred:
		return inferred
	}
	return exact
}

// ofEntry are the events of the packets of one entry, also before it had one.
func ofEntry(events []lab.TraceEvent, id uint32) []lab.TraceEvent {
	packets := map[uint32]bool{}
	for _, e := range events {
		if e.HasCt && e.CtID == id {
			packets[e.Packet] = true
		}
	}
	var out []lab.TraceEvent
	for _, e := range events {
		if packets[e.Packet] {
			out = append(out, e)
		}
	}
	return out
}

// falseReason tells whether it is wrong why an entry has no rewrite, given
// that a rule did run or none did. No rule is younger than any flow here.
func falseReason(why string, ran bool) bool {
	return strings.Contains(why, "the flow is older") || ran && strings.HasPrefix(why, "no rule matched") ||
		!ran && strings.Contains(why, "applies and changes nothing")
}

// kindOf groups rules for the totals.
func (r *oracleRun) kindOf(id *ruleID) string {
	if id == nil {
		return "no rule"
	}
	u := findRule(r.snapshot.Rules, id)
	if u == nil || u.NAT() == nil {
		return "unknown"
	}
	n := u.NAT()
	kind := n.Kind.String()
	if b := u.Chain.Table.Backend; b != rules.BackendNft {
		return string(b) + " " + kind
	}
	if n.Flags&rules.NATNetmap != 0 {
		kind += " prefix"
	}
	if mapped(n.AddrMin) || mapped(n.PortMin) {
		kind += " map"
	}
	return kind
}

func mapped(x rules.Expr) bool {
	if s, ok := x.(*rules.Slice); ok {
		x = s.X
	}
	_, ok := x.(*rules.MapLookup)
	return ok
}

func findRule(rs *rules.Ruleset, id *ruleID) *rules.Rule {
	for _, t := range rs.Tables {
		if t.Name != id.table || t.Family.String() != id.family {
			continue
		}
		for _, c := range t.Chains {
			for _, u := range c.Rules {
				if id.is(u) {
					return u
				}
			}
		}
	}
	return nil
}

// playProve loads the rules, sends every packet at once, and captures what
// came of them.
func (r *oracleRun) playProve(t *testing.T, given *proveRules) error {
	if err := r.build(t); err != nil {
		return err
	}
	if err := given.load(r.net.Router); err != nil {
		return err
	}
	nat, err := present(r.net.Router)
	if err != nil {
		return err
	}
	if r.listing, err = nft(r.net.Router, "", "-a", "list", "ruleset"); err != nil {
		return err
	}
	if r.before != nil {
		if err := r.before(r); err != nil {
			return err
		}
	}
	var xtTrace *lab.XTTrace
	var xtNAT map[ruleID]legacyRule
	if given.legacy() {
		if xtNAT, err = legacyNAT(r.net.Router); err != nil {
			return err
		}
		if xtTrace, err = r.net.Router.XTTrace(); err != nil {
			return err
		}
	}
	sent, err := r.sendAll()
	if err != nil {
		return err
	}
	if _, err := r.trace.Wait(func(e []lab.TraceEvent) bool { return arrived(e, sent) }, 5*time.Second); err != nil {
		return err
	}
	// once the chain is gone no packet is inside the hooks any more: its
	// deletion waits for them (synchronize_rcu)
	if _, err := nft(r.net.Router, "delete table inet tracer"); err != nil {
		return err
	}
	if r.events, err = r.trace.Events(); err != nil {
		return err
	}
	r.verdicts = judge(r.events, nat)
	if err := r.capture(); err != nil || xtTrace == nil {
		return err
	}
	if r.xtEvents, err = xtTrace.Events(); err != nil {
		return err
	}
	r.judgeXT(r.xtEvents, xtNAT)
	return nil
}

func (r *oracleRun) sendAll() ([]rules.Tuple, error) {
	senders := map[string]*sender{}
	for _, name := range []string{"client", "router", "server"} {
		h, err := r.host(name)
		if err != nil {
			return nil, err
		}
		if name != "router" {
			if _, err := nft(h, silent); err != nil {
				return nil, err
			}
		}
		s, err := newSender(h)
		if err != nil {
			return nil, err
		}
		defer s.Close()
		senders[name] = s
	}
	var sent []rules.Tuple
	var errs []error
	for i, f := range r.prove {
		ok, err := senders[f.host].send(f.Tuple, i+1)
		if r.unrouted != nil && isUnrouted(err) {
			r.unrouted[f.Tuple] = true
			continue
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", f, err))
		}
		if ok {
			sent = append(sent, f.Tuple)
		}
	}
	return sent, errors.Join(errs...)
}

// arrived tells whether every packet has met the tracer.
func arrived(events []lab.TraceEvent, sent []rules.Tuple) bool {
	seen := map[[2]string]bool{}
	for i := range events {
		if e := &events[i]; e.First && e.Table == "tracer" {
			seen[headersOf(e.Network, e.Trans)] = true
		}
	}
	for _, t := range sent {
		b := packetOf(t, 0)
		n := 20
		if t.Src.Is6() {
			n = 40
		}
		if !seen[headersOf(b[:n], b[n:])] {
			return false
		}
	}
	return true
}

// headersOf are the addresses and the ports, or type, code and id.
func headersOf(network, trans []byte) [2]string {
	if len(network) < 20 || len(trans) < 8 {
		return [2]string{}
	}
	addrs, proto := network[12:20], network[9]
	if network[0]>>4 == 6 {
		addrs, proto = network[8:], network[6]
	}
	ends := string(trans[:4])
	if isPing(proto) {
		ends = string(trans[:2]) + string(trans[4:6])
	}
	return [2]string{string(addrs) + string(proto), ends}
}
