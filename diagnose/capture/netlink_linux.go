package capture

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Sizes of receive buffers in bytes. The kernel makes its messages as long as
// the longest buffer it was shown, up to 32 KiB for a dump.
const (
	ctBuffer  = 64 << 10
	nftBuffer = 64 << 10
)

const (
	nlmHeader = 16
	// getDeadline bounds the wait for an answer that the kernel gives at once.
	getDeadline = 5 * time.Second
	// recvTimeout is how often a wait looks at its context.
	recvTimeout = 200 * time.Millisecond
)

// conn is a netlink socket.
type conn struct {
	fd  int
	seq uint32
}

// dial makes a socket of a protocol (NETLINK_*) inside the namespace.
func (w *worker) dial(proto int) (*conn, error) {
	var c *conn
	var err error
	if closed := w.do(func() { c, err = newConn(proto) }); closed != nil {
		return nil, closed
	}
	return c, err
}

func newConn(proto int) (*conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, proto)
	if err != nil {
		return nil, err
	}
	tv := unix.NsecToTimeval(int64(recvTimeout))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		unix.Close(fd)
		return nil, err
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return &conn{fd: fd}, nil
}

func (c *conn) close() { unix.Close(c.fd) }

// send writes one request: payload is what follows the nlmsghdr.
func (c *conn) send(typ, flags uint16, payload []byte) error {
	c.seq++
	b := make([]byte, 0, nlmHeader+len(payload))
	b = ne.AppendUint32(b, uint32(nlmHeader+len(payload)))
	b = ne.AppendUint16(b, typ)
	b = ne.AppendUint16(b, flags|unix.NLM_F_REQUEST)
	b = ne.AppendUint32(b, c.seq)
	b = ne.AppendUint32(b, 0)
	b = append(b, payload...)
	return unix.Sendto(c.fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
}

var errTruncated = errors.New("message longer than the receive buffer")

// recv reads one datagram into buf.
func (c *conn) recv(ctx context.Context, buf []byte) ([]byte, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n, errno := recvfrom(c.fd, buf, unix.MSG_TRUNC)
		switch {
		case errno == unix.EINTR || errno == unix.EAGAIN:
			continue
		case errno != 0:
			return nil, errno
		case n > len(buf):
			return nil, errTruncated
		}
		return buf[:n], nil
	}
}

// recvfrom is unix.Recvfrom without the address of the sender, which it would
// make each time: only the kernel sends to a socket like this one. buf must not
// be empty.
func recvfrom(fd int, buf []byte, flags int) (int, unix.Errno) {
	n, _, errno := unix.Syscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), uintptr(flags), 0, 0)
	return int(n), errno
}

// message is one netlink message; payload follows the nlmsghdr.
type message struct {
	typ, flags uint16
	seq        uint32
	payload    []byte
}

// split takes the first message off b.
func split(b []byte) (m message, rest []byte, err error) {
	if len(b) < nlmHeader {
		return m, nil, errors.New("short netlink message")
	}
	n := int(ne.Uint32(b))
	if n < nlmHeader || n > len(b) {
		return m, nil, errors.New("netlink message of impossible length")
	}
	m = message{typ: ne.Uint16(b[4:]), flags: ne.Uint16(b[6:]), seq: ne.Uint32(b[8:]), payload: b[nlmHeader:n]}
	return m, b[min((n+3)&^3, len(b)):], nil
}

// status is the errno that NLMSG_ERROR and NLMSG_DONE carry, nil for 0.
func (m message) status() error {
	if len(m.payload) < 4 {
		return nil
	}
	if e := int32(ne.Uint32(m.payload)); e < 0 {
		return unix.Errno(-e)
	}
	return nil
}

// dumpInfo is what the headers of a dump said.
type dumpInfo struct {
	interrupted bool // NLM_F_DUMP_INTR: what was dumped changed meanwhile
	filtered    bool // NLM_F_DUMP_FILTERED
}

// each hands every message of one datagram to fn, until the end of the dump.
func (c *conn) each(b []byte, info *dumpInfo, fn func(message) error) (done bool, err error) {
	for len(b) > 0 {
		var m message
		if m, b, err = split(b); err != nil {
			return true, err
		}
		if m.seq != c.seq {
			continue
		}
		info.interrupted = info.interrupted || m.flags&unix.NLM_F_DUMP_INTR != 0
		info.filtered = info.filtered || m.flags&unix.NLM_F_DUMP_FILTERED != 0
		switch m.typ {
		case unix.NLMSG_DONE, unix.NLMSG_ERROR:
			return true, m.status()
		case unix.NLMSG_NOOP, unix.NLMSG_OVERRUN:
			continue
		}
		if err := fn(m); err != nil {
			return true, err
		}
	}
	return false, nil
}

// dump asks for a dump and hands over each message. Its payload is valid
// during the call only.
func (c *conn) dump(ctx context.Context, typ uint16, req, buf []byte, fn func(message) error) (dumpInfo, error) {
	var info dumpInfo
	if err := c.send(typ, unix.NLM_F_DUMP, req); err != nil {
		return info, err
	}
	for {
		b, err := c.recv(ctx, buf)
		if err != nil {
			return info, err
		}
		if done, err := c.each(b, &info, fn); done {
			return info, err
		}
	}
}

// ask sends a request that is answered by one message, or by an error. No ACK
// is asked for: the first message is the answer, whatever its flags say.
func (c *conn) ask(ctx context.Context, typ uint16, req, buf []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, getDeadline, fmt.Errorf("no answer in %v", getDeadline))
	defer cancel()
	if err := c.send(typ, 0, req); err != nil {
		return nil, err
	}
	for {
		b, err := c.recv(ctx, buf)
		if err != nil {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			return nil, err
		}
		var info dumpInfo
		var answer []byte
		done, err := c.each(b, &info, func(m message) error {
			answer = m.payload
			return ErrStop
		})
		if errors.Is(err, ErrStop) {
			return answer, nil
		}
		if done {
			return nil, err
		}
	}
}

// nfgen is the nfgenmsg that begins a netfilter request.
func nfgen(family uint8, attrs []byte) []byte {
	return append([]byte{family, 0, 0, 0}, attrs...)
}
