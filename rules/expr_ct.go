package rules

import "encoding/binary"

// CtKey is NFT_CT_* (include/uapi/linux/netfilter/nf_tables.h).
type CtKey uint32

const (
	CtState CtKey = iota
	CtDirection
	CtStatus
	CtMark
	CtSecmark
	CtExpiration
	CtHelper
	CtL3protocol
	CtSrc
	CtDst
	CtProtocol
	CtProtoSrc
	CtProtoDst
	CtLabels
	CtPkts
	CtBytes
	CtAvgpkt
	CtZone
	CtEventmask
	CtSrcIP
	CtDstIP
	CtSrcIP6
	CtDstIP6
	CtID
)

// CtDir is IP_CT_DIR_*, or CtDirNone when the expression names none.
type CtDir uint8

const (
	CtDirOriginal CtDir = 0
	CtDirReply    CtDir = 1
	CtDirNone     CtDir = 0xff
)

// Ct is something of the packet's conntrack entry (nft_ct).
type Ct struct {
	Key CtKey
	Dir CtDir
	Len int
}

func (x *Ct) Width() int {
	if x.Len > 0 {
		return x.Len
	}
	if int(x.Key) < len(ctKeys) {
		return ctKeys[x.Key].width
	}
	return 4
}

// NF_CT_STATE_BIT of each ct state.
const (
	CtStateInvalid     = 1
	CtStateEstablished = 2
	CtStateRelated     = 4
	CtStateNew         = 8
	CtStateUntracked   = 64
)

// Eval follows nft_ct_get_eval: without an entry only the state is there.
func (x *Ct) Eval(p *Packet) Value {
	if x.Key == CtState {
		return ctState(p)
	}
	v := UnknownBytes(x.Width(), FromOpaque)
	if int(x.Key) < len(ctKeys) {
		row := ctKeys[x.Key]
		if row.eval != nil {
			v = row.eval(p, x)
		} else {
			v = UnknownBytes(x.Width(), row.from)
		}
	}
	switch {
	case p.Tracked == No && p.Template != NoTemplate:
		// what stands in a template is not the entry's
		v = UnknownBytes(v.N, FromCtState)
		v.Absent, v.AbsentBy = Unknown, Of(FromCtState)
	case p.Tracked == No:
		return Missing(v.N)
	case p.Tracked == Unknown:
		v.Absent, v.AbsentBy = Unknown, Of(FromCtState)
	}
	return v
}

// ctKeys is one row a key, in the order of the enum.
var ctKeys = [...]struct {
	width int
	from  Source
	eval  func(*Packet, *Ct) Value
}{
	CtState:      {width: 4},
	CtDirection:  {width: 1, eval: func(*Packet, *Ct) Value { return KnownBytes([]byte{byte(CtDirOriginal)}) }},
	CtStatus:     {width: 4, eval: func(p *Packet, _ *Ct) Value { return p.Ct.Status }},
	CtMark:       {width: 4, eval: func(p *Packet, _ *Ct) Value { return p.Ct.Mark }},
	CtSecmark:    {width: 4, from: FromSocket},
	CtExpiration: {width: 4, from: FromTime},
	CtHelper:     {width: 16, eval: ctHelper},
	CtL3protocol: {width: 1, eval: func(p *Packet, _ *Ct) Value { return KnownBytes([]byte{byte(p.Family)}) }},
	CtSrc:        {width: 16, eval: ctAddr(false, FamilyUnspec)},
	CtDst:        {width: 16, eval: ctAddr(true, FamilyUnspec)},
	CtProtocol:   {width: 1, eval: func(p *Packet, _ *Ct) Value { return KnownBytes([]byte{p.Proto}) }},
	CtProtoSrc:   {width: 2, eval: ctPort(false)},
	CtProtoDst:   {width: 2, eval: ctPort(true)},
	CtLabels:     {width: 16, eval: func(p *Packet, _ *Ct) Value { return p.Ct.Labels }},
	CtPkts:       {width: 8, from: FromCtCounters},
	CtBytes:      {width: 8, from: FromCtCounters},
	CtAvgpkt:     {width: 8, from: FromCtCounters},
	CtZone:       {width: 2, eval: ctZone},
	CtEventmask:  {width: 4, from: FromCtStatus},
	CtSrcIP:      {width: 4, eval: ctAddr(false, FamilyIPv4)},
	CtDstIP:      {width: 4, eval: ctAddr(true, FamilyIPv4)},
	CtSrcIP6:     {width: 16, eval: ctAddr(false, FamilyIPv6)},
	CtDstIP6:     {width: 16, eval: ctAddr(true, FamilyIPv6)},
	CtID:         {width: 4, from: FromCtStatus},
}

// ctState: before conntrack has seen it a packet is invalid, and untracked
// after notrack (nf_ct_get).
func ctState(p *Packet) Value {
	o := p.order()
	switch {
	case p.Untracked == Yes:
		return KnownUint(o, 4, CtStateUntracked)
	case p.Tracked == No && p.Template == HasTemplate:
		return KnownUint(o, 4, CtStateNew)
	case p.Tracked == No && p.Untracked == No && p.Template == NoTemplate:
		return KnownUint(o, 4, CtStateInvalid)
	case p.Tracked == Yes:
		return p.Ct.State
	}
	return UnknownBytes(4, FromCtState)
}

// ctZone: a zone of one direction only is the default one, 0, in the other
// (nf_ct_zone_id).
func ctZone(p *Packet, x *Ct) Value {
	if x.Dir != CtDirNone && p.Ct.ZoneDirs&(1<<x.Dir) == 0 {
		return KnownUint(p.order(), 2, 0)
	}
	return p.Ct.Zone
}

func ctHelper(p *Packet, _ *Ct) Value {
	if p.Ct.HelperKnown == Unknown {
		v := UnknownBytes(16, FromCtHelper)
		v.Absent, v.AbsentBy = Unknown, Of(FromCtHelper)
		return v
	}
	if p.Ct.Helper == "" {
		return Missing(16)
	}
	return ifname(p.Ct.Helper)
}

// tuple picks the direction; a key without one takes the packet's own, which
// is the original at the first packet.
func (x *Ct) tuple(p *Packet) *Tuple {
	if x.Dir == CtDirReply {
		return &p.Ct.Reply
	}
	return &p.Ct.Original
}

func ctAddr(dst bool, want Family) func(*Packet, *Ct) Value {
	return func(p *Packet, x *Ct) Value {
		n := 16
		if want == FamilyIPv4 || want == FamilyUnspec && p.Family == FamilyIPv4 {
			n = 4
		}
		if x.Len > 0 {
			n = x.Len
		}
		if want != FamilyUnspec && want != p.Family {
			return Missing(n)
		}
		t := x.tuple(p)
		a := t.Src
		if dst {
			a = t.Dst
		}
		if !a.IsValid() {
			return UnknownBytes(n, FromNAT)
		}
		b := make([]byte, n)
		copy(b, a.AsSlice())
		return KnownBytes(b)
	}
}

func ctPort(dst bool) func(*Packet, *Ct) Value {
	return func(p *Packet, x *Ct) Value {
		t := x.tuple(p)
		switch {
		case x.Dir == CtDirReply && p.Ct.ReplyOpen:
			return UnknownBytes(2, FromNAT)
		case x.Dir != CtDirReply && p.Ct.OriginalOpen && !dst:
			return UnknownBytes(2, FromPort)
		}
		var b [2]byte
		port := t.SrcPort
		if dst {
			port = t.DstPort
		}
		binary.BigEndian.PutUint16(b[:], port)
		return KnownBytes(b[:])
	}
}
