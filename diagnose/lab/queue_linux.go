package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Queue holds packets that rules of a host hand to a program (iptables -j
// NFQUEUE), so that several are on their way at once, with entries that are not
// in the table yet.
type Queue struct {
	fd  int
	num uint16
	buf []byte
	ids []uint32
}

// NFQNL_MSG_*, NFQA_*, NFQNL_CFG_CMD_BIND, NFQNL_COPY_META.
const (
	queuePacket  = unix.NFNL_SUBSYS_QUEUE << 8
	queueVerdict = unix.NFNL_SUBSYS_QUEUE<<8 | 1
	queueConfig  = unix.NFNL_SUBSYS_QUEUE<<8 | 2

	queuePacketHeader  = 1
	queueVerdictHeader = 2
	queueCommand       = 1
	queueParams        = 2
	copyMeta           = 1
)

// Queue begins to hold what is queued under the number.
func (h *Host) Queue(num uint16) (*Queue, error) {
	q := &Queue{num: num, buf: make([]byte, 64<<10)}
	err := h.Do(func() (err error) {
		if q.fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER); err != nil {
			return err
		}
		h.lab.keep(fdCloser(q.fd))
		limit := unix.NsecToTimeval(patience.Nanoseconds())
		if err := unix.SetsockoptTimeval(q.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
			return err
		}
		if err := q.send(queueConfig, unix.NLM_F_ACK, queueCommand, []byte{cmdBind, 0, 0, unix.AF_INET}); err != nil {
			return err
		}
		if err := q.acknowledged(); err != nil {
			return err
		}
		if err := q.send(queueConfig, unix.NLM_F_ACK, queueParams, []byte{0, 0, 0, 0, copyMeta}); err != nil {
			return err
		}
		return q.acknowledged()
	})
	if err != nil {
		return nil, fmt.Errorf("host %s: queue %d: %w", h.Name, num, err)
	}
	return q, nil
}

func (q *Queue) send(typ, flags uint16, attr uint16, value []byte) error {
	data, err := netlink.MarshalAttributes([]netlink.Attribute{{Type: attr, Data: value}})
	if err != nil {
		return err
	}
	m := netlink.Message{Header: netlink.Header{Type: netlink.HeaderType(typ), Flags: netlink.Request | netlink.HeaderFlags(flags), Sequence: 1},
		Data: append(binary.BigEndian.AppendUint16([]byte{unix.AF_UNSPEC, 0}, q.num), data...)}
	m.Header.Length = uint32(16 + len(m.Data))
	b, err := m.MarshalBinary()
	if err != nil {
		return err
	}
	return unix.Sendto(q.fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
}

func (q *Queue) acknowledged() error {
	n, _, err := unix.Recvfrom(q.fd, q.buf, 0)
	switch {
	case err != nil:
		return err
	case n < 20 || binary.NativeEndian.Uint16(q.buf[4:]) != unix.NLMSG_ERROR:
		return errors.New("no answer to its configuration")
	}
	if errno := int32(binary.NativeEndian.Uint32(q.buf[16:])); errno != 0 {
		return unix.Errno(-errno)
	}
	return nil
}

// Hold waits until n packets are held.
func (q *Queue) Hold(n int) error {
	limit := time.Now().Add(patience)
	for len(q.ids) < n {
		got, _, err := unix.Recvfrom(q.fd, q.buf, 0)
		if err != nil || time.Now().After(limit) {
			return fmt.Errorf("queue: %d packets of %d: %w", len(q.ids), n, err)
		}
		for b := q.buf[:got]; len(b) >= 20; {
			size := int(binary.NativeEndian.Uint32(b))
			if size < 20 || size > len(b) {
				return errors.New("queue: message of impossible length")
			}
			if binary.NativeEndian.Uint16(b[4:]) == queuePacket {
				if err := q.packet(b[20:size]); err != nil {
					return err
				}
			}
			b = b[min((size+3)&^3, len(b)):]
		}
	}
	return nil
}

func (q *Queue) packet(b []byte) error {
	d, err := netlink.NewAttributeDecoder(b)
	if err != nil {
		return err
	}
	for d.Next() {
		if v := d.Bytes(); d.Type() == queuePacketHeader && len(v) >= 4 {
			q.ids = append(q.ids, binary.BigEndian.Uint32(v))
		}
	}
	return d.Err()
}

// Release lets all that is held go on, in the order in which it came.
func (q *Queue) Release() error {
	for _, id := range q.ids {
		v := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, 1), id) // NF_ACCEPT
		if err := q.send(queueVerdict, 0, queueVerdictHeader, v); err != nil {
			return fmt.Errorf("queue: verdict: %w", err)
		}
	}
	q.ids = nil
	return nil
}
