package history

import (
	"encoding/binary"
	"net/netip"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// Range is addresses from Addr to AddrMax and ports from Port to PortMax, both
// included. An invalid Addr, and a Port of nil, are any; an AddrMax or PortMax
// that is not set is a single one.
type Range struct {
	Addr    netip.Addr `json:"addr,omitzero"`
	AddrMax netip.Addr `json:"addr_max,omitzero"`
	Port    *uint16    `json:"port,omitempty"`
	PortMax *uint16    `json:"port_max,omitempty"`
}

// Target is what a NAT statement can rewrite to, as far as the rule says it.
type Target struct {
	Kind string  `json:"kind"` // snat, dnat, masquerade, redirect, netmap
	To   []Range `json:"to,omitempty"`
	// Map names the map whose elements say the rest.
	Map string `json:"map,omitempty"`
	// Open: the packet or the host decide; masquerade takes an address of the
	// device.
	Open bool `json:"open,omitempty"`
}

// maxTargets bounds the values that are listed of one anonymous map.
const maxTargets = 256

// targetOf is what r's NAT statement can rewrite to, nil when it has none.
func targetOf(r *rules.Rule) *Target {
	n := r.NAT()
	if n == nil {
		return nil
	}
	t := &Target{Kind: n.Kind.String()}
	lo, hi := t.values(n.AddrMin), t.values(n.AddrMax)
	plo, phi := t.values(n.PortMin), t.values(n.PortMax)
	rows := max(len(lo), len(plo))
	t.Open = t.Open || n.Kind == rules.Masquerade || n.Kind == rules.Redirect || n.AddrMin == nil && n.PortMin == nil
	for i := range min(rows, maxTargets) {
		var to Range
		to.Addr, to.AddrMax = addrAt(lo, i), addrAt(hi, i)
		to.Port, to.PortMax = portAt(plo, i), portAt(phi, i)
		if n.Flags&rules.NATProtoOffset != 0 {
			to.Port, to.PortMax = nil, nil // moved by as much as the packet's is
		}
		t.To = append(t.To, to)
	}
	t.Open = t.Open || rows > maxTargets
	return t
}

// values are what x can load, as far as the rule says; a named map, and what
// is not constant, is noted in t.
func (t *Target) values(x rules.Expr) [][]byte {
	switch x := x.(type) {
	case nil:
		return nil
	case *rules.Const:
		return [][]byte{x.Data}
	case *rules.Slice:
		var out [][]byte
		for _, v := range t.values(x.X) {
			if x.Off+x.Len <= len(v) {
				out = append(out, v[x.Off:x.Off+x.Len])
			}
		}
		return out
	case *rules.MapLookup:
		if x.Set == nil {
			break
		}
		if x.Set.Flags&rules.SetAnonymous == 0 {
			t.Map = x.Set.Name
			return nil
		}
		var out [][]byte
		for i := range x.Set.Elements {
			out = append(out, x.Set.Elements[i].Data)
		}
		return out
	}
	t.Open = true
	return nil
}

// at is the i-th value, or the one that there is for all.
func at(values [][]byte, i int) []byte {
	switch {
	case len(values) == 1:
		return values[0]
	case i < len(values):
		return values[i]
	}
	return nil
}

func addrAt(values [][]byte, i int) netip.Addr {
	a, _ := netip.AddrFromSlice(at(values, i))
	return a
}

func portAt(values [][]byte, i int) *uint16 {
	b := at(values, i)
	if len(b) < 2 {
		return nil
	}
	p := binary.BigEndian.Uint16(b)
	return &p
}

// Holds tells whether e lies in the range: known is false where the range
// leaves the address or the port open.
func (r *Range) Holds(e host.Endpoint) (in, known bool) {
	known = r.Addr.IsValid() && r.Port != nil
	if r.Addr.IsValid() {
		last := r.Addr
		if r.AddrMax.IsValid() {
			last = r.AddrMax
		}
		if r.Addr.BitLen() != e.Addr.BitLen() || e.Addr.Less(r.Addr) || last.Less(e.Addr) {
			return false, known
		}
	}
	if r.Port != nil {
		last := *r.Port
		if r.PortMax != nil {
			last = *r.PortMax
		}
		if e.Port < *r.Port || e.Port > last {
			return false, known
		}
	}
	return r.Addr.IsValid() || r.Port != nil, known
}

// Of nft's numbers of datatypes (enum datatypes) those that NAT maps hold.
const (
	nftIPAddr  = 7
	nftIP6Addr = 8
	nftService = 13
)

var nftWidths = map[uint32]int{nftIPAddr: 4, nftIP6Addr: 16, nftService: 2}

// rangeOf reads addresses and ports out of data of a concatenated type: lo,
// and hi where it is an interval. nil when there are none, or when a field of
// a type of another width comes before them.
func rangeOf(typ uint32, lens []int, lo, hi []byte) *Range {
	var out Range
	found := false
	off := 0
	fields := fieldTypes(typ)
	for i, f := range fields {
		n := nftWidths[f]
		if n == 0 && i < len(lens) {
			n = lens[i]
		}
		if n == 0 || off+n > len(lo) {
			break
		}
		v, end := lo[off:off+n], []byte(nil)
		if off+n <= len(hi) {
			end = hi[off : off+n]
		}
		switch f {
		case nftIPAddr, nftIP6Addr:
			if !out.Addr.IsValid() {
				out.Addr, _ = netip.AddrFromSlice(v)
				out.AddrMax, _ = netip.AddrFromSlice(end)
				found = true
			}
		case nftService:
			out.Port, out.PortMax = portAt([][]byte{v}, 0), portAt([][]byte{end}, 0)
			found = true
		}
		off += (n + 3) &^ 3
	}
	if !found {
		return nil
	}
	return out.narrow()
}

// narrow drops ends that are the beginnings again.
func (r *Range) narrow() *Range {
	if r.AddrMax == r.Addr {
		r.AddrMax = netip.Addr{}
	}
	if r.Port != nil && r.PortMax != nil && *r.Port == *r.PortMax {
		r.PortMax = nil
	}
	return r
}

// fieldTypes takes nft's number of a type apart: six bits a field.
func fieldTypes(typ uint32) (out []uint32) {
	for shift := 24; shift >= 0; shift -= 6 {
		if f := typ >> shift & 0x3f; f != 0 {
			out = append(out, f)
		}
	}
	return out
}

// keyRange and dataRange are what an element is found by, and leads to.
func keyRange(s *rules.Set, e *rules.Element) *Range {
	return rangeOf(s.KeyType, s.FieldLens, e.Key, e.KeyEnd)
}

func dataRange(s *rules.Set, e *rules.Element) *Range {
	if s.Flags&rules.SetMap == 0 || s.Verdicts() {
		return nil
	}
	n := 0
	for _, f := range fieldTypes(s.DataType) {
		n += (nftWidths[f] + 3) &^ 3
	}
	if len(e.Data) == 2*n && n > 0 {
		return rangeOf(s.DataType, nil, e.Data[:n], e.Data[n:])
	}
	return rangeOf(s.DataType, nil, e.Data, nil)
}
