package xt

import (
	"strconv"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// led is struct xt_led_info.
type led struct {
	id    string
	blink bool
	delay uint32 // milliseconds
}

// ledPrefix begins the name of every trigger.
const ledPrefix = "netfilter-"

func decodeLED(_ *Context, r *reader) Extension {
	x := &led{id: r.str(27), blink: r.u8() != 0, delay: r.u32()}
	if !strings.HasPrefix(x.id, ledPrefix) {
		r.fail("trigger %q", x.id)
	}
	return x
}

func (*led) Statements(*Context) []rules.Statement { return nil }

func (x *led) Save(_ *Context, o *Options) {
	id := strings.NewReplacer(`"`, `\"`, `\`, `\\`).Replace(strings.TrimPrefix(x.id, ledPrefix))
	o.Word("--led-trigger-id", `"`+id+`"`)
	if x.delay != 0 {
		o.Word("--led-delay", strconv.Itoa(int(int32(x.delay))))
	}
	if x.blink {
		o.Word("--led-always-blink")
	}
}
