package evidence

import (
	"strconv"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/host"
)

// setting is one of sysctl -a, or why it is not known.
func (b *builder) setting(key string) host.Fact[string] {
	switch f := b.snap.Sysctls[key]; {
	case f.OK:
		return f
	case !b.has[partSysctls]:
		return host.Absent[string]("no `sysctl -a` was given")
	}
	return host.Absent[string]("it is not among the settings that were given")
}

// loggers is what becomes of what conntrack logs, as far as settings tell. One
// that is no number is as one that is not there.
func (b *builder) loggers() capture.Loggers {
	const unasked = "texts of other tools do not tell it"
	g := capture.Loggers{
		IPv4: b.setting(capture.KeyLoggerIPv4), IPv6: b.setting(capture.KeyLoggerIPv6), Bridge: b.setting(capture.KeyLoggerBr),
		Known: host.Absent[[]string](unasked), Listener: host.Absent[bool](unasked),
	}
	g.Release, _ = host.ParseRelease(b.snap.Kernel)
	if s := b.setting(capture.KeyLogInvalid); !s.OK {
		g.LogInvalid = host.Absent[uint8](s.Why)
	} else if n, err := strconv.ParseUint(s.Value, 10, 8); err != nil {
		g.LogInvalid = host.Absent[uint8](strconv.Quote(s.Value) + " is not a number of a protocol")
	} else {
		g.LogInvalid = host.Known(uint8(n))
	}
	if s := b.setting(capture.KeyLogAllNetns); s.OK {
		g.AllNetns = host.Known(s.Value != "0")
	} else {
		g.AllNetns = host.Absent[bool](s.Why)
	}
	return g
}

// most is how many entries there may be.
func (b *builder) most() host.Fact[uint64] {
	s := b.setting("net.netfilter.nf_conntrack_max")
	if !s.OK {
		return host.Absent[uint64](s.Why)
	}
	n, err := strconv.ParseUint(s.Value, 10, 64)
	if err != nil {
		return host.Absent[uint64](strconv.Quote(s.Value) + " is not a number")
	}
	return host.Known(n)
}
