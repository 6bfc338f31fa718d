// Package walk follows the first packet of a flow through the hooks, in the
// order of the kernel, in one pass: at a condition that is not known the rule
// becomes a may, and the state after it is the join of both ways.
package walk

import (
	"bytes"
	"sync"

	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/index"
)

// Walker walks packets over one ruleset. It is safe for concurrent use.
type Walker struct {
	rules *rules.Ruleset
	hooks [2 * slots]hookChains
	early earlyChains
	// tracks: conntrack looks at packets of the family.
	tracks map[rules.Family]bool
	index  *index.Index       // nil: every rule is looked at
	steps  int                // how many are followed at one hook
	enter  func(*rules.Chain) // see Watch
}

// Watch is the same walker, which tells of every chain that a packet enters.
func (w *Walker) Watch(enter func(*rules.Chain)) *Walker {
	watched := *w
	watched.enter = enter
	return &watched
}

// slots is how many hooks of IP there are.
const slots = int(rules.Postrouting) + 1

// slot is where the chains of a hook and a family are.
func slot(h rules.Hook, f rules.Family) int {
	at := min(int(h), slots-1)
	if f == rules.FamilyIPv6 {
		at += slots
	}
	return at
}

type hookChains struct {
	chains []*rules.Chain
	orders [][]*rules.Chain // others that are possible
}

// New prepares a walker.
func New(rs *rules.Ruleset) *Walker { return NewWith(rs, index.New(rs, index.FewRules)) }

// NewWith is New with an index of the ruleset; without one, nil, every rule is
// looked at, and the answers are the same.
func NewWith(rs *rules.Ruleset, ix *index.Index) *Walker {
	w := &Walker{rules: rs, index: ix, steps: maxSteps, tracks: map[rules.Family]bool{}}
	for _, f := range []rules.Family{rules.FamilyIPv4, rules.FamilyIPv6} {
		w.tracks[f] = rs.NeedsConntrack(f)
	}
	for h := rules.Prerouting; h <= rules.Postrouting; h++ {
		for _, f := range []rules.Family{rules.FamilyIPv4, rules.FamilyIPv6} {
			chains, uncertain := rs.AtHook(h, f)
			hc := hookChains{chains: chains}
			if len(uncertain) > 0 {
				hc.orders = orders(chains)
			}
			w.hooks[slot(h, f)] = hc
		}
	}
	w.early = newEarlyChains(rs)
	return w
}

// orders are the orders that chains can have besides the one that handles
// suggest: where tables share a priority, each of them first in turn. Inside a
// table the order is known.
func orders(in []*rules.Chain) (out [][]*rules.Chain) {
	for k := 1; ; k++ {
		order, changed := tableFirst(in, k)
		if !changed {
			return out
		}
		out = append(out, order)
	}
}

// tableFirst puts, in each run of tied chains, those of the kth table first;
// runs of fewer tables stay as they are.
func tableFirst(in []*rules.Chain, k int) (out []*rules.Chain, changed bool) {
	for i := 0; i < len(in); {
		j, tables := i+1, []int{i}
		for ; j < len(in) && tied(in[i], in[j]); j++ {
			if in[j].Table != in[j-1].Table {
				tables = append(tables, j)
			}
		}
		if k < len(tables) {
			changed = true
			start, end := tables[k], j
			if k+1 < len(tables) {
				end = tables[k+1]
			}
			out = append(append(append(out, in[start:end]...), in[i:start]...), in[end:j]...)
		} else {
			out = append(out, in[i:j]...)
		}
		i = j
	}
	return out, changed
}

func tied(a, b *rules.Chain) bool {
	return a.EffectivePriority() == b.EffectivePriority() && a.Base.Priority == b.Base.Priority
}

// Orders is how many other orders the chains at h can have: chains of several
// tables share a priority, and which runs first depends on when they were made.
func (w *Walker) Orders(h rules.Hook, f rules.Family) int {
	return len(w.hooks[slot(h, f)].orders)
}

// Options of one walk over one hook.
type Options struct {
	// Force decides rules whose conditions are open: Yes, it matched; No, it
	// did not.
	Force map[*rules.Rule]rules.Truth
	// Into names the chain that a verdict map of the rule is held to have led
	// to.
	Into map[*rules.Rule]*rules.Chain
	// Without leaves rules out, as if they were not there.
	Without map[*rules.Rule]bool
	// Accept takes the policy of chains as accept.
	Accept map[*rules.Chain]bool
	// Order takes the chains in another of their possible orders, 1 to
	// Walker.Orders; 0 is the one that handles suggest.
	Order int
	// Rewrite, when set, is called once the NAT of manip is done, to make the
	// packet what it is known to have become.
	Rewrite func(p *rules.Packet, m rules.Manip)
	// Trace is called for every rule looked at and every policy taken.
	Trace func(Step)
	// Choose, when set, makes the walk go one way only: at each point that is
	// open it names one of the ways, by its index.
	Choose func(*Choice) int
	// Candidate is called for every NAT rule met, before Rewrite.
	Candidate func(*Candidate)
	// Track, when set, is called where conntrack takes the packet in.
	Track func(p *rules.Packet)
	// Reroute, when set, is called when a chain of type route has changed what
	// routes are looked up by, with the packet as it then is.
	Reroute func(p *rules.Packet)
	// Ahead: the packet is yet to come. There is no entry to tell that a rule
	// that keeps it from conntrack, or sets its zone, was not met.
	Ahead bool
}

// Step is one rule looked at, or a chain's end.
type Step struct {
	Hook  rules.Hook
	Chain *rules.Chain
	Rule  *rules.Rule // nil: the end of a base chain, its policy
	// Result: Yes it matched, No it did not, Unknown it may have.
	Result rules.Truth
	// Taken is which way Options.Choose went at an Unknown.
	Taken rules.Truth
	// Failed is the first condition that did not hold or is not known, and Got
	// what it looked at.
	Failed rules.Statement
	Got    rules.Value
}

// Candidate is a NAT rule that the packet must or may have met.
type Candidate struct {
	Hook rules.Hook
	Rule *rules.Rule
	NAT  *rules.NAT // nil when Opaque
	// Opaque is the expression that may be a NAT statement.
	Opaque *rules.Opaque
	Via    []*rules.Rule // the jumps that lead to the rule, outermost first
	// Open are those of Via, and the rule itself, whose conditions are not
	// decided.
	Open []*rules.Rule
	// Answer: Yes it must have been applied, Unknown it may.
	Answer rules.Answer
	// Targets are what it can do; one when everything is known.
	Targets []Target
}

// Result of a hook.
type Result struct {
	Candidates []Candidate
	// Packet is the state after the hook, and Alive whether it gets there.
	Packet rules.Packet
	Alive  rules.Answer
	// Used are the assumptions that decided any condition.
	Used rules.Sources
	// Ends is where the way ends, or may end, before it leaves the hook.
	Ends []End
}

// End is a rule or a policy that ends the packet's way.
type End struct {
	Hook  rules.Hook
	Chain *rules.Chain
	Rule  *rules.Rule // nil: the chain's policy
	// Statement is the rule's verdict, reject, queue or what is not understood.
	Statement rules.Statement
}

type run struct {
	w    *Walker
	opt  Options
	hook rules.Hook
	res  Result
	way  *state // the packet between chains
	done *state // the ways on which a NAT is set up
	via  []*rules.Rule
	open []*rules.Rule
	// inNAT: the chains run inside the nat dispatcher.
	inNAT bool
	steps int
	cut   bool // a candidate stands for the NAT rules that were not looked at
	// writes: see Choice.
	writes int
}

var runs = sync.Pool{New: func() any { return &run{way: new(state), done: new(state)} }}

// Hook walks p over every chain at h. p is not changed.
func (w *Walker) Hook(p *rules.Packet, h rules.Hook, opt Options) (res Result) {
	x := runs.Get().(*run)
	x.w, x.opt, x.hook = w, opt, h
	x.way.p, x.way.live = *p, rules.Answer{Truth: rules.Yes}
	x.way.p.Hook = h
	x.chains(p.Family)
	res.Candidates, res.Used, res.Ends = x.res.Candidates, x.res.Used, x.res.Ends
	res.Packet, res.Alive = x.way.p, x.way.live
	x.free()
	return res
}

// free gives the room of a walk back.
func (x *run) free() {
	x.res.Candidates, x.res.Used, x.res.Ends = nil, 0, nil
	x.opt, x.inNAT, x.steps, x.cut, x.writes = Options{}, false, 0, false, 0
	x.via, x.open = x.via[:0], x.open[:0]
	runs.Put(x)
}

func (x *run) chains(f rules.Family) {
	if x.hook == rules.Forward {
		forwarded(&x.way.p)
	}
	hc := &x.w.hooks[slot(x.hook, f)]
	chains := hc.chains
	if order := x.opt.Order; order > 0 && order <= len(hc.orders) {
		chains = hc.orders[order-1]
	}
	switch {
	case x.w.early.empty():
	case x.hook == rules.Prerouting:
		*x.way = x.arrive(*x.way)
	default:
		*x.way = x.bridgedOn(*x.way)
	}
	asked := false
	for i := 0; i < len(chains) && x.way.live.Truth != rules.No; {
		c := chains[i]
		x.conntrack(x.way, c.EffectivePriority())
		if c.Base.Type != rules.ChainNAT {
			x.base(c, &x.way)
			i++
			continue
		}
		j := i
		for j < len(chains) && chains[j].Base.Type == rules.ChainNAT {
			j++
		}
		x.dispatch(chains[i:j])
		x.rewrite(x.way)
		asked = true
		i = j
	}
	x.conntrack(x.way, rules.NATPriority(x.hook))
	if !asked && x.hook != rules.Forward {
		x.rewrite(x.way)
	}
}

func (x *run) rewrite(cur *state) {
	if x.opt.Rewrite != nil && cur.live.Truth != rules.No {
		x.opt.Rewrite(&cur.p, rules.HookManip(x.hook))
	}
}

// conntrackPriority is NF_IP_PRI_CONNTRACK, at prerouting and output.
const conntrackPriority = -200

// conntrack is nf_conntrack_in: from its priority on there is an entry.
func (x *run) conntrack(cur *state, priority int32) {
	if priority < conntrackPriority || cur.p.Tracked != rules.No {
		return
	}
	if cur.p.Invalid || cur.p.Untracked == rules.Yes || x.opt.Ahead && !x.w.tracks[cur.p.Family] {
		return
	}
	if x.hook == rules.Prerouting || x.hook == rules.Output {
		cur.p.Tracked = rules.Yes
		if x.opt.Track != nil && cur.live.Truth != rules.No {
			x.opt.Track(&cur.p)
		}
	}
}

// base runs one base chain that is not of type nat (nft_do_chain). The state is
// taken over, and the one after it given back.
func (x *run) base(c *rules.Chain, cur **state) {
	var before *rules.Packet
	if x.opt.Reroute != nil && c.Base.Type == rules.ChainRoute {
		was := (*cur).p
		before = &was
	}
	f := x.chain(c, *cur, 0)
	x.policy(c, f.cur)
	give(&f.cur, &f.accepted)
	give(&f.cur, &f.rewritten)
	*cur = f.cur
	f.free()
	if before != nil && (*cur).live.Truth != rules.No && rerouted(before, &(*cur).p) {
		x.opt.Reroute(&(*cur).p)
	}
}

// rerouted follows nf_route_table_hook4 and its IPv6 twin: mark, addresses and
// TOS; with IPv6 hop limit and flow label too.
func rerouted(before, after *rules.Packet) bool {
	if before.Mark.Bits != after.Mark.Bits || before.Mark.Known != after.Mark.Known {
		return true
	}
	a, b := &before.Net.Bits, &after.Net.Bits
	if after.Family == rules.FamilyIPv6 {
		return !bytes.Equal(a[:4], b[:4]) || !bytes.Equal(a[7:40], b[7:40])
	}
	return a[1] != b[1] || !bytes.Equal(a[12:20], b[12:20])
}

func (x *run) policy(c *rules.Chain, st *state) {
	if st.live.Truth == rules.No {
		return
	}
	x.trace(Step{Chain: c, Result: st.live.Truth})
	if c.Base.Policy == rules.VerdictDrop && !x.opt.Accept[c] {
		x.end(End{Chain: c})
		st.live.Truth = rules.No
	}
}

// dispatch is nf_nat_inet_fn: nat chains in order until one of them has set
// up a NAT; accept and policy accept only end their own chain.
func (x *run) dispatch(chains []*rules.Chain) {
	if x.way.p.Tracked != rules.Yes || initialized(&x.way.p, rules.HookManip(x.hook)) {
		return
	}
	x.inNAT = true
	x.done.live = dead
	for _, c := range chains {
		if x.way.live.Truth == rules.No {
			break
		}
		f := x.chain(c, x.way, 0)
		give(&x.done, &f.rewritten)
		x.policy(c, f.cur)
		give(&f.cur, &f.accepted)
		x.way = f.cur
		f.free()
	}
	give(&x.way, &x.done)
	x.inNAT = false
}

// IPS_SRC_NAT_DONE and IPS_DST_NAT_DONE.
var natDone = [...]uint64{rules.ManipSrc: 1 << 7, rules.ManipDst: 1 << 8}

// initialized is nf_nat_initialized: a packet that comes back over the
// loopback device has been asked already.
func initialized(p *rules.Packet, m rules.Manip) bool {
	return p.Ct.Status.IsKnown() && p.Ct.Status.Uint(p.ByteOrder())&natDone[m] != 0
}

func (x *run) end(e End) {
	e.Hook = x.hook
	x.res.Ends = append(x.res.Ends, e)
}

func (x *run) trace(s Step) {
	if x.opt.Trace != nil {
		s.Hook = x.hook
		x.opt.Trace(s)
	}
}
