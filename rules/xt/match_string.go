package xt

import (
	"fmt"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// XT_STRING_FLAG_*.
const (
	stringInvert = 1 << 0
	stringIcase  = 1 << 1
)

// stringPattern is XT_STRING_MAX_PATTERN_SIZE.
const stringPattern = 128

// stringMatch is struct xt_string_info. Offsets count from the IP header.
type stringMatch struct {
	from, to uint16
	algo     string
	pattern  string
	flags    uint8
}

func decodeString(revision int) func(*Context, *reader) Extension {
	return func(_ *Context, r *reader) Extension {
		x := &stringMatch{from: r.u16(), to: r.u16(), algo: r.str(16)}
		pattern, n := r.bytes(stringPattern), int(r.u8())
		x.flags = r.u8()
		if revision == 0 {
			x.flags = min(x.flags, stringInvert) // a truth value
		}
		switch {
		case n > stringPattern:
			r.fail("pattern of %d bytes, at most %d", n, stringPattern)
			return x
		case x.from > x.to:
			r.fail("from %d to %d", x.from, x.to)
		case x.flags&^(stringInvert|stringIcase) != 0:
			r.fail("unknown flags 0x%x", x.flags)
		}
		x.pattern = string(pattern[:n])
		return x
	}
}

// Statements follows string_mt.
func (x *stringMatch) Statements(c *Context) []rules.Statement {
	return openOn(c, "string", rules.FromPayload)
}

func (x *stringMatch) Save(_ *Context, o *Options) {
	if x.hex() {
		o.Opt(x.flags&stringInvert != 0, "--hex-string", fmt.Sprintf(`"|%x|"`, x.pattern))
	} else {
		// not as xtables_save_string does: ' stays as it is
		escaped := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(x.pattern)
		o.Opt(x.flags&stringInvert != 0, "--string", `"`+escaped+`"`)
	}
	o.Word("--algo", x.algo)
	if x.from != 0 {
		o.Word("--from", utoa(uint32(x.from)))
	}
	if x.to != 0xffff {
		o.Word("--to", utoa(uint32(x.to)))
	}
	if x.flags&stringIcase != 0 {
		o.Word("--icase")
	}
}

// hex tells whether the pattern is printed in hexadecimal (is_hex_string).
func (x *stringMatch) hex() bool {
	for i := range len(x.pattern) {
		if c := x.pattern[i]; c < ' ' || c > '~' {
			return true
		}
	}
	return strings.HasSuffix(x.pattern, `\`)
}
