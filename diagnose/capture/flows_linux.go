package capture

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

const ctModule = "nf_conntrack_netlink"

// A dump comes in datagrams of 32 KiB at most. They are handed over some at a
// time: to wake who reads them takes as long as to read one.
const (
	batchSize = 256 << 10
	readAhead = 4 // batches that may wait while the callback works
)

// batch is some datagrams of a dump, one behind the other in buf.
type batch struct {
	buf, b []byte
	err    error // after what is in b
}

// Flows streams the conntrack table: fn is called with each entry, in one
// struct that is used again for the next. ErrStop from fn ends it early. An
// entry that cannot be read is counted, and the dump goes on.
//
// A table that changes meanwhile is read as ctnetlink_dump_table does it: bucket
// by bucket of the hash table, each under its lock. An entry that is there all
// the time is given. One that begins or ends meanwhile may be given or not; what
// is given was there at one moment. Where a datagram ended inside a bucket and
// the entry that was to come next is gone, the kernel begins that bucket anew:
// what comes again is left out here, so that no entry is handed over twice. Only
// when the table is resized can entries be passed over or be handed over again
// (Turnover.Resized); a size that has come back to what it was is not noticed.
func (l *Live) Flows(ctx context.Context, f Filter, fn func(*host.Flow) error) (FlowsInfo, error) {
	var t Turnover
	began := time.Now().UnixNano()
	t.Before, t.BucketsBefore, t.Known = l.tableSize()
	info, err := l.flows(ctx, f, began, fn)
	refused := errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP)
	if refused && info.Count == 0 && !f.Empty() {
		why := fmt.Sprintf("the kernel refused the filter (%v)", errors.Unwrap(err))
		if info, err = l.flows(ctx, Filter{}, began, fn); info.Why == "" {
			info.Why = why
		}
	}
	t.Began, t.Repeated = info.Turnover.Began, info.Turnover.Repeated
	var known bool
	t.After, t.BucketsAfter, known = l.tableSize()
	t.Known = t.Known && known
	info.Turnover = t
	return info, err
}

// tableSize is how many entries the namespace has, and how many buckets all
// namespaces share. They are not there for who cannot read /proc/sys.
func (l *Live) tableSize() (entries, buckets uint64, ok bool) {
	var err error
	closed := l.ns.do(func() {
		entries, err = readNumber("/proc/sys/net/netfilter/nf_conntrack_count")
		buckets, _ = readNumber("/proc/sys/net/netfilter/nf_conntrack_buckets")
	})
	return entries, buckets, closed == nil && err == nil
}

func (l *Live) flows(ctx context.Context, f Filter, began int64, fn func(*host.Flow) error) (FlowsInfo, error) {
	const what = "conntrack dump"
	c, err := l.dialConntrack(what)
	if err != nil {
		return FlowsInfo{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	filled, free, ended := make(chan batch, readAhead+1), make(chan []byte, readAhead), make(chan struct{})
	defer func() {
		cancel()
		<-ended
		c.close()
	}()
	if err := c.send(ctGet, unix.NLM_F_DUMP, nfgen(uint8(f.family()), f.attributes())); err != nil {
		close(ended)
		return FlowsInfo{}, explainErr(what, err, netlinkReasons(ctModule))
	}
	// the kernel fills a datagram while it is being read: reading in a
	// goroutine lets that run beside the callback
	go func() {
		defer close(ended)
		c.readAll(ctx, readAhead, batchSize, free, filled)
	}()
	r := reading{c: c, fn: fn, began: began, recent: new(recent)}
	if err = r.drain(free, filled); err != nil {
		err = explainErr(what, err, netlinkReasons(ctModule))
	}
	return r.info, err
}

// readAll receives until the end of the dump, an error, or the context. Where no
// buffer is free it makes one, as long as there are fewer than most of them: most
// dumps are small.
func (c *conn) readAll(ctx context.Context, most, size int, free <-chan []byte, filled chan<- batch) {
	for {
		var d batch
		select {
		case d.buf = <-free:
		default:
			if most > 0 {
				most--
				d.buf = make([]byte, size)
				break
			}
			select {
			case d.buf = <-free:
			case <-ctx.Done():
				filled <- batch{err: ctx.Err()}
				return
			}
		}
		last := c.fill(ctx, &d)
		filled <- d
		if last {
			return
		}
	}
}

// fill receives datagrams while there is room for one; last tells that the dump
// is over.
func (c *conn) fill(ctx context.Context, d *batch) (last bool) {
	n := 0
	for len(d.buf)-n >= ctBuffer && !last {
		var one []byte
		one, d.err = c.recv(ctx, d.buf[n:])
		last = d.err != nil || endsDump(one)
		n += (len(one) + 3) &^ 3
	}
	d.b = d.buf[:min(n, len(d.buf))]
	return last
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

// reading is one dump as it is read.
type reading struct {
	c      *conn
	fn     func(*host.Flow) error
	began  int64 // ns since the epoch
	info   FlowsInfo
	dump   dumpInfo
	flow   host.Flow
	recent *recent
}

func (r *reading) drain(free chan<- []byte, filled <-chan batch) error {
	one := r.message
	for d := range filled {
		done, err := r.c.each(d.b, &r.dump, one)
		r.info.Filtered = r.dump.filtered
		var cb errCallback
		switch {
		case errors.As(err, &cb):
			if errors.Is(cb.error, ErrStop) {
				return nil
			}
			return &OpError{What: "conntrack dump", Why: cb.Error(), Err: cb.error}
		case done:
			return err
		case d.err != nil:
			return d.err
		}
		free <- d.buf
	}
	return nil
}

func (r *reading) message(m message) error {
	if m.typ != ctNew || len(m.payload) < 4 {
		r.info.unparsed(badAttr("conntrack message"))
		return nil
	}
	f := &r.flow
	if err := ParseFlow(m.payload[4:], f); err != nil {
		r.info.unparsed(err)
		return nil
	}
	if r.recent.again(f) {
		r.info.Turnover.Repeated++
		return nil
	}
	if f.Start > r.began { // 0 where there is none
		r.info.Turnover.Began++
	}
	r.info.Count++
	if err := r.fn(f); err != nil {
		return errCallback{err}
	}
	return nil
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
