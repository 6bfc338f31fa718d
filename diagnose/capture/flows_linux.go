package capture

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

const ctModule = "nf_conntrack_netlink"

// readAhead is how many datagrams may wait while the callback works.
const readAhead = 4

// datagram is one receive of a dump; b stands in buf.
type datagram struct {
	buf, b []byte
	err    error
}

// Flows streams the conntrack table: fn is called with each entry, in one
// struct that is used again for the next. ErrStop from fn ends it early. An
// entry that cannot be read is counted, and the dump goes on. A table that
// changes meanwhile may give an entry twice or not at all: the kernel does not
// say which.
func (l *Live) Flows(ctx context.Context, f Filter, fn func(*host.Flow) error) (FlowsInfo, error) {
	info, err := l.flows(ctx, f, fn)
	refused := errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP)
	if refused && info.Count == 0 && !f.Empty() {
		why := fmt.Sprintf("the kernel refused the filter (%v)", errors.Unwrap(err))
		if info, err = l.flows(ctx, Filter{}, fn); info.Why == "" {
			info.Why = why
		}
	}
	return info, err
}

func (l *Live) flows(ctx context.Context, f Filter, fn func(*host.Flow) error) (FlowsInfo, error) {
	const what = "conntrack dump"
	c, err := l.dialConntrack(what)
	if err != nil {
		return FlowsInfo{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	filled, free, ended := make(chan datagram, readAhead+1), make(chan []byte, readAhead), make(chan struct{})
	defer func() {
		cancel()
		<-ended
		c.close()
	}()
	if err := c.send(ctGet, unix.NLM_F_DUMP, nfgen(uint8(f.family()), f.attributes())); err != nil {
		close(ended)
		return FlowsInfo{}, explainErr(what, err, netlinkReasons(ctModule))
	}
	for range readAhead {
		free <- make([]byte, ctBuffer)
	}
	// the kernel fills a datagram while it is being read: reading in a
	// goroutine lets that run beside the callback
	go func() {
		defer close(ended)
		c.readAll(ctx, free, filled)
	}()
	info, err := drain(c, free, filled, fn)
	if err != nil {
		err = explainErr(what, err, netlinkReasons(ctModule))
	}
	return info, err
}

// readAll receives until the end of the dump, an error, or the context.
func (c *conn) readAll(ctx context.Context, free <-chan []byte, filled chan<- datagram) {
	for {
		var d datagram
		select {
		case d.buf = <-free:
		case <-ctx.Done():
			filled <- datagram{err: ctx.Err()}
			return
		}
		d.b, d.err = c.recv(ctx, d.buf)
		last := d.err != nil || endsDump(d.b)
		filled <- d
		if last {
			return
		}
	}
}

// endsDump tells whether a datagram holds the end, so that no further one is
// waited for.
func endsDump(b []byte) bool {
	for len(b) > 0 {
		m, rest, err := split(b)
		if err != nil || m.typ == unix.NLMSG_DONE || m.typ == unix.NLMSG_ERROR {
			return true
		}
		b = rest
	}
	return false
}

// errCallback carries the callback's own error past the wording of the
// kernel's.
type errCallback struct{ error }

func drain(c *conn, free chan<- []byte, filled <-chan datagram, fn func(*host.Flow) error) (FlowsInfo, error) {
	var info FlowsInfo
	var dump dumpInfo
	var flow host.Flow
	one := func(m message) error {
		if m.typ != ctNew || len(m.payload) < 4 {
			info.unparsed(badAttr("conntrack message"))
			return nil
		}
		if err := ParseFlow(m.payload[4:], &flow); err != nil {
			info.unparsed(err)
			return nil
		}
		info.Count++
		if err := fn(&flow); err != nil {
			return errCallback{err}
		}
		return nil
	}
	for d := range filled {
		if d.err != nil {
			return info, d.err
		}
		done, err := c.each(d.b, &dump, one)
		info.Filtered = dump.filtered
		var cb errCallback
		switch {
		case errors.As(err, &cb):
			if errors.Is(cb.error, ErrStop) {
				return info, nil
			}
			return info, &OpError{What: "conntrack dump", Why: cb.Error(), Err: cb.error}
		case done:
			return info, err
		}
		free <- d.buf
	}
	return info, nil
}

func (i *FlowsInfo) unparsed(err error) {
	if i.Unparsed++; i.Why == "" {
		i.Why = err.Error()
	}
}

// dialConntrack opens a socket to ctnetlink, unless asking would load it.
func (l *Live) dialConntrack(what string) (*conn, error) {
	if wouldLoad(ctModule) {
		return nil, explainErr(what, unix.EPROTONOSUPPORT, netlinkReasons(ctModule))
	}
	c, err := l.ns.dial(unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, explainErr(what, err, netlinkReasons("nfnetlink"))
	}
	return c, nil
}

// Get reads the one entry that has the tuple t, without a dump
// (ctnetlink_get_conntrack); ErrNotFound when there is none. dir says which
// direction t is likely to be: the kernel finds an entry by either of its
// tuples, so that the caller looks which one it was. A tuple of two entries in
// different zones is told apart by zone.
func (l *Live) Get(ctx context.Context, t rules.Tuple, dir Direction, family rules.Family, zone uint16) (*host.Flow, error) {
	const what = "conntrack get"
	c, err := l.dialConntrack(what)
	if err != nil {
		return nil, err
	}
	defer c.close()
	if family == rules.FamilyUnspec {
		family = familyOf(t.Src)
	}
	var w builder
	typ := uint16(ctaTupleOrig)
	if dir == Reply {
		typ = ctaTupleReply
	}
	w.nest(typ, func(in *builder) { putTuple(in, t) })
	if zone != 0 {
		w.beU16(ctaZone, zone)
	}
	b, err := c.ask(ctx, ctGet, nfgen(uint8(family), w.b), make([]byte, ctBuffer))
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil, &OpError{What: what, Why: ErrNotFound.Error(), Err: errors.Join(ErrNotFound, err)}
	case errors.Is(err, unix.EINVAL):
		return nil, &OpError{What: what, Why: "the kernel refused the tuple", Err: err}
	case err != nil:
		return nil, explainErr(what, err, netlinkReasons(ctModule))
	case len(b) < 4:
		return nil, badAttr(what)
	}
	f := new(host.Flow)
	if err := ParseFlow(b[4:], f); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return f, nil
}
