package capture

import "github.com/ntdiag/ntdiag/diagnose/counters"

// parseStats reads one CPU's counters, which follow the nfgenmsg b
// (ctnetlink_ct_stat_cpu_fill_info); the CPU stands in its res_id.
func parseStats(b []byte) (counters.CPU, error) {
	var c counters.CPU
	if len(b) < 4 {
		return c, badAttr("conntrack statistics")
	}
	c.CPU = int(be.Uint16(b[2:]))
	a := attrs{b: b[4:]}
	for a.next() {
		for k := range counters.Table {
			if counters.Table[k].Attr != a.typ {
				continue
			}
			n, ok := beU32(a.val)
			if !ok {
				return c, badAttr("conntrack statistics: " + counters.Table[k].Name)
			}
			c.Values[k], c.Has[k] = uint64(n), true
		}
	}
	if a.bad {
		return c, badAttr("conntrack statistics")
	}
	return c, nil
}
