package xt

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ntdiag/ntdiag/rules"
)

// XT_TIME_*.
const (
	timeKernelTZ   = 1 << 0
	timeContiguous = 1 << 1

	timeAllMonthdays = 0xfffffffe
	timeAllWeekdays  = 0xfe
	timeLastSecond   = 24*60*60 - 1
)

// timeWindow is struct xt_time_info. Days are bits, from 1 on: the first of
// the month, Monday.
type timeWindow struct {
	dateStart, dateStop uint32 // seconds since 1970
	dayStart, dayStop   uint32 // seconds since midnight
	monthdays           uint32
	weekdays, flags     uint8
}

func decodeTime(_ *Context, r *reader) Extension {
	x := &timeWindow{
		dateStart: r.u32(), dateStop: r.u32(), dayStart: r.u32(), dayStop: r.u32(),
		monthdays: r.u32(), weekdays: r.u8(), flags: r.u8(),
	}
	switch {
	case x.flags&^(timeKernelTZ|timeContiguous) != 0:
		r.fail("unknown flags 0x%x", x.flags)
	case x.dayStart > timeLastSecond || x.dayStop > timeLastSecond:
		r.fail("a time of day past 23:59:59")
	case x.flags&timeContiguous != 0 && x.dayStart < x.dayStop:
		r.fail("contiguous, but within one day")
	}
	return x
}

// Statements follows time_mt.
func (x *timeWindow) Statements(c *Context) []rules.Statement {
	if x.dateStart > x.dateStop || x.weekdays&timeAllWeekdays == 0 || x.monthdays&timeAllMonthdays == 0 {
		return fixed(c, false)
	}
	return openOn(c, "time", rules.FromTime)
}

var weekdays = [...]string{1: "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}

func (x *timeWindow) Save(_ *Context, o *Options) {
	if x.dayStart != 0 || x.dayStop != timeLastSecond {
		o.Word("--timestart", clock(x.dayStart), "--timestop", clock(x.dayStop))
	}
	if x.monthdays != timeAllMonthdays {
		o.Word("--monthdays", days(x.monthdays, 31, strconv.Itoa))
	}
	if x.weekdays != timeAllWeekdays {
		o.Word("--weekdays", days(uint32(x.weekdays), 7, func(i int) string { return weekdays[i] }))
	}
	for _, d := range [...]struct {
		option string
		at     uint32
	}{{"--datestart", x.dateStart}, {"--datestop", x.dateStop}} {
		if d.at != 0 {
			o.Word(d.option, time.Unix(int64(d.at), 0).UTC().Format("2006-01-02T15:04:05"))
		}
	}
	if x.flags&timeKernelTZ != 0 {
		o.Word("--kerneltz")
	}
	if x.flags&timeContiguous != 0 {
		o.Word("--contiguous")
	}
}

func clock(s uint32) string { return fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60) }

// days lists the bits from 1 to last.
func days(mask uint32, last int, name func(int) string) string {
	var out []string
	for i := 1; i <= last; i++ {
		if mask&(1<<i) != 0 {
			out = append(out, name(i))
		}
	}
	return strings.Join(out, ",")
}
