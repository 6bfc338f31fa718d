package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// TraceEvent is one NFT_MSG_TRACE: a rule that matched, or the end of a chain
// (nft_trace_notify). Only the first of a base chain's traversal carries the
// headers, the devices and the entry; the reader copies the entry to the rest.
type TraceEvent struct {
	Packet   uint32 // NFTA_TRACE_ID, the same for every event of one packet
	Family   uint8  // NFPROTO_* of the table
	Proto    uint8  // NFPROTO_* of the packet, first event only
	Table    string
	Chain    string
	Handle   uint64 // 0 for a policy or the end of a chain
	Type     uint32 // NFT_TRACETYPE_*: 1 policy, 2 return, 3 rule
	Verdict  int32
	Target   string // chain jumped to
	Policy   uint32
	Mark     uint32
	Iif, Oif uint32 // first event only
	First    bool   // of a traversal

	HasCt    bool
	CtID     uint32 // CTA_ID; kernel 6.16 and later
	CtDir    uint8
	CtState  uint32 // 8 new, 2 established, 4 related
	CtStatus uint32 // IPS_*, at the start of the traversal
	Network  []byte
	Trans    []byte
}

// Trace receives the trace events of one host.
type Trace struct {
	fd     int
	buf    []byte
	ct     map[uint32]TraceEvent // the first event of the traversal, by packet
	events []TraceEvent
}

// NFNLGRP_NFTRACE, and NFT_MSG_TRACE in the nf_tables subsystem.
const (
	groupTrace = 9
	msgTrace   = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_TRACE
)

// Trace listens from now on; rules with `meta nftrace set 1` choose packets.
func (h *Host) Trace() (*Trace, error) {
	t := &Trace{buf: make([]byte, 64<<10), ct: map[uint32]TraceEvent{}}
	err := h.Do(func() (err error) {
		if t.fd, err = eventSocket(); err != nil {
			return err
		}
		return unix.SetsockoptInt(t.fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, groupTrace)
	})
	if err != nil {
		return nil, fmt.Errorf("host %s: trace: %w", h.Name, err)
	}
	h.lab.keep(fdCloser(t.fd))
	return t, nil
}

// Events returns all that has arrived so far. The kernel queues an event
// before the packet goes on, so that whoever has seen an answer has the whole
// trace of the question.
func (t *Trace) Events() ([]TraceEvent, error) {
	if err := drain(t.fd, t.buf, t.messages); err != nil {
		return t.events, fmt.Errorf("trace: %w", err)
	}
	return t.events, nil
}

// eventSocket is a nfnetlink socket with room for a burst of events.
func eventSocket() (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return -1, err
	}
	const size = 8 << 20
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, size) != nil {
		// in a user namespace the system's limit holds
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, size)
	}
	return fd, unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
}

// drain hands over every datagram that has arrived.
func drain(fd int, buf []byte, f func([]byte) error) error {
	for {
		n, _, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return nil
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return err
		}
		if err := f(buf[:n]); err != nil {
			return err
		}
	}
}

// Wait reads until ok says that the events suffice.
func (t *Trace) Wait(ok func([]TraceEvent) bool, limit time.Duration) ([]TraceEvent, error) {
	end := time.Now().Add(limit)
	for {
		events, err := t.Events()
		if err != nil || ok(events) {
			return events, err
		}
		left := time.Until(end)
		if left <= 0 {
			return events, fmt.Errorf("trace: still incomplete after %v", limit)
		}
		fds := []unix.PollFd{{Fd: int32(t.fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, int(left.Milliseconds())+1); err != nil && !errors.Is(err, unix.EINTR) {
			return events, fmt.Errorf("trace: %w", err)
		}
	}
}

// messages splits a datagram into netlink messages (struct nlmsghdr, then
// struct nfgenmsg).
func (t *Trace) messages(b []byte) error {
	for len(b) >= 16 {
		size := int(binary.NativeEndian.Uint32(b))
		if size < 20 || size > len(b) {
			return fmt.Errorf("trace: message of %d bytes in %d", size, len(b))
		}
		if binary.NativeEndian.Uint16(b[4:]) == msgTrace {
			e, err := decodeTrace(b[16], b[20:size])
			if err != nil {
				return err
			}
			t.add(e)
		}
		b = b[min((size+3)&^3, len(b)):]
	}
	return nil
}

func (t *Trace) add(e TraceEvent) {
	if e.First {
		t.ct[e.Packet] = e
	} else if f := t.ct[e.Packet]; f.HasCt {
		e.HasCt, e.CtID, e.CtDir, e.CtState, e.CtStatus = true, f.CtID, f.CtDir, f.CtState, f.CtStatus
	}
	t.events = append(t.events, e)
}

// traceFields is one row an attribute of enum nft_trace_attributes; integers
// are in network order.
var traceFields = map[uint16]func(*TraceEvent, *netlink.AttributeDecoder){
	1:  func(e *TraceEvent, d *netlink.AttributeDecoder) { e.Table = d.String() },
	2:  func(e *TraceEvent, d *netlink.AttributeDecoder) { e.Chain = d.String() },
	3:  func(e *TraceEvent, d *netlink.AttributeDecoder) { e.Handle = d.Uint64() },
	4:  func(e *TraceEvent, d *netlink.AttributeDecoder) { e.Type = d.Uint32() },
	5:  func(e *TraceEvent, d *netlink.AttributeDecoder) { d.Nested(e.verdict) },
	6:  func(e *TraceEvent, d *netlink.AttributeDecoder) { e.Packet = d.Uint32() },
	8:  func(e *TraceEvent, d *netlink.AttributeDecoder) { e.Network, e.First = d.Bytes(), true },
	9:  func(e *TraceEvent, d *netlink.AttributeDecoder) { e.Trans = d.Bytes() },
	10: func(e *TraceEvent, d *netlink.AttributeDecoder) { e.Iif, e.First = d.Uint32(), true },
	12: func(e *TraceEvent, d *netlink.AttributeDecoder) { e.Oif, e.First = d.Uint32(), true },
	14: func(e *TraceEvent, d *netlink.AttributeDecoder) { e.Mark = d.Uint32() },
	15: func(e *TraceEvent, d *netlink.AttributeDecoder) { e.Proto = uint8(d.Uint32()) },
	16: func(e *TraceEvent, d *netlink.AttributeDecoder) { e.Policy = d.Uint32() },
	18: func(e *TraceEvent, d *netlink.AttributeDecoder) { e.CtID, e.HasCt = d.Uint32(), true },
	19: func(e *TraceEvent, d *netlink.AttributeDecoder) { e.CtDir = d.Uint8() },
	20: func(e *TraceEvent, d *netlink.AttributeDecoder) { e.CtStatus = d.Uint32() },
	21: func(e *TraceEvent, d *netlink.AttributeDecoder) { e.CtState = d.Uint32() },
}

func (e *TraceEvent) verdict(d *netlink.AttributeDecoder) error {
	for d.Next() {
		switch d.Type() {
		case 1: // NFTA_VERDICT_CODE
			e.Verdict = int32(d.Uint32())
		case 2: // NFTA_VERDICT_CHAIN
			e.Target = d.String()
		}
	}
	return nil
}

func decodeTrace(family uint8, b []byte) (TraceEvent, error) {
	e := TraceEvent{Family: family}
	d, err := netlink.NewAttributeDecoder(b)
	if err != nil {
		return e, fmt.Errorf("trace: %w", err)
	}
	d.ByteOrder = binary.BigEndian
	for d.Next() {
		if f := traceFields[d.Type()]; f != nil {
			f(&e, d)
		}
	}
	if err := d.Err(); err != nil {
		return e, fmt.Errorf("trace: %w", err)
	}
	return e, nil
}
