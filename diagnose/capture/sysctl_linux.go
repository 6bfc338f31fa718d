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
	s := openSettings()
	defer s.close()
	devices := map[string]deviceDirs{}
	for _, key := range sysctls {
		dir, rest, each := strings.Cut(key, ".*.")
		if !each {
			out[key] = s.fact(sysctlPath(key))
			continue
		}
		d, read := devices[dir]
		if !read {
			d.entries, d.err = os.ReadDir(sysctlPath(dir))
			devices[dir] = d
		}
		if d.err != nil {
			out[dir+".all."+rest] = host.Absent[string](fileReason(d.err))
			continue
		}
		for _, e := range d.entries {
			// a device's name may hold a dot: it stands as it is in the key
			path := filepath.Join(sysctlPath(dir), e.Name(), sysctlTail(rest))
			out[dir+"."+e.Name()+"."+rest] = s.fact(path)
		}
	}
	return out
}

// deviceDirs are the directories that a setting of each device is in.
type deviceDirs struct {
	entries []os.DirEntry
	err     error
}

func sysctlTail(key string) string { return strings.ReplaceAll(key, ".", "/") }

func sysctlPath(key string) string { return "/proc/sys/" + sysctlTail(key) }

func readSysctl(path string) host.Fact[string] {
	s := settings{dir: -1}
	return s.fact(path)
}

// settingsDir is where all that a snapshot reads is.
const settingsDir = "/proc/sys/net"

// settings reads many settings: from its directory on, which each network
// namespace has one of, all under one name (proc_sys_compare), so that it is long
// to look for where there are many.
type settings struct {
	dir int // settingsDir of the thread's namespace, -1 where it is not open
	buf []byte
}

func openSettings() settings {
	fd, err := unix.Open(settingsDir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		fd = -1
	}
	return settings{dir: fd}
}

func (s *settings) close() {
	if s.dir >= 0 {
		unix.Close(s.dir)
	}
}

func (s *settings) fact(path string) host.Fact[string] {
	b, err := s.read(path)
	if err != nil {
		return host.Absent[string](fileReason(err))
	}
	return host.Known(strings.TrimSpace(string(b)))
}

// read gives what a small file holds, until the next one is read: there are
// many, and os.ReadFile would ask for twice as many system calls.
func (s *settings) read(path string) ([]byte, error) {
	at, name := unix.AT_FDCWD, path
	if tail, ok := strings.CutPrefix(path, settingsDir+"/"); ok && s.dir >= 0 {
		at, name = s.dir, tail
	}
	fd, err := unix.Openat(at, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	if s.buf == nil {
		s.buf = make([]byte, 4096)
	}
	n, err := unix.Read(fd, s.buf)
	if err != nil {
		return nil, err
	}
	if n == len(s.buf) {
		return os.ReadFile(path) // no number is that long
	}
	return s.buf[:n], nil
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
