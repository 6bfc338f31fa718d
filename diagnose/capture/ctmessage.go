package capture

import (
	"errors"
	"fmt"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/packet"
	"github.com/ntdiag/ntdiag/rules"
)

// errTuple: a request without a whole tuple is none for one entry; a delete
// would flush the table (ctnetlink_flush_conntrack).
var errTuple = errors.New("the tuple is not complete")

// SettableStatus are the bits that ctnetlink sets; it clears none
// (nf_ct_change_status_common, IPS_UNCHANGEABLE_MASK).
const SettableStatus = host.StatusSeenReply | host.StatusAssured | host.StatusFixedTimeout | host.StatusHelper

const natDone = host.StatusSrcNATDone | host.StatusDstNATDone

// unknownTimeout is that of an entry that told none: an offloaded one. Seconds.
const unknownTimeout = 120

// whole tells whether t names one flow.
func whole(t rules.Tuple) bool {
	return t.Src.IsValid() && t.Dst.IsValid() && t.Src.Is4() == t.Dst.Is4()
}

// putKey writes what finds an entry by one of its tuples: the tuple, and the
// zone that it has in this direction. A zone of one direction stands inside
// the tuple that has it (ctnetlink_parse_tuple_zone).
func putKey(w *builder, f *host.Flow, d Direction) {
	typ, t, own := uint16(ctaTupleOrig), f.Original, f.Has&host.HasZoneOrig != 0
	if d == Reply {
		typ, t, own = ctaTupleReply, f.Reply, f.Has&host.HasZoneReply != 0
	}
	w.nest(typ, func(in *builder) {
		putTuple(in, t)
		if own {
			in.beU16(3, f.Zone)
		}
	})
}

// putZone writes the zone of both directions.
func putZone(w *builder, f *host.Flow) {
	if f.Zone != 0 && f.Has&(host.HasZoneOrig|host.HasZoneReply) == 0 {
		w.beU16(ctaZone, f.Zone)
	}
}

// keyMessage names the entry that has f's tuple of direction d.
func keyMessage(f *host.Flow, d Direction) ([]byte, error) {
	t := f.Original
	if d == Reply {
		t = f.Reply
	}
	if !whole(t) {
		return nil, errTuple
	}
	var w builder
	putKey(&w, f, d)
	putZone(&w, f)
	return w.b, nil
}

// deleteMessage names f itself. The id holds the original tuple
// (nf_ct_get_id), the key is the reply tuple: an entry made anew with another
// mapping fits neither, though it may have the memory, and so the id, of f.
func deleteMessage(f *host.Flow) ([]byte, error) {
	b, err := keyMessage(f, Reply)
	switch {
	case err != nil:
		return nil, err
	case !whole(f.Original):
		return nil, errTuple
	case f.Has&host.HasID == 0:
		return nil, errors.New("the id of the entry is not known")
	}
	w := builder{b}
	w.beU32(ctaID, f.ID)
	return w.b, nil
}

// insertMessage makes f again (ctnetlink_create_conntrack).
func insertMessage(f *host.Flow) ([]byte, error) {
	switch {
	case !whole(f.Original) || !whole(f.Reply):
		return nil, errTuple
	case f.Original.Src.Is4() != f.Reply.Src.Is4():
		return nil, errors.New("tuples of two families")
	case f.Original.Proto != f.Reply.Proto:
		return nil, errors.New("tuples of two protocols")
	case f.Has&host.HasMaster != 0 && !whole(f.Master):
		return nil, fmt.Errorf("its master: %w", errTuple)
	}
	var w builder
	made := *f
	if f.Status&natDone != 0 {
		// NAT starts from an entry without it, and makes the reply tuple
		made.Reply = packet.Inverse(f.Original)
		putNAT(&w, f)
	}
	putKey(&w, &made, Original)
	putKey(&w, &made, Reply)
	putZone(&w, f)
	w.beU32(ctaStatus, uint32(f.Status&SettableStatus|host.StatusConfirmed))
	timeout := uint32(unknownTimeout)
	if f.Has&host.HasTimeout != 0 {
		timeout = f.Timeout
	}
	w.beU32(ctaTimeout, timeout)
	putExtensions(&w, f)
	w.nest(ctaProtoinfo, func(in *builder) { putProtoinfo(in, f) })
	return w.b, nil
}

// putExtensions writes what an entry can have beside its tuples.
func putExtensions(w *builder, f *host.Flow) {
	if f.Has&host.HasMark != 0 {
		w.beU32(ctaMark, f.Mark)
	}
	if f.Labels != [16]byte{} {
		w.attr(ctaLabels, f.Labels[:])
	}
	if f.Helper != "" {
		w.nest(ctaHelp, func(in *builder) { in.str(1, f.Helper) })
	}
	if f.Has&host.HasMaster != 0 {
		w.nest(ctaTupleMaster, func(in *builder) { putTuple(in, f.Master) })
	}
	if f.Has&host.HasSeqAdj != 0 {
		for i, s := range f.SeqAdj {
			w.nest(ctaSeqAdjOrig+uint16(i), func(in *builder) {
				in.beU32(1, s.Pos)
				in.beU32(2, uint32(s.Before))
				in.beU32(3, uint32(s.After))
			})
		}
	}
	if f.Has&host.HasSynproxy != 0 {
		w.nest(ctaSynproxy, func(in *builder) {
			in.beU32(1, f.Synproxy.ISN)
			in.beU32(2, f.Synproxy.ITS)
			in.beU32(3, f.Synproxy.TSOff)
		})
	}
}

// IP_CT_TCP_FLAG_* (include/uapi/linux/netfilter/nf_conntrack_tcp.h).
const (
	tcpScale = 0x01 // WINDOW_SCALE
	// tcpMaxAck (MAXACK_SET) says that the highest acknowledgement is known.
	// It is not told, and 0 in its place makes the kernel refuse half of all
	// RSTs; the next packet sets both.
	tcpMaxAck = 0x20
)

// bothScale tells whether both ends offered window scaling: the kernel takes
// scales only then.
func bothScale(f *host.Flow) bool { return f.TCPFlags[Original]&f.TCPFlags[Reply]&tcpScale != 0 }

// putProtoinfo writes the state of the protocol (tcp_to_nlattr and its twins).
func putProtoinfo(w *builder, f *host.Flow) {
	switch {
	case f.Has&host.HasTCPState != 0:
		w.nest(protoTCP, func(in *builder) {
			in.u8(1, f.TCPState)
			if f.Has&host.HasTCPScale != 0 {
				in.u8(2, f.TCPScale[Original])
				in.u8(3, f.TCPScale[Reply])
			}
			if f.Has&host.HasTCPFlags != 0 {
				in.attr(4, []byte{f.TCPFlags[Original] &^ tcpMaxAck, 0xff})
				in.attr(5, []byte{f.TCPFlags[Reply] &^ tcpMaxAck, 0xff})
			}
		})
	case f.Has&host.HasDCCPState != 0:
		w.nest(protoDCCP, func(in *builder) {
			in.u8(1, f.L4State)
			in.u8(2, f.DCCPRole)
			if f.Has&host.HasDCCPSeq != 0 {
				in.attr(3, be.AppendUint64(nil, f.DCCPSeq))
			}
		})
	case f.Has&host.HasSCTPState != 0:
		w.nest(protoSCTP, func(in *builder) {
			in.u8(1, f.L4State)
			in.beU32(2, f.VTags[Original])
			in.beU32(3, f.VTags[Reply])
		})
	}
}

// putNAT writes both manips, each a range of one address and one port: the
// kernel changes the tuple to it, sets the DONE bit, and *_NAT where something
// changed (nf_nat_setup_info).
func putNAT(w *builder, f *host.Flow) {
	dst := host.Endpoint{Addr: f.Reply.Src, Port: f.Reply.SrcPort}
	src := host.Endpoint{Addr: f.Reply.Dst, Port: f.Reply.DstPort}
	if f.IsICMP() {
		dst.Port, src.Port = f.IDAfterDNAT(), f.Reply.SrcPort
	}
	ports := f.HasPorts() || f.IsICMP()
	w.nest(ctaNATDst, func(in *builder) { putRange(in, dst, ports) })
	w.nest(ctaNATSrc, func(in *builder) { putRange(in, src, ports) })
}

// putRange writes CTA_NAT_V4_MINIP 1, _PROTO 3 { _PORT_MIN 1 }, _V6_MINIP 4; a
// missing upper end is the lower one.
func putRange(w *builder, e host.Endpoint, port bool) {
	typ := uint16(1)
	if e.Addr.Is6() {
		typ = 4
	}
	w.attr(typ, e.Addr.AsSlice())
	if port {
		w.nest(3, func(in *builder) { in.beU16(1, e.Port) })
	}
}

// Change is what Update writes into an entry. What is zero stays as it is.
type Change struct {
	SetMark        bool
	Mark, MarkMask uint32 // the bits of MarkMask become those of Mark; a mask of 0 means all

	SetTimeout bool
	Timeout    uint32 // seconds from now

	Status host.Status // bits to set, of SettableStatus

	Labels, LabelsMask [16]byte // the bits of LabelsMask become those of Labels
}

// Empty tells whether there is nothing to write.
func (c Change) Empty() bool {
	return !c.SetMark && !c.SetTimeout && c.Status == 0 && c.LabelsMask == [16]byte{}
}

// updateMessage changes f, which is as the kernel has just told it
// (ctnetlink_change_conntrack). Status and labels are relative to what they are.
func updateMessage(f *host.Flow, c Change) ([]byte, error) {
	if bad := c.Status &^ SettableStatus; bad != 0 {
		return nil, fmt.Errorf("the kernel does not let status %v be set", bad.Names())
	}
	b, err := keyMessage(f, Reply)
	if err != nil {
		return nil, err
	}
	w := builder{b}
	if c.SetTimeout {
		w.beU32(ctaTimeout, c.Timeout)
	}
	if c.Status != 0 {
		w.beU32(ctaStatus, uint32(f.Status|c.Status))
	}
	if c.SetMark {
		// the kernel turns over what of the value lies outside of the mask
		mask := orAll(c.MarkMask)
		w.beU32(ctaMark, c.Mark&mask)
		w.beU32(ctaMarkMask, mask)
	}
	if c.LabelsMask != [16]byte{} {
		labels := c.Labels
		for i := range labels {
			labels[i] &= c.LabelsMask[i]
		}
		w.attr(ctaLabels, labels[:])
		w.attr(ctaLabelsMask, c.LabelsMask[:])
	}
	return w.b, nil
}
