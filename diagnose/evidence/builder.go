package evidence

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/bundle"
	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/counters"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// Parts beside those of a snapshot and of a bundle.
const (
	partFlows   = "flows"
	partRules   = "rules"
	partSysctls = "settings"
	partKinds   = "kinds of devices"
)

// builder gathers what the texts tell.
type builder struct {
	state       *bundle.State
	snap        *host.Snapshot
	has         map[string]bool // parts that were given
	problems    []string
	flows       []host.Flow
	flowAt      map[flowKey]int
	unreadFlows int
	saves       []saved
	nft         []*section
	families    map[rules.Family]bool // of iptables rules that were given
	partial     map[rules.Family]bool // by listings of one table, not by iptables-save
	masters     map[string]string     // device -> the one above it
	parents     map[string]string     // device -> the one below it
	broadcast   map[host.Addr]netip.Addr
	hops        map[int]string // place in Routes -> device
	tables      map[string]uint32
	localTable  map[rules.Family]bool
	policyOf    map[rules.Family]bool
	detailed    bool // ip -d was used
	scratch     Scratch
}

func newBuilder(at time.Time) *builder {
	snap := &host.Snapshot{
		CapturedAt: at, Order: binary.LittleEndian,
		Rules: &rules.Ruleset{Order: binary.LittleEndian}, Sysctls: map[string]host.Fact[string]{},
	}
	return &builder{
		state: &bundle.State{Snapshot: snap}, snap: snap, has: map[string]bool{}, flowAt: map[flowKey]int{},
		families: map[rules.Family]bool{}, partial: map[rules.Family]bool{}, masters: map[string]string{}, parents: map[string]string{},
		broadcast: map[host.Addr]netip.Addr{}, hops: map[int]string{}, tables: map[string]uint32{},
		localTable: map[rules.Family]bool{}, policyOf: map[rules.Family]bool{},
	}
}

// maxProblems is how many are told apart.
const maxProblems = 100

// problem notes what a line, counted from 0 in its section, does not tell.
func (b *builder) problem(s *section, line int, format string, args ...any) {
	if len(b.problems) < maxProblems {
		b.problems = append(b.problems, fmt.Sprintf("%s:%d: ", s.file, s.first+line)+fmt.Sprintf(format, args...))
	}
}

// familyOf is the family of a listing of ip, by its command or its file's name.
func (b *builder) familyOf(s *section) rules.Family {
	name := s.command
	if name == "" {
		name = strings.ReplaceAll(base(s.file), "_", " ")
	}
	w := words(name)
	switch {
	case slices.Contains(w, "-6"):
		return rules.FamilyIPv6
	case slices.Contains(w, "-4"):
		return rules.FamilyIPv4
	}
	return rules.FamilyUnspec
}

func (b *builder) stats(r *counters.Reading) {
	all := r.Stats
	if r.First != nil {
		b.state.Readings = append(b.state.Readings, bundle.Reading{At: b.snap.CapturedAt, Stats: r.First})
		all = all.Plus(r.First)
	}
	b.state.Readings = append(b.state.Readings, bundle.Reading{At: b.snap.CapturedAt, Stats: &all})
	b.has[bundle.PartCounters] = true
}

func readIPSets(b *builder, s *section) {
	for _, set := range rules.ParseIPSets(s.lines, func(line int, why string) { b.problem(s, line-1, "%s", why) }) {
		if b.snap.Rules.IPSetByName(set.Name) == nil {
			b.snap.Rules.IPSets = append(b.snap.Rules.IPSets, set)
		}
	}
	b.snap.Rules.PrepareIPSets()
}

func readNft(b *builder, s *section) {
	b.nft = append(b.nft, s)
	b.has[partRules] = true
}

// finish fits the parts together, and says what is missing.
func (b *builder) finish(ctx context.Context) *bundle.Source {
	b.tieLinks()
	if len(b.nft) > 0 { // it is the kernel here that reads them
		b.snap.Order = hostOrder()
		b.snap.Rules.Order = b.snap.Order
	}
	b.parseSaves()
	b.loadNft(ctx)
	b.tieRoutes()
	b.localRoutes()
	b.policyRules()
	b.missing()
	n, lacks := b.flows, b.unreadFlows
	b.state.Count = host.Known(uint64(len(n)))
	return bundle.NewSource(b.state, bundle.Table{
		Each: func(ctx context.Context, _ *rules.Tuple, fn func(*host.Flow) error) error {
			for i := range n {
				f := n[i]
				if err := errors.Join(ctx.Err(), fn(&f)); err != nil {
					return err
				}
			}
			return nil
		},
		Lacks: lacks, Why: strings.Join(b.problems, "; "), At: b.snap.CapturedAt,
	})
}

// tieLinks turns names of devices into their numbers.
func (b *builder) tieLinks() {
	index := map[string]uint32{}
	for _, l := range b.snap.Links {
		index[l.Name] = l.Index
	}
	for i := range b.snap.Links {
		l := &b.snap.Links[i]
		l.Master = index[b.masters[l.Name]]
		if stacked[l.Kind] {
			l.Parent = index[b.parents[l.Name]]
		}
	}
}

// stacked are the kinds of devices that are made on one other device.
var stacked = map[string]bool{"vlan": true, "macvlan": true, "macvtap": true, "ipvlan": true, "ipvtap": true}

// tieRoutes gives routes the numbers of their devices. One that no listing of
// devices has is made: nothing but its name is known.
func (b *builder) tieRoutes() {
	index := map[string]uint32{}
	next := uint32(1)
	for _, l := range b.snap.Links {
		index[l.Name] = l.Index
		next = max(next, l.Index+1)
	}
	for i := range b.snap.Routes {
		dev := b.hops[i]
		if dev == "" {
			continue
		}
		if index[dev] == 0 {
			index[dev] = next
			b.snap.Links = append(b.snap.Links, rules.Link{Index: next, Name: dev, Up: true, Type: typeByName(dev)})
			next++
		}
		b.snap.Routes[i].Oif = index[dev]
	}
	// ip -6 route shows again what ip route show table all has
	seen := map[host.RouteEntry]bool{}
	b.snap.Routes = slices.DeleteFunc(b.snap.Routes, func(e host.RouteEntry) bool {
		again := seen[e]
		seen[e] = true
		return again
	})
}

// localRoutes makes the table of local addresses where ip route did not show
// it: the kernel makes it of the addresses (fib_add_ifaddr, addrconf_add_dev).
func (b *builder) localRoutes() {
	for _, a := range b.snap.Addrs {
		f := rules.FamilyIPv6
		if a.Prefix.Addr().Is4() {
			f = rules.FamilyIPv4
		}
		if b.localTable[f] {
			continue
		}
		add := func(dst netip.Prefix, t rules.AddrType, scope uint8) {
			b.snap.Routes = append(b.snap.Routes, host.RouteEntry{
				Family: f, Table: tableNames["local"], Dst: dst, Type: t, Oif: a.Index, Scope: scope, Proto: routeProto["kernel"],
			})
		}
		one := a.Prefix.Addr()
		add(netip.PrefixFrom(one, one.BitLen()), rules.AddrLocal, scopes["host"])
		if f == rules.FamilyIPv6 {
			continue
		}
		if one.IsLoopback() {
			add(a.Prefix.Masked(), rules.AddrLocal, scopes["host"])
		} else if brd := b.broadcast[a]; brd.IsValid() {
			add(netip.PrefixFrom(brd, brd.BitLen()), rules.AddrBroadcast, scopes["link"])
		}
	}
}

// policyRules are the three, or for IPv6 two, that every namespace begins with,
// where ip rule was not given.
func (b *builder) policyRules() {
	for _, f := range []rules.Family{rules.FamilyIPv4, rules.FamilyIPv6} {
		if b.policyOf[f] {
			continue
		}
		prios := map[uint32]string{0: "local", 32766: "main"}
		if f == rules.FamilyIPv4 {
			prios[32767] = "default"
		}
		for prio, name := range prios {
			b.snap.RuleTable = append(b.snap.RuleTable, host.PolicyRule{
				Family: f, Priority: prio, Table: tableNames[name], Action: toTable, SuppressPrefix: -1,
			})
		}
	}
	slices.SortStableFunc(b.snap.RuleTable, func(x, y host.PolicyRule) int { return int(x.Priority) - int(y.Priority) })
}

// lacking is what is said of a part that no text gave: the command that prints
// it, and what is taken in its place.
var lacking = []struct{ part, why string }{
	{host.PartLinks, "no `ip -d link` was given"},
	{host.PartAddrs, "no `ip addr` was given: which addresses are the host's own is not known"},
	{host.PartRoutes, "no `ip route show table all` was given: devices and masquerade addresses are not known"},
	{host.PartPolicy, "no `ip rule` was given: taken for the rules that a host begins with"},
	{partSysctls, "no `sysctl -a` was given"},
}

// missing names what was not given, and what was not understood.
func (b *builder) missing() {
	lacks := func(what, why string) { b.snap.Missing = append(b.snap.Missing, host.Missing{What: what, Why: why}) }
	if where := b.nativeChains(); where != "" && len(b.nft) == 0 {
		lacks(host.PartNft, where+", and no `nft list ruleset` was given")
	}
	for _, l := range lacking {
		given := b.has[l.part] || l.part == host.PartPolicy && len(b.policyOf) > 0
		if !given {
			lacks(l.part, l.why)
		}
	}
	if b.has[host.PartLinks] && !b.detailed {
		lacks(partKinds, "`ip link` was given without -d: no device is taken for a bridge")
	}
	if !b.has[partRules] {
		lacks(host.PartNft, "no `nft list ruleset` and no `iptables-save` was given: no rule is known")
	}
	for _, f := range b.withoutRules() {
		lacks(host.PartLegacy+" "+f.String(), "flows of this family were given, and no rules")
	}
	for _, f := range []rules.Family{rules.FamilyIPv4, rules.FamilyIPv6} {
		if names := b.unlisted(f); len(names) > 0 {
			lacks("tables of "+f.String(), "no listing of "+strings.Join(names, ", ")+" was given: taken for empty")
		}
	}
	for _, what := range b.problems {
		lacks("part of a file", what)
	}
	if !b.has[partFlows] {
		b.state.Missing = append(b.state.Missing, host.Missing{What: partFlows, Why: "no `conntrack -L` was given"})
	}
	for part, command := range map[string]string{
		bundle.PartCounters: "conntrack -S", bundle.PartExpectations: "", bundle.PartNeighbours: "", bundle.PartXfrm: "", bundle.PartLog: "dmesg",
	} {
		if b.has[part] {
			continue
		}
		why := "texts of other tools do not tell them"
		if command != "" {
			why = "no `" + command + "` was given"
		}
		b.state.Missing = append(b.state.Missing, host.Missing{What: part, Why: why})
	}
	b.state.ID = host.Absent[host.NetnsID]("texts of other tools do not tell it")
	b.state.Generation = host.Absent[uint32]("texts of other tools do not tell it")
	b.state.Uptime = host.Absent[time.Duration]("texts of other tools do not tell it")
	b.state.Max, b.state.Loggers = b.most(), b.loggers()
}

// withoutRules are the families that have flows and, where another has rules,
// none.
func (b *builder) withoutRules() []rules.Family {
	var out []rules.Family
	for _, f := range []rules.Family{rules.FamilyIPv4, rules.FamilyIPv6} {
		has := slices.ContainsFunc(b.flows, func(x host.Flow) bool { return x.Family == f })
		if has && !b.families[f] && len(b.families) > 0 && len(b.nft) == 0 {
			out = append(out, f)
		}
	}
	return out
}

// unlisted are the tables that matter to NAT and of which, where each is listed
// by itself, there is no listing.
func (b *builder) unlisted(f rules.Family) []string {
	if !b.partial[f] {
		return nil
	}
	var out []string
	for _, name := range []string{"raw", "mangle", "nat", "filter"} {
		if !slices.ContainsFunc(b.snap.Rules.Tables, func(t *rules.Table) bool { return t.Family == f && t.Name == name }) {
			out = append(out, name)
		}
	}
	return out
}

var _ capture.Whole = (*bundle.Source)(nil)
