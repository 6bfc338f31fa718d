package capture

import (
	"context"
	"errors"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

// Revisions tells whether rules, addresses or routes have changed, without
// reading them. It may be used from several goroutines.
//
// The kernel counts its nf_tables generation up before packets meet the new
// rules (nf_tables_commit), so that what happened before a generation was asked
// for happened under it or an earlier one. Routes are told after they changed.
// Neither tells of iptables-legacy, ipsets, or elements that packets add.
type Revisions struct {
	mu      sync.Mutex
	ask     *conn // nil without nf_tables
	told    *conn // NEWGEN: that a generation began, not which
	rt      *conn
	routing uint32
	buf     []byte
}

// Revisions begins to follow changes.
func (l *Live) Revisions() (*Revisions, error) {
	r := &Revisions{buf: make([]byte, ctBuffer)}
	var err error
	if r.rt, err = l.ns.dial(unix.NETLINK_ROUTE); err == nil {
		err = r.rt.join(rtGroups)
	}
	// to join asks for the module as much as a request does (nfnetlink_bind)
	if err == nil && !wouldLoad(nftModule) {
		if r.ask, err = l.ns.dial(unix.NETLINK_NETFILTER); err == nil {
			if r.told, err = l.ns.dial(unix.NETLINK_NETFILTER); err == nil {
				err = r.told.join(nftGroups)
			}
		}
	}
	if err == nil {
		_, err = r.Now(context.Background())
	}
	if err != nil {
		r.Close()
		return nil, explainErr("changes of rules", err, netlinkReasons(nftModule))
	}
	return r, nil
}

// Close ends it.
func (r *Revisions) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range []*conn{r.ask, r.told, r.rt} {
		if c != nil {
			c.close()
		}
	}
	r.ask, r.told, r.rt = nil, nil, nil
}

// Counted tells whether nf_tables is there to be asked for its generation.
func (r *Revisions) Counted() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ask != nil
}

// Now is the present revision.
func (r *Revisions) Now(ctx context.Context) (Revision, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rt == nil {
		return Revision{}, os.ErrClosed
	}
	if changed, err := r.rt.empty(r.buf); err != nil {
		return Revision{}, err
	} else if changed {
		r.routing++
	}
	out := Revision{Routing: r.routing}
	if r.ask == nil {
		return out, nil
	}
	if _, err := r.told.empty(r.buf); err != nil {
		return out, err
	}
	gen := nftReader{c: r.ask, ahead: ahead{buf: r.buf}}
	id, err := gen.generation(ctx)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) {
		// a kernel without nf_tables
		r.ask.close()
		r.told.close()
		r.ask, r.told = nil, nil
		return out, nil
	}
	out.Generation = id
	return out, err
}

// fds become readable when something may have changed.
func (r *Revisions) fds() []unix.PollFd {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []unix.PollFd
	for _, c := range []*conn{r.told, r.rt} {
		if c != nil {
			out = append(out, unix.PollFd{Fd: int32(c.fd), Events: unix.POLLIN})
		}
	}
	return out
}

// revisionTries is how often a snapshot that a change ran through is read.
const revisionTries = 3

// Snapshot reads everything but the flows, and the revision that it is of;
// settled is false when changes ran through it each time.
func (r *Revisions) Snapshot(ctx context.Context, l *Live) (s *host.Snapshot, rev Revision, settled bool, err error) {
	for range revisionTries {
		before, err := r.Now(ctx)
		if err != nil {
			return nil, before, false, err
		}
		if s, err = l.Snapshot(ctx); err != nil {
			return nil, before, false, err
		}
		if rev, err = r.Now(ctx); err != nil {
			return nil, rev, false, err
		}
		if rev == before {
			return s, rev, true, nil
		}
	}
	return s, rev, false, nil
}

// join joins multicast groups; reading no longer waits.
func (c *conn) join(groups []int) error {
	if err := unix.SetNonblock(c.fd, true); err != nil {
		return err
	}
	for _, g := range groups {
		if err := unix.SetsockoptInt(c.fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, g); err != nil {
			return err
		}
	}
	return nil
}

// empty reads what waits and tells whether there was anything, or had been
// (ENOBUFS).
func (c *conn) empty(buf []byte) (some bool, err error) {
	for {
		_, err := unix.Read(c.fd, buf)
		switch err {
		case nil, unix.ENOBUFS:
			some = true
		case unix.EINTR:
		case unix.EAGAIN:
			return some, nil
		default:
			return some, err
		}
	}
}
