package capture

import (
	"context"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/counters"
)

// ctGetStatsCPU is IPCTNL_MSG_CT_GET_STATS_CPU.
const ctGetStatsCPU = ctSubsys | 4

// Stats reads the counters of every CPU, and how full the table is.
func (l *Live) Stats(ctx context.Context) (*counters.Stats, error) {
	const what = "conntrack statistics"
	c, err := l.dialConntrack(what)
	if err != nil {
		return nil, err
	}
	defer c.close()
	out := &counters.Stats{}
	_, err = c.dump(ctx, ctGetStatsCPU, nfgen(unix.AF_UNSPEC, nil), make([]byte, ctBuffer), func(m message) error {
		cpu, err := parseStats(m.payload)
		if err != nil {
			return err
		}
		out.CPUs = append(out.CPUs, cpu)
		return nil
	})
	if err != nil {
		return nil, explainErr(what, err, netlinkReasons(ctModule))
	}
	slices.SortFunc(out.CPUs, func(a, b counters.CPU) int { return a.CPU - b.CPU })
	if out.Entries, out.Max, err = l.Count(); err != nil {
		return nil, err
	}
	if err := l.ns.do(func() {
		// absent from other namespaces than the first: 0 says so
		out.Buckets, _ = readNumber("/proc/sys/net/netfilter/nf_conntrack_buckets")
	}); err != nil {
		return nil, explainErr(what, err, nil)
	}
	return out, nil
}
