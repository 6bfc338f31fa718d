package redact

import (
	"slices"

	"github.com/ntdiag/ntdiag/rules"
)

// loads is what an expression loads that is not computed from another one.
func (w *walker) loads(x rules.Expr, h *headers) layout {
	switch x := x.(type) {
	case *rules.Payload:
		return h.payload(x)
	case *rules.Inner:
		return w.loads(x.X, h.inner())
	case *rules.Meta:
		return metaLayout(x)
	case *rules.Ct:
		return w.ct(x, h)
	case *rules.Fib:
		if x.Result == rules.FibOifname && x.Flags&rules.FibPresent == 0 {
			return wholly(deviceName)
		}
	case *rules.Rt:
		switch x.Key {
		case rtNexthop4:
			return wholly(addr4)
		case rtNexthop6:
			return wholly(addr6)
		}
	case *rules.Xfrm:
		switch x.Key {
		case rules.XfrmDaddrIP4, rules.XfrmSaddrIP4:
			return wholly(addr4)
		case rules.XfrmDaddrIP6, rules.XfrmSaddrIP6:
			return wholly(addr6)
		}
	case *rules.Exthdr:
		return exthdrLayout(x)
	}
	return plainly(x.Width())
}

// NFT_RT_NEXTHOP4 and NFT_RT_NEXTHOP6.
const (
	rtNexthop4 = 1
	rtNexthop6 = 2
)

// deviceKeys hold the name of a device; kinds of devices are no names.
var deviceKeys = map[rules.MetaKey]bool{
	rules.MetaIifname: true, rules.MetaOifname: true, rules.MetaBriIifname: true, rules.MetaBriOifname: true, rules.MetaSdifname: true,
}

func metaLayout(x *rules.Meta) layout {
	switch {
	case deviceKeys[x.Key]:
		return wholly(deviceName)
	case x.Key == rules.MetaBriIifhwaddr:
		return wholly(mac)
	}
	return plainly(x.Width())
}

// ct: the keys that name no family have room for an address of IPv6.
func (w *walker) ct(x *rules.Ct, h *headers) layout {
	switch x.Key {
	case rules.CtHelper:
		return wholly(helperName)
	case rules.CtSrc, rules.CtDst, rules.CtSrcIP, rules.CtDstIP, rules.CtSrcIP6, rules.CtDstIP6:
		n := x.Width()
		switch {
		case n == 4:
			return wholly(addr4)
		case n == 16 && h.net == rules.FamilyIPv4:
			return append(wholly(addr4), piece{meaning: plain, n: 12})
		case n == 16:
			return wholly(addr6)
		}
	}
	return plainly(x.Width())
}

// NFT_EXTHDR_OP_*.
const (
	exthdrIPv6 = 0
	exthdrTCP  = 1
	exthdrIPv4 = 2
)

// Of headers and options: which hold addresses, and which nothing that has to
// be hidden.
const routingHeader = 43 // IPPROTO_ROUTING

var (
	routeOptions = map[uint8]bool{7: true, 131: true, 137: true}         // rr, lsrr, ssrr
	plainOptions = map[uint8]bool{0: true, 1: true, 68: true, 148: true} // eol, noop, timestamp, ra
	plainTCP     = map[uint8]bool{0: true, 1: true, 2: true, 3: true, 4: true, 5: true, 8: true, 30: true}
)

func exthdrLayout(x *rules.Exthdr) layout {
	switch {
	case x.Present:
	case x.Op == exthdrIPv6 && x.Type == routingHeader:
		f := fields{end: 8 + 16*16}
		for at := 8; at < f.end; at += 16 {
			f.places = append(f.places, place{at, 16, addr6})
		}
		return f.layout(x.Off, x.Len)
	case x.Op == exthdrIPv4 && routeOptions[x.Type]:
		f := fields{end: 40}
		for at := 3; at+4 <= f.end; at += 4 {
			f.places = append(f.places, place{at, 4, addr4})
		}
		return f.layout(x.Off, x.Len)
	case x.Op == exthdrIPv4 && !plainOptions[x.Type], x.Op == exthdrTCP && !plainTCP[x.Type]:
		return fields{end: 2}.layout(x.Off, x.Len)
	}
	return plainly(x.Width())
}

// setTypes is what nft's datatypes are (enum datatypes), with their width; the
// numbers that are not here have none that is told, or are numbers.
var setTypes = map[uint32]layout{
	2: plainly(1), 5: wholly(helperName), 7: wholly(addr4), 8: wholly(addr6), 9: wholly(mac), 10: plainly(2), 11: plainly(2), 12: plainly(1),
	13: plainly(2), 14: plainly(1), 15: plainly(1), 16: plainly(1), 17: plainly(1), 18: plainly(8), 19: plainly(4), 20: plainly(4),
	21: plainly(2), 22: plainly(4), 23: plainly(4), 24: plainly(4), 25: plainly(4), 26: plainly(4), 27: plainly(1), 28: plainly(4),
	29: plainly(1), 30: plainly(16), 31: plainly(1), 32: plainly(1), 33: plainly(1), 34: plainly(1), 35: plainly(4), 36: plainly(1),
	37: plainly(1), 38: plainly(4), 39: plainly(1), 40: plainly(4), 41: wholly(deviceName), 42: plainly(1), 43: plainly(8), 44: plainly(4),
	45: plainly(1), 46: plainly(8),
}

// surely are the types that say by themselves what their bytes are: a name can
// be that of a kind of devices, and a number anything.
var surely = map[uint32]bool{7: true, 8: true, 9: true}

// byType is what n bytes of a set's keys or data are by the number of their
// type, of which each field of a concatenation has six bits; used is what the
// rules take them for, nil where none does.
func byType(number uint32, n int, lens []int, used layout) layout {
	types := typeFields(number)
	if len(types) == 1 {
		return fieldType(types[0], n, used)
	}
	var out layout
	at := 0
	for i, id := range types {
		width := setTypes[id].width()
		if i < len(lens) && len(lens) == len(types) {
			width = lens[i]
		}
		if width == 0 {
			// not told: the rules have to tell it all
			if used == nil {
				return layout{{secret, n, 0, 8 * n}}
			}
			return used
		}
		var u layout
		if used != nil {
			u = used.slice(at, width)
		}
		out = append(out, fieldType(id, width, u).padded()...)
		at += (width + 3) &^ 3
	}
	return out
}

func typeFields(number uint32) []uint32 {
	if number>>6 == 0 {
		return []uint32{number}
	}
	var out []uint32
	for shift := 24; shift >= 0; shift -= 6 {
		if id := number >> shift & 0x3f; id != 0 {
			out = append(out, id)
		}
	}
	return out
}

func fieldType(id uint32, n int, used layout) layout {
	own, known := setTypes[id]
	switch {
	case used.has(unmapped):
		return used
	case surely[id] && own.width() == n && (used == nil || used.sameBut(own)):
		if used != nil {
			return used // it may say that a mask was applied
		}
		return own
	case surely[id] && (own.width() == n || n == 0):
		return own
	case used != nil:
		return used
	case known && (own.width() == n || n == 0):
		return own
	case known && own.plain():
		return plainly(n)
	}
	return layout{{secret, n, 0, 8 * n}}
}

func (l layout) has(m meaning) bool {
	return slices.ContainsFunc(l, func(p piece) bool { return p.meaning == m })
}

// sameBut tells whether l is the same thing as o, but for how many of its bits
// count.
func (l layout) sameBut(o layout) bool {
	return len(l) == len(o) && len(l) == 1 && l[0].meaning == o[0].meaning && l[0].n == o[0].n && l[0].off == o[0].off
}
