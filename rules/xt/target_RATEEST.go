package xt

import (
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// rateestTarget is struct xt_rateest_target_info: an estimator of that name counts
// the packets.
type rateestTarget struct {
	name     string
	interval int8 // 2^interval seconds
	ewmaLog  uint8
}

func decodeRATEEST(_ *Context, r *reader) Extension {
	x := &rateestTarget{name: r.str(16), interval: int8(r.u8()), ewmaLog: r.u8()}
	if x.interval < -2 || x.interval > 3 || x.ewmaLog == 0 || x.ewmaLog >= 31 {
		r.fail("interval %d, weight %d", x.interval, x.ewmaLog)
	}
	return x
}

func (*rateestTarget) Statements(*Context) []rules.Statement { return nil }

// Save counts microseconds in 32 bits, as iptables does.
func (x *rateestTarget) Save(_ *Context, o *Options) {
	interval := uint32(1000000) << (x.interval + 2) / 4
	ewma := interval << x.ewmaLog
	o.Word("--rateest-name", x.name, "--rateest-interval", rateestTime(interval), "--rateest-ewmalog", rateestTime(ewma))
}

func rateestTime(us uint32) string {
	switch {
	case us >= 1000000:
		return fmt.Sprintf("%.1fs", float64(us)/1000000)
	case us >= 1000:
		return fmt.Sprintf("%.1fms", float64(us)/1000)
	}
	return fmt.Sprintf("%dus", us)
}
