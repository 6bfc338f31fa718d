package capture

import "time"

// Logged is one packet that nfnetlink_log handed over. It is reused for the
// next, and so is what its slices point to.
type Logged struct {
	At time.Time // when the kernel got the packet, or when it came here
	// Family is the logger's (NFPROTO_*): 2 IPv4, 10 IPv6, 7 bridge.
	Family uint8
	Prefix []byte // the text, without the NUL
	// Payload is the packet from its network header on, as much as was copied.
	Payload []byte
	// Indexes of devices, 0 for none: Phys are ports of a bridge.
	In, Out, PhysIn, PhysOut uint32
	Header                   []byte // link-layer header
	Mark                     uint32
	UID, GID                 uint32 // HasUID: this host sent it
	HasUID                   bool
}

// LogStart is told once, when packets are received from now on.
type LogStart struct {
	Buffer int // of the socket, in bytes as the kernel counts them
}
