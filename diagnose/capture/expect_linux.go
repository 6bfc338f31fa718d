package capture

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// expectGroups is the NFNLGRP_CONNTRACK_EXP_* of each kind. The kernel sends no
// update (ctnetlink_expect_event).
var expectGroups = [...]struct {
	kind  EventKind
	group int
}{{EventNew, 4}, {EventUpdate, 5}, {EventDestroy, 6}}

// WatchExpectations tells which connections are expected: after EventStart those
// that are, as found, and then what is expected anew and what no longer is,
// because it came or because nothing did. Event.Expect is set in each. A gap
// is told and closed as by Watch. It ends when ctx does, or when fn returns
// ErrStop, without an error.
func (l *Live) WatchExpectations(ctx context.Context, kinds []EventKind, fn func(*Event) error) error {
	w := &expectWatch{live: l, opt: WatchOptions{Kinds: kinds}, fn: fn, buf: make([]byte, ctBuffer), known: map[uint32]Expectation{}}
	err := w.run(ctx)
	if w.ev != nil {
		w.ev.close()
	}
	return watchEnded(ctx, "expectation events", err)
}

type expectWatch struct {
	live    *Live
	opt     WatchOptions
	fn      func(*Event) error
	ev      *conn
	buf     []byte
	known   map[uint32]Expectation // by id
	touched map[uint32]bool        // by events since a reading began; nil without one
	lost    bool
	drops   uint64
	emptyAt time.Time
}

func (w *expectWatch) run(ctx context.Context) (err error) {
	if w.ev, err = w.live.dialConntrack("expectation events"); err != nil {
		return err
	}
	if err := w.ev.receiveBuffer(0); err != nil {
		return err
	}
	var groups []int
	for _, g := range expectGroups {
		groups = append(groups, g.group)
	}
	if err := w.ev.join(groups); err != nil {
		return err
	}
	w.emptyAt = time.Now()
	there, err := w.dump(ctx)
	if err != nil {
		return err
	}
	start := WatchStart{Before: len(there), Setting: w.live.Sysctl("net.netfilter.nf_conntrack_events")}
	if err := w.tell(&Event{Kind: EventStart, At: time.Now(), Start: start}); err != nil {
		return err
	}
	if _, err := w.read(ctx); err != nil {
		return err
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		fds := []unix.PollFd{{Fd: int32(w.ev.fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, int(recvTimeout/time.Millisecond)); err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		if err := w.drain(); err != nil {
			return err
		}
		if !w.lost {
			continue
		}
		if err := w.closeGap(ctx); err != nil {
			return err
		}
	}
}

// closeGap tells what was lost, and what the kernel expects now.
func (w *expectWatch) closeGap(ctx context.Context) error {
	m, err := w.ev.memory()
	if err != nil {
		return err
	}
	now := time.Now()
	e := Event{Kind: EventLost, At: now, Lost: WatchLost{Events: m.drops - w.drops, From: w.emptyAt, To: now, Why: "the receive buffer was full"}}
	w.drops, w.emptyAt, w.lost = m.drops, now, false
	if err := w.tell(&e); err != nil {
		return err
	}
	got, err := w.read(ctx)
	if err != nil {
		return err
	}
	return w.tell(&Event{Kind: EventResync, At: time.Now(), Resync: got})
}

// drain takes in the events that wait. Expectations are few: they are as many
// as helpers find in the packets of their connections.
func (w *expectWatch) drain() error {
	for {
		n, err := unix.Read(w.ev.fd, w.buf)
		switch {
		case errors.Is(err, unix.EAGAIN):
			if !w.lost {
				w.emptyAt = time.Now()
			}
			return nil
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ENOBUFS):
			w.lost = true
			continue
		case err != nil:
			return err
		}
		for b := w.buf[:n]; len(b) > 0; {
			m, rest, err := split(b)
			if err != nil {
				return err
			}
			if b = rest; m.typ < unix.NLMSG_MIN_TYPE {
				continue
			}
			if err := w.happened(m); err != nil {
				return err
			}
		}
	}
}

func (w *expectWatch) happened(m message) error {
	x, err := expectOf(m)
	if err != nil {
		return err
	}
	kind := EventNew
	if m.typ == expDelete {
		kind = EventDestroy
		delete(w.known, x.ID)
	} else {
		w.known[x.ID] = x
	}
	if w.touched != nil {
		w.touched[x.ID] = true
	}
	return w.told(kind, &x, false)
}

func expectOf(m message) (x Expectation, err error) {
	if len(m.payload) < 4 {
		return x, badAttr("expectation")
	}
	err = parseExpect(m.payload[4:], &x)
	return x, err
}

// dump is what the kernel expects, by id.
func (w *expectWatch) dump(ctx context.Context) (map[uint32]Expectation, error) {
	c, err := w.live.dialConntrack("expectation dump")
	if err != nil {
		return nil, err
	}
	defer c.close()
	there := map[uint32]Expectation{}
	_, err = c.dump(ctx, expGet, nfgen(unix.AF_UNSPEC, nil), make([]byte, ctBuffer), func(m message) error {
		x, err := expectOf(m)
		there[x.ID] = x
		return err
	})
	return there, err
}

// read tells how what the kernel expects differs from what is known, but for
// what events told since the reading began.
func (w *expectWatch) read(ctx context.Context) (WatchResync, error) {
	start := time.Now()
	w.touched = map[uint32]bool{}
	defer func() { w.touched = nil }()
	there, err := w.dump(ctx)
	if err == nil {
		err = w.drain()
	}
	got := WatchResync{Entries: len(there)}
	for id, x := range there {
		if _, known := w.known[id]; err == nil && !known && !w.touched[id] {
			got.New++
			w.known[id] = x
			err = w.told(EventNew, &x, true)
		}
	}
	for id, x := range w.known {
		if _, is := there[id]; err == nil && !is && !w.touched[id] {
			got.Gone++
			delete(w.known, id)
			err = w.told(EventDestroy, &x, true)
		}
	}
	got.Took = time.Since(start)
	return got, err
}

func (w *expectWatch) told(kind EventKind, x *Expectation, found bool) error {
	if !w.opt.wants(kind) {
		return nil
	}
	return w.tell(&Event{Kind: kind, At: time.Now(), Expect: x, Found: found})
}

func (w *expectWatch) tell(e *Event) error {
	err := w.fn(e)
	if err != nil && !errors.Is(err, ErrStop) {
		return errCallback{err}
	}
	return err
}
