package capture

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Messages of nfnetlink_log, and how it is told what to send
// (include/uapi/linux/netfilter/nfnetlink_log.h).
const (
	logPacket = 4 << 8 // NFNL_SUBSYS_ULOG, NFULNL_MSG_PACKET
	logConfig = 4<<8 | 1

	logCfgCmd     = 1
	logCfgMode    = 2
	logCfgTimeout = 4
	logCfgQthresh = 5
	logCfgFlags   = 6

	logCmdBind    = 1
	logCopyPacket = 2
	logFlagSeq    = 1

	logModule = "nfnetlink_log"
)

const (
	// logCopy is how much of a packet is asked for, in bytes: all headers, also
	// those that an ICMP error quotes. The rest would only fill the buffer.
	logCopy = 512
	// logBuffer is the receive buffer asked for: some 80,000 packets may wait.
	logBuffer = 32 << 20
	// logBatch is how much is received before it is handed on, logRoom more than
	// any one packet takes.
	logBatch = 256 << 10
	logRoom  = 16 << 10
	// logDelay is how long the kernel may gather what rules log, in 1/100 s.
	logDelay = 10
)

// NFLog receives the packets that are logged to a group of nfnetlink_log in
// the namespace. Those of conntrack go to group 0, where the family's logger is
// nfnetlink_log (net.netfilter.nf_log.2, .10); so do those of rules that log to
// group 0, which is their default: the text tells them apart.
//
// Run, Drain and Close are for one goroutine.
type NFLog struct {
	c    *conn
	size int
	buf  []byte
	rest []byte    // of buf, not handed over yet
	at   time.Time // when rest came
	p    Logged

	next     uint32 // NFULA_SEQ of the packet to come
	gaps     atomic.Uint64
	drops    atomic.Uint64
	unparsed atomic.Uint64
}

// NFLog binds a group. From then on packets wait in the socket: what makes
// them come is for the caller to set afterwards, and to take back before Close,
// for a logger without a listener drops what it is given.
//
// Two things are left out on purpose. NFULNL_CFG_CMD_PF_BIND sets the family's
// logger, which is what the sysctl does, and nothing would put it back. And
// NFULNL_CFG_F_CONNTRACK asks for the entry as well: conntrack logs with the
// entry locked, and kernels before 2026 would wait for that lock forever.
func (l *Live) NFLog(group uint16) (*NFLog, error) {
	what := fmt.Sprintf("nflog group %d", group)
	absent := netlinkReasons(logModule)
	if wouldLoad(logModule) {
		return nil, explainErr(what, unix.EPROTONOSUPPORT, absent)
	}
	c, err := l.ns.dial(unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, explainErr(what, err, absent)
	}
	n := &NFLog{c: c, buf: make([]byte, logBatch)}
	if err := n.bind(group); err != nil {
		c.close()
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EEXIST) {
			return nil, l.groupTaken(what, group, err)
		}
		return nil, explainErr(what, err, absent)
	}
	return n, nil
}

// bind says everything in one message: what is logged in between would come
// without a number.
func (n *NFLog) bind(group uint16) error {
	if err := n.c.receiveBuffer(logBuffer); err != nil {
		return err
	}
	var err error
	if n.size, err = unix.GetsockoptInt(n.c.fd, unix.SOL_SOCKET, unix.SO_RCVBUF); err != nil {
		return os.NewSyscallError("getsockopt", err)
	}
	// a full buffer drops what finds no room, and not all until it is empty
	// again; the numbers tell what was dropped
	if err := unix.SetsockoptInt(n.c.fd, unix.SOL_NETLINK, unix.NETLINK_NO_ENOBUFS, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	w := builder{b: []byte{unix.AF_UNSPEC, 0, byte(group >> 8), byte(group)}}
	w.u8(logCfgCmd, logCmdBind)
	w.attr(logCfgMode, append(be.AppendUint32(nil, logCopy), logCopyPacket, 0))
	w.beU32(logCfgTimeout, logDelay)
	w.beU32(logCfgQthresh, 1)
	w.beU16(logCfgFlags, logFlagSeq)
	if err := n.c.send(logConfig, unix.NLM_F_ACK, w.b); err != nil {
		return err
	}
	return n.acknowledged()
}

// acknowledged waits for the answer; a packet may come before it.
func (n *NFLog) acknowledged() error {
	ctx, cancel := context.WithTimeoutCause(context.Background(), getDeadline, fmt.Errorf("no answer in %v", getDeadline))
	defer cancel()
	buf := make([]byte, logBatch)
	for {
		b, err := n.c.recv(ctx, buf)
		if err != nil {
			return err
		}
		var info dumpInfo
		done, err := n.c.each(b, &info, func(message) error { return nil })
		if done {
			if err != nil {
				return err
			}
			return unix.SetNonblock(n.c.fd, true)
		}
		n.rest, n.at = append(n.rest, b...), time.Now()
	}
}

// Start is what packets are received with.
func (n *NFLog) Start() LogStart { return LogStart{Buffer: n.size} }

// Lost is how many packets were logged and did not come, so far. Those for
// which the kernel had no memory are not counted by anyone.
func (n *NFLog) Lost() uint64 { return max(n.gaps.Load(), n.drops.Load()) }

// Unparsed is how many messages could not be read.
func (n *NFLog) Unparsed() uint64 { return n.unparsed.Load() }

// Close lets go of the group.
func (n *NFLog) Close() { n.c.close() }

// Run hands over each packet, in one struct that is used again for the next,
// until ctx ends or fn returns ErrStop: neither is an error. What waits then is
// kept for Drain.
func (n *NFLog) Run(ctx context.Context, fn func(*Logged) error) error {
	for {
		if ctx.Err() != nil {
			return nil
		}
		fds := []unix.PollFd{{Fd: int32(n.c.fd), Events: unix.POLLIN}}
		limit := recvTimeout
		if len(n.rest) > 0 {
			limit = 0
		}
		if _, err := unix.Poll(fds, int(limit/time.Millisecond)); err != nil && !errors.Is(err, unix.EINTR) {
			return n.ended(err)
		}
		if _, err := n.receive(ctx, fn); err != nil {
			return n.ended(err)
		}
	}
}

// Drain hands over what waits and returns: everything that was logged before
// it was called.
func (n *NFLog) Drain(fn func(*Logged) error) error {
	for read := 0; read < watchHeard; {
		k, err := n.receive(context.Background(), fn)
		if err != nil || k == 0 {
			return n.ended(err)
		}
		read += k
	}
	return nil
}

func (n *NFLog) ended(err error) error {
	return watchEnded(context.Background(), "nflog", err)
}

// receive takes what waits, up to a batch, and hands it over; it tells how many
// bytes there were.
func (n *NFLog) receive(ctx context.Context, fn func(*Logged) error) (int, error) {
	if err := n.each(ctx, fn); err != nil || len(n.rest) > 0 {
		return len(n.rest), err
	}
	read := 0
	for len(n.buf)-read >= logRoom {
		k, err := unix.Read(n.c.fd, n.buf[read:])
		if errors.Is(err, unix.EAGAIN) {
			break
		}
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.ENOBUFS) {
			continue // what was lost is counted below
		}
		if err != nil {
			return read, err
		}
		read += min((k+3)&^3, len(n.buf)-read)
	}
	m, err := n.c.memory()
	if err != nil {
		return read, err
	}
	n.drops.Store(m.drops)
	n.rest, n.at = n.buf[:read], time.Now()
	return read, n.each(ctx, fn)
}

// each hands over what was received, and keeps what is left when it is told to
// end.
func (n *NFLog) each(ctx context.Context, fn func(*Logged) error) error {
	for len(n.rest) > 0 && ctx.Err() == nil {
		m, rest, err := split(n.rest)
		n.rest = rest
		if err == nil {
			if m.typ != logPacket {
				continue
			}
			err = ParseLogged(m.payload, n.at, &n.p)
		}
		if err != nil {
			n.unparsed.Add(1)
			continue
		}
		n.gap()
		if err := fn(&n.p); err != nil {
			if errors.Is(err, ErrStop) {
				return err
			}
			return errCallback{err}
		}
	}
	return nil
}

// gap counts the numbers that are missing before a packet. They are given and
// sent under one lock (nfulnl_log_packet): they never change places.
func (n *NFLog) gap() {
	if !n.p.hasSeq {
		return
	}
	n.p.Lost = uint64(n.p.seq - n.next)
	n.gaps.Add(n.p.Lost)
	n.next = n.p.seq + 1
}
