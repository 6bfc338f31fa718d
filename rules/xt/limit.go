package xt

import "strconv"

// limitScale is XT_LIMIT_SCALE: a period is counted in ten thousandths of a
// second.
const limitScale = 10000

// limitBurst is the burst that iptables does not print.
const limitBurst = 5

// limitUnits are what a rate is printed in, the longest first.
var limitUnits = []struct {
	name   string
	period uint32
}{
	{"day", limitScale * 24 * 60 * 60}, {"hour", limitScale * 60 * 60}, {"min", limitScale * 60}, {"sec", limitScale},
}

// rateText is how often something may happen, in the unit that loses least
// (print_rate of libxt_limit.c).
func rateText(period uint32) string {
	if period == 0 {
		return "inf"
	}
	i := 1
	for ; i < len(limitUnits); i++ {
		u := limitUnits[i].period
		if period > u || u/period < u%period {
			break
		}
	}
	return strconv.Itoa(int(limitUnits[i-1].period/period)) + "/" + limitUnits[i-1].name
}

func saveLimit(o *Options, period, burst uint32) {
	o.Word("--limit", rateText(period))
	if burst != limitBurst {
		o.Word("--limit-burst", strconv.Itoa(int(burst)))
	}
}
