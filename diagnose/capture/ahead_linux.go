package capture

import (
	"context"

	"golang.org/x/sys/unix"
)

// aheadFrom is at which datagram of a dump receiving begins to run beside the
// callback: most dumps end with their second one, and a goroutine would cost
// more than it saves.
const aheadFrom = 2

// aheadBatch is some datagrams of a ruleset: what is to be done with one takes
// longer than with one of flows, and begins the sooner.
const aheadBatch = 128 << 10

// aheadBuffers: one is filled while another is read.
const aheadBuffers = 2

// ahead receives dumps for a callback that takes its time: the kernel makes a
// datagram when it is received (netlink_dump), so that a long dump is made while
// what came before is being read. Its buffers serve one dump after the other.
type ahead struct {
	buf  []byte
	bufs [aheadBuffers][]byte // made when they are needed
}

// dump is conn.dump.
func (a *ahead) dump(ctx context.Context, c *conn, typ uint16, req []byte, fn func(message) error) (dumpInfo, error) {
	var info dumpInfo
	if err := c.send(typ, unix.NLM_F_DUMP, req); err != nil {
		return info, err
	}
	for range aheadFrom {
		b, err := c.recv(ctx, a.buf)
		if err != nil {
			return info, err
		}
		if done, err := c.each(b, &info, fn); done {
			return info, err
		}
	}
	err := a.rest(ctx, c, &info, fn)
	return info, err
}

// rest is a dump from its next datagram on.
func (a *ahead) rest(ctx context.Context, c *conn, info *dumpInfo, fn func(message) error) error {
	ctx, cancel := context.WithCancel(ctx)
	filled, free, ended := make(chan batch, aheadBuffers+1), make(chan []byte, aheadBuffers), make(chan struct{})
	for i := range a.bufs {
		if a.bufs[i] != nil {
			free <- a.bufs[i]
			a.bufs[i] = nil
		}
	}
	more := aheadBuffers - len(free)
	go func() {
		defer close(ended)
		c.readAll(ctx, more, aheadBatch, free, filled)
	}()
	defer func() {
		cancel()
		<-ended
		for i := range len(free) {
			a.bufs[i] = <-free
		}
	}()
	for {
		d := <-filled
		done, err := c.each(d.b, info, fn)
		if d.buf != nil {
			free <- d.buf
		}
		switch {
		case done:
			return err
		case d.err != nil:
			return d.err
		}
	}
}
