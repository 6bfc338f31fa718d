package capture

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSetSysctl(t *testing.T) {
	_, live := logging(t)
	const key = KeyLogInvalid
	outside, _ := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_log_invalid") // not to be seen everywhere
	if err := live.SetSysctl(key, "17"); err != nil {
		t.Fatal(err)
	}
	if v := live.Sysctl(key); !v.OK || v.Value != "17" {
		t.Errorf("%+v", v)
	}
	if now, _ := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_log_invalid"); string(now) != string(outside) {
		t.Errorf("it was set outside of the namespace: %q", now)
	}
	tests := []struct {
		name, key, value string
		err              string
		is               error
	}{
		{"value", key, "256", `sysctl net.netfilter.nf_conntrack_log_invalid: the kernel refused the value "256"`, unix.EINVAL},
		{"no such key", "net.netfilter.nf_nothing", "1", "sysctl net.netfilter.nf_nothing: this kernel does not have it, or its module is not loaded", unix.ENOENT},
		{"no such logger", KeyLoggerIPv4, "nobody", `sysctl net.netfilter.nf_log.2: no logger "nobody" is registered: its module is not loaded`, unix.ENOENT},
		{"read-only", "net.netfilter.nf_conntrack_max", "1", "sysctl net.netfilter.nf_conntrack_max: permission denied (needs root of this network namespace)", fs.ErrPermission},
		{"global", "kernel.hostname", "x", `sysctl kernel.hostname: "kernel.hostname" is not a key below net`, nil},
		{"a way out", "net.../kernel/hostname", "x", `sysctl net.../kernel/hostname: "net.../kernel/hostname" is not a key`, nil},
		{"slash", "net.ipv4/ip_forward", "1", `sysctl net.ipv4/ip_forward: "net.ipv4/ip_forward" is not a key`, nil},
		{"nothing", "", "1", `sysctl : "" is not a key below net`, nil},
		{"end", "net.", "1", `sysctl net.: "net." is not a key`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := live.SetSysctl(tt.key, tt.value)
			if err == nil || err.Error() != tt.err || tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
		})
	}
	if v := live.Sysctl("net/../kernel"); v.OK || !strings.Contains(v.Why, "is not a key") {
		t.Errorf("%+v", v)
	}
}
