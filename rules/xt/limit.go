package xt

import "strconv"

// limitScale is XT_LIMIT_SCALE: a period is counted in ten thousandths of a
// second. hashlimitScale is XT_HASHLIMIT_SCALE_v2, of its later revisions.
const (
	limitScale     = 10000
	hashlimitScale = 1000000
)

// limitBurst is the burst that iptables does not print.
const limitBurst = 5

// rateUnit is what a rate is per.
type rateUnit struct {
	name    string
	seconds uint64
}

// rateUnits are the longest first.
var rateUnits = []rateUnit{{"day", 24 * 60 * 60}, {"hour", 60 * 60}, {"min", 60}, {"sec", 1}}

// limitUnit is the unit in which the period, counted in scale-ths of a second
// and not 0, loses least (print_rate of libxt_limit.c).
func limitUnit(period, scale uint64) rateUnit {
	i := 1
	for ; i < len(rateUnits); i++ {
		u := rateUnits[i].seconds * scale
		if period > u || u/period < u%period {
			break
		}
	}
	return rateUnits[i-1]
}

// rateText is how often something may happen.
func rateText(period, scale uint64) string {
	if period == 0 {
		return "inf"
	}
	u := limitUnit(period, scale)
	return strconv.FormatUint(u.seconds*scale/period, 10) + "/" + u.name
}

func saveLimit(o *Options, period, burst uint32) {
	o.Word("--limit", rateText(uint64(period), limitScale))
	if burst != limitBurst {
		o.Word("--limit-burst", utoa(burst))
	}
}

func utoa(n uint32) string { return strconv.FormatUint(uint64(n), 10) }
