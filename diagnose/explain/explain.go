package explain

import (
	"slices"
	"sync"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/packet"
	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/walk"
)

// Explainer explains entries against one snapshot. It is safe for concurrent
// use.
type Explainer struct {
	host   *host.Snapshot
	walker *walk.Walker
	awake  *walk.Walker // as if no table were dormant; nil when none is
}

// New prepares an Explainer.
func New(s *host.Snapshot) *Explainer {
	return &Explainer{host: s, walker: walk.New(s.Rules), awake: awake(s.Rules)}
}

// Explain says what made the rewrites of f.
func (e *Explainer) Explain(f *host.Flow, opt Options) *Explanation {
	j := jobs.Get().(*job)
	defer j.free()
	j.Explainer, j.f, j.opt, j.out, j.observed = e, f, opt, &Explanation{Flow: *f}, f.Ends()
	dst := j.destination()
	j.trail = dst.settled
	src := j.source(dst)
	for _, rw := range f.Rewrites() {
		st := dst
		if rw.Manip == rules.ManipSrc {
			st = src
		}
		j.out.Rewrites = append(j.out.Rewrites, j.attribute(rw, st))
	}
	if len(j.out.Rewrites) == 0 {
		j.out.WhyNone = j.whyNone(dst, src)
	}
	doubt(j.out, e.host)
	if opt.Path {
		j.out.Path = packet.Path(slices.Concat(dst.steps, src.crossed, src.steps), packet.Order(j.host))
	}
	return j.out
}

// job is one explanation being made.
type job struct {
	*Explainer
	f        *host.Flow
	opt      Options
	out      *Explanation
	observed [2]host.Rewrite // by manip: from and to, equal when unchanged
	trail    []walk.Step     // at the hook of the destination's rewrite
	// unmet is the rule that the flow would have met had no transparent socket
	// taken it.
	unmet *rules.Rule
	// stages are the room of the two, by manip.
	stages [2]stage
	// rooms are those of passes, of which so many are in use.
	rooms  []*passResult
	passes int
}

// jobs are large, and used again.
var jobs = sync.Pool{New: func() any { return new(job) }}

func (j *job) free() {
	for _, r := range j.rooms[:j.passes] {
		*r = passResult{}
	}
	*j = job{rooms: j.rooms}
	jobs.Put(j)
}

// stage is the search for one rewrite: what could have made it.
type stage struct {
	manip rules.Manip
	hook  rules.Hook
	// all is every candidate of the walk; fits those that can have made what
	// is observed.
	all, fits []walk.Candidate
	// blocker is a rule that must have been applied first and would have made
	// something else.
	blocker *walk.Candidate
	grade   Grade
	// before is the packet as it comes to the hook, after as it leaves it.
	before, after rules.Packet
	used          rules.Sources
	route         rules.Route
	steps         []walk.Step
	settled       []walk.Step // with the rule found held to have matched
	crossed       []walk.Step // at the forward hook, on the way here
	// confirmed are the assumptions that the rewrite itself bears out.
	confirmed rules.Sources
	// weak are rules that would have made the same had an assumption not held.
	weak []walk.Candidate
	// weakBy are the assumptions without which the first of them fits.
	weakBy rules.Sources
	// ways are the packet after each walk that found a rival.
	ways []rules.Packet
	// refuted: with what was assumed no rule fits; those that do fit need it to
	// be otherwise.
	refuted bool
	// unruled: no rule need have been applied, the null binding changes the
	// source port too.
	unruled bool
	// orderOpen: in another order of the chains, which can have been the
	// kernel's, other rules are met.
	orderOpen bool
	// shadowed: a newer rule, the blocker, takes such packets now.
	shadowed bool
	// dropper names what drops such packets now, which is newer.
	dropper string
}

// destination searches prerouting, or output for what the host itself sent.
func (j *job) destination() *stage {
	p := packet.First(j.host, j.f)
	hook, route := packet.Locate(j.host, j.f, &p)
	j.out.LocalOut = hook == rules.Output && j.f.Has&host.HasSynproxy == 0
	if hook == rules.Prerouting {
		j.out.In = p.Iif.Link.Name
	}
	st := &j.stages[rules.ManipDst]
	st.manip, st.hook, st.before, st.route = rules.ManipDst, hook, p, route
	j.search(st)
	return st
}

// source searches postrouting, or input for what is delivered here; the
// packet has become what the reply tuple says.
func (j *job) source(dst *stage) *stage {
	p := dst.after
	st := &j.stages[rules.ManipSrc]
	st.manip, st.hook = rules.ManipSrc, rules.Postrouting
	j.out.LocalIn = dst.hook == rules.Prerouting && packet.Delivered(j.host, j.f.Reply.Src)
	if j.out.LocalIn {
		st.hook = rules.Input
		p.Oif = rules.Iface{State: rules.IfaceNone}
	} else {
		p.Oif, st.route = packet.OutDevice(j.host, &p, j.f.Reply.Src)
		j.out.Out = p.Oif.Link.Name
		if dst.hook == rules.Prerouting {
			p = j.cross(st, p)
		}
	}
	st.before = p
	j.search(st)
	if socket := j.tproxied(st); socket != nil {
		return socket
	}
	return st
}

// cross takes the packet over the forward hook; where chains have several
// orders, with what it has in each.
func (j *job) cross(st *stage, p rules.Packet) rules.Packet {
	out := p
	fwd := j.walker.Hook(&p, rules.Forward, j.walkOptions(&st.steps, nil))
	st.crossed, st.steps = st.steps, nil
	if fwd.Alive.Truth != rules.No {
		out = fwd.Packet
	}
	for i := range j.walker.Orders(rules.Forward, j.f.Family) {
		other := j.walker.Hook(&p, rules.Forward, j.walkOptions(nil, &hypothesis{order: i + 1}))
		if other.Alive.Truth != rules.No {
			out = walk.Join(&out, &other.Packet)
		}
	}
	return out
}

// walkOptions are those of a walk by a hypothesis, nil for none. Its steps are
// added to where somebody is to read them; nil for nowhere.
func (j *job) walkOptions(steps *[]walk.Step, h *hypothesis) walk.Options {
	o := walk.Options{Rewrite: func(p *rules.Packet, m rules.Manip) { rewritten(p, j.f, m) }}
	if h != nil {
		o.Force, o.Into, o.Order = h.force, h.into, h.order
	}
	if steps != nil && (j.opt.Path || j.opt.Not) {
		o.Trace = func(s walk.Step) { *steps = append(*steps, s) }
	}
	return o
}

// hypothesis is what is held to be so while walking again.
type hypothesis struct {
	force map[*rules.Rule]rules.Truth
	into  map[*rules.Rule]*rules.Chain
	order int
}

// decide holds that r matched, or that it did not.
func (h *hypothesis) decide(r *rules.Rule, t rules.Truth) {
	if h.force == nil {
		h.force = map[*rules.Rule]rules.Truth{}
	}
	h.force[r] = t
}

// hold takes everything on the way to c as matched.
func (h *hypothesis) hold(c *walk.Candidate) {
	if h.into == nil && len(c.Via) > 0 {
		h.into = map[*rules.Rule]*rules.Chain{}
	}
	for i, r := range c.Via {
		h.decide(r, rules.Yes)
		next := c.Rule.Chain
		if i+1 < len(c.Via) {
			next = c.Via[i+1].Chain
		}
		h.into[r] = next
	}
	h.decide(c.Rule, rules.Yes)
}

// exclude takes the one open condition on the way to c as failed; with
// several open it cannot be said which.
func (h *hypothesis) exclude(c *walk.Candidate) {
	if len(c.Open) == 1 && follows(c) {
		if _, held := h.force[c.Open[0]]; !held {
			h.decide(c.Open[0], rules.No)
		}
	}
}

// makes tells whether candidate c can have made what is observed.
func (j *job) makes(c *walk.Candidate, m rules.Manip) bool {
	o := j.observed[m]
	from, to := j.ports(m)
	for i := range c.Targets {
		if c.Targets[i].Makes(m, o.From.Addr, o.To.Addr, from, to) {
			return true
		}
	}
	return false
}

// ports are those that are observed. The id of an ICMP query can be changed
// where a destination port cannot.
func (j *job) ports(m rules.Manip) (from, to uint16) {
	o := j.observed[m]
	if m == rules.ManipDst && j.f.IsICMP() {
		return o.To.Port, o.To.Port
	}
	return o.From.Port, o.To.Port
}

// sift walks the candidates in order and keeps those that fit, up to the first
// that must have been applied.
func (j *job) sift(all []walk.Candidate, m rules.Manip) (fits []walk.Candidate, blocker *walk.Candidate) {
	for i := range all {
		c := &all[i]
		ok := j.makes(c, m)
		if ok {
			fits = joinWays(fits, c)
		}
		if c.Answer.Truth == rules.Yes {
			if !ok {
				blocker = c
			}
			return fits, blocker
		}
	}
	return fits, nil
}

// joinWays adds c to the candidates that fit. A rule that can be met by several
// ways, the first of which is open, is one answer: what the ways share leads to
// it (kube-proxy's endpoints, by affinity or by lot).
func joinWays(fits []walk.Candidate, c *walk.Candidate) []walk.Candidate {
	for i := range fits {
		f := &fits[i]
		if f.Rule != c.Rule {
			continue
		}
		n := 0
		for n < len(f.Via) && n < len(c.Via) && f.Via[n] == c.Via[n] {
			n++
		}
		f.Via = f.Via[:n:n]
		f.Open = slices.DeleteFunc(slices.Clone(f.Open), func(r *rules.Rule) bool { return !slices.Contains(c.Open, r) })
		f.Targets = slices.Concat(f.Targets, c.Targets)
		f.Answer.Assumed |= c.Answer.Assumed
		f.Answer.Unknown |= c.Answer.Unknown
		if c.Answer.Truth == rules.Yes {
			f.Answer.Truth, f.Answer.Unknown = rules.Yes, 0
		}
		return fits
	}
	return append(fits, *c)
}
