// Package host is one machine, or one network namespace of it, at one moment:
// what a diagnosis reads, whether it came from the kernel or from a file.
package host

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ntdiag/ntdiag/rules"
)

// Fact is a value, or why it is missing. The zero Fact is missing without a
// reason, and is not OK.
type Fact[T any] struct {
	Value T
	OK    bool
	Why   string // set when not OK
}

// Known makes a Fact of v.
func Known[T any](v T) Fact[T] { return Fact[T]{Value: v, OK: true} }

// Absent makes a Fact that is missing because of why.
func Absent[T any](why string) Fact[T] { return Fact[T]{Why: why} }

// NotThere is why a setting is absent that the kernel does not have now.
const NotThere = "this kernel does not have it, or its module is not loaded"

// Missing is one thing that could not be read.
type Missing struct {
	What string `json:"what"`
	Why  string `json:"why"`
}

// MissingText is what could not be read, one clause a reason: things that have
// one reason stand together.
func MissingText(missing []Missing) []string {
	var out []string
	for i, m := range missing {
		if slices.ContainsFunc(missing[:i], func(o Missing) bool { return o.Why == m.Why }) {
			continue
		}
		what := m.What
		for _, o := range missing[i+1:] {
			if o.Why == m.Why {
				what += ", " + o.What
			}
		}
		out = append(out, what+": "+m.Why)
	}
	return out
}

// Snapshot is everything but the flows, which are streamed.
type Snapshot struct {
	Hostname   string
	Kernel     string // release, as uname -r
	Netns      string // as the user named it; "" for the one we are in
	CapturedAt time.Time
	Order      binary.ByteOrder

	Rules     *rules.Ruleset // never nil; empty when it could not be read
	Links     []rules.Link
	Addrs     []Addr
	Routes    []RouteEntry
	RuleTable []PolicyRule            // policy routing, by priority
	Sysctls   map[string]Fact[string] // key with dots: net.ipv4.ip_forward
	Missing   []Missing

	// lookups is made by Prepare, or when first needed.
	lookups atomic.Pointer[index]
}

// Ready makes what follows from the rest, once all of it is there: the index,
// and the names of devices that rules know by number.
func (s *Snapshot) Ready() {
	s.Prepare()
	s.Rules.DeviceName = func(index uint32) (string, bool) {
		link, ok := s.LinkByIndex(index)
		return link.Name, ok
	}
}

// RulesUnread tells whether some rules, of nf_tables or of iptables-legacy,
// could not be read.
func (s *Snapshot) RulesUnread() bool {
	return slices.ContainsFunc(s.Missing, func(m Missing) bool {
		return strings.HasPrefix(m.What, PartNft) || strings.HasPrefix(m.What, PartLegacy)
	})
}

// Addr is one address of a device.
type Addr struct {
	Index     uint32
	Prefix    netip.Prefix // address with the length of its subnet
	Peer      netip.Prefix
	Scope     uint8  // RT_SCOPE_*: 0 universe, 253 link, 254 host
	Secondary bool   // IFA_F_SECONDARY (IPv4); IFA_F_TEMPORARY (IPv6)
	Flags     uint32 // IFA_F_*
}

// RouteEntry is one next hop of one route.
type RouteEntry struct {
	Family    rules.Family
	Table     uint32
	Dst       netip.Prefix // 0.0.0.0/0 and ::/0 for the default
	Type      rules.AddrType
	Oif       uint32
	Gateway   netip.Addr
	PrefSrc   netip.Addr
	Priority  uint32
	Scope     uint8
	Proto     uint8
	Multipath bool
	Tos       uint8
	Flags     uint32 // RTNH_F_*: 1 dead, 16 linkdown
}

// PolicyRule is one row of `ip rule`.
type PolicyRule struct {
	Family         rules.Family
	Priority       uint32
	Src, Dst       netip.Prefix // invalid when not given
	Mark, Mask     uint32
	Iif, Oif       string
	Table          uint32
	Action         uint8 // FR_ACT_*: 1 to_tbl, 2 goto, 3 nop, 6 blackhole, 7 unreachable, 8 prohibit
	Goto           uint32
	Invert         bool
	L3mdev         bool
	SuppressPrefix int // -1 when not given
	// Other lists selectors that are not understood (tos, ports, uid, tun id):
	// whether the rule applies is then not known.
	Other []string
}
