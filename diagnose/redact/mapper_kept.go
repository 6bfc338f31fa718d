package redact

import (
	"cmp"
	"fmt"
	"math/bits"
	"net/netip"
	"slices"

	"github.com/ntdiag/ntdiag/rules"
)

// Kept is something that could not be hidden, and why. No address or name of
// the original is in it but those that stay.
type Kept struct {
	What  string `json:"what"`
	Why   string `json:"why"`
	Count int    `json:"count"` // how many times, with the same what and why
}

// Kept is what had to stay for the rules' sake.
func (m *Mapper) Kept() []Kept {
	count := map[Kept]int{}
	for s, why := range m.why.ranges {
		count[Kept{What: "where ranges of " + versionOf(s.lo) + " addresses begin and end, inside the networks that they divide", Why: why}]++
	}
	for mask, why := range m.why.masks {
		count[Kept{What: bitsOf(mask) + " of " + versionOf(mask) + " addresses", Why: why}]++
	}
	for h, why := range m.why.hosts {
		name := "IPv4"
		if h.family == rules.FamilyIPv6 {
			name = "IPv6"
		}
		count[Kept{What: fmt.Sprintf("that what follows the first %d bits of %s addresses is alike in two networks", h.bits, name), Why: why}]++
	}
	for p, why := range m.why.blocks {
		what := "the network " + p.String()
		if p.IsSingleIP() {
			what = "the address " + p.Addr().String()
		}
		count[Kept{What: what, Why: why}]++
	}
	for p, why := range m.why.subnets {
		count[Kept{What: "that the first " + versionOf(p.Addr()) + " addresses of a subnet are its first", Why: why}]++
	}
	for p := range m.why.devices {
		what := "that devices' names begin alike: " + m.DevicePrefix(p) + "*"
		count[Kept{What: what, Why: "a rule compares the beginning"}]++
	}
	out := make([]Kept, 0, len(count))
	for k, n := range count {
		k.Count = n
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b Kept) int { return cmp.Or(cmp.Compare(a.What, b.What), cmp.Compare(a.Why, b.Why)) })
	return out
}

func versionOf(a netip.Addr) string {
	if a.Is4() {
		return "IPv4"
	}
	return "IPv6"
}

// bitsOf names the bits of a mask.
func bitsOf(mask netip.Addr) string {
	w, width := wordAddr(mask), mask.BitLen()
	n := bits.OnesCount64(w.hi) + bits.OnesCount64(w.lo)
	switch {
	case n == width:
		return "all bits"
	case w == ones(n):
		return fmt.Sprintf("the first %d bits", n)
	case w == ones(width).without(ones(width-n)):
		return fmt.Sprintf("the last %d bits", n)
	}
	return "the bits " + mask.String()
}

// Seen is how many different addresses were mapped.
type Seen struct {
	Addresses uint64 `json:"addresses"` // of both families
	Hardware  uint64 `json:"hardware"`
	// Unchanged are those that are as before: they are of a kind that says
	// nothing, they had to stay, or it happened.
	Unchanged uint64 `json:"unchanged"`
	// Ambiguous are those that another one became: who sees them in what was
	// redacted cannot tell which is meant.
	Ambiguous uint64 `json:"ambiguous"`
	// Left are those that were too many to be remembered.
	Left uint64 `json:"left,omitempty"`
}

// Seen counts what was mapped so far.
func (m *Mapper) Seen() Seen {
	return Seen{
		Addresses: uint64(m.seen.v4.size() + m.seen.v6.size()), Hardware: uint64(m.seen.macs.size()),
		Unchanged: m.unchanged, Ambiguous: m.ambiguous, Left: m.seen.Left(),
	}
}

// met notes an address and counts.
func (m *Mapper) met(a netip.Addr) {
	if !m.seen.addr(a) {
		return
	}
	image := m.plain(a, false)
	if image == a {
		m.unchanged++
		return
	}
	if m.seen.hasAddr(image) {
		m.ambiguous++
	}
	if m.seen.hasAddr(m.plain(a, true)) {
		m.ambiguous++
	}
}
