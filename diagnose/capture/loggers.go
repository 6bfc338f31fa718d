package capture

import (
	"fmt"
	"slices"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// Settings that decide what becomes of what conntrack logs.
const (
	KeyLogInvalid  = "net.netfilter.nf_conntrack_log_invalid"
	KeyLoggerIPv4  = "net.netfilter.nf_log.2"
	KeyLoggerBr    = "net.netfilter.nf_log.7"
	KeyLoggerIPv6  = "net.netfilter.nf_log.10"
	KeyLogAllNetns = "net.netfilter.nf_log_all_netns"
)

// Names of loggers that are not those of nf_log_syslog.
const (
	LoggerNone  = "NONE"
	LoggerNFLog = "nfnetlink_log"
)

// Loggers is what becomes of what conntrack logs of the packets of a namespace.
type Loggers struct {
	// LogInvalid is net.netfilter.nf_conntrack_log_invalid: the protocol that is
	// logged, 255 for all, 0 for none.
	LogInvalid host.Fact[uint8]
	// IPv4, IPv6 and Bridge are the loggers by name (nf_log.2, .10, .7): NONE,
	// nfnetlink_log, or one that writes to the kernel's log.
	IPv4, IPv6, Bridge host.Fact[string]
	// Known are the loggers that are registered for IPv4 on this machine: others
	// cannot be set.
	Known host.Fact[[]string]
	// Initial tells whether the namespace is the initial one.
	Initial rules.Truth
	// AllNetns is net.netfilter.nf_log_all_netns (4.12), which the initial
	// namespace alone shows: whether the others write to the kernel's log.
	AllNetns host.Fact[bool]
	// Listener tells whether somebody has bound group 0 of nfnetlink_log here.
	Listener host.Fact[bool]
	Release  host.Release
}

// Logger is the logger of a family.
func (g *Loggers) Logger(f rules.Family) host.Fact[string] {
	switch f {
	case rules.FamilyIPv4:
		return g.IPv4
	case rules.FamilyIPv6:
		return g.IPv6
	case rules.FamilyBridge:
		return g.Bridge
	}
	return host.Absent[string]("conntrack logs IPv4 and IPv6 only")
}

// Logs tells whether conntrack logs packets of a protocol at all, and why not,
// or why that is not known.
func (g *Loggers) Logs(proto uint8) (rules.Truth, string) {
	switch v := g.LogInvalid; {
	case !v.OK:
		return rules.Unknown, fmt.Sprintf("%s: %s", KeyLogInvalid, v.Why)
	case v.Value == 0:
		return rules.No, KeyLogInvalid + " is 0"
	case v.Value != logInvalidAll && v.Value != proto:
		return rules.No, fmt.Sprintf("%s is %d, which is another protocol", KeyLogInvalid, v.Value)
	}
	for _, b := range neverLogged {
		if g.Release.Known() && g.Release.In(b.since, b.before) {
			return rules.Unknown, fmt.Sprintf("kernel %s: unless its distribution has mended it, nf_ct_l4proto_log_invalid logs nothing in kernels from %s until %s",
				g.Release, b.since, b.before)
		}
	}
	return rules.Yes, ""
}

// logInvalidAll is IPPROTO_RAW, which stands for all protocols.
const logInvalidAll = 255

// neverLogged are the kernels whose nf_ct_l4proto_log_invalid returns unless
// the packet is of protocol 255 (c4f3db159582, until d48668052b26).
var neverLogged = []struct{ since, before host.Release }{
	{host.Release{Major: 4, Minor: 16}, host.Release{Major: 4, Minor: 19, Patch: 44}},
	{host.Release{Major: 4, Minor: 20}, host.Release{Major: 5, Minor: 0, Patch: 17}},
	{host.Release{Major: 5, Minor: 1}, host.Release{Major: 5, Minor: 1, Patch: 3}},
}

// ToKernelLog tells whether what conntrack logs of a family comes to the
// kernel's log (/dev/kmsg), and why not, or why that is not known. Whether it
// logs at all is asked by Logs.
func (g *Loggers) ToKernelLog(f rules.Family) (rules.Truth, string) {
	logger := g.Logger(f)
	switch {
	case !logger.OK:
		return rules.Unknown, "the logger is not known: " + logger.Why
	case logger.Value == LoggerNone && g.Loads():
		return rules.No, "no logger is set; nf_log_syslog is loaded when a value other than 0 is written to " + KeyLogInvalid
	case logger.Value == LoggerNone:
		return rules.No, "no logger is set: " + g.setsLogger(f)
	case logger.Value == LoggerNFLog:
		return rules.No, "the logger is nfnetlink_log: " + g.toListener()
	case g.Initial == rules.Yes:
		return rules.Yes, ""
	case g.AllNetns.OK && g.AllNetns.Value:
		return rules.Yes, ""
	case g.Initial == rules.Unknown:
		return rules.Unknown, "it is not known whether this is the initial namespace: others write to the kernel's log only while " + KeyLogAllNetns + " is 1"
	case !g.AllNetns.OK:
		return rules.Unknown, "this is not the initial namespace, and " + KeyLogAllNetns + " of that one is not known: " + g.AllNetns.Why
	}
	return rules.No, "in a namespace other than the initial one the kernel log stays silent while " + KeyLogAllNetns + " is 0"
}

// toListener says where packets go from nfnetlink_log.
func (g *Loggers) toListener() string {
	switch {
	case !g.Listener.OK:
		return "packets go to who listens to group 0"
	case g.Listener.Value:
		return "packets go to the program that listens to group 0"
	}
	return "nobody listens to group 0, and packets are dropped unseen"
}

// Loads tells whether the kernel loads a logger of itself
// (nf_conntrack_log_invalid_sysctl, 6.17): when none at all is registered.
func (g *Loggers) Loads() bool {
	return g.Release.AtLeast(6, 17) && g.Known.OK && len(g.Known.Value) == 0
}

// setsLogger is a command after which a family has a logger that writes to the
// kernel's log.
func (g *Loggers) setsLogger(f rules.Family) string {
	for _, name := range g.Known.Value {
		if name == LoggerNFLog {
			continue
		}
		if f == rules.FamilyIPv6 {
			return "sysctl -w " + KeyLoggerIPv6 + "=nf_log_ipv6"
		}
		return "sysctl -w " + KeyLoggerIPv4 + "=" + name
	}
	return "modprobe nf_log_syslog (before 5.13: nf_log_ipv4 and nf_log_ipv6)"
}

// CanNFLog tells whether nfnetlink_log can be made the logger, and why not.
func (g *Loggers) CanNFLog() (rules.Truth, string) {
	switch {
	case !g.Known.OK:
		return rules.Unknown, "the registered loggers are not known: " + g.Known.Why
	case !slices.Contains(g.Known.Value, LoggerNFLog):
		return rules.No, "nfnetlink_log is not loaded: modprobe nfnetlink_log"
	}
	return rules.Yes, ""
}
