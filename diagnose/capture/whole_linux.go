package capture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/history"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/kernlog"
)

// Expectations are the connections that are expected now, by id.
func (l *Live) Expectations(ctx context.Context) ([]Expectation, error) {
	w := &expectWatch{live: l}
	there, err := w.dump(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, explainErr("expectations", err, netlinkReasons("nf_conntrack_netlink"))
	}
	out := slices.Collect(maps.Values(there))
	slices.SortFunc(out, func(a, b Expectation) int { return int(int64(a.ID) - int64(b.ID)) })
	return out, nil
}

// Neighbours are what ARP and neighbour discovery know, entries without a
// link-layer address and those that need none (NUD_NOARP) included.
func (l *Live) Neighbours(ctx context.Context) ([]host.Neighbour, error) {
	var out []host.Neighbour
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		req := make([]byte, ndmsgLen)
		req[0] = family
		got, err := dumpAll(ctx, l, unix.NETLINK_ROUTE, unix.RTM_GETNEIGH, unix.RTM_NEWNEIGH, req, func(b []byte) (host.Neighbour, bool) {
			n, ok := parseNeighbour(b)
			return n, ok && b[0] == family
		})
		out = append(out, got...)
		if err != nil {
			return out, explainErr("neighbours", err, nil)
		}
	}
	return out, nil
}

// Messages of XFRM (include/uapi/linux/xfrm.h).
const (
	xfrmNewPolicy = 0x13 // XFRM_MSG_NEWPOLICY
	xfrmGetPolicy = 0x15 // XFRM_MSG_GETPOLICY
)

// XfrmPolicies are what IPsec does with which packets. A kernel without XFRM, or
// one that has not loaded xfrm_user, has none that this could read: making a
// socket would load it (netlink_create).
func (l *Live) XfrmPolicies(ctx context.Context) ([]host.XfrmPolicy, error) {
	const what = "xfrm policies"
	there, err := l.speaks(unix.NETLINK_XFRM)
	if err != nil {
		return nil, explainErr(what, err, nil)
	}
	if !there {
		return nil, &OpError{What: what, Why: host.NotThere, Err: unix.EPROTONOSUPPORT}
	}
	out, err := dumpAll(ctx, l, unix.NETLINK_XFRM, xfrmGetPolicy, xfrmNewPolicy, make([]byte, xfrmPolicyID), parseXfrmPolicy)
	if err != nil {
		return out, explainErr(what, err, []reason{{unix.EPERM, "permission denied (needs CAP_NET_ADMIN)"}})
	}
	return out, nil
}

// speaks tells whether the kernel serves a netlink protocol now: its own socket
// of each is in the list, with port 0 (netlink_seq_show).
func (l *Live) speaks(proto int) (there bool, err error) {
	closed := l.ns.do(func() {
		var b []byte
		b, err = os.ReadFile("/proc/thread-self/net/netlink")
		want := fmt.Appendf(nil, "%d", proto)
		for line := range bytes.Lines(b) {
			w := bytes.Fields(line)
			there = there || len(w) > 2 && bytes.Equal(w[1], want) && string(w[2]) == "0"
		}
	})
	return there, errors.Join(closed, err)
}

// dumpAll reads one dump whole, again while changes interrupt it. What came
// before an error is given with it.
func dumpAll[T any](ctx context.Context, l *Live, proto int, typ, answer uint16, req []byte, parse func([]byte) (T, bool)) ([]T, error) {
	c, err := l.ns.dial(proto)
	if err != nil {
		return nil, err
	}
	defer c.close()
	buf := make([]byte, ctBuffer)
	for try := 1; ; try++ {
		var out []T
		unread := 0
		info, err := c.dump(ctx, typ, req, buf, func(m message) error {
			if m.typ != answer {
				return nil
			}
			v, ok := parse(m.payload)
			if !ok {
				unread++
				return nil
			}
			out = append(out, v)
			return nil
		})
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case err != nil:
			return out, err
		case info.interrupted && try < rtTries:
			continue
		case unread > 0:
			return out, fmt.Errorf("%d messages could not be read", unread)
		case info.interrupted:
			return out, errors.New("they changed while they were read")
		}
		return out, nil
	}
}

// Log gives what the kernel's log holds of netfilter. There is one log for all
// namespaces.
func (l *Live) Log(ctx context.Context, fn func(*kernlog.Record) error) (lost uint64, err error) {
	k, err := OpenKmsg(true)
	if err != nil {
		return 0, err
	}
	defer k.Close()
	var r kernlog.Record
	kept := false
	for {
		err := k.Next(ctx, &r)
		if errors.Is(err, io.EOF) {
			return k.Lost(), nil
		}
		if err != nil {
			return k.Lost(), err
		}
		// the rest of a line is kept with its beginning
		kept = kernlog.Netfilter(r.Text) || kept && r.Continues
		if !kept {
			continue
		}
		if err := fn(&r); err != nil {
			return k.Lost(), err
		}
	}
}

// History is what `record` kept of the namespace in StateDir.
func (l *Live) History() (*history.History, error) {
	id, err := l.Identity()
	if err != nil {
		return nil, err
	}
	dir := l.StateDir
	if dir == "" {
		dir = history.DefaultDir
	}
	return history.Read(dir, id)
}

// Uptime is how long the machine runs, sleep included.
func (l *Live) Uptime() host.Fact[time.Duration] {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return host.Absent[time.Duration](err.Error())
	}
	return host.Known(time.Duration(ts.Nano()))
}
