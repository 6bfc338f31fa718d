package capture

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

// Live is an open network namespace of the running kernel. Its methods may be
// used from several goroutines.
type Live struct {
	// StateDir is where History reads; "" is history.DefaultDir.
	StateDir string

	netns string
	ns    *worker
	once  sync.Once
}

// Open enters a network namespace: "" the current one, a name that `ip netns`
// knows, a path, or a process id.
func Open(netns string) (*Live, error) {
	w, err := enter(netns)
	if err != nil {
		return nil, err
	}
	return &Live{netns: netns, ns: w}, nil
}

// Close leaves the namespace.
func (l *Live) Close() error {
	l.once.Do(l.ns.close)
	return nil
}

// Snapshot reads everything but the flows. What cannot be read is named in
// Snapshot.Missing; it is an error only when ctx ended.
func (l *Live) Snapshot(ctx context.Context) (*host.Snapshot, error) {
	s := &host.Snapshot{Netns: l.netns, CapturedAt: time.Now(), Order: ne}
	var u unix.Utsname
	if err := unix.Uname(&u); err == nil {
		s.Hostname, s.Kernel = string(cstr(u.Nodename[:])), string(cstr(u.Release[:]))
	}
	// the kernel serves routes under another lock than rules: they come beside
	var routes host.Snapshot
	beside := make(chan error, 1)
	go func() {
		l.routing(ctx, &routes)
		beside <- l.ns.do(func() { s.Sysctls = readSysctls() })
	}()
	ipsets, missingSets := l.ipsets(ctx) // before the rules that refer to them by id
	ruleset, missing := l.ruleset(ctx, ipsets)
	s.Rules, s.Missing = ruleset, append(missing, missingSets...)
	s.Missing = append(s.Missing, l.legacy(ctx, s.Rules)...)
	if err := <-beside; err != nil {
		return nil, fmt.Errorf("snapshot: network namespace: %w", err)
	}
	s.Links, s.Addrs, s.Routes, s.RuleTable = routes.Links, routes.Addrs, routes.Routes, routes.RuleTable
	s.Missing = append(s.Missing, routes.Missing...)
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("snapshot: %w", context.Cause(ctx))
	}
	s.Ready()
	return s, nil
}

// Count is the number of entries and the most there may be.
func (l *Live) Count() (n, max uint64, err error) {
	rows := []reason{{unix.ENOENT, "nf_conntrack is not loaded"}, {unix.EACCES, "permission denied"}}
	closed := l.ns.do(func() {
		if n, err = readNumber("/proc/sys/net/netfilter/nf_conntrack_count"); err == nil {
			max, err = readNumber("/proc/sys/net/netfilter/nf_conntrack_max")
		}
	})
	if closed != nil {
		err = closed
	}
	if err != nil {
		return 0, 0, explainErr("conntrack count", err, rows)
	}
	return n, max, nil
}

func readNumber(path string) (uint64, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for len(b) > 0 && b[len(b)-1] == '\n' {
		b = b[:len(b)-1]
	}
	return strconv.ParseUint(string(b), 10, 64)
}
