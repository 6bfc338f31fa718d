package rules

import (
	"encoding/binary"
	"net/netip"
)

// MetaKey is NFT_META_* (include/uapi/linux/netfilter/nf_tables.h).
type MetaKey uint32

const (
	MetaLen MetaKey = iota
	MetaProtocol
	MetaPriority
	MetaMark
	MetaIif
	MetaOif
	MetaIifname
	MetaOifname
	MetaIiftype
	MetaOiftype
	MetaSkuid
	MetaSkgid
	MetaNftrace
	MetaRtclassid
	MetaSecmark
	MetaNfproto
	MetaL4proto
	MetaBriIifname
	MetaBriOifname
	MetaPkttype
	MetaCPU
	MetaIifgroup
	MetaOifgroup
	MetaCgroup
	MetaPrandom
	MetaSecpath
	MetaIifkind
	MetaOifkind
	MetaBriIifpvid
	MetaBriIifvproto
	MetaTimeNs
	MetaTimeDay
	MetaTimeHour
	MetaSdif
	MetaSdifname
	MetaBriBroute
	MetaBriIifhwaddr
)

// Meta is a piece of the packet's metadata (nft_meta).
type Meta struct{ Key MetaKey }

func (x *Meta) Width() int {
	if int(x.Key) < len(metaKeys) && metaKeys[x.Key].width > 0 {
		return metaKeys[x.Key].width
	}
	return 4
}

func (x *Meta) Eval(p *Packet) Value {
	if int(x.Key) < len(metaKeys) {
		row := metaKeys[x.Key]
		if row.eval != nil {
			return row.eval(p)
		}
		if row.width > 0 {
			return UnknownBytes(row.width, row.from)
		}
	}
	return UnknownBytes(4, FromOpaque)
}

// metaKeys is one row a key: how wide it is, and either how it is loaded or
// why it is not known. Order as in nft_meta_get_eval.
var metaKeys = [...]struct {
	width int
	from  Source
	eval  func(*Packet) Value
}{
	MetaLen:          {width: 4, eval: func(p *Packet) Value { return orUnknown(p.Length, FromLength) }},
	MetaProtocol:     {width: 2, eval: metaProtocol},
	MetaPriority:     {width: 4, eval: func(p *Packet) Value { return p.Priority }},
	MetaMark:         {width: 4, eval: func(p *Packet) Value { return p.Mark }},
	MetaIif:          {width: 4, eval: func(p *Packet) Value { return p.Iif.index(p, FromIif) }},
	MetaOif:          {width: 4, eval: func(p *Packet) Value { return p.Oif.index(p, FromOif) }},
	MetaIifname:      {width: 16, eval: func(p *Packet) Value { return p.Iif.name(FromIif) }},
	MetaOifname:      {width: 16, eval: func(p *Packet) Value { return p.Oif.name(FromOif) }},
	MetaIiftype:      {width: 2, eval: metaIftype},
	MetaOiftype:      {width: 2, eval: func(p *Packet) Value { return p.Oif.linkType(p, FromOif) }},
	MetaSkuid:        {width: 4, eval: func(p *Packet) Value { return socketOwner(p, p.UID) }},
	MetaSkgid:        {width: 4, eval: func(p *Packet) Value { return socketOwner(p, p.GID) }},
	MetaNftrace:      {width: 1, from: FromTrace},
	MetaRtclassid:    {width: 4, from: FromRoute},
	MetaSecmark:      {width: 4, from: FromSocket},
	MetaNfproto:      {width: 1, eval: metaNfproto},
	MetaL4proto:      {width: 1, eval: func(p *Packet) Value { return KnownBytes([]byte{p.Proto}) }},
	MetaBriIifname:   {width: 16, from: FromLink},
	MetaBriOifname:   {width: 16, from: FromLink},
	MetaPkttype:      {width: 1, from: FromPktType},
	MetaCPU:          {width: 4, from: FromCPU},
	MetaIifgroup:     {width: 4, eval: func(p *Packet) Value { return p.Iif.group(p, FromIif) }},
	MetaOifgroup:     {width: 4, eval: func(p *Packet) Value { return p.Oif.group(p, FromOif) }},
	MetaCgroup:       {width: 4, from: FromCgroup},
	MetaPrandom:      {width: 4, from: FromRandom},
	MetaSecpath:      {width: 1, from: FromIPsec},
	MetaIifkind:      {width: 16, eval: func(p *Packet) Value { return p.Iif.kind(FromIif) }},
	MetaOifkind:      {width: 16, eval: func(p *Packet) Value { return p.Oif.kind(FromOif) }},
	MetaBriIifpvid:   {width: 2, from: FromLink},
	MetaBriIifvproto: {width: 2, from: FromLink},
	MetaTimeNs:       {width: 8, from: FromTime},
	MetaTimeDay:      {width: 1, from: FromTime},
	MetaTimeHour:     {width: 4, from: FromTime},
	MetaSdif:         {width: 4, eval: func(p *Packet) Value { return p.slave().index(p, FromIif) }},
	MetaSdifname:     {width: 16, eval: func(p *Packet) Value { return p.slave().name(FromIif) }},
	MetaBriBroute:    {width: 1, from: FromLink},
	MetaBriIifhwaddr: {width: 6, from: FromLink},
}

// ByteOrder is the order that meta and ct values of the packet are kept in.
func (p *Packet) ByteOrder() binary.ByteOrder { return p.order() }

func (p *Packet) order() binary.ByteOrder {
	if p.Order == nil {
		return binary.NativeEndian
	}
	return p.Order
}

// etherTypes are ETH_P_IP and ETH_P_IPV6.
var etherTypes = map[Family]uint16{FamilyIPv4: 0x0800, FamilyIPv6: 0x86dd}

func metaProtocol(p *Packet) Value {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], etherTypes[p.Family])
	return KnownBytes(b[:])
}

// metaNfproto is the family of the hook that the chain hangs at.
func metaNfproto(p *Packet) Value {
	if p.SeenAs != FamilyUnspec {
		return KnownBytes([]byte{byte(p.SeenAs)})
	}
	return KnownBytes([]byte{byte(p.Family)})
}

// metaIftype: what nft calls iiftype is the type of skb->dev since kernel 5.17
// (NFT_META_IFTYPE), before that of the input device. Up to forward both are
// one; ip_output makes skb->dev the output device; at output it depends on the
// socket whether it is set.
func metaIftype(p *Packet) Value {
	in := p.Iif.linkType(p, FromIif)
	if p.Hook != Output && p.Hook != Postrouting {
		return in
	}
	v := p.Oif.linkType(p, FromOif)
	if p.Iif.State != IfaceNone {
		v = Join(v, in)
	} else {
		v.Absent, v.AbsentBy = Unknown, Of(FromLink)
	}
	return v
}

// orUnknown is v, or four unknown bytes where nothing is known of it.
func orUnknown(v Value, s Source) Value {
	if v.N == 0 {
		return UnknownBytes(4, s)
	}
	return v
}

// socketOwner: only a locally generated packet has a socket; nft_meta ends
// the rule for any other.
func socketOwner(p *Packet, owner Value) Value {
	if p.Iif.State == IfaceKnown || p.Iif.State == IfaceAssumed {
		v := Missing(4)
		if p.Iif.State == IfaceAssumed {
			v.AbsentBy = Of(FromIif)
		}
		return v
	}
	if owner.N > 0 {
		return owner
	}
	v := UnknownBytes(4, FromSocket)
	v.Absent, v.AbsentBy = Unknown, Of(FromSocket)
	return v
}

// Addr is the destination (dst) or source address, false when the header was
// rewritten to something not known.
func (p *Packet) Addr(dst bool) (netip.Addr, bool) {
	off, n := 12, 4
	if p.Family == FamilyIPv6 {
		off, n = 8, 16
	}
	if dst {
		off += n
	}
	v := p.Net.Read(off, n)
	if !v.IsKnown() {
		return netip.Addr{}, false
	}
	return netip.AddrFromSlice(v.Bytes())
}

// SetAddr rewrites the destination (dst) or source address.
func (p *Packet) SetAddr(dst bool, a netip.Addr) {
	off, n := 12, 4
	if p.Family == FamilyIPv6 {
		off, n = 8, 16
	}
	if dst {
		off += n
	}
	p.Net.Set(off, a.AsSlice(), FromEntry)
}

// resting applies what an interface's state says to a value taken from it.
func (i *Iface) resting(v Value, s Source) Value {
	switch i.State {
	case IfaceUnknown:
		return UnknownBytes(v.N, s)
	case IfaceAssumed:
		return v.AssumedFrom(s)
	}
	return v
}

// index and name are 0 and "" where there is no device (nft_meta_store_ifindex).
func (i *Iface) index(p *Packet, s Source) Value {
	return i.resting(KnownUint(p.order(), 4, uint64(i.Link.Index)), s)
}

func (i *Iface) name(s Source) Value { return i.resting(ifname(i.Link.Name), s) }

func (i *Iface) linkType(p *Packet, s Source) Value {
	if i.State == IfaceNone {
		return Missing(2)
	}
	return i.resting(KnownUint(p.order(), 2, uint64(i.Link.Type)), s)
}

func (i *Iface) group(p *Packet, s Source) Value {
	if i.State == IfaceNone {
		return Missing(4)
	}
	return i.resting(KnownUint(p.order(), 4, uint64(i.Link.Group)), s)
}

func (i *Iface) kind(s Source) Value {
	if i.State == IfaceNone || i.State != IfaceUnknown && i.Link.Kind == "" {
		v := Missing(16)
		if i.State == IfaceAssumed {
			v.AbsentBy = Of(s)
		}
		return v
	}
	return i.resting(ifname(i.Link.Kind), s)
}

// slave is the device below a VRF by which the packet came; where no VRF is,
// it is the input device's own absence (nft_meta_get_eval_sdif).
func (p *Packet) slave() *Iface {
	if p.Iif.State == IfaceUnknown || p.Iif.Link.Kind == "vrf" {
		return &Iface{}
	}
	none := p.Iif
	none.Link = Link{}
	return &none
}
