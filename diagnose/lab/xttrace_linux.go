package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// XTTraceEvent is one TRACE line of iptables-legacy (trace_packet): a rule that
// matched, or the end of a chain, with the packet as it came to the table.
type XTTraceEvent struct {
	Family   uint8 // NFPROTO_* of the packet
	Hook     uint8 // NF_INET_*
	Table    string
	Chain    string
	Kind     string // rule, return, policy
	Position int    // of the rule in its chain, from 1
	Payload  []byte // from the network header on
}

// XTTrace receives the TRACE lines of one host, by NFLOG instead of the kernel
// log.
type XTTrace struct {
	fd     int
	buf    []byte
	events []XTTraceEvent
}

// NFULNL_MSG_*, NFULA_*, NFULNL_CFG_CMD_BIND, NFULNL_COPY_PACKET.
const (
	logPacket  = unix.NFNL_SUBSYS_ULOG << 8
	logConfig  = unix.NFNL_SUBSYS_ULOG<<8 | 1
	cfgCommand = 1
	cfgMode    = 2
	cfgThresh  = 5
	cmdBind    = 1
	copyPacket = 2

	logHeader  = 1
	logPayload = 9
	logPrefix  = 10
)

// XTTrace listens from now on: the packets of which rules `-j TRACE`, or
// `meta nftrace set 1`, choose.
func (h *Host) XTTrace() (*XTTrace, error) {
	t := &XTTrace{buf: make([]byte, 64<<10)}
	if err := h.Sysctl("net.netfilter.nf_log.2=nfnetlink_log", "net.netfilter.nf_log.10=nfnetlink_log"); err != nil {
		return nil, fmt.Errorf("host %s: xtables trace: %w", h.Name, err)
	}
	err := h.Do(func() (err error) {
		if t.fd, err = eventSocket(); err != nil {
			return err
		}
		return t.bind()
	})
	if err != nil {
		return nil, fmt.Errorf("host %s: xtables trace: %w", h.Name, err)
	}
	h.lab.keep(fdCloser(t.fd))
	return t, nil
}

// bind asks for whole packets of group 0, each at once.
func (t *XTTrace) bind() error {
	for i, a := range []netlink.Attribute{
		{Type: cfgCommand, Data: []byte{cmdBind}},
		{Type: cfgMode, Data: []byte{0, 0, 0xff, 0xff, copyPacket, 0}},
		{Type: cfgThresh, Data: []byte{0, 0, 0, 1}},
	} {
		attr, err := netlink.MarshalAttributes([]netlink.Attribute{a})
		if err != nil {
			return err
		}
		m := netlink.Message{
			Header: netlink.Header{Type: logConfig, Flags: netlink.Request | netlink.Acknowledge, Sequence: uint32(i + 1)},
			Data:   append([]byte{unix.AF_UNSPEC, 0, 0, 0}, attr...),
		}
		m.Header.Length = uint32(16 + len(m.Data))
		b, err := m.MarshalBinary()
		if err != nil {
			return err
		}
		if err := unix.Sendto(t.fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			return err
		}
		if err := t.acknowledged(); err != nil {
			return err
		}
	}
	return nil
}

// acknowledged reads the answer to a request; a packet may be logged before it.
func (t *XTTrace) acknowledged() error {
	for {
		n, _, err := unix.Recvfrom(t.fd, t.buf, 0)
		switch {
		case err != nil:
			return err
		case n < 20:
			return errors.New("nfnetlink_log: short answer to its configuration")
		case binary.NativeEndian.Uint16(t.buf[4:]) != unix.NLMSG_ERROR:
			if err := t.messages(t.buf[:n]); err != nil {
				return err
			}
			continue
		}
		if errno := int32(binary.NativeEndian.Uint32(t.buf[16:])); errno != 0 {
			return fmt.Errorf("nfnetlink_log: %w", unix.Errno(-errno))
		}
		return nil
	}
}

// Events returns all that has arrived so far. The kernel queues an event
// before the packet goes on.
func (t *XTTrace) Events() ([]XTTraceEvent, error) {
	if err := drain(t.fd, t.buf, t.messages); err != nil {
		return t.events, fmt.Errorf("xtables trace: %w", err)
	}
	return t.events, nil
}

func (t *XTTrace) messages(b []byte) error {
	for len(b) >= 20 {
		n := int(binary.NativeEndian.Uint32(b))
		if n < 20 || n > len(b) {
			return errors.New("message of impossible length")
		}
		if binary.NativeEndian.Uint16(b[4:]) == logPacket {
			if err := t.packet(b[16], b[20:n]); err != nil {
				return err
			}
		}
		b = b[min((n+3)&^3, len(b)):]
	}
	return nil
}

// packet reads "TRACE: table:chain:rule:number ". Other lines are passed over.
func (t *XTTrace) packet(family uint8, b []byte) error {
	d, err := netlink.NewAttributeDecoder(b)
	if err != nil {
		return err
	}
	e := XTTraceEvent{Family: family}
	var prefix string
	for d.Next() {
		switch d.Type() {
		case logHeader:
			if v := d.Bytes(); len(v) >= 3 {
				e.Hook = v[2]
			}
		case logPayload:
			e.Payload = append([]byte(nil), d.Bytes()...)
		case logPrefix:
			prefix = strings.TrimRight(d.String(), " \x00")
		}
	}
	if err := d.Err(); err != nil {
		return err
	}
	text, ok := strings.CutPrefix(prefix, "TRACE: ")
	if !ok {
		return nil
	}
	words := strings.Split(text, ":")
	if len(words) != 4 {
		return fmt.Errorf("prefix %q", prefix)
	}
	e.Table, e.Chain, e.Kind = words[0], words[1], words[2]
	if e.Position, err = strconv.Atoi(words[3]); err != nil {
		return fmt.Errorf("prefix %q: %w", prefix, err)
	}
	t.events = append(t.events, e)
	return nil
}
