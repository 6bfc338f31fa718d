package capture

import (
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

func release(s string) host.Release {
	r, _ := host.ParseRelease(s)
	return r
}

func TestLoggers(t *testing.T) {
	yes, no := host.Known(true), host.Known(false)
	hidden := host.Absent[bool]("only the initial namespace shows it")
	tests := []struct {
		name string
		g    Loggers
		logs rules.Truth // packets of TCP
		log  rules.Truth
		why  string // of log
	}{
		{"initial", Loggers{LogInvalid: host.Known(uint8(255)), IPv4: host.Known("nf_log_ipv4"), Initial: rules.Yes}, rules.Yes, rules.Yes, ""},
		{"off", Loggers{LogInvalid: host.Known(uint8(0)), IPv4: host.Known("nf_log_ipv4"), Initial: rules.Yes}, rules.No, rules.Yes, ""},
		{"another protocol", Loggers{LogInvalid: host.Known(uint8(17)), IPv4: host.Known("nf_log_ipv4"), Initial: rules.Yes}, rules.No, rules.Yes, ""},
		{"this protocol", Loggers{LogInvalid: host.Known(uint8(6)), IPv4: host.Known("nf_log_ipv4"), Initial: rules.Yes}, rules.Yes, rules.Yes, ""},
		{"not known", Loggers{LogInvalid: host.Absent[uint8]("x"), IPv4: host.Absent[string]("x"), Initial: rules.Yes}, rules.Unknown, rules.Unknown, "the logger is not known: x"},
		{"other namespace", Loggers{IPv4: host.Known("nf_log_ipv4"), Initial: rules.No, AllNetns: no}, rules.Unknown, rules.No,
			"in a namespace other than the initial one the kernel log stays silent while net.netfilter.nf_log_all_netns is 0"},
		{"other namespace, all log", Loggers{IPv4: host.Known("nf_log_ipv4"), Initial: rules.No, AllNetns: yes}, rules.Unknown, rules.Yes, ""},
		{"other namespace, hidden", Loggers{IPv4: host.Known("nf_log_ipv4"), Initial: rules.No, AllNetns: hidden}, rules.Unknown, rules.Unknown,
			"this is not the initial namespace, and net.netfilter.nf_log_all_netns of that one is not known: only the initial namespace shows it"},
		{"some namespace", Loggers{IPv4: host.Known("nf_log_ipv4"), AllNetns: hidden}, rules.Unknown, rules.Unknown,
			"it is not known whether this is the initial namespace: others write to the kernel's log only while net.netfilter.nf_log_all_netns is 1"},
		{"to userspace", Loggers{IPv4: host.Known(LoggerNFLog), Initial: rules.Yes}, rules.Unknown, rules.No,
			"the logger is nfnetlink_log: packets go to who listens to group 0"},
		{"to nobody", Loggers{IPv4: host.Known(LoggerNFLog), Initial: rules.Yes, Listener: no}, rules.Unknown, rules.No,
			"the logger is nfnetlink_log: nobody listens to group 0, and packets are dropped unseen"},
		{"none", Loggers{IPv4: host.Known(LoggerNone), Initial: rules.Yes, Known: host.Known([]string{}), Release: release("6.12.1")}, rules.Unknown, rules.No,
			"no logger is set: modprobe nf_log_syslog (before 5.13: nf_log_ipv4 and nf_log_ipv6)"},
		{"none, loaded by itself", Loggers{IPv4: host.Known(LoggerNone), Initial: rules.Yes, Known: host.Known([]string{}), Release: release("6.17")}, rules.Unknown, rules.No,
			"no logger is set; nf_log_syslog is loaded when a value other than 0 is written to net.netfilter.nf_conntrack_log_invalid"},
		{"unset", Loggers{IPv4: host.Known(LoggerNone), Initial: rules.Yes, Known: host.Known([]string{LoggerNFLog}), Release: release("6.17")}, rules.Unknown, rules.No,
			"no logger is set: modprobe nf_log_syslog (before 5.13: nf_log_ipv4 and nf_log_ipv6)"},
		{"unset by hand", Loggers{IPv4: host.Known(LoggerNone), Initial: rules.Yes, Known: host.Known([]string{"nf_log_ipv4", LoggerNFLog}), Release: release("6.17")}, rules.Unknown, rules.No,
			"no logger is set: sysctl -w net.netfilter.nf_log.2=nf_log_ipv4"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, why := tt.g.Logs(6); got != tt.logs || (why == "") != (got == rules.Yes) {
				t.Errorf("logs: %v %q, want %v", got, why, tt.logs)
			}
			if got, why := tt.g.ToKernelLog(rules.FamilyIPv4); got != tt.log || why != tt.why {
				t.Errorf("kernel log: %v %q\nwant %v %q", got, why, tt.log, tt.why)
			}
		})
	}
}

func TestNeverLogged(t *testing.T) {
	for kernel, want := range map[string]rules.Truth{
		"4.15.18": rules.Yes, "4.16": rules.Unknown, "4.19.43": rules.Unknown, "4.19.44": rules.Yes,
		"4.20.1": rules.Unknown, "5.0.16": rules.Unknown, "5.0.17": rules.Yes, "5.1.2": rules.Unknown,
		"5.1.3": rules.Yes, "5.2": rules.Yes, "6.18.44": rules.Yes, "": rules.Yes,
	} {
		g := Loggers{LogInvalid: host.Known(uint8(255)), Release: release(kernel)}
		if got, why := g.Logs(6); got != want {
			t.Errorf("kernel %q: %v %q, want %v", kernel, got, why, want)
		}
	}
}
