package counters

import (
	"fmt"
	"strconv"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

// ages tells what of the flows could be known, and is not.
func (c *Case) ages(x *Cause) {
	for _, row := range []struct{ key, what string }{
		{"net.netfilter.nf_conntrack_timestamp", "how old they are"},
		{"net.netfilter.nf_conntrack_acct", "how much traffic they have"},
	} {
		if c.sysctl(row.key) == "0" {
			x.Evidence = append(x.Evidence, row.what+" is not known: "+row.key+" is 0")
		}
	}
}

// lifetimes are settings that make room where a table is full of one sort of
// flows: those that have over long seconds left, or are without an answer.
var lifetimes = []struct {
	proto      uint8
	state      string
	unreplied  bool
	key, value string
	cost       string
}{
	{host.ProtoTCP, "ESTABLISHED", false, "net.netfilter.nf_conntrack_tcp_timeout_established", "86400",
		"connections that are silent for longer than a day lose their entry, and their NAT"},
	{host.ProtoTCP, "SYN_SENT", true, "net.netfilter.nf_conntrack_tcp_timeout_syn_sent", "20",
		"servers that answer later than that are not reached"},
	{host.ProtoTCP, "TIME_WAIT", false, "net.netfilter.nf_conntrack_tcp_timeout_time_wait", "30",
		"late packets of ended connections are invalid"},
	{host.ProtoUDP, "", true, "net.netfilter.nf_conntrack_udp_timeout", "10",
		"answers that come later than that find no entry"},
}

// room are the commands that make room: more entries, and shorter lives of what
// the table is full of.
func (c *Case) room(x *Cause) {
	limit := max(c.Stats.Max, 1)
	x.Fix = fmt.Sprintf("sysctl -w net.netfilter.nf_conntrack_max=%d", 2*limit)
	x.Cost = fmt.Sprintf("up to %d MiB of kernel memory more; one value for the whole machine, held against the entries of each namespace, and written in the first only", limit*entryBytes>>20+1)
	s := c.flows()
	if s == nil || c.fill() < 0.5 {
		return
	}
	for _, l := range lifetimes {
		n := 0
		for _, g := range s.Groups() {
			switch {
			case g.Proto != l.proto || g.State != l.state:
			case l.unreplied:
				n += g.Unreplied
			case l.state == "ESTABLISHED":
				n += g.Timeouts[len(g.Timeouts)-1] // over a day
			default:
				n += g.Flows
			}
		}
		now, err := strconv.Atoi(c.sysctl(l.key))
		want, _ := strconv.Atoi(l.value)
		if err != nil || now <= want || float64(n) < manyOf*float64(s.Flows) {
			continue
		}
		x.Evidence = append(x.Evidence, fmt.Sprintf("%s is %d s: it keeps %d of the flows that long", l.key, now, n))
		x.Fix += "\nsysctl -w " + l.key + "=" + l.value
		x.Cost += "; " + l.cost + " (the second command)"
		return
	}
}
