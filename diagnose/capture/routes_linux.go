package capture

import (
	"context"
	"errors"
	"fmt"
	"sort"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// rtDump is one dump of rtnetlink. answer is the RTM_NEW* that it consists of;
// add is false for a message that cannot be read.
type rtDump struct {
	what   string
	typ    uint16
	answer uint16
	family uint8
	header int // length of the request's fixed part
	add    func(*host.Snapshot, []byte) bool
}

var rtDumps = [...]rtDump{
	{host.PartLinks, unix.RTM_GETLINK, unix.RTM_NEWLINK, unix.AF_UNSPEC, 16, addLink},
	{host.PartAddrs, unix.RTM_GETADDR, unix.RTM_NEWADDR, unix.AF_INET, 8, addAddr},
	{host.PartAddrs, unix.RTM_GETADDR, unix.RTM_NEWADDR, unix.AF_INET6, 8, addAddr},
	{host.PartRoutes, unix.RTM_GETROUTE, unix.RTM_NEWROUTE, unix.AF_INET, 12, addRoutes},
	{host.PartRoutes, unix.RTM_GETROUTE, unix.RTM_NEWROUTE, unix.AF_INET6, 12, addRoutes},
	{host.PartPolicy, unix.RTM_GETRULE, unix.RTM_NEWRULE, unix.AF_INET, 12, addPolicy},
	{host.PartPolicy, unix.RTM_GETRULE, unix.RTM_NEWRULE, unix.AF_INET6, 12, addPolicy},
}

// rtTries is how often a dump that was interrupted is begun again.
const rtTries = 5

// routing fills links, addresses, routes and policy rules.
func (l *Live) routing(ctx context.Context, s *host.Snapshot) {
	c, err := l.ns.dial(unix.NETLINK_ROUTE)
	if err != nil {
		s.Missing = append(s.Missing, host.Missing{What: host.PartRoutes, Why: err.Error()})
		return
	}
	defer c.close()
	buf := make([]byte, ctBuffer)
	for _, d := range rtDumps {
		if why := d.run(ctx, c, buf, s); why != "" {
			s.Missing = append(s.Missing, host.Missing{What: d.what, Why: why})
		}
	}
	sort.SliceStable(s.RuleTable, func(i, j int) bool { return s.RuleTable[i].Priority < s.RuleTable[j].Priority })
}

// run dumps once, and again while changes interrupt it; the answer says what
// is missing.
func (d rtDump) run(ctx context.Context, c *conn, buf []byte, s *host.Snapshot) string {
	for try := 1; ; try++ {
		var part host.Snapshot
		unread := 0
		req := make([]byte, d.header)
		req[0] = d.family
		info, err := c.dump(ctx, d.typ, req, buf, func(m message) error {
			// a family that the kernel lacks is answered with all others
			other := d.family != unix.AF_UNSPEC && len(m.payload) > 0 && m.payload[0] != d.family
			if m.typ == d.answer && !other && !d.add(&part, m.payload) {
				unread++
			}
			return nil
		})
		if info.interrupted && try < rtTries && err == nil {
			continue
		}
		s.Links = append(s.Links, part.Links...)
		s.Addrs = append(s.Addrs, part.Addrs...)
		s.Routes = append(s.Routes, part.Routes...)
		s.RuleTable = append(s.RuleTable, part.RuleTable...)
		switch {
		case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EAFNOSUPPORT):
			return "" // a kernel without the family, or without policy routing
		case err != nil:
			return err.Error()
		case unread > 0:
			return fmt.Sprintf("%d messages could not be read", unread)
		case info.interrupted:
			return "they changed while they were read"
		}
		return ""
	}
}

func addLink(s *host.Snapshot, b []byte) bool {
	v, ok := parseLink(b)
	if ok {
		s.Links = append(s.Links, v)
	}
	return ok
}

func addAddr(s *host.Snapshot, b []byte) bool {
	v, ok := parseAddr(b)
	if ok {
		s.Addrs = append(s.Addrs, v)
	}
	return ok
}

func addRoutes(s *host.Snapshot, b []byte) bool {
	v, ok := parseRoute(b)
	s.Routes = append(s.Routes, v...)
	return ok
}

func addPolicy(s *host.Snapshot, b []byte) bool {
	v, ok := parseRule(b)
	if ok && (v.Family == rules.FamilyIPv4 || v.Family == rules.FamilyIPv6) {
		s.RuleTable = append(s.RuleTable, v)
	}
	return ok
}
