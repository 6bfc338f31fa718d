// Package invalid reads what conntrack logs of packets that it takes for
// invalid (net.netfilter.nf_conntrack_log_invalid), and says what it means: for
// the packet, its flow, the NAT rule behind that, and the counters.
package invalid

import (
	"net/netip"
	"time"

	"github.com/ntdiag/ntdiag/rules"
)

// Kind is what sort of message it is.
type Kind uint8

const (
	KindNone       Kind = iota // none of conntrack's or NAT's
	KindInvalid                // nf_ct_l4proto_log_invalid, nf_ct_<proto> before 4.15
	KindHelper                 // nf_ct_helper_log: a helper dropped the packet
	KindTableFull              // __nf_conntrack_alloc
	KindNoAddress              // nf_nat_masquerade_ipv4: "ate my IP address"
	KindExpectFull             // nf_ct_expect_related_report: "expectation table full"
)

// Packet is a packet as a message describes it.
type Packet struct {
	Family   rules.Family // FamilyIPv4, FamilyIPv6; FamilyUnspec where the message has no packet
	Proto    uint8
	Src, Dst netip.Addr
	Has      Field
	SPort    uint16 // HasPorts
	DPort    uint16
	ICMPType uint8  // HasICMP
	ICMPCode uint8  // HasICMP
	ICMPID   uint16 // HasICMPID
	Seq, Ack uint32 // HasTCP
	Window   uint16 // HasTCP
	TCPFlags uint8  // HasTCP; the bits of the header: FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, ECE 64, CWR 128
	VTag     uint32 // HasVTag, SCTP; the kernel's text never has it
	Len      uint32 // of the whole packet, HasLen
	TTL      uint8  // TTL or hop limit, HasTTL
	Mark     uint32 // HasMark
	UID      uint32 // HasUID: this host sent it
	FragOff  uint16 // HasFrag, in units of 8 bytes; 0 for the first fragment
}

// Field tells which fields a message had.
type Field uint16

const (
	HasPorts Field = 1 << iota
	HasICMP
	HasICMPID
	HasTCP // all four, flags to the end
	HasVTag
	HasLen
	HasTTL
	HasMark
	HasUID
	HasFrag
	// HasTruncated: the packet ended before its header did (INCOMPLETE,
	// TRUNCATED). A packet that an ICMP error quotes always may.
	HasTruncated
	// HasSeq: Seq and Ack are there, the flags may not be.
	HasSeq
)

// Message is one message of the log. It is reused for the next: slices point
// into the text that was read.
type Message struct {
	At   time.Time // zero where the log does not tell
	Kind Kind
	// Count is for how many messages it stands: more than 1 where the log wrote
	// that one was repeated. Joiner sets it.
	Count uint64
	// Reason is the row of Table, nil for a text that no kernel known prints.
	Reason *Reason
	// Form is which wording of Reason it is: it tells kernels apart.
	Form *Form
	// Text is the reason as printed, with its numbers: "SEQ is over upper bound
	// 65242 (over the window of the receiver)".
	Text []byte
	// LogProto is the protocol that the prefix names: 6 of nf_ct_proto_6, 17 of
	// nf_ct_udp; 0 where it names none.
	LogProto uint8
	Args     Args
	Netns    uint64 // inode of the namespace, table full since 6.17; 0 for the initial one

	// In, Out, PhysIn and PhysOut are the devices; empty where there is none, and
	// always before 5.14. Out of KindNoAddress is the device without an address.
	In, Out, PhysIn, PhysOut []byte
	// SrcMAC is who sent it on the last link, 6 bytes, HasMAC.
	SrcMAC [6]byte
	HasMAC bool
	Packet Packet
	// Inner is the packet that an ICMP error quotes, when HasInner.
	Inner    Packet
	HasInner bool
	// Rest is what of the message was not understood: nil when everything was.
	// It runs from the first such word to the last, whatever stands between.
	Rest []byte
}

// Args are the values that the text of a reason names.
type Args struct {
	Has   Arg
	Index uint8  // of the packet: 0 SYN, 1 SYNACK, 2 FIN, 3 ACK, 4 RST, 5 none
	Dir   uint8  // IP_CT_DIR_*: 0 original, 1 reply
	State []byte // the entry's state by name
	// OldState is SCTP's, as a number (enum sctp_conntrack).
	OldState   uint8
	Bound      uint32 // of the window
	Bytes      uint32 // more than expected
	Chunk      uint8  // type of the SCTP chunk
	VTag, Want uint32 // verification tags, as the packet has them and as expected, as printed
	OuterDst   netip.Addr
	InnerSrc   netip.Addr // source of the flow's answers, to whom the error should go
	Timeout    uint32     // in jiffies
	ICMPType   uint8
	Helper     []byte
}

// Arg tells which values there are.
type Arg uint16

const (
	ArgIndex Arg = 1 << iota
	ArgDir
	ArgState
	ArgOldState
	ArgBound
	ArgBytes
	ArgChunk
	ArgVTag
	ArgAddrs
	ArgTimeout
	ArgICMPType
	ArgHelper
	ArgNetns // Message.Netns
)
