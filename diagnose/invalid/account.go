package invalid

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/ntdiag/ntdiag/diagnose/counters"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/query"
)

// Account is one counter over a time, and what of it messages explain.
type Account struct {
	Counter string
	// Delta is what was counted; Total says that it is since the namespace was
	// made, and not over the time of the messages: then nothing is set against
	// it.
	Delta uint64
	Total bool
	// Explained is how much of Delta messages tell of, Over how many more
	// messages there were than Delta has: they were read from before its
	// beginning, are of another namespace, or the log has them twice.
	Explained, Over uint64
	Parts           []Part
	// Silent is what can be behind the rest, the likeliest first.
	Silent []SilentCause
}

// Rest is what no message tells of.
func (a *Account) Rest() uint64 { return a.Delta - a.Explained }

// Part is the messages of one group that moved a counter.
type Part struct {
	Group *Group
	N     uint64
}

// SilentCause is a way in which a packet moves a counter without a message.
type SilentCause struct {
	What, Cause, Fix string
	// Likely: a setting says that it must be so for packets of that sort, or
	// that it was so.
	Likely bool
	// Because: What says why nothing was logged, and not which packets it were.
	Because bool
}

// Circumstances are what decides which packets are logged.
type Circumstances struct {
	Kernel host.Release
	Host   *host.Snapshot // nil when not known
	// LogInvalid is nf_conntrack_log_invalid while the messages came.
	LogInvalid host.Fact[uint8]
	// Lost is how many messages were lost on the way.
	Lost uint64
	// Enabled: logging was set for the time of the messages. Counters were read
	// before it was, and after it was put back.
	Enabled bool
}

// fringe: no more than one in so many packets is taken for one of the moments
// around the time of the messages.
const fringe = 50

// accounted are the counters that messages tell of.
var accounted = []string{"invalid", "error", "drop"}

// Accounts set messages against what was counted meanwhile; with total the
// counters are since the namespace was made.
func Accounts(groups []*Group, counted *counters.Stats, total bool, c *Circumstances) []Account {
	sum := counted.Total()
	var out []Account
	for k := range counters.Table {
		name := counters.Table[k].Name
		if !sum.Has[k] || !slices.Contains(accounted, name) {
			continue
		}
		a := Account{Counter: name, Delta: sum.Values[k], Total: total}
		a.explain(groups, c)
		if a.Delta > 0 || len(a.Parts) > 0 {
			out = append(out, a)
		}
	}
	return out
}

func (a *Account) explain(groups []*Group, c *Circumstances) {
	var n uint64
	for _, g := range groups {
		if slices.Contains(g.Moved(c.Kernel), a.Counter) {
			a.Parts = append(a.Parts, Part{g, g.Count})
			n += g.Count
		}
	}
	slices.SortStableFunc(a.Parts, func(x, y Part) int { return cmp.Compare(y.N, x.N) })
	if a.Total {
		return
	}
	a.Explained = min(n, a.Delta)
	a.Over = n - a.Explained
	if a.Rest() > 0 {
		a.Silent = silent(a.Counter, c)
		if c.Enabled && a.Rest()*fringe <= a.Delta {
			a.Silent = slices.Insert(a.Silent, 0, SilentCause{
				What: "packets of the moments when logging was set and put back", Cause: "counters were read just before and after", Likely: true})
		}
	}
}

// Moved are the counters that each packet of the group moved; none of a second
// line about one packet.
func (g *Group) Moved(k host.Release) []string {
	if g.Reason == nil || g.Reason.Again {
		return nil
	}
	m := Message{Reason: g.Reason, Form: g.Form}
	return m.Moved(k)
}

// Accepted tells whether its packets go on with their entry and their NAT.
func (g *Group) Accepted(k host.Release) bool {
	if g.Reason == nil {
		return false
	}
	m := Message{Reason: g.Reason, Form: g.Form}
	return m.Accepted(k)
}

// silent are the silent causes on that kernel. What was not logged because of a
// setting comes first.
func silent(counter string, c *Circumstances) []SilentCause {
	var first, rest []SilentCause
	if c.Lost > 0 {
		first = append(first, SilentCause{
			What: fmt.Sprintf("%d messages that were lost", c.Lost), Cause: "more was logged than was read", Likely: true,
			Fix: "ntdiag invalid --nflog --enable --for 60s",
		})
	}
	if v := c.LogInvalid; v.OK && v.Value != 255 {
		s := SilentCause{What: "nf_conntrack_log_invalid is 0", Cause: "conntrack logs no packet", Likely: true, Because: v.Value == 0, Fix: "ntdiag invalid --enable --for 60s"}
		if v.Value != 0 {
			s.What = "packets of other protocols than " + query.ProtoName(v.Value)
			s.Cause = fmt.Sprintf("nf_conntrack_log_invalid is %d: no other protocol is logged", v.Value)
		}
		first = append(first, s)
	}
	seen := map[string]bool{}
	for i := range Silents {
		s := &Silents[i]
		if s.Counter != counter && s.Also != counter || !c.Kernel.In(s.Since, s.Before) || seen[s.What] {
			continue
		}
		seen[s.What] = true // of both families
		out := SilentCause{What: s.What, Cause: s.Cause, Fix: s.Fix}
		switch now := sysctl(c.Host, s.Setting); {
		case now == "":
			rest = append(rest, out)
		case now == s.Value:
			out.Likely = true
			first = append(first, out)
		}
	}
	return append(first, rest...)
}

// Settings that decide what is invalid.
const (
	keyLoose   = "net.netfilter.nf_conntrack_tcp_loose"
	keyLiberal = "net.netfilter.nf_conntrack_tcp_be_liberal"
	// of an idle connection
	keyEstablished = "net.netfilter.nf_conntrack_tcp_timeout_established"
	keyIgnoreRST   = "net.netfilter.nf_conntrack_tcp_ignore_invalid_rst"
	keyChecksum    = "net.netfilter.nf_conntrack_checksum"
	keyCount       = "net.netfilter.nf_conntrack_count"
	keyMax         = "net.netfilter.nf_conntrack_max"
)
