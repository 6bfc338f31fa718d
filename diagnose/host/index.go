package host

import (
	"net/netip"
	"slices"

	"github.com/ntdiag/ntdiag/rules"
)

// The parts of a snapshot as Missing.What names them.
const (
	PartLinks  = "links"
	PartAddrs  = "addresses"
	PartRoutes = "routes"
	PartPolicy = "policy rules"
	PartNft    = "nftables"        // and what of it
	PartLegacy = "iptables-legacy" // and the family
)

// index is what lookups go by: links by index and name, routes by table and
// prefix.
type index struct {
	byIndex map[uint32]rules.Link
	byName  map[string]rules.Link
	ports   map[uint32][]rules.Link // by Master
	tables  map[tableKey]*table
	lacks   map[string]bool
	policy  map[rules.Family][]PolicyRule
	vrf     bool // some device is a VRF
}

type tableKey struct {
	family rules.Family
	id     uint32
}

// table holds the routes of one table: for each prefix its entries in the
// order in which the kernel tries them.
type table struct {
	bits   []int // the prefix lengths in use, longest first
	routes map[netip.Prefix][]RouteEntry
}

// Prepare indexes the snapshot as it is now. It is called when first needed;
// call it again after a change.
func (s *Snapshot) Prepare() { s.lookups.Store(s.makeIndex()) }

func (s *Snapshot) ix() *index {
	if ix := s.lookups.Load(); ix != nil {
		return ix
	}
	ix := s.makeIndex()
	s.lookups.Store(ix)
	return ix
}

func (s *Snapshot) makeIndex() *index {
	ix := &index{
		byIndex: make(map[uint32]rules.Link), byName: make(map[string]rules.Link),
		ports:  make(map[uint32][]rules.Link),
		tables: make(map[tableKey]*table), lacks: make(map[string]bool),
		policy: make(map[rules.Family][]PolicyRule),
	}
	for _, m := range s.Missing {
		ix.lacks[m.What] = true
	}
	for _, l := range s.Links {
		ix.byIndex[l.Index], ix.byName[l.Name] = l, l
		if l.Master != 0 {
			ix.ports[l.Master] = append(ix.ports[l.Master], l)
		}
		ix.vrf = ix.vrf || l.Kind == "vrf"
	}
	for _, r := range s.Routes {
		ix.add(r)
	}
	for _, t := range ix.tables {
		t.sort()
	}
	for _, r := range s.RuleTable {
		ix.policy[r.Family] = append(ix.policy[r.Family], r)
	}
	for f, p := range ix.policy {
		slices.SortStableFunc(p, func(a, b PolicyRule) int { return compare(a.Priority, b.Priority) })
		ix.policy[f] = p
	}
	return ix
}

func (ix *index) add(r RouteEntry) {
	k := tableKey{r.Family, r.Table}
	t := ix.tables[k]
	if t == nil {
		t = &table{routes: make(map[netip.Prefix][]RouteEntry)}
		ix.tables[k] = t
	}
	dst := r.Dst.Masked()
	if !slices.Contains(t.bits, dst.Bits()) {
		t.bits = append(t.bits, dst.Bits())
	}
	t.routes[dst] = append(t.routes[dst], r)
}

// sort orders as fib_insert_alias does: highest tos first, then by metric.
func (t *table) sort() {
	slices.SortFunc(t.bits, func(a, b int) int { return b - a })
	for _, rs := range t.routes {
		slices.SortStableFunc(rs, func(a, b RouteEntry) int {
			if a.Tos != b.Tos {
				return compare(b.Tos, a.Tos)
			}
			return compare(a.Priority, b.Priority)
		})
	}
}

func compare[T ~uint8 | ~uint32](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
