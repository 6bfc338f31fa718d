package counters

import "fmt"

// fewBuckets: entries stand in two chains each, one for either tuple; one of
// more than 50 to 79 is refused.
var fewBuckets = cause{
	name: "few-buckets",
	text: "too few hash buckets for the entries",
	ask:  "sysctl net.netfilter.nf_conntrack_buckets net.netfilter.nf_conntrack_count",
	look: func(c *Case, f *Finding, x *Cause) string {
		if c.Stats.Buckets == 0 {
			return ""
		}
		mean := 2 * float64(c.Stats.Entries) / float64(c.Stats.Buckets)
		x.Evidence = append(x.Evidence, fmt.Sprintf("2 × %d entries in %d buckets: %.1f in a chain on average, refused from 50 to 79 on; the buckets are those of all namespaces", c.Stats.Entries, c.Stats.Buckets, mean))
		if mean >= 8 {
			x.Grade = Shown
		}
		want := c.Stats.Buckets * 2
		for want < c.Stats.Max {
			want *= 2
		}
		x.Fix = fmt.Sprintf("sysctl -w net.netfilter.nf_conntrack_buckets=%d", want)
		x.Cost = fmt.Sprintf("%d MiB of kernel memory, and a moment in which lookups wait; in the first namespace", want*8>>20+1)
		return ""
	},
}
