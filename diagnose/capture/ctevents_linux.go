package capture

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// watchGroups is the NFNLGRP_CONNTRACK_* of each kind.
var watchGroups = [...]struct {
	kind  EventKind
	group int
}{{EventNew, 1}, {EventUpdate, 2}, {EventDestroy, 3}}

const (
	// watchBatch is how much is received before it is handed on; an event is a
	// datagram of its own of some 250 bytes, and never longer than watchRoom.
	watchBatch = 256 << 10
	watchRoom  = 16 << 10
	// watchPause is the first wait before the table is read again when events
	// were lost while it was; it doubles up to watchPauseMax.
	watchPause    = 100 * time.Millisecond
	watchPauseMax = 10 * time.Second
)

// Watch tells what happens to the conntrack table: fn is called with each
// event, in one struct that is used again for the next. It ends when ctx does,
// or when fn returns ErrStop, without an error.
//
// The order is that of the kernel's queue, in which events of one entry that two
// processors send at once may change places. When events are lost (ENOBUFS) an
// EventLost says so, and with WatchOptions.Remember the table is read again:
// what became of entries meanwhile is told once, by the table or by an event.
//
// No event comes of an entry that was made without the event extension:
// while net.netfilter.nf_conntrack_events was 0, or 2 and nobody listened; and
// few of one that a CT target with --ctevents made.
func (l *Live) Watch(ctx context.Context, opt WatchOptions, fn func(*Event) error) error {
	w := &watch{live: l, opt: opt, fn: fn, buf: make([]byte, watchBatch), unheard: -1}
	defer w.close()
	err := w.open(ctx)
	if err == nil {
		err = w.run(ctx)
	}
	return watchEnded(ctx, "conntrack events", err)
}

// watchEnded is what a watch ends with: nothing when it was told to end.
func watchEnded(ctx context.Context, what string, err error) error {
	var cb errCallback
	switch {
	case errors.As(err, &cb):
		return &OpError{What: what, Why: cb.Error(), Err: cb.error}
	case err == nil, errors.Is(err, ErrStop), ctx.Err() != nil:
		return nil
	}
	return explainErr(what, err, netlinkReasons(ctModule))
}

// watch is one watch. Everything runs in one goroutine: what waits meanwhile
// waits in the socket.
type watch struct {
	live  *Live
	opt   WatchOptions
	fn    func(*Event) error
	ev    *conn // events
	ask   *conn // dumps and single entries; made anew after a dump was given up
	known *knownFlows
	buf   []byte
	table []byte // buffer for ask
	e     Event

	backlog int // percent
	drops   uint64
	emptyAt time.Time // when the queue was last seen empty
	// prior is the revision before the queue was last seen empty, last the one
	// after it.
	prior, last Revision
	lost        bool   // ENOBUFS, not told yet
	unheard     int    // bytes read since then
	epoch       uint32 // counts the readings of the table
	reading     bool
	read        bool // the table was read once
}

func (w *watch) close() {
	for _, c := range []*conn{w.ev, w.ask} {
		if c != nil {
			c.close()
		}
	}
}

// open listens, and only then may look at the table: what changes in between
// is told.
func (w *watch) open(ctx context.Context) (err error) {
	if w.last, err = w.revision(ctx); err != nil {
		return err
	}
	w.prior = w.last
	if w.ev, err = w.live.dialConntrack("conntrack events"); err != nil {
		return err
	}
	if err := w.ev.receiveBuffer(w.opt.Buffer); err != nil {
		return err
	}
	var groups []int
	for _, g := range watchGroups {
		// what is remembered has to be kept up with
		if w.opt.wants(g.kind) || w.opt.Remember > 0 && g.kind != EventUpdate {
			groups = append(groups, g.group)
		}
	}
	if err := w.ev.join(groups); err != nil {
		return err
	}
	w.emptyAt = time.Now()
	if w.opt.Remember > 0 {
		w.known, w.table = newKnownFlows(w.opt.Remember), make([]byte, ctBuffer)
	}
	return nil
}

// receiveBuffer sets SO_RCVBUF past net.core.rmem_max where that is allowed.
func (c *conn) receiveBuffer(size int) error {
	if size == 0 {
		size = watchBuffer
	}
	err := unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, size)
	if errors.Is(err, unix.EPERM) {
		err = unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, size)
	}
	return err
}

func (w *watch) run(ctx context.Context) error {
	if err := w.begin(); err != nil {
		return err
	}
	due := schedule{every: w.opt.Reread, pause: watchPause}
	if w.known != nil {
		due.now() // what is there already
	}
	for {
		if err := w.wait(ctx, due); err != nil {
			return err
		}
		if _, err := w.receive(ctx); err != nil {
			return err
		}
		if w.lost {
			if err := w.tellLost(ctx); err != nil {
				return err
			}
			due.now()
		}
		if w.known == nil || !due.reached() {
			continue
		}
		err := w.reread(ctx, due.asked)
		if err != nil && !errors.Is(err, errLostAgain) {
			return err
		}
		due.done(err == nil)
	}
}

// schedule is when the table is read.
type schedule struct {
	at    time.Time // zero for never
	asked bool      // not by the clock alone
	every time.Duration
	pause time.Duration
}

// now asks for a reading, unless one is asked for already.
func (s *schedule) now() {
	if !s.asked {
		s.at, s.asked = time.Now(), true
	}
}

func (s *schedule) reached() bool { return !s.at.IsZero() && !time.Now().Before(s.at) }

// done plans the next one: after a while when events were lost in this one.
func (s *schedule) done(whole bool) {
	switch {
	case !whole:
		s.at, s.asked = time.Now().Add(s.pause), true
		s.pause = min(2*s.pause, watchPauseMax)
		return
	case s.every > 0:
		s.at = time.Now().Add(s.every)
	default:
		s.at = time.Time{}
	}
	s.asked, s.pause = false, watchPause
}

// begin tells EventStart.
func (w *watch) begin() error {
	size, err := unix.GetsockoptInt(w.ev.fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	if err != nil {
		return os.NewSyscallError("getsockopt", err)
	}
	n, _, err := w.live.Count()
	if err != nil {
		return err
	}
	start := WatchStart{Buffer: size, Before: int(n), Setting: w.live.Sysctl("net.netfilter.nf_conntrack_events")}
	return w.tell(&Event{Kind: EventStart, At: time.Now(), Start: start})
}

// wait returns when something may have come, or the table is to be read.
func (w *watch) wait(ctx context.Context, due schedule) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	limit := recvTimeout
	if w.known != nil && !due.at.IsZero() {
		limit = max(0, min(limit, time.Until(due.at)))
	}
	fds := []unix.PollFd{{Fd: int32(w.ev.fd), Events: unix.POLLIN}}
	if w.opt.Revisions != nil {
		if w.prior != w.last {
			return nil // what comes from now on is of one revision
		}
		fds = append(fds, w.opt.Revisions.fds()...)
	}
	_, err := unix.Poll(fds, int(limit/time.Millisecond))
	if errors.Is(err, unix.EINTR) {
		return nil
	}
	return err
}

// receive takes what waits, up to a batch, and hands it on. empty tells that
// nothing waited any more.
func (w *watch) receive(ctx context.Context) (empty bool, err error) {
	n := 0
	for len(w.buf)-n >= watchRoom {
		k, err := unix.Read(w.ev.fd, w.buf[n:])
		if errors.Is(err, unix.EAGAIN) {
			empty = true
			break
		}
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ENOBUFS):
			// what was queued before is still to be read
			w.lost = true
			if w.unheard < 0 {
				w.unheard = 0
			}
			continue
		case err != nil:
			return false, err
		}
		n += (k + 3) &^ 3
	}
	at := time.Now()
	since := w.prior
	until, err := w.revision(ctx)
	if err != nil {
		return empty, err
	}
	w.backlog = 0
	if !empty {
		m, err := w.ev.memory()
		if err != nil {
			return empty, err
		}
		w.backlog = m.percent()
	}
	if w.unheard >= 0 {
		w.unheard += n
	}
	if err := w.each(w.buf[:n], at, since, until); err != nil {
		return empty, err
	}
	if empty {
		w.prior = w.last
		if !w.lost {
			w.emptyAt = at
		}
	}
	w.last = until
	return empty, nil
}

func (w *watch) revision(ctx context.Context) (Revision, error) {
	if w.opt.Revisions == nil {
		return Revision{}, nil
	}
	return w.opt.Revisions.Now(ctx)
}

// each hands on the events of a batch.
func (w *watch) each(b []byte, at time.Time, since, until Revision) error {
	unparsed, why := 0, ""
	for len(b) > 0 {
		m, rest, err := split(b)
		if err == nil {
			b = rest
			if m.typ < unix.NLMSG_MIN_TYPE {
				continue
			}
			w.e = Event{At: at, Since: since, Until: until, Backlog: w.backlog, Flow: w.e.Flow}
			err = parseEvent(m.typ, m.flags, m.payload, &w.e)
		} else {
			b = nil
		}
		if err != nil {
			if unparsed++; why == "" {
				why = err.Error()
			}
			continue
		}
		if err := w.happened(); err != nil {
			return err
		}
	}
	if unparsed == 0 {
		return nil
	}
	return w.tell(&Event{Kind: EventLost, At: at, Lost: WatchLost{
		Events: uint64(unparsed), From: at, To: at, Why: "they could not be read: " + why,
	}})
}

// happened takes w.e into what is known, and tells it.
func (w *watch) happened() error {
	f := &w.e.Flow
	if !w.opt.keeps(f) {
		return nil
	}
	if w.known != nil {
		k, there := w.known.find(f)
		// a new entry may have the id and the tuple of one whose end was lost
		if there && !k.ended && w.e.Kind != EventNew {
			k.fill(f)
		}
		now := knownOf(f)
		now.epoch = w.epoch
		switch {
		case w.e.Kind != EventDestroy:
			w.known.put(f, now)
		case w.reading:
			now.ended = true
			w.known.put(f, now)
		default:
			w.known.drop(f)
		}
	}
	if !w.opt.wants(w.e.Kind) {
		return nil
	}
	return w.tell(&w.e)
}

func (w *watch) tell(e *Event) error {
	err := w.fn(e)
	if err != nil && !errors.Is(err, ErrStop) {
		return errCallback{err}
	}
	return err
}

// drain receives until nothing waits. After a loss what waited then is of the
// time before it: no more than the buffer holds, so that it ends also where
// events never cease.
func (w *watch) drain(ctx context.Context) error {
	for {
		empty, err := w.receive(ctx)
		if err != nil || empty || w.lost && w.unheard > watchHeard {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// watchHeard is more than any receive buffer holds of messages.
const watchHeard = 256 << 20

// tellLost tells the gap, once what had been queued before it is told.
func (w *watch) tellLost(ctx context.Context) error {
	if err := w.drain(ctx); err != nil {
		return err
	}
	m, err := w.ev.memory()
	if err != nil {
		return err
	}
	drops := m.drops
	now := time.Now()
	e := Event{Kind: EventLost, At: now, Lost: WatchLost{
		Events: drops - w.drops, From: w.emptyAt, To: now, Why: "the receive buffer was full",
	}}
	if drops == w.drops {
		e.Lost.Why = "the kernel had no memory for them"
	}
	w.drops, w.emptyAt, w.lost, w.unheard = drops, now, false, -1
	return w.tell(&e)
}

// memory is SK_MEMINFO_*: what a socket's receive queue takes, what it may
// take, and how many datagrams found no room.
type memory struct {
	used, limit uint32
	drops       uint64
}

func (m memory) percent() int { return int(100 * uint64(m.used) / uint64(max(m.limit, 1))) }

func (c *conn) memory() (memory, error) {
	const soMeminfo, dropsAt = 55, 8
	b := make([]byte, 4*(dropsAt+1))
	err := getsockopt(c.fd, unix.SOL_SOCKET, soMeminfo, b)
	switch {
	case errors.Is(err, unix.ENOPROTOOPT):
		return memory{}, nil // before 4.12
	case err != nil:
		return memory{}, os.NewSyscallError("getsockopt", err)
	}
	return memory{ne.Uint32(b), ne.Uint32(b[4:]), uint64(ne.Uint32(b[4*dropsAt:]))}, nil
}
