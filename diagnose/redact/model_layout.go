package redact

import (
	"github.com/ntdiag/ntdiag/rules"
)

// meaning is what a run of bytes in a rule or in a set is.
type meaning uint8

const (
	plain      meaning = iota // a number, a port, flags: stays
	unmapped                  // bits of an address that stay, for the sake of what is made of them
	addr4                     // of IPv4
	addr6                     // of IPv6
	mac                       // a hardware address
	deviceName                // a device's name, padded with zeros
	helperName                // the name of a conntrack helper, padded with zeros
	secret                    // payload of which nothing is known: hidden
)

// wholeOf is how many bytes a thing has, 0 where that is not fixed.
var wholeOf = [...]int{addr4: 4, addr6: 16, mac: 6, deviceName: 16, helperName: 16, secret: 0}

// piece is n bytes of what an expression loads: from byte off of the thing on.
// Of an address behind the mask of a prefix only the first bits count, the
// others are 0; bits is 8*n for whole bytes.
type piece struct {
	meaning
	n, off, bits int
}

// layout is what each of the bytes that an expression loads is.
type layout []piece

// stays tells whether what it is of is not mapped.
func (m meaning) stays() bool { return m <= unmapped }

func plainly(n int) layout { return layout{{meaning: plain, n: n}} }

func wholly(m meaning) layout { return layout{{m, wholeOf[m], 0, 8 * wholeOf[m]}} }

// plain tells whether all of it stays.
func (l layout) plain() bool {
	for _, p := range l {
		if !p.stays() {
			return false
		}
	}
	return true
}

func (l layout) width() int {
	n := 0
	for _, p := range l {
		n += p.n
	}
	return n
}

// slice is n bytes of it from off on.
func (l layout) slice(off, n int) layout {
	var out layout
	for _, p := range l {
		skip := min(off, p.n)
		off -= skip
		take := min(p.n-skip, n)
		n -= take
		if take > 0 {
			bits := min(max(p.bits-8*skip, 0), 8*take)
			out = append(out, piece{p.meaning, take, p.off + skip, bits})
		}
	}
	if n > 0 {
		out = append(out, piece{meaning: plain, n: n})
	}
	return out
}

// padded is l in whole registers of four bytes.
func (l layout) padded() layout {
	if over := l.width() % 4; over != 0 {
		return append(l[:len(l):len(l)], piece{meaning: plain, n: 4 - over})
	}
	return l
}

// place is a field of a header: where it begins, and how long it is.
type place struct {
	at, n int
	meaning
}

// The fields of headers that do not stay. What lies beyond the end of a header
// is payload.
var (
	etherFields = fields{end: 22, places: []place{{0, 6, mac}, {6, 6, mac}}} // two VLAN tags and a type behind it
	arpFields   = fields{end: 28, places: []place{{8, 6, mac}, {14, 4, addr4}, {18, 6, mac}, {24, 4, addr4}}}
	ipFields    = fields{end: 20, places: []place{{12, 4, addr4}, {16, 4, addr4}}}
	ip6Fields   = fields{end: 40, places: []place{{8, 16, addr6}, {24, 16, addr6}}}
	igmpFields  = fields{end: 8, places: []place{{4, 4, addr4}}}
	gateway     = fields{end: 8, places: []place{{4, 4, addr4}}} // an ICMP redirect
	// transportEnds is how long the headers are that tell no address.
	transportEnds = map[int]int{
		-1: 20, protoTCP: 20, protoUDP: 8, protoICMP: 8, protoICMPv6: 8, protoUDPLite: 8, protoSCTP: 12, protoDCCP: 16, protoESP: 8, protoAH: 12,
		protoComp: 4, protoMobility: 6, protoGRE: 8,
	}
)

// Protocols that have headers of their own here.
const (
	protoICMP     = 1
	protoIGMP     = 2
	protoTCP      = 6
	protoUDP      = 17
	protoDCCP     = 33
	protoGRE      = 47
	protoESP      = 50
	protoAH       = 51
	protoICMPv6   = 58
	protoComp     = 108
	protoSCTP     = 132
	protoMobility = 135
	protoUDPLite  = 136
)

type fields struct {
	end    int
	places []place
}

// layout cuts n bytes from off on.
func (f fields) layout(off, n int) layout {
	var out layout
	for at := off; at < off+n; {
		p := place{at: at, n: 1}
		if at >= f.end {
			p.meaning, p.n = secret, off+n-at
		}
		for _, q := range f.places {
			if q.at <= at && at < q.at+q.n {
				p = q
			}
		}
		take := min(p.at+p.n, off+n) - at
		if last := len(out) - 1; last >= 0 && p.meaning == plain && out[last].meaning == plain {
			out[last].n++
			at++
			continue
		}
		out = append(out, piece{p.meaning, take, at - p.at, 8 * take})
		at += take
	}
	return out
}

// headers is what the statements of a rule so far tell of the packet.
type headers struct {
	net   rules.Family // FamilyUnspec where it is not known
	proto int          // -1 where it is not known
	icmp  int          // the type, -1 where it is not known
	in    *headers     // of the packet inside a tunnel
}

func newHeaders(f rules.Family) *headers {
	h := &headers{proto: -1, icmp: -1}
	if f == rules.FamilyIPv4 || f == rules.FamilyIPv6 || f == rules.FamilyARP {
		h.net = f
	}
	return h
}

func (h *headers) inner() *headers {
	if h.in == nil {
		h.in = newHeaders(rules.FamilyUnspec)
	}
	return h.in
}

// payload is what bytes of a header are.
func (h *headers) payload(x *rules.Payload) layout {
	switch x.Base {
	case rules.PayloadLink:
		return etherFields.layout(x.Off, x.Len)
	case rules.PayloadNetwork:
		return h.network(x).layout(x.Off, x.Len)
	case rules.PayloadTransport:
		return h.transport().layout(x.Off, x.Len)
	case rules.PayloadTunnel:
		return fields{end: 8}.layout(x.Off, x.Len)
	}
	return layout{{secret, x.Len, x.Off, 8 * x.Len}}
}

// network: where nothing tells the family, the place of an address and its
// length do.
func (h *headers) network(x *rules.Payload) fields {
	switch {
	case h.net == rules.FamilyIPv4:
		return ipFields
	case h.net == rules.FamilyIPv6:
		return ip6Fields
	case h.net == rules.FamilyARP:
		return arpFields
	case (x.Off == 12 || x.Off == 16) && x.Len <= 4 || x.Off == 12 && x.Len == 8:
		return ipFields
	}
	return ip6Fields
}

func (h *headers) transport() fields {
	switch {
	case h.proto == protoIGMP:
		return igmpFields
	case h.proto == protoICMP && h.icmp == 5:
		return gateway
	}
	end, ok := transportEnds[h.proto]
	if !ok {
		end = transportEnds[-1]
	}
	return fields{end: end}
}

// learn takes from a condition what it tells of the packet behind it.
func (h *headers) learn(s rules.Statement) {
	m, ok := s.(*rules.Match)
	if !ok || m.Op != rules.CmpEq {
		return
	}
	x := m.Left
	if in, ok := x.(*rules.Inner); ok {
		h.inner().learn(&rules.Match{Left: in.X, Op: m.Op, Right: m.Right})
		return
	}
	switch x := x.(type) {
	case *rules.Meta:
		switch {
		case x.Key == rules.MetaNfproto && len(m.Right) == 1:
			h.net = rules.Family(m.Right[0])
		case x.Key == rules.MetaProtocol && len(m.Right) == 2:
			h.ether(m.Right)
		case x.Key == rules.MetaL4proto && len(m.Right) == 1:
			h.proto = int(m.Right[0])
		}
	case *rules.Payload:
		h.learnField(x, m.Right)
	}
}

func (h *headers) learnField(x *rules.Payload, right []byte) {
	switch {
	case x.Base == rules.PayloadLink && x.Len == 2 && len(right) == 2 && x.Off >= 12:
		h.ether(right)
	case len(right) != 1 || x.Len != 1:
	case x.Base == rules.PayloadNetwork && (h.net == rules.FamilyIPv4 && x.Off == 9 || h.net == rules.FamilyIPv6 && x.Off == 6):
		h.proto = int(right[0])
	case x.Base == rules.PayloadTransport && x.Off == 0 && (h.proto == protoICMP || h.proto == protoICMPv6):
		h.icmp = int(right[0])
	}
}

func (h *headers) ether(b []byte) {
	switch uint16(b[0])<<8 | uint16(b[1]) {
	case 0x0800:
		h.net = rules.FamilyIPv4
	case 0x86dd:
		h.net = rules.FamilyIPv6
	case 0x0806:
		h.net = rules.FamilyARP
	}
}
