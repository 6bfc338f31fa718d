package capture

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

const (
	// A part is read at once when word of a change comes, and after that not
	// for breath times as long as reading took, and minPause at least: what
	// comes meanwhile is read as one.
	breath   = 3
	minPause = 10 * time.Millisecond
	// retryPause is how long after a failure a part is tried again.
	retryPause = time.Second
	// genPatience is how long word of a transaction may stay out that the
	// ruleset shows already: it is sent after the change is in force. Where
	// word was lost it need not come at all.
	genPatience  = time.Second
	lostPatience = 50 * time.Millisecond
	// lastPatience bounds the reading at the end.
	lastPatience = 10 * time.Second
)

// Changes follows the namespace until ctx ends: it calls fn with the state as
// it is, and again for each part that may have changed. Poll is how often
// iptables-legacy and ipsets are read. It ends with an error of fn, or when
// nothing can be heard.
func (l *Live) Changes(ctx context.Context, poll time.Duration, fn func(*Changed) error) error {
	f := &follower{l: l, fn: fn, poll: poll}
	listening, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer f.wait()
	defer stop()
	if err := f.subscribe(listening); err != nil {
		return err
	}
	if err := f.begin(ctx); err != nil {
		return err
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		timer.Reset(time.Until(f.next()))
		select {
		case <-ctx.Done():
			// what came up to now is still told
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastPatience)
			defer cancel()
			return f.read(last, true)
		case <-f.nftWake():
			f.parts[PartNft].due = true
		case <-f.rt.wake:
			f.parts[PartRouting].due = true
		case <-timer.C:
		}
		if err := errors.Join(f.subscribe(listening), f.broken()); err != nil {
			return err
		}
		if err := f.read(ctx, false); err != nil {
			return err
		}
	}
}

// follower is Changes at work.
type follower struct {
	l       *Live
	fn      func(*Changed) error
	poll    time.Duration
	nft, rt *listener
	ended   []<-chan struct{}
	state   *host.Snapshot
	pending *Changed // of routing: what was heard and is not read yet
	parts   [PartRouting + 1]struct {
		due       bool
		notBefore time.Time
		read      time.Time      // when it was read last
		lacks     []host.Missing // what of it could not be read then
		failed    []host.Missing // what could not be read since
	}
}

func (f *follower) wait() {
	for _, end := range f.ended {
		<-end
	}
}

func (f *follower) nftWake() <-chan struct{} {
	if f.nft == nil {
		return nil
	}
	return f.nft.wake
}

// subscribe begins to listen. To nf_tables it does not listen as long as that
// would load the module (nfnetlink_bind asks for it).
func (f *follower) subscribe(ctx context.Context) error {
	if f.rt == nil {
		c, err := f.l.ns.subscribe(unix.NETLINK_ROUTE, rtGroups)
		if err != nil {
			return explainErr("changes of routes", err, nil)
		}
		var end <-chan struct{}
		f.rt, end = listen(ctx, c, takeRoute)
		f.ended = append(f.ended, end)
	}
	if f.nft == nil && !wouldLoad(nftModule) {
		c, err := f.l.ns.subscribe(unix.NETLINK_NETFILTER, nftGroups)
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
			return explainErr("changes of rules", err, netlinkReasons(nftModule))
		}
		if err != nil {
			return nil // a kernel without nf_tables
		}
		var end <-chan struct{}
		f.nft, end = listen(ctx, c, takeNft)
		f.ended = append(f.ended, end)
		f.parts[PartNft].due = f.state != nil
	}
	return nil
}

// broken is why changes can no longer be followed.
func (f *follower) broken() error {
	if err := f.rt.broken(); err != nil {
		return explainErr("changes of routes", err, nil)
	}
	if f.nft == nil || f.nft.broken() == nil {
		return nil
	}
	return explainErr("changes of rules", f.nft.broken(), netlinkReasons(nftModule))
}

// begin reads everything for the first time.
func (f *follower) begin(ctx context.Context) error {
	s, err := f.l.Snapshot(ctx)
	if err != nil {
		return err
	}
	f.state = s
	if f.nft != nil {
		f.nft.collect(s.Rules.Generation)
	}
	now := time.Now()
	for i := range f.parts {
		f.parts[i].read = now
	}
	for _, m := range s.Missing {
		p := &f.parts[partOf(m)]
		p.lacks = append(p.lacks, m)
	}
	f.parts[PartXt].notBefore = now.Add(f.poll)
	return f.fn(&Changed{Part: PartAll, After: s, At: s.CapturedAt, Failed: s.Missing})
}

// partOf is the part that cannot be read.
func partOf(m host.Missing) Part {
	switch {
	case strings.HasPrefix(m.What, host.PartNft):
		return PartNft
	case strings.HasPrefix(m.What, host.PartLegacy), strings.HasPrefix(m.What, ipsetPrefix):
		return PartXt
	}
	return PartRouting
}

// ipsetPrefix is how ipsets are named, all and each.
const ipsetPrefix = "ipset"

// next is when there is something to do, should nothing be heard.
func (f *follower) next() time.Time {
	at := f.parts[PartXt].notBefore
	for _, p := range []Part{PartNft, PartRouting} {
		if f.parts[p].due && f.parts[p].notBefore.Before(at) {
			at = f.parts[p].notBefore
		}
	}
	return at
}

// read reads what is due, or all when it is the last time.
func (f *follower) read(ctx context.Context, last bool) error {
	f.parts[PartXt].due = true
	for _, row := range []struct {
		part Part
		read func(context.Context, bool) (*Changed, *host.Snapshot, []host.Missing)
	}{{PartRouting, f.readRouting}, {PartNft, f.readNft}, {PartXt, f.readXt}} {
		p := &f.parts[row.part]
		began := time.Now()
		if !last && (!p.due || began.Before(p.notBefore)) {
			continue
		}
		c, s, missing := row.read(ctx, last)
		if !last && ctx.Err() != nil {
			return nil // it is read once more, for the last time
		}
		if c == nil {
			p.due = false
			continue
		}
		c.Part, c.Before, c.After, c.Since = row.part, f.state, s, p.read
		p.notBefore = began.Add(max(minPause, (1+breath)*time.Since(began)))
		if row.part == PartXt {
			p.notBefore = began.Add(max(f.poll, (1+breath)*time.Since(began)))
		}
		switch {
		case len(missing) == 0 || slices.Equal(missing, p.lacks):
			c.Lacked = p.lacks
			p.due, p.lacks, p.failed, p.read, f.state = false, missing, nil, began, s
			f.named(s)
			if len(missing) > 0 {
				c.Lacked = nil // as before: the rest can be compared
			}
		case slices.Equal(missing, p.failed):
			p.notBefore = time.Now().Add(retryPause)
			continue
		default:
			p.notBefore = time.Now().Add(retryPause)
			p.failed, c.After, c.Failed = missing, f.state, missing
		}
		if err := f.fn(c); err != nil {
			return err
		}
	}
	return nil
}

// with is the state with other rules.
func (f *follower) with(rs *rules.Ruleset) *host.Snapshot {
	o := f.state
	s := &host.Snapshot{
		Hostname: o.Hostname, Kernel: o.Kernel, Netns: o.Netns, CapturedAt: time.Now(), Order: o.Order, Sysctls: o.Sysctls,
		Rules: rs, Links: o.Links, Addrs: o.Addrs, Routes: o.Routes, RuleTable: o.RuleTable,
	}
	return s
}

// named makes rules name devices as they are now.
func (f *follower) named(s *host.Snapshot) {
	s.Rules.DeviceName = func(index uint32) (string, bool) {
		link, ok := s.LinkByIndex(index)
		return link.Name, ok
	}
	for _, t := range s.Rules.Tables {
		t.Ruleset = s.Rules
	}
}

// tables are those of one backend, legacy or not.
func tables(rs *rules.Ruleset, legacy bool) (out []*rules.Table) {
	for _, t := range rs.Tables {
		if (t.Backend == rules.BackendIptablesLegacy) == legacy {
			out = append(out, t)
		}
	}
	return out
}

// readNft reads nf_tables; nothing when the last word was of what was read
// before.
func (f *follower) readNft(ctx context.Context, last bool) (*Changed, *host.Snapshot, []host.Missing) {
	if f.nft == nil {
		return nil, nil, nil
	}
	c := &Changed{At: time.Now()}
	before := f.state.Rules.Generation
	if !last && before != 0 && !f.nft.news(before) {
		return nil, nil, nil
	}
	rs, missing := f.l.ruleset(ctx, f.state.Rules.IPSets)
	if len(missing) > 0 && !slices.Equal(missing, f.parts[PartNft].lacks) {
		return c, nil, missing
	}
	if rs.Generation != before {
		f.await(ctx, rs.Generation)
	}
	h := f.nft.collect(rs.Generation)
	c.Overrun = h.overrun
	for _, t := range h.transactions {
		if int32(t.Generation-before) > 0 {
			c.Transactions = append(c.Transactions, t)
		}
	}
	if rs.Generation == before && !c.Overrun {
		return nil, nil, nil
	}
	if c.Unheard = int(rs.Generation-before) - len(c.Transactions); before == 0 || c.Unheard < 0 {
		c.Unheard = 0
	}
	switch {
	case len(c.Transactions) > 0:
		c.At = c.Transactions[0].At
	case !h.first.IsZero():
		c.At = h.first
	}
	rs.Tables = slices.Concat(rs.Tables, tables(f.state.Rules, true))
	return c, f.with(rs), missing
}

// await waits for word of a generation.
func (f *follower) await(ctx context.Context, generation uint32) {
	patience := genPatience
	if f.nft.overran() {
		patience = lostPatience
	}
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for !f.nft.heardOf(generation) {
		select {
		case <-f.nft.wake:
		case <-limit.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// readXt reads ipsets and iptables-legacy.
func (f *follower) readXt(ctx context.Context, _ bool) (*Changed, *host.Snapshot, []host.Missing) {
	o := f.state.Rules
	sets, missing := f.l.ipsets(ctx)
	rs := &rules.Ruleset{Generation: o.Generation, Order: o.Order, Tables: tables(o, false), IPSets: sets}
	rs.PrepareIPSets()
	missing = append(missing, f.l.legacy(ctx, rs)...)
	return &Changed{At: time.Now()}, f.with(rs), missing
}

// readRouting reads links, addresses, routes and policy rules.
func (f *follower) readRouting(ctx context.Context, last bool) (*Changed, *host.Snapshot, []host.Missing) {
	if h := f.rt.collect(0); f.pending == nil && !h.first.IsZero() {
		f.pending = &Changed{At: h.first, Overrun: h.overrun}
	} else if f.pending != nil {
		f.pending.Overrun = f.pending.Overrun || h.overrun
	}
	c := f.pending
	switch {
	case c == nil && !last:
		return nil, nil, nil
	case c == nil:
		c = &Changed{At: time.Now()}
	}
	s := f.with(f.state.Rules)
	s.Links, s.Addrs, s.Routes, s.RuleTable = nil, nil, nil, nil
	f.l.routing(ctx, s)
	missing := s.Missing
	s.Missing = nil
	s.Prepare()
	if f.pending = c; len(missing) == 0 {
		f.pending = nil
	}
	return c, s, missing
}
