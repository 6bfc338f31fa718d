package host

import (
	"net/netip"
	"time"

	"github.com/ntdiag/ntdiag/rules"
)

// Status is IPS_* (include/uapi/linux/netfilter/nf_conntrack_common.h).
type Status uint32

const (
	StatusExpected     Status = 1 << 0
	StatusSeenReply    Status = 1 << 1
	StatusAssured      Status = 1 << 2
	StatusConfirmed    Status = 1 << 3
	StatusSrcNAT       Status = 1 << 4
	StatusDstNAT       Status = 1 << 5
	StatusSeqAdjust    Status = 1 << 6
	StatusSrcNATDone   Status = 1 << 7
	StatusDstNATDone   Status = 1 << 8
	StatusDying        Status = 1 << 9
	StatusFixedTimeout Status = 1 << 10
	StatusTemplate     Status = 1 << 11
	StatusNATClash     Status = 1 << 12 // IPS_UNTRACKED on kernels before 4.12
	StatusHelper       Status = 1 << 13
	StatusOffload      Status = 1 << 14
	StatusHWOffload    Status = 1 << 15
)

var statusNames = [...]string{
	"EXPECTED", "SEEN_REPLY", "ASSURED", "CONFIRMED", "SRC_NAT", "DST_NAT", "SEQ_ADJUST",
	"SRC_NAT_DONE", "DST_NAT_DONE", "DYING", "FIXED_TIMEOUT", "TEMPLATE", "NAT_CLASH",
	"HELPER", "OFFLOAD", "HW_OFFLOAD",
}

// Has tells whether every bit of b is set.
func (s Status) Has(b Status) bool { return s&b == b }

// Names lists the set bits by name, lowest first.
func (s Status) Names() []string {
	out := []string{}
	for i, n := range statusNames {
		if s&(1<<i) != 0 {
			out = append(out, n)
		}
	}
	return out
}

// Counts are packets and bytes of one direction.
type Counts struct{ Packets, Bytes uint64 }

// Present tells which optional attributes the kernel sent: absent is not zero.
type Present uint32

const (
	HasTimeout Present = 1 << iota
	HasTCPState
	HasSCTPState
	HasMark
	HasCounters
	HasStart
	HasStop
	HasID
	HasMaster
	HasHelper
	HasLabels
	HasZoneOrig  // zone of the original direction only (CTA_TUPLE_ZONE)
	HasZoneReply // zone of the reply direction only
	HasSecctx
	HasDCCPState
	HasUse
	// HasSynproxy: this host made the connection for a client that it had
	// answered itself (CTA_SYNPROXY).
	HasSynproxy
	HasTCPFlags
	HasTCPScale
	HasVTags
	HasDCCPRole
	HasDCCPSeq
	HasSeqAdj
)

// SeqAdj is how the sequence numbers of one direction are shifted: by Before
// up to the position Pos, by After behind it (struct nf_ct_seqadj).
type SeqAdj struct {
	Pos           uint32
	Before, After int32
}

// Synproxy is what the kernel keeps to translate between the connection that
// it answered and the one that it made (struct nf_conn_synproxy).
type Synproxy struct{ ISN, ITS, TSOff uint32 }

// Flow is one conntrack entry. It holds no pointer but strings, so that one
// struct can be reused for a whole dump; a copy is a copy.
type Flow struct {
	Family   rules.Family // FamilyIPv4 or FamilyIPv6
	Original rules.Tuple
	Reply    rules.Tuple
	Master   rules.Tuple // when HasMaster
	Has      Present
	ID       uint32
	Status   Status
	Timeout  uint32 // seconds left
	Mark     uint32
	Zone     uint16 // of both directions, or of the one that has it
	TCPState uint8  // TCP_CONNTRACK_*
	// SCTPState and DCCPState share the byte of their tracker.
	L4State uint8
	// The pairs are of the original and of the reply direction.
	TCPFlags    [2]uint8  // IP_CT_TCP_FLAG_*, when HasTCPFlags
	TCPScale    [2]uint8  // window scale, when HasTCPScale
	VTags       [2]uint32 // SCTP verification tags, when HasVTags
	DCCPRole    uint8     // CT_DCCP_ROLE_* of the original direction, when HasDCCPRole
	DCCPSeq     uint64    // handshake sequence number, when HasDCCPSeq
	SeqAdj      [2]SeqAdj // when HasSeqAdj
	Synproxy    Synproxy  // when HasSynproxy
	Use         uint32
	Orig, Repl  Counts
	Start, Stop int64 // ns since the epoch, when HasStart / HasStop
	Helper      string
	Secctx      string
	Labels      [16]byte
}

// LabelBit is where label n, 0 to 127, stands in Labels: a byte and its bit. The
// kernel has labels as words of its own byte order; this is a little-endian one.
func LabelBit(n int) (i int, bit byte) { return n / 8, 1 << (n % 8) }

// HasLabel tells whether label n is set.
func (f *Flow) HasLabel(n int) bool {
	i, bit := LabelBit(n)
	return f.Labels[i]&bit != 0
}

// ICMPTypeCode splits the DstPort of an ICMP tuple.
func ICMPTypeCode(t rules.Tuple) (typ, code uint8) { return uint8(t.DstPort >> 8), uint8(t.DstPort) }

// Endpoint is an address with the port, or the ICMP id, that goes with it.
type Endpoint struct {
	Addr netip.Addr
	Port uint16
}

// Rewrite is one of the two rewrites of an entry, in the original direction.
type Rewrite struct {
	Manip    rules.Manip
	From, To Endpoint
}

// Protocol numbers that conntrack knows ports or ids of.
const (
	ProtoICMP    = 1
	ProtoTCP     = 6
	ProtoUDP     = 17
	ProtoDCCP    = 33
	ProtoGRE     = 47
	ProtoICMPv6  = 58
	ProtoSCTP    = 132
	ProtoUDPLite = 136
)

// IsICMP tells whether tuples of the flow carry type, code and id.
func (f *Flow) IsICMP() bool { return ICMPProto(f.Original.Proto) }

// HasPorts tells whether tuples of the flow carry ports.
func (f *Flow) HasPorts() bool { return PortsProto(f.Original.Proto) }

// ICMPProto tells whether tuples of the protocol carry type, code and id.
func ICMPProto(proto uint8) bool { return proto == ProtoICMP || proto == ProtoICMPv6 }

// PortsProto tells whether tuples of the protocol carry ports.
func PortsProto(proto uint8) bool {
	switch proto {
	case ProtoTCP, ProtoUDP, ProtoDCCP, ProtoSCTP, ProtoUDPLite, ProtoGRE:
		return true
	}
	return false
}

// Rewrites are the differences of the two tuples: the destination first, as
// the packet meets them. SNAT is reply.dst != original.src, DNAT is
// reply.src != original.dst.
func (f *Flow) Rewrites() []Rewrite {
	var out []Rewrite
	o, r := f.Original, f.Reply
	if f.IsICMP() {
		id := f.IDAfterDNAT()
		if o.Dst != r.Src || o.SrcPort != id {
			out = append(out, Rewrite{rules.ManipDst, Endpoint{o.Dst, o.SrcPort}, Endpoint{r.Src, id}})
		}
		if o.Src != r.Dst || id != r.SrcPort {
			out = append(out, Rewrite{rules.ManipSrc, Endpoint{o.Src, id}, Endpoint{r.Dst, r.SrcPort}})
		}
		return out
	}
	if o.Dst != r.Src || o.DstPort != r.SrcPort {
		out = append(out, Rewrite{rules.ManipDst, Endpoint{o.Dst, o.DstPort}, Endpoint{r.Src, r.SrcPort}})
	}
	if o.Src != r.Dst || o.SrcPort != r.DstPort {
		out = append(out, Rewrite{rules.ManipSrc, Endpoint{o.Src, o.SrcPort}, Endpoint{r.Dst, r.DstPort}})
	}
	return out
}

// Rewritten tells whether Rewrites has any.
func (f *Flow) Rewritten() bool {
	ends := f.Ends()
	return ends[rules.ManipSrc].From != ends[rules.ManipSrc].To || ends[rules.ManipDst].From != ends[rules.ManipDst].To
}

// Ends are both rewrites by manip, also one that changes nothing. The id of an
// ICMP query stands at both ends: it belongs to the source, and a DNAT can
// change it.
func (f *Flow) Ends() [2]Rewrite {
	o, r := f.Original, f.Reply
	dst := Rewrite{rules.ManipDst, Endpoint{o.Dst, o.DstPort}, Endpoint{r.Src, r.SrcPort}}
	src := Rewrite{rules.ManipSrc, Endpoint{o.Src, o.SrcPort}, Endpoint{r.Dst, r.DstPort}}
	if f.IsICMP() {
		id := f.IDAfterDNAT()
		dst.From.Port, dst.To.Port = o.SrcPort, id
		src.From.Port, src.To.Port = id, r.SrcPort
	}
	return [2]Rewrite{rules.ManipSrc: src, rules.ManipDst: dst}
}

// SourceRewritten tells whether the source was (IPS_SRC_NAT): where the status
// does not say, whether it is another one.
func (f *Flow) SourceRewritten() bool {
	o, r := f.Original, f.Reply
	port := r.DstPort
	if f.IsICMP() {
		port = r.SrcPort
	}
	if f.Status.Has(StatusSrcNATDone) {
		return f.Status.Has(StatusSrcNAT)
	}
	return o.Src != r.Dst || o.SrcPort != port
}

// IDAfterDNAT is the id of an ICMP query as it comes to the source NAT: a DNAT
// chooses another one at random, and it or a null binding where it is taken
// (nf_nat_l4proto_unique_tuple).
func (f *Flow) IDAfterDNAT() uint16 {
	if !f.SourceRewritten() {
		return f.Reply.SrcPort
	}
	return f.Original.SrcPort
}

// Age is how long ago the entry was made, false without the timestamp
// extension (net.netfilter.nf_conntrack_timestamp).
func (f *Flow) Age(now time.Time) (time.Duration, bool) {
	if f.Has&HasStart == 0 {
		return 0, false
	}
	return now.Sub(time.Unix(0, f.Start)), true
}

// TCPStates are the names of TCP_CONNTRACK_*, as conntrack prints them.
var TCPStates = [...]string{
	"NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK",
	"TIME_WAIT", "CLOSE", "SYN_SENT2",
}

// State is the tracker's state by name, "" for protocols without one.
func (f *Flow) State() string {
	switch {
	case f.Has&HasTCPState != 0 && int(f.TCPState) < len(TCPStates):
		return TCPStates[f.TCPState]
	case f.Has&HasSCTPState != 0 && int(f.L4State) < len(SCTPStates):
		return SCTPStates[f.L4State]
	}
	return ""
}

// SCTPStates are the names of SCTP_CONNTRACK_*.
var SCTPStates = [...]string{
	"NONE", "CLOSED", "COOKIE_WAIT", "COOKIE_ECHOED", "ESTABLISHED", "SHUTDOWN_SENT",
	"SHUTDOWN_RECD", "SHUTDOWN_ACK_SENT", "HEARTBEAT_SENT", "HEARTBEAT_ACKED",
}
