package capture

import (
	"errors"
	"time"
)

// Logged is one packet that nfnetlink_log handed over. It is reused for the
// next, and so is what its slices point to.
type Logged struct {
	At time.Time // when the kernel got the packet, or when it came here
	// Family is the logger's (NFPROTO_*): 2 IPv4, 10 IPv6, 7 bridge.
	Family uint8
	Hook   uint8  // NF_INET_*; conntrack logs with 0 wherever it is
	Prefix []byte // the text, without the NUL
	// Payload is the packet from its network header on, as much as was copied.
	Payload []byte
	// Indexes of devices, 0 for none: Phys are ports of a bridge.
	In, Out, PhysIn, PhysOut uint32
	Header                   []byte // link-layer header
	Mark                     uint32
	UID, GID                 uint32 // HasUID: this host sent it
	HasUID                   bool
	// Lost is how many packets were logged between the one before and this, and
	// did not come.
	Lost uint64

	seq    uint32
	hasSeq bool
}

// LogStart is what packets are received with.
type LogStart struct {
	Buffer int // of the socket, in bytes as the kernel counts them
}

// Attributes of a packet (enum nfulnl_attr_type).
const (
	nfulaPacketHdr  = 1
	nfulaMark       = 2
	nfulaTimestamp  = 3
	nfulaInDev      = 4
	nfulaOutDev     = 5
	nfulaPhysInDev  = 6
	nfulaPhysOutDev = 7
	nfulaPayload    = 9
	nfulaPrefix     = 10
	nfulaUID        = 11
	nfulaSeq        = 12
	nfulaGID        = 14
	nfulaHwHeader   = 16
	nfulaL2Hdr      = 21
)

var errLogged = errors.New("short packet of nfnetlink_log")

// ParseLogged reads an NFULNL_MSG_PACKET: payload is what follows the nlmsghdr,
// attributes in the byte order of this machine, their values in network byte
// order (__build_packet_message). at is its time where it has none of its own.
// Attributes that are not known are passed over.
func ParseLogged(payload []byte, at time.Time, p *Logged) error {
	*p = Logged{At: at}
	if len(payload) < 4 {
		return errLogged
	}
	p.Family = payload[0]
	a := attrs{b: payload[4:]}
	for a.next() {
		if err := p.attr(a.typ, a.val); err != nil {
			return err
		}
	}
	if a.bad {
		return errAttrLength
	}
	return nil
}

func (p *Logged) attr(typ uint16, val []byte) error {
	ok := true
	switch typ {
	case nfulaPacketHdr: // hw_protocol, hook, a byte of padding
		if ok = len(val) >= 3; ok {
			p.Hook = val[2]
		}
	case nfulaMark:
		p.Mark, ok = beU32(val)
	case nfulaTimestamp: // seconds and microseconds
		ok = p.stamp(val)
	case nfulaInDev:
		p.In, ok = beU32(val)
	case nfulaOutDev:
		p.Out, ok = beU32(val)
	case nfulaPhysInDev:
		p.PhysIn, ok = beU32(val)
	case nfulaPhysOutDev:
		p.PhysOut, ok = beU32(val)
	case nfulaPayload:
		p.Payload = val
	case nfulaPrefix:
		p.Prefix = cstr(val)
	case nfulaUID:
		p.UID, ok = beU32(val)
		p.HasUID = true
	case nfulaGID:
		p.GID, ok = beU32(val)
	case nfulaSeq:
		p.seq, ok = beU32(val)
		p.hasSeq = true
	case nfulaHwHeader, nfulaL2Hdr:
		p.Header = val
	}
	if !ok {
		return badAttr("logged packet")
	}
	return nil
}

// stamp takes a time; one that no clock can have told is passed over.
func (p *Logged) stamp(val []byte) bool {
	if len(val) != 16 {
		return false
	}
	sec, usec := be.Uint64(val), be.Uint64(val[8:])
	if sec > 0 && sec < 1<<40 && usec < 1e6 {
		p.At = time.Unix(int64(sec), int64(usec)*1e3)
	}
	return true
}
