package simulate

import (
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/query"
	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/walk"
)

// Simulator simulates packets on one snapshot. It is safe for concurrent use.
type Simulator struct {
	host   *host.Snapshot
	walker *walk.Walker
}

// New prepares a Simulator.
func New(s *host.Snapshot) *Simulator {
	return &Simulator{host: s, walker: walk.New(s.Rules)}
}

// Watch is the same Simulator, which tells of every chain that a packet enters.
func (s *Simulator) Watch(enter func(*rules.Chain)) *Simulator {
	return &Simulator{host: s.host, walker: s.walker.Watch(enter)}
}

// Bounds on the ways that are gone: of the packet as asked, and of each way in
// which what was assumed could be otherwise.
const (
	maxWays      = 512
	maxOtherWays = 64
	maxDevices   = 16
	maxOrders    = 16
)

// PacketError says what of a packet this host does not have.
type PacketError struct {
	Text string // the packet, as it was asked
	Why  string
}

func (e *PacketError) Error() string { return fmt.Sprintf("packet %q: %s", e.Text, e.Why) }

// Simulate goes every way that the packet can take. An error is a PacketError.
func (s *Simulator) Simulate(p query.Packet) (*Result, error) {
	j := &job{Simulator: s, asked: p, res: &Result{Packet: p}, told: true}
	if err := j.simulate(); err != nil {
		return nil, err
	}
	j.rests()
	return j.res, nil
}

// Outcomes is Simulate without what is for people to read: no path, no reasons.
func (s *Simulator) Outcomes(p query.Packet) (*Result, error) {
	j := &job{Simulator: s, asked: p, res: &Result{Packet: p}}
	return j.res, j.simulate()
}

// Ways are the Outcomes of a Result alone, in no order and not graded: enough
// to ask whether one of them is as wanted.
func (s *Simulator) Ways(p query.Packet) ([]Outcome, error) {
	j := jobs.Get().(*job)
	defer jobs.Put(j)
	*j = job{Simulator: s, asked: p, lean: true}
	j.res = &j.own
	err := j.waysOf()
	return j.res.Outcomes, err
}

// jobs are used again where nothing of them is kept.
var jobs = sync.Pool{New: func() any { return new(job) }}

func (j *job) waysOf() error {
	if err := j.prepare(); err != nil {
		return err
	}
	for _, start := range j.starts {
		j.gather(start, maxWays, &j.ways, &j.res.Outcomes)
	}
	j.otherOrders()
	return nil
}

func (j *job) simulate() error {
	if err := j.waysOf(); err != nil {
		return err
	}
	j.otherwise()
	j.clash()
	j.grade()
	return nil
}

// job is one packet being simulated.
type job struct {
	*Simulator
	asked  query.Packet
	flow   host.Flow
	first  rules.Packet
	route  rules.Route // the reverse path that the input device is taken from
	starts []start
	one    [1]start // the usual room of starts
	ways   []*way
	res    *Result
	own    Result // the room of res, where it is not kept
	told   bool   // reasons are kept
	lean   bool   // nor is anything of the ways but how they end
	// used are the assumptions that decided anything, on any way.
	used rules.Sources
}

// start is what a way begins with.
type start struct {
	when   string // what of it is not the packet as asked, "" for nothing
	iif    rules.Iface
	mark   rules.Value
	orders map[rules.Hook]int
}

// gather goes the ways of one start, and merges how they end into out.
func (j *job) gather(st start, limit int, ways *[]*way, out *[]Outcome) {
	if j.lean {
		ways = nil
	}
	sc := &script{}
	room := rooms.Get().(*room)
	defer rooms.Put(room)
	n := 0
	for more := sc.begin(true); more; more = sc.begin(false) {
		if n++; n > limit {
			j.res.More = j.res.More || ways != nil
			return
		}
		w := &room.spare
		if ways != nil {
			w = new(way)
		}
		*w = way{Simulator: j.Simulator, room: room, flow: &j.flow, script: sc, orders: st.orders, oif: j.asked.Oif, told: j.told}
		*w.p = j.first
		w.p.Iif, w.p.Mark = st.iif, st.mark
		w.run(j.res.Entry)
		o := w.result()
		if st.when != "" {
			o.When, o.Stated = append([]string{st.when}, o.When...), false
		}
		merge(out, o)
		if ways != nil {
			j.used |= w.used
			w.unknown = sc.unknown()
			*ways = append(*ways, w)
		}
		w.room, room.way = nil, nil
	}
}

// merge adds an outcome, or another way to one that is there.
func merge(out *[]Outcome, o Outcome) {
	for i := range *out {
		if x := &(*out)[i]; x.same(&o) {
			x.Stated = x.Stated && o.Stated
			x.Probability += o.Probability
			return
		}
	}
	if *out == nil {
		*out = make([]Outcome, 0, few)
	}
	*out = append(*out, o)
}

// few is how many outcomes most packets have.
const few = 4

// same tells whether two ways end alike.
func (o *Outcome) same(p *Outcome) bool {
	return o.Verdict == p.Verdict && o.By == p.By && o.Chain == p.Chain && o.Why == p.Why &&
		o.DNAT.same(p.DNAT) && o.SNAT.same(p.SNAT) && o.Out == p.Out && o.Local == p.Local && o.Untracked == p.Untracked &&
		o.Zone == p.Zone && o.ZoneKnown == p.ZoneKnown
}

func (n *NAT) same(m *NAT) bool {
	if n == nil || m == nil {
		return n == m
	}
	return n.Rule == m.Rule && n.To == m.To
}

// otherOrders goes the ways with tables that share a priority in another order:
// handles tell it only inside a table. What comes of it are outcomes as well.
func (j *job) otherOrders() {
	if !j.severalOrders() {
		return
	}
	combos := []map[rules.Hook]int{{}}
	for h := rules.Prerouting; h <= rules.Postrouting; h++ {
		for _, c := range slices.Clone(combos) {
			for k := 1; k <= j.walker.Orders(h, j.asked.Family) && len(combos) < maxOrders; k++ {
				next := map[rules.Hook]int{h: k}
				for was, order := range c {
					next[was] = order
				}
				combos = append(combos, next)
			}
		}
	}
	first := slices.Clone(j.res.Outcomes)
	for _, c := range combos[1:] {
		var found []Outcome
		for _, st := range j.starts {
			st.orders = c
			st.when = joined(st.when, "tables that share a priority are in another order than their handles say")
			j.gather(st, maxOtherWays, &j.ways, &found)
		}
		if sameOdds(first, found) {
			continue
		}
		j.used |= rules.Of(rules.FromChainOrder)
		for _, o := range found {
			if !holds(first, &o) {
				merge(&j.res.Outcomes, o)
			}
		}
	}
	if j.used.Has(rules.FromChainOrder) { // then nothing states how likely any is
		for i := range j.res.Outcomes {
			j.res.Outcomes[i].Stated = false
		}
	}
}

// severalOrders tells whether chains can have another order at any hook.
func (j *job) severalOrders() bool {
	for h := rules.Prerouting; h <= rules.Postrouting; h++ {
		if j.walker.Orders(h, j.asked.Family) > 0 {
			return true
		}
	}
	return false
}

// sameOdds tells whether two lists have the same outcomes, as likely.
func sameOdds(a, b []Outcome) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		k := slices.IndexFunc(b, func(o Outcome) bool { return o.same(&a[i]) })
		if k < 0 || math.Abs(a[i].Probability-b[k].Probability) > 1e-9 {
			return false
		}
	}
	return true
}

func joined(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}

func holds(list []Outcome, o *Outcome) bool {
	return slices.ContainsFunc(list, func(x Outcome) bool { return x.same(o) })
}

// otherwise looks at what would come of it, were what was assumed otherwise: by
// each other device, and with a mark that is not known.
func (j *job) otherwise() {
	var others []start
	for _, st := range j.starts {
		if j.used.Has(rules.FromIif) && st.iif.State == rules.IfaceAssumed {
			for _, o := range j.everyDevice(st) {
				if o.iif.Link.Index != st.iif.Link.Index {
					others = append(others, o)
				}
			}
		}
		if j.used.Has(rules.FromMark) && !j.asked.Mark.Set {
			o := st
			o.mark = rules.UnknownBytes(4, rules.FromMark)
			if o.iif.State == rules.IfaceAssumed {
				o.iif.State = rules.IfaceKnown
			}
			others = append(others, o)
		}
	}
	for _, st := range others {
		var found []Outcome
		j.gather(st, maxOtherWays, nil, &found)
		for _, o := range found {
			if !holds(j.res.Outcomes, &o) && !o.astray {
				o.Stated = false
				merge(&j.res.Otherwise, o)
			}
		}
	}
}

// clash adds what comes of it when a source port that a rule names is taken.
func (j *job) clash() {
	for i := range j.res.Outcomes {
		if o, ok := j.res.Outcomes[i].taken(); ok {
			merge(&j.res.Otherwise, o)
		}
	}
}

// grade orders the outcomes and says whether the one is certain.
func (j *job) grade() {
	out := j.res.Outcomes
	stated := !slices.ContainsFunc(out, func(o Outcome) bool { return !o.Stated })
	if stated && len(out) > 1 {
		slices.SortStableFunc(out, func(a, b Outcome) int {
			switch {
			case a.Probability > b.Probability+1e-9:
				return -1
			case b.Probability > a.Probability+1e-9:
				return 1
			}
			return 0
		})
	}
	j.res.Used, j.res.Vague = j.used, j.vague()
	for _, w := range j.ways {
		j.res.Open |= w.unknown
	}
	sure := len(out) == 1 && !j.res.More && len(j.res.Otherwise) == 0 && !j.res.Vague
	for i := range out {
		out[i].Certain = sure
		if len(out) == 1 {
			out[i].When, out[i].Stated = nil, false // whatever it is, it ends so
		}
	}
}

// vague tells whether something about the machine that decides the way is not
// known.
func (j *job) vague() bool {
	return len(j.host.Missing) > 0 || slices.ContainsFunc(j.ways, func(w *way) bool { return len(w.notes) > 0 })
}
