package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Hold keeps packets where a rule has queued them (-j NFQUEUE): between two
// hooks, with entries that are not confirmed yet.
type Hold struct {
	host  *Host
	queue uint16
	fd    int
	buf   []byte
	ids   []uint32 // of the packets that are held, in order
}

// Messages of nfnetlink_queue, and attributes of them
// (include/uapi/linux/netfilter/nfnetlink_queue.h).
const (
	queuePacket  = unix.NFNL_SUBSYS_QUEUE << 8
	queueVerdict = unix.NFNL_SUBSYS_QUEUE<<8 | 1
	queueConfig  = unix.NFNL_SUBSYS_QUEUE<<8 | 2

	queuePacketHdr  = 1 // NFQA_PACKET_HDR: id, protocol, hook
	queueVerdictHdr = 2 // NFQA_VERDICT_HDR: verdict, id
	queueCmd        = 1 // NFQA_CFG_CMD: bind is 1
	queueParams     = 2 // NFQA_CFG_PARAMS: bytes to copy, mode 1 for none of them
)

// Hold takes what rules queue to number queue from now on.
func (h *Host) Hold(queue uint16) (*Hold, error) {
	q := &Hold{host: h, queue: queue, buf: make([]byte, 64<<10)}
	err := h.Do(func() (err error) {
		q.fd, err = eventSocket()
		return err
	})
	if err == nil {
		h.lab.keep(fdCloser(q.fd))
		err = q.send(queueConfig, func(e *netlink.AttributeEncoder) {
			e.Bytes(queueCmd, []byte{1, 0, 0, 0})
			e.Bytes(queueParams, []byte{0, 0, 0, 0, 1})
		})
	}
	if err == nil {
		err = q.read(func(typ uint16, _ []byte) bool { return typ == unix.NLMSG_ERROR })
	}
	if err != nil {
		return nil, fmt.Errorf("host %s: queue %d: %w", h.Name, queue, err)
	}
	return q, nil
}

// Wait returns once n packets are held.
func (q *Hold) Wait(n int) error {
	err := q.read(func(uint16, []byte) bool { return len(q.ids) >= n })
	if err != nil {
		return fmt.Errorf("host %s: %d of %d packets held: %w", q.host.Name, len(q.ids), n, err)
	}
	return nil
}

// Release lets the packets that are held go on, in the order in which they came.
func (q *Hold) Release() error {
	return inOrder(func() error {
		for _, id := range q.ids {
			err := q.send(queueVerdict, func(e *netlink.AttributeEncoder) {
				e.Bytes(queueVerdictHdr, binary.BigEndian.AppendUint32([]byte{0, 0, 0, 1}, id)) // NF_ACCEPT
			})
			if err != nil {
				return fmt.Errorf("host %s: queue %d: %w", q.host.Name, q.queue, err)
			}
		}
		q.ids = nil
		return nil
	})
}

// send sends one message; for a configuration the kernel acknowledges it.
func (q *Hold) send(typ uint16, fill func(*netlink.AttributeEncoder)) error {
	e := netlink.NewAttributeEncoder()
	fill(e)
	body, err := e.Encode()
	if err != nil {
		return err
	}
	flags := uint16(unix.NLM_F_REQUEST)
	if typ == queueConfig {
		flags |= unix.NLM_F_ACK
	}
	b := make([]byte, 20, 20+len(body))
	binary.NativeEndian.PutUint32(b, uint32(20+len(body)))
	binary.NativeEndian.PutUint16(b[4:], typ)
	binary.NativeEndian.PutUint16(b[6:], flags)
	binary.BigEndian.PutUint16(b[18:], q.queue)
	return unix.Sendto(q.fd, append(b, body...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
}

// read takes messages until done says of one that it was the last.
func (q *Hold) read(done func(typ uint16, body []byte) bool) error {
	end := time.Now().Add(patience)
	for finished := done(0, nil); !finished; {
		err := drain(q.fd, q.buf, func(b []byte) error {
			for len(b) >= 16 {
				size, typ := int(binary.NativeEndian.Uint32(b)), binary.NativeEndian.Uint16(b[4:])
				if size < 20 || size > len(b) {
					return fmt.Errorf("message of %d bytes in %d", size, len(b))
				}
				if err := q.message(typ, b[16:size]); err != nil {
					return err
				}
				finished = finished || done(typ, b[16:size])
				b = b[min((size+3)&^3, len(b)):]
			}
			return nil
		})
		if err != nil || finished {
			return err
		}
		left := time.Until(end)
		if left <= 0 {
			return fmt.Errorf("%w after %v", errNotReady, patience)
		}
		fds := []unix.PollFd{{Fd: int32(q.fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, int(left.Milliseconds())+1); err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
	}
	return nil
}

func (q *Hold) message(typ uint16, body []byte) error {
	switch typ {
	case unix.NLMSG_ERROR:
		if errno := -int32(binary.NativeEndian.Uint32(body)); errno != 0 {
			return unix.Errno(errno)
		}
	case queuePacket:
		d, err := netlink.NewAttributeDecoder(body[4:])
		if err != nil {
			return err
		}
		for d.Next() {
			if b := d.Bytes(); d.Type() == queuePacketHdr && len(b) >= 4 {
				q.ids = append(q.ids, binary.BigEndian.Uint32(b))
			}
		}
		return d.Err()
	}
	return nil
}
