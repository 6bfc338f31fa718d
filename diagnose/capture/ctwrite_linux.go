package capture

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

// Entries changes the conntrack table of one namespace over one socket, an
// entry a message. Not for concurrent use.
type Entries struct {
	c   *conn
	buf []byte
}

// Entries opens a socket to ctnetlink.
func (l *Live) Entries() (*Entries, error) {
	c, err := l.dialConntrack("conntrack")
	if err != nil {
		return nil, err
	}
	return &Entries{c: c, buf: make([]byte, ctBuffer)}, nil
}

// Close closes the socket.
func (e *Entries) Close() { e.c.close() }

// change sends a request and waits for its acknowledgement. A request that was
// sent is waited for, whatever becomes of ctx: the kernel has carried it out.
func (e *Entries) change(ctx context.Context, typ, flags uint16, f *host.Flow, attrs []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := e.c.send(typ, flags|unix.NLM_F_ACK, nfgen(uint8(familyOf(f.Original.Src)), attrs)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), getDeadline, errNoAnswer)
	defer cancel()
	for {
		b, err := e.c.recv(ctx, e.buf)
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return err
		}
		var info dumpInfo
		if done, err := e.c.each(b, &info, func(message) error { return nil }); done {
			return err
		}
	}
}

var errNoAnswer = fmt.Errorf("no answer in %v", getDeadline)

// Get reads the entry that now has f's original tuple and zone: the same one
// when id and reply tuple are f's. ErrNotFound when there is none.
func (e *Entries) Get(ctx context.Context, f *host.Flow) (*host.Flow, error) {
	const what = "conntrack get"
	attrs, err := keyMessage(f, Original)
	if err != nil {
		return nil, &OpError{What: what, Why: err.Error(), Err: err}
	}
	b, err := e.c.ask(ctx, ctGet, nfgen(uint8(familyOf(f.Original.Src)), attrs), e.buf)
	switch {
	case err != nil:
		return nil, wordKey(what, err)
	case len(b) < 4:
		return nil, badAttr(what)
	}
	got := new(host.Flow)
	if err := ParseFlow(b[4:], got); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	// the kernel finds an entry by either of its tuples
	if got.Original != f.Original {
		return nil, &OpError{What: what, Why: ErrNotFound.Error(), Err: ErrNotFound}
	}
	return got, nil
}

// Delete removes f and no other entry: it is named by its reply tuple, its zone
// and its id in one message. ErrNotFound when it went or another one has its
// tuple now. A flow without a whole tuple or an id is refused.
func (e *Entries) Delete(ctx context.Context, f *host.Flow) error {
	const what = "conntrack delete"
	attrs, err := deleteMessage(f)
	if err != nil {
		return &OpError{What: what, Why: err.Error(), Err: err}
	}
	return wordKey(what, e.change(ctx, ctDelete, 0, f, attrs))
}

// Insert makes f again, with its NAT; what it cannot bring back is in
// InsertLoses. ErrExists when an entry has one of its tuples.
func (e *Entries) Insert(ctx context.Context, f *host.Flow) error {
	const what = "conntrack insert"
	attrs, err := insertMessage(f)
	if err == nil {
		err = unloaded(f)
	}
	if err != nil {
		return &OpError{What: what, Why: err.Error(), Err: err}
	}
	return wordInsert(what, e.change(ctx, ctNew, unix.NLM_F_CREATE|unix.NLM_F_EXCL, f, attrs), f)
}

// Update changes f after reading it again: ErrNotFound when it went,
// ErrChanged when another entry has its original tuple.
func (e *Entries) Update(ctx context.Context, f *host.Flow, c Change) error {
	const what = "conntrack update"
	for again := true; ; again = false {
		now, err := e.Get(ctx, f)
		switch {
		case errors.Is(err, ErrNotFound):
			return &OpError{What: what, Why: ErrNotFound.Error(), Err: err}
		case err != nil:
			return &OpError{What: what, Why: whyOf(err), Err: err}
		case now.ID != f.ID || now.Reply != f.Reply:
			return &OpError{What: what, Why: ErrChanged.Error(), Err: ErrChanged}
		}
		attrs, err := updateMessage(now, c)
		if err != nil {
			return &OpError{What: what, Why: err.Error(), Err: err}
		}
		err = e.change(ctx, ctNew, 0, now, attrs)
		// a reply may have set a status bit meanwhile
		if again && errors.Is(err, unix.EBUSY) {
			continue
		}
		return wordUpdate(what, err, now)
	}
}
