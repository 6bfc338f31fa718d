package capture

import (
	"bytes"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// Loggers reads what becomes of what conntrack logs here.
func (l *Live) Loggers() Loggers {
	g := Loggers{
		IPv4: l.Sysctl(KeyLoggerIPv4), IPv6: l.Sysctl(KeyLoggerIPv6), Bridge: l.Sysctl(KeyLoggerBr),
		LogInvalid: number8(l.Sysctl(KeyLogInvalid)),
		Known:      host.Absent[[]string](errClosed.Error()),
		Listener:   host.Absent[bool](errClosed.Error()),
		Initial:    l.initial(),
	}
	// a closed namespace leaves what it is now
	_ = l.ns.do(func() { g.Known, g.Listener = knownLoggers(), groupZeroTaken() })
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		g.Release, _ = host.ParseRelease(string(cstr(u.Release[:])))
	}
	g.AllNetns = l.allNetns()
	return g
}

func number8(s host.Fact[string]) host.Fact[uint8] {
	if !s.OK {
		return host.Absent[uint8](s.Why)
	}
	n, err := strconv.ParseUint(s.Value, 10, 8)
	if err != nil {
		return host.Absent[uint8](strconv.Quote(s.Value) + " is not a number of a protocol")
	}
	return host.Known(uint8(n))
}

// initial tells whether this is init_net. Where the numbers do not tell, the
// setting does that it alone has (4.12).
func (l *Live) initial() rules.Truth {
	switch p := l.Place(); {
	case p.Initial() || l.Sysctl(KeyLogAllNetns).OK:
		return rules.Yes
	case p.Cookie != 0:
		return rules.No
	}
	return rules.Unknown
}

// allNetns reads the one setting where it is to be seen: here, where this
// process was started, or where process 1 is.
func (l *Live) allNetns() host.Fact[bool] {
	s := l.Sysctl(KeyLogAllNetns)
	if !s.OK {
		s = readSysctl(sysctlPath(KeyLogAllNetns))
	}
	if !s.OK {
		if first, err := Open("/proc/1/ns/net"); err == nil {
			s = first.Sysctl(KeyLogAllNetns)
			first.Close()
		}
	}
	if !s.OK {
		return host.Absent[bool]("only the initial namespace shows it")
	}
	return host.Known(s.Value != "0")
}

func groupZeroTaken() host.Fact[bool] {
	_, taken, err := groupHolder(0)
	if err != nil {
		return host.Absent[bool](fileReason(err))
	}
	return host.Known(taken)
}

// knownLoggers reads which loggers are registered for IPv4:
// /proc/net/netfilter/nf_log is " 2 nf_log_ipv4 (nf_log_ipv4,nfnetlink_log)" a
// line (seq_show in nf_log.c).
func knownLoggers() host.Fact[[]string] {
	b, err := os.ReadFile("/proc/thread-self/net/netfilter/nf_log")
	if err != nil {
		return host.Absent[[]string](fileReason(err))
	}
	for line := range bytes.Lines(b) {
		w := strings.Fields(string(line))
		if len(w) != 3 || w[0] != "2" {
			continue
		}
		names := strings.FieldsFunc(w[2], func(c rune) bool { return c == '(' || c == ')' || c == ',' })
		return host.Known(names)
	}
	return host.Absent[[]string]("/proc/net/netfilter/nf_log has no line of IPv4")
}
