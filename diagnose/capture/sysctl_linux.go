package capture

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

// sysctls are the settings that a snapshot holds; * stands for all, default
// and each device.
var sysctls = [...]string{
	"net.ipv4.ip_forward",
	"net.ipv6.conf.all.forwarding",
	"net.ipv4.conf.*.rp_filter",
	"net.ipv4.conf.*.route_localnet",
	"net.ipv4.conf.*.forwarding",
	"net.ipv4.conf.*.src_valid_mark",
	"net.ipv4.conf.*.accept_local",
	"net.ipv4.conf.*.ignore_routes_with_linkdown",
	"net.netfilter.nf_conntrack_max",
	"net.netfilter.nf_conntrack_count",
	"net.netfilter.nf_conntrack_buckets",
	"net.netfilter.nf_conntrack_acct",
	"net.netfilter.nf_conntrack_timestamp",
	"net.netfilter.nf_conntrack_helper",
	"net.netfilter.nf_conntrack_checksum",
	"net.netfilter.nf_conntrack_log_invalid",
	"net.netfilter.nf_conntrack_tcp_loose",
	"net.netfilter.nf_conntrack_tcp_be_liberal",
	"net.netfilter.nf_conntrack_tcp_ignore_invalid_rst",
	"net.netfilter.nf_conntrack_events",
	"net.netfilter.nf_conntrack_expect_max",
	"net.netfilter.nf_conntrack_generic_timeout",
	"net.netfilter.nf_conntrack_tcp_timeout_established",
	"net.netfilter.nf_conntrack_tcp_timeout_syn_sent",
	"net.netfilter.nf_conntrack_tcp_timeout_time_wait",
	"net.netfilter.nf_conntrack_udp_timeout",
	"net.netfilter.nf_conntrack_udp_timeout_stream",
	"net.netfilter.nf_conntrack_icmp_timeout",
	"net.bridge.bridge-nf-call-iptables",
	"net.bridge.bridge-nf-call-ip6tables",
}

// readSysctls reads the table on a thread that is in the namespace.
func readSysctls() map[string]host.Fact[string] {
	out := make(map[string]host.Fact[string], 64)
	for _, key := range sysctls {
		dir, rest, each := strings.Cut(key, ".*.")
		if !each {
			out[key] = readSysctl(sysctlPath(key))
			continue
		}
		devices, err := os.ReadDir(sysctlPath(dir))
		if err != nil {
			out[dir+".all."+rest] = host.Absent[string](fileReason(err))
			continue
		}
		for _, d := range devices {
			// a device's name may hold a dot: it stands as it is in the key
			path := filepath.Join(sysctlPath(dir), d.Name(), sysctlTail(rest))
			out[dir+"."+d.Name()+"."+rest] = readSysctl(path)
		}
	}
	return out
}

func sysctlTail(key string) string { return strings.ReplaceAll(key, ".", "/") }

func sysctlPath(key string) string { return "/proc/sys/" + sysctlTail(key) }

func readSysctl(path string) host.Fact[string] {
	b, err := readSetting(path)
	if err != nil {
		return host.Absent[string](fileReason(err))
	}
	return host.Known(strings.TrimSpace(string(b)))
}

// readSetting reads a small file as it is in one piece: there are many, and
// os.ReadFile would ask for twice as many system calls.
func readSetting(path string) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	b := make([]byte, 4096)
	n, err := unix.Read(fd, b)
	if err != nil {
		return nil, err
	}
	if n == len(b) {
		return os.ReadFile(path) // no number is that long
	}
	return b[:n], nil
}

func fileReason(err error) string {
	if errors.Is(err, os.ErrNotExist) {
		return host.NotThere
	}
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return err.Error()
}
