package nft

import (
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// NFTA_NAT_*.
const (
	attrNATType     = 1
	attrNATFamily   = 2
	attrNATAddrMin  = 3
	attrNATAddrMax  = 4
	attrNATProtoMin = 5
	attrNATProtoMax = 6
	attrNATFlags    = 7
)

// natFlags are the flags that are understood (NF_NAT_RANGE_MASK).
const natFlags = rules.NATMapIPs | rules.NATProtoSpecified | rules.NATProtoRandom | rules.NATPersistent |
	rules.NATFullyRandom | rules.NATProtoOffset | rules.NATNetmap

// natAddrLens is the length of an address by family, in bytes.
var natAddrLens = map[rules.Family]int{rules.FamilyIPv4: 4, rules.FamilyIPv6: 16}

// natKinds are NFT_NAT_SNAT and NFT_NAT_DNAT.
var natKinds = [...]rules.NATKind{rules.SNAT, rules.DNAT}

// decodeNAT follows nft_nat_init.
func decodeNAT(d *decoder, a *attrs) error {
	typ, family := a.u32(attrNATType), a.u32(attrNATFamily)
	switch {
	case a.err != nil:
		return a.err
	case typ >= uint32(len(natKinds)):
		return fmt.Errorf("nat type %d is not known", typ)
	case family > 0xff:
		return fmt.Errorf("nat family %d is not known", family)
	}
	st := &rules.NAT{Kind: natKinds[typ], Family: rules.Family(family)}
	var from [2]operand
	if a.has(attrNATAddrMin) {
		n := natAddrLens[st.Family]
		if n == 0 {
			return fmt.Errorf("nat of family %d has an address", family)
		}
		var err error
		if st.AddrMin, st.AddrMax, from[0], err = d.readRange(a, attrNATAddrMin, attrNATAddrMax, n); err != nil {
			return err
		}
	}
	return d.emitNAT(a, st, attrNATProtoMin, attrNATProtoMax, attrNATFlags, from[0])
}

// emitNAT reads the ports and the flags, which every NAT statement has, and
// places it.
func (d *decoder) emitNAT(a *attrs, st *rules.NAT, portMin, portMax, flags int, addrs operand) error {
	var ports operand
	if a.has(portMin) {
		var err error
		if st.PortMin, st.PortMax, ports, err = d.readRange(a, portMin, portMax, 2); err != nil {
			return err
		}
	}
	st.Flags = rules.NATFlags(a.opt32(flags))
	switch {
	case a.err != nil:
		return a.err
	case st.Flags&^natFlags != 0:
		return fmt.Errorf("nat flags %#x are not known", uint32(st.Flags))
	}
	st.Span = d.span(addrs, ports)
	d.emit(st)
	return nil
}

// readRange reads n bytes at each of two registers. The kernel names the same
// register twice for a single value: then hi is nil.
func (d *decoder) readRange(a *attrs, minAttr, maxAttr, n int) (lo, hi rules.Expr, from operand, err error) {
	reg := a.u32(minAttr)
	top := reg
	if a.has(maxAttr) {
		top = a.u32(maxAttr)
	}
	if a.err != nil {
		return nil, nil, from, a.err
	}
	from, err = d.read(reg, n)
	if err != nil || top == reg {
		return from.x, nil, from, err
	}
	end, err := d.read(top, n)
	if err != nil {
		return nil, nil, from, err
	}
	lo = from.x
	from.made = union(from.made, end.made)
	return lo, end.x, from, nil
}
