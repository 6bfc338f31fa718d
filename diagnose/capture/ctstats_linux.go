package capture

import (
	"context"
	"errors"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/counters"
)

// ctGetStatsCPU is IPCTNL_MSG_CT_GET_STATS_CPU.
const ctGetStatsCPU = ctSubsys | 4

// statsFile has the counters too, for everybody to read.
const statsFile = "/proc/net/stat/nf_conntrack"

// Stats reads the counters of every CPU, and how full the table is. Where
// netlink is refused it reads /proc, by the names in its header; Stats.Source
// tells which it was.
func (l *Live) Stats(ctx context.Context) (*counters.Stats, error) {
	const what = "conntrack statistics"
	out, err := l.netlinkStats(ctx)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EPROTONOSUPPORT) {
		if file, failed := l.fileStats(); failed == nil {
			out, err = file, nil
		}
	}
	if err != nil {
		return nil, explainErr(what, err, netlinkReasons(ctModule))
	}
	n, limit, err := l.Count()
	if err != nil {
		return nil, err
	}
	out.Entries, out.Max = n, limit
	if err := l.ns.do(func() {
		// one table for all namespaces, that only the first one has as a sysctl
		for _, path := range []string{"/proc/sys/net/netfilter/nf_conntrack_buckets", "/sys/module/nf_conntrack/parameters/hashsize"} {
			if n, err := readNumber(path); err == nil {
				out.Buckets = n
				break
			}
		}
	}); err != nil {
		return nil, explainErr(what, err, nil)
	}
	return out.Noted(), nil // 0 buckets: not told
}

func (l *Live) netlinkStats(ctx context.Context) (*counters.Stats, error) {
	c, err := l.dialConntrack("conntrack statistics")
	if err != nil {
		return nil, err
	}
	defer c.close()
	out := &counters.Stats{Source: "netlink"}
	_, err = c.dump(ctx, ctGetStatsCPU, nfgen(unix.AF_UNSPEC, nil), make([]byte, ctBuffer), func(m message) error {
		cpu, err := parseStats(m.payload)
		if err != nil {
			return err
		}
		out.CPUs = append(out.CPUs, cpu)
		return nil
	})
	slices.SortFunc(out.CPUs, func(a, b counters.CPU) int { return a.CPU - b.CPU })
	return out, err
}

// fileStats reads statsFile of the namespace: net is that of the thread.
func (l *Live) fileStats() (out *counters.Stats, err error) {
	closed := l.ns.do(func() {
		var f *os.File
		if f, err = os.Open("/proc/thread-self/net/stat/nf_conntrack"); err != nil {
			return
		}
		defer f.Close()
		var r *counters.Reading
		if r, err = counters.Read(f, statsFile); err == nil {
			out = &r.Stats
		}
	})
	return out, errors.Join(err, closed)
}
