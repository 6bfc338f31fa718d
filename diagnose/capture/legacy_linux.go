package capture

import (
	"context"
	"errors"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/xt"
)

// IPT_SO_GET_*, and IP6T_SO_GET_*: the same numbers at another level.
const (
	legacyGetInfo    = 64
	legacyGetEntries = 65
)

// legacyFamilies is one row a family of iptables-legacy.
var legacyFamilies = [...]struct {
	family rules.Family
	domain int
	level  int
	// tables lists the tables that exist. Asking for another one would make it,
	// and hook it in (xt_find_table_lock).
	tables string
}{
	{rules.FamilyIPv4, unix.AF_INET, unix.SOL_IP, "/proc/thread-self/net/ip_tables_names"},
	{rules.FamilyIPv6, unix.AF_INET6, unix.SOL_IPV6, "/proc/thread-self/net/ip6_tables_names"},
}

// legacyTries is how often a table that changed between the question for its
// size and that for its entries is asked for again.
const legacyTries = 5

var legacyReasons = []reason{
	{unix.EPERM, "permission denied (needs CAP_NET_ADMIN)"},
	{unix.EACCES, "permission denied (needs CAP_NET_ADMIN)"},
	{unix.EAGAIN, "it changed while it was read"},
}

// legacy reads the tables of iptables-legacy that are there already.
func (l *Live) legacy(ctx context.Context, rs *rules.Ruleset) []host.Missing {
	var missing []host.Missing
	note := func(what string, err error) {
		missing = append(missing, host.Missing{What: what, Why: whyOf(explainErr(what, err, legacyReasons))})
	}
	closed := l.ns.do(func() {
		for i := range legacyFamilies {
			f := &legacyFamilies[i]
			what := host.PartLegacy + " " + f.family.String()
			names, err := os.ReadFile(f.tables)
			if errors.Is(err, os.ErrNotExist) {
				continue // not loaded: there is no table
			}
			if err != nil {
				note(what, err)
				continue
			}
			for name := range strings.FieldsSeq(string(names)) {
				if ctx.Err() != nil {
					return
				}
				t, err := legacyTable(f.domain, f.level, f.family, name, rs.IPSet)
				if err != nil {
					note(what+" "+name, err)
					continue
				}
				t.Ruleset = rs
				rs.Tables = append(rs.Tables, t)
			}
		}
	})
	if closed != nil {
		note("iptables-legacy", closed)
	}
	return missing
}

// legacyTable reads one table that exists.
func legacyTable(domain, level int, family rules.Family, name string, ipset func(uint16) *rules.IPSet) (*rules.Table, error) {
	// any socket of the family serves; a raw one would ask for CAP_NET_RAW
	fd, err := unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	for try := 1; ; try++ {
		info := make([]byte, xt.InfoSize)
		copy(info[:31], name)
		if err := getsockopt(fd, level, legacyGetInfo, info); err != nil {
			return nil, err
		}
		in, err := xt.ParseInfo(ne, info)
		if err != nil {
			return nil, err
		}
		// struct ipt_get_entries: name, size, then the entries at 8 bytes
		b := make([]byte, legacyHeader+int(in.Size))
		copy(b[:31], name)
		ne.PutUint32(b[32:], in.Size)
		err = getsockopt(fd, level, legacyGetEntries, b)
		if errors.Is(err, unix.EAGAIN) && try < legacyTries {
			continue
		}
		if err != nil {
			return nil, err
		}
		return xt.DecodeTable(ne, family, in, b[legacyHeader:], ipset)
	}
}

// legacyHeader is offsetof(struct ipt_get_entries, entrytable).
const legacyHeader = 40

// getsockopt fills b, which also holds the question.
func getsockopt(fd, level, opt int, b []byte) error {
	n := uint32(len(b))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(opt),
		uintptr(unsafe.Pointer(&b[0])), uintptr(unsafe.Pointer(&n)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}
