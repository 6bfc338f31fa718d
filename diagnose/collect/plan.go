package collect

import (
	"context"
	"fmt"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/bundle"
	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// Item is one thing that is collected of a namespace.
type Item struct {
	What  string
	How   string // system call and message, or file
	Needs string // privilege, "" for none
	There string // how much there is, "" where it cannot be read
	Why   string // what is missing of it
}

const (
	admin     = "CAP_NET_ADMIN"
	netfilter = "NETLINK_NETFILTER "
	rtnetlink = "NETLINK_ROUTE "
)

// items is what is collected, a row a thing. Missing tells by its beginning which
// part of a State is missing.
var items = []struct {
	what, how, needs string
	missing          []string
	there            func(*bundle.State) string
}{
	{"flows, twice", netfilter + "CTNETLINK IPCTNL_MSG_CT_GET", admin, []string{partFlows}, func(s *bundle.State) string { return counted(s.Count, "entry", "entries") }},
	{"counters, twice", netfilter + "CT_GET_STATS_CPU or /proc/net/stat/nf_conntrack", admin, []string{bundle.PartCounters}, func(s *bundle.State) string { return perhaps(len(s.Readings) > 0, "there") }},
	{"expectations", netfilter + "IPCTNL_MSG_EXP_GET", admin, []string{bundle.PartExpectations}, func(s *bundle.State) string { return several(len(s.Expectations), "expectation", "expectations") }},
	{"rules of nf_tables, with sets", netfilter + "NFT_MSG_GETTABLE, GETCHAIN, GETRULE, GETSET, …", admin, []string{host.PartNft, partRules}, func(s *bundle.State) string { return ruleCount(s, false) }},
	{"rules of iptables-legacy", "getsockopt IPT_SO_GET_ENTRIES, IP6T_SO_GET_ENTRIES", admin, []string{host.PartLegacy}, func(s *bundle.State) string { return ruleCount(s, true) }},
	{"ipsets", netfilter + "IPSET_CMD_SAVE", admin, []string{"ipset"}, func(s *bundle.State) string { return several(len(s.Snapshot.Rules.IPSets), "set", "sets") }},
	{"devices", rtnetlink + "RTM_GETLINK", "", []string{host.PartLinks}, func(s *bundle.State) string { return several(len(s.Snapshot.Links), "device", "devices") }},
	{"addresses", rtnetlink + "RTM_GETADDR", "", []string{host.PartAddrs}, func(s *bundle.State) string { return several(len(s.Snapshot.Addrs), "address", "addresses") }},
	{"routes", rtnetlink + "RTM_GETROUTE", "", []string{host.PartRoutes}, func(s *bundle.State) string { return several(len(s.Snapshot.Routes), "route", "routes") }},
	{"policy rules", rtnetlink + "RTM_GETRULE", "", []string{host.PartPolicy}, func(s *bundle.State) string { return several(len(s.Snapshot.RuleTable), "rule", "rules") }},
	{"neighbours", rtnetlink + "RTM_GETNEIGH", "", []string{bundle.PartNeighbours}, func(s *bundle.State) string { return several(len(s.Neighbours), "neighbour", "neighbours") }},
	{"xfrm policies", "NETLINK_XFRM XFRM_MSG_GETPOLICY", admin, []string{bundle.PartXfrm}, func(s *bundle.State) string { return several(len(s.Xfrm), "policy", "policies") }},
	{"settings", "/proc/sys/net", "", nil, func(s *bundle.State) string { return several(settings(s), "setting", "settings") }},
	{"loggers", "/proc/net/netfilter/nf_log, nfnetlink_log", "", nil, func(s *bundle.State) string { return perhaps(s.Loggers.Known.OK, "there") }},
	{"lines of the kernel's log", "/dev/kmsg", "CAP_SYSLOG while kernel.dmesg_restrict is 1", []string{bundle.PartLog}, func(s *bundle.State) string { return several(len(s.Log), "line of netfilter", "lines of netfilter") }},
	{"what `ntdiag record` kept", "its state directory", "that it may be read", []string{bundle.PartHistory}, func(s *bundle.State) string {
		if s.History == nil {
			return "nothing was recorded"
		}
		return several(len(s.History.Changes), "change", "changes")
	}},
	{"versions, uptime", "uname, clock_gettime", "", nil, func(s *bundle.State) string { return s.Snapshot.Kernel }},
}

// Plan reads what would be collected of a namespace, without its flows, and
// writes nothing.
func Plan(ctx context.Context, src capture.Whole) ([]Item, error) {
	s, err := Snapshot(ctx, src)
	if err != nil {
		return nil, err
	}
	var readings []bundle.Reading
	r, errStats := reading(ctx, src)
	if errStats == nil {
		readings = append(readings, r)
	}
	st, err := state(ctx, src, s, readings)
	if err != nil {
		return nil, err
	}
	if errStats != nil {
		miss(st, bundle.PartCounters, errStats)
	}
	// one entry tells whether all can be read
	if _, err := src.Flows(ctx, capture.Filter{}, func(*host.Flow) error { return capture.ErrStop }); err != nil {
		miss(st, partFlows, err)
	}
	missing := append(append([]host.Missing(nil), s.Missing...), st.Missing...)
	var out []Item
	for _, it := range items {
		i := Item{What: it.what, How: it.how, Needs: it.needs}
		for _, m := range missing {
			for _, begin := range it.missing {
				if strings.HasPrefix(m.What, begin) && i.Why == "" {
					i.Why = m.Why
				}
			}
		}
		if i.Why == "" {
			i.There = it.there(st)
		}
		out = append(out, i)
	}
	return out, nil
}

func several(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func counted(n host.Fact[uint64], one, many string) string {
	if !n.OK {
		return n.Why
	}
	return several(int(n.Value), one, many)
}

func perhaps(is bool, text string) string {
	if is {
		return text
	}
	return "not there"
}

func settings(s *bundle.State) (n int) {
	for _, f := range s.Snapshot.Sysctls {
		if f.OK {
			n++
		}
	}
	return n
}

// ruleCount is how many rules a backend has.
func ruleCount(s *bundle.State, legacy bool) string {
	n := 0
	for _, t := range s.Snapshot.Rules.Tables {
		if legacy == (t.Backend == rules.BackendIptablesLegacy) {
			for _, c := range t.Chains {
				n += len(c.Rules)
			}
		}
	}
	return several(n, "rule", "rules")
}
