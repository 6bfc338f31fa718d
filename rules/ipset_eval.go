package rules

// outcomes are the ways in which a look-up can end, of which it is not known
// which one it is.
type outcomes uint8

const (
	ipsetMiss outcomes = 1 << iota
	ipsetHit
	ipsetNomatch // an element with nomatch: -ENOTEMPTY
)

// Test follows match_set.
func (c *InIPSet) Test(p *Packet) Answer {
	a := c.Set.test(c, p, false)
	if c.Invert {
		return a.Not()
	}
	return a
}

// test follows ip_set_test. member: the set is asked as a member of a list.
func (s *IPSet) test(c *InIPSet, p *Packet, member bool) Answer {
	if s == nil {
		return Answer{Unknown: Of(FromSet)}
	}
	s.Prepare()
	t := s.index.typ
	switch {
	case t == nil:
		return Answer{Unknown: Of(FromOpaque)}
	case len(c.Dims) < len(t.fields), s.Family != FamilyUnspec && s.Family != p.Family:
		return Decided(false)
	case s.Missing != "":
		return Answer{Unknown: Of(FromSet)}
	case s.Fed:
		return Answer{Unknown: Of(FromSet)}
	case t.has(ipsetList):
		if member {
			// the kernel lets no list into a list (list_set_uadt)
			return Answer{Unknown: Of(FromSet)}
		}
		return s.testMembers(c, p)
	}
	x := s.probe(t, c, p)
	for _, f := range [...]*partial{&x.addrs[0], &x.addrs[1], &x.port, &x.side} {
		if f.absent == Yes {
			return Answer{Truth: No, Assumed: f.assumed}
		}
	}
	return s.then(p, s.look(t, &x, c, member))
}

// then makes an answer of now one of the time of the packet.
func (s *IPSet) then(p *Packet, a Answer) Answer {
	switch {
	case p.SetsOpen:
		return Answer{Unknown: a.Unknown | Of(FromSet)}
	case a.Truth == No && s.HasTimeout:
		// an element may have been there, and have run out
		return Answer{Unknown: Of(FromSet)}
	}
	a.Assumed |= Of(FromSet)
	return a
}

// testMembers follows list_set_ktest: each member in turn until one holds.
// Conditions on counters are on those of the list.
func (s *IPSet) testMembers(c *InIPSet, p *Packet) Answer {
	any := Decided(false)
	for i := range s.Elements {
		var m *IPSet
		if i < len(s.Members) {
			m = s.Members[i]
		}
		a := m.test(c, p, true)
		if a.Truth != No && (s.Elements[i].Timeout > 0 || c.counts(s)) {
			a = Answer{Unknown: a.Unknown | Of(FromSet)}
		}
		if any = any.Or(a); any.Truth == Yes {
			break
		}
	}
	return s.then(p, any)
}

// counts tells whether the match depends on counters of this set's elements,
// which the packets since have changed.
func (c *InIPSet) counts(s *IPSet) bool {
	return s.Counters && (c.Packets.Op != IPSetCounterNone || c.Bytes.Op != IPSetCounterNone)
}

// lookup is one question to one set that holds no other sets.
type lookup struct {
	s    *IPSet
	t    *ipsetType
	x    *ipsetProbe
	open bool // conditions on counters: whether an element counts is not known

	can     outcomes
	assumed Sources
	unknown Sources
}

// look finds what the element that decides says, as now.
func (s *IPSet) look(t *ipsetType, x *ipsetProbe, c *InIPSet, member bool) Answer {
	l := &lookup{s: s, t: t, x: x, open: c.counts(s) && !member}
	whole := true
	for _, f := range s.keyed(x) {
		l.assumed |= f.assumed
		whole = whole && f.whole()
	}
	if whole {
		l.byKey()
	} else {
		for _, f := range s.keyed(x) {
			l.unknown |= f.unknown
		}
		l.each()
	}
	// types without networks do not have IPSET_TYPE_NOMATCH: the flag is nothing
	return l.answer(c.ReturnNomatch && t.has(ipsetNet))
}

// answer maps the outcomes to a truth: with --return-nomatch what nomatch
// excluded matches, and nothing else does.
func (l *lookup) answer(returnNomatch bool) Answer {
	yes := ipsetHit
	if returnNomatch {
		yes = ipsetNomatch
	}
	switch {
	case l.can&yes == 0:
		return Answer{Truth: No, Assumed: l.assumed}
	case l.can == yes:
		return Answer{Truth: Yes, Assumed: l.assumed}
	}
	return Answer{Assumed: l.assumed, Unknown: l.unknown}
}

// byKey follows mtype_test and mtype_test_cidrs: networks by prefix length,
// the longest first; the first element that matches decides.
func (l *lookup) byKey() {
	key := l.s.key(l.t, l.x)
	for _, lens := range l.s.index.lens {
		k := key
		k.len, k.len2 = lens[0], lens[1]
		k.ip, k.ip2 = maskNet(key.ip, lens[0], l.t, l.s), maskNet(key.ip2, lens[1], l.t, l.s)
		if l.chain(k) {
			return
		}
	}
	l.can |= ipsetMiss
}

func maskNet(ip [16]byte, bits uint8, t *ipsetType, s *IPSet) [16]byte {
	if s.macKeyed() || !t.has(ipsetNet) {
		return ip
	}
	return maskBits(ip, int(bits))
}

// chain looks at the elements of one key and tells whether the look-up ends
// with them.
func (l *lookup) chain(k ipsetKey) (ends bool) {
	same, other := false, false
	l.s.index.chain(k, func(i int32) bool {
		e := &l.s.Elements[i]
		if e.Physdev != l.x.physdev {
			other = true
			return true
		}
		same = true
		m := l.side(e)
		if m != No {
			m = l.weigh(e, m)
		}
		ends = m == Yes
		return !ends
	})
	if ends || !l.t.has(ipsetIface) {
		return ends
	}
	return l.shadowed(same, other)
}

// shadowed: of hash:net,iface the elements of one network end the look-up
// whatever their device (the flag multi of mtype_test_cidrs); those of the
// other kind of device only if they share a bucket with what is looked for.
func (l *lookup) shadowed(same, other bool) bool {
	switch {
	case same && l.open:
		// an element whose counters do not fit takes the flag back
		l.can |= ipsetMiss
		l.unknown |= Of(FromSet)
		return false
	case same:
		l.can |= ipsetMiss
		return true
	case other:
		l.can |= ipsetMiss
		l.unknown |= Of(FromHash)
	}
	return false
}

// weigh notes what the look-up gives with e, of which m tells whether it is
// the element, and returns whether that ends it.
func (l *lookup) weigh(e *IPSetElement, m Truth) Truth {
	if (l.open || e.Timeout > 0) && !l.unfilled(e) {
		m = Unknown
		l.unknown |= Of(FromSet)
	}
	if e.Nomatch {
		l.can |= ipsetNomatch
	} else {
		l.can |= ipsetHit
	}
	return m
}

// unfilled elements of bitmap:ip,mac match any address, and take it over
// (bitmap_ipmac_do_test); neither counters nor timeout are looked at.
func (l *lookup) unfilled(e *IPSetElement) bool { return !e.HasMAC && l.t.has(ipsetMAC) }

// side compares what is not in the key.
func (l *lookup) side(e *IPSetElement) Truth {
	f := &l.x.side
	var m Truth
	switch l.t.fields[len(l.t.fields)-1] {
	case ipsetMAC:
		if l.unfilled(e) || l.s.macKeyed() {
			m = Yes
		} else {
			m = f.equal(e.MAC[:], 48)
		}
	case ipsetMark:
		m = f.equal([]byte{byte(e.Mark >> 24), byte(e.Mark >> 16), byte(e.Mark >> 8), byte(e.Mark)}, 32)
	case ipsetIface:
		name := [16]byte{}
		copy(name[:15], e.Iface)
		if e.Wildcard {
			m = f.equal(name[:], 8*min(len(e.Iface), 15))
		} else {
			m = f.equal(name[:], 128)
		}
	default:
		return Yes
	}
	l.assumed |= f.assumed
	if m != No && (m == Unknown || f.absent == Unknown) {
		l.unknown |= f.unknown
		return Unknown
	}
	return m
}

// each looks at every element: for a packet of which something keyed is not
// known. What element decides is then not known either, unless all that can
// match say the same and one surely does.
func (l *lookup) each() {
	sure := false
	for i := range l.s.Elements {
		e := &l.s.Elements[i]
		m := l.keyMatches(e)
		if m == No || e.Physdev != l.x.physdev {
			continue
		}
		if m = m.And(l.side(e)); m == No {
			continue
		}
		if l.weigh(e, m) == Yes && !l.t.has(ipsetIface) {
			sure = true
		}
		if !l.t.has(ipsetNet) {
			break
		}
	}
	if !sure {
		l.can |= ipsetMiss
	}
}

// keyMatches compares what the key is made of, field by field.
func (l *lookup) keyMatches(e *IPSetElement) Truth {
	if l.s.macKeyed() {
		return l.x.side.equal(e.MAC[:], 48)
	}
	k := l.s.keyOf(e)
	if l.t.has(ipsetPort) && !l.s.bitmap() && k.proto != uint16(l.x.proto) {
		return No
	}
	m := l.x.addrs[0].equal(k.ip[:], l.prefix(k.len)).And(l.x.addrs[1].equal(k.ip2[:], l.prefix(k.len2)))
	return m.And(l.x.port.equal([]byte{byte(k.port >> 8), byte(k.port)}, 16))
}

// prefix is how many bits of an address count: an element of a set with a
// netmask is listed with its whole length.
func (l *lookup) prefix(bits uint8) int {
	if l.t.has(ipsetNet) {
		return int(bits)
	}
	return 128
}
