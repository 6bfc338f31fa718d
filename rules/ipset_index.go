package rules

import (
	"cmp"
	"slices"
)

// ipsetKey is what of an element is looked up by hash: its networks with their
// prefix lengths, its protocol and port; of hash:mac the MAC address in place
// of ip.
type ipsetKey struct {
	ip, ip2     [16]byte
	len, len2   uint8
	proto, port uint16 // no padding: hashed in one piece
}

// ipsetIndex finds the elements of a key, several where they differ in their
// mark, MAC address or device.
type ipsetIndex struct {
	typ   *ipsetType // nil for a type that is not known
	heads map[ipsetKey]int32
	// next is the element with the same key that is listed next, -1 for none;
	// nil when no key has two.
	next []int32
	// lens are the prefix lengths that there are, in the order in which the
	// kernel tries them: longest first, the first network's before the second's.
	lens [][2]uint8
}

// Prepare builds what questions need. It is done at the first question
// otherwise; the set is not changed afterwards.
func (s *IPSet) Prepare() { s.once.Do(s.build) }

func (s *IPSet) build() {
	ix := &ipsetIndex{typ: s.row(), heads: make(map[ipsetKey]int32, len(s.Elements))}
	seen := map[[2]uint8]bool{}
	for i := len(s.Elements) - 1; i >= 0; i-- {
		e := &s.Elements[i]
		k := s.keyOf(e)
		after, double := ix.heads[k]
		ix.heads[k] = int32(i)
		switch {
		case !double && ix.next != nil:
			ix.next[i] = -1
		case double:
			if ix.next == nil {
				ix.next = slices.Repeat([]int32{-1}, len(s.Elements))
			}
			ix.next[i] = after
		}
		if lens := [2]uint8{k.len, k.len2}; !seen[lens] {
			seen[lens] = true
			ix.lens = append(ix.lens, lens)
		}
	}
	slices.SortFunc(ix.lens, func(a, b [2]uint8) int {
		return cmp.Or(cmp.Compare(b[0], a[0]), cmp.Compare(b[1], a[1]))
	})
	s.index = ix
}

// PrepareIPSets finds the members of lists among the ruleset's sets and builds
// what questions need. It is called once IPSets is complete.
func (rs *Ruleset) PrepareIPSets() {
	byName := make(map[string]*IPSet, len(rs.IPSets))
	rs.ipsetID = make(map[uint16]*IPSet, len(rs.IPSets))
	for _, s := range rs.IPSets {
		byName[s.Name] = s
		if s.ID != IPSetNoID {
			rs.ipsetID[s.ID] = s
		}
	}
	for _, s := range rs.IPSets {
		if t := s.row(); t != nil && t.has(ipsetList) {
			s.Members = make([]*IPSet, len(s.Elements))
			for i := range s.Elements {
				s.Members[i] = byName[s.Elements[i].Name]
			}
		}
		s.Prepare()
	}
}

// Feed notes that a rule adds to the set or deletes from it; of a list that
// is one of its members (list_set_kadd, list_set_kdel).
func (s *IPSet) Feed() {
	s.Fed = true
	for _, m := range s.Members {
		if m != nil {
			m.Fed = true
		}
	}
}

// keyOf is the key of an element.
func (s *IPSet) keyOf(e *IPSetElement) ipsetKey {
	k := ipsetKey{proto: uint16(e.Proto), port: e.Port}
	if e.IP.IsValid() {
		k.ip, k.len = addrBytes(e.IP.Addr()), uint8(e.IP.Bits())
	}
	if e.IP2.IsValid() {
		k.ip2, k.len2 = addrBytes(e.IP2.Addr()), uint8(e.IP2.Bits())
	}
	if s.macKeyed() {
		copy(k.ip[:], e.MAC[:])
	}
	return k
}

func (s *IPSet) macKeyed() bool { return s.Type == "hash:mac" }

// keyed are the fields that the key is made of.
func (s *IPSet) keyed(x *ipsetProbe) [3]*partial {
	if s.macKeyed() {
		return [...]*partial{&x.side, &x.addrs[1], &x.port}
	}
	return [...]*partial{&x.addrs[0], &x.addrs[1], &x.port}
}

// key is the key of a packet of which all that is keyed is known, before its
// addresses are cut to a prefix length.
func (s *IPSet) key(t *ipsetType, x *ipsetProbe) ipsetKey {
	fields := s.keyed(x)
	k := ipsetKey{ip: fields[0].bits, ip2: fields[1].bits}
	if t.has(ipsetPort) {
		k.port = uint16(x.port.bits[0])<<8 | uint16(x.port.bits[1])
		if !s.bitmap() {
			k.proto = uint16(x.proto)
		}
	}
	return k
}

// chain calls f with the elements of a key in listing order until it returns
// false, and tells whether there is one.
func (ix *ipsetIndex) chain(k ipsetKey, f func(int32) bool) bool {
	i, ok := ix.heads[k]
	if !ok {
		return false
	}
	for i >= 0 && f(i) {
		if ix.next == nil {
			break
		}
		i = ix.next[i]
	}
	return true
}
