package counters

import "github.com/ntdiag/ntdiag/diagnose/host"

// invalid: packets that skip NAT.
var invalid = row{
	name: "invalid",
	find: func(c *Case, f *Finding) []Moved {
		n := c.moved(Invalid)
		if n == 0 {
			return nil
		}
		f.Summary = counted(n, "packet was invalid", "packets were invalid") + c.when()
		out := []Moved{{Invalid, n}}
		if e := min(n, c.moved(Error)); e > 0 && !c.Kernel.Release.In(v5_10, host.Release{}) {
			out = append(out, Moved{Error, e})
		}
		return out
	},
	causes: []cause{notDropped, notLoose, oneWay, notLogged},
}

// icmpError: an ICMP error that quotes no flow (nf_conntrack_handle_icmp).
var icmpError = row{
	name: "error",
	find: func(c *Case, f *Finding) []Moved {
		n := c.moved(Error)
		if n == 0 {
			return nil
		}
		f.Summary = counted(n, "ICMP error", "ICMP errors") + " about no known flow, or malformed" + c.when()
		if !c.Kernel.Release.In(v4_20, host.Release{}) {
			f.Summary = counted(n, "packet", "packets") + " with a malformed header, or an ICMP error about no known flow"
		}
		return []Moved{{Error, n}}
	},
	causes: []cause{{
		name: "late-error", told: true,
		text: "the entry that the error is about had ended, or the packet never passed here: errors that come late, or by another way",
		ask:  "tcpdump -ni any 'icmp[0] == 3 or icmp[0] == 11 or (icmp6 and ip6[40] < 5)'",
	}},
}

// portTaken: NAT looked at a port that was in use (nf_conntrack_tuple_taken).
var portTaken = row{
	name: "port-taken",
	find: func(c *Case, f *Finding) []Moved {
		n := c.moved(Found)
		if n == 0 || !c.Kernel.Release.In(v4_9, host.Release{}) {
			return nil
		}
		f.Summary = counted(n, "time NAT wanted a port that was", "times NAT wanted a port that was") + " taken, and looked for another" + c.when()
		return []Moved{{Found, n}}
	},
	causes: []cause{portsBusy},
}

var clashResolved = row{
	name: "clash-resolved",
	find: func(c *Case, f *Finding) []Moved {
		n := c.moved(ClashResolve)
		if n == 0 {
			return nil
		}
		f.Summary = counted(n, "clash was resolved", "clashes were resolved") + c.when() + ", nothing was lost"
		f.Meaning = "clash_resolve: two first packets of one flow at once, as of a resolver that asks for A and AAAA from one socket; both went on"
		return []Moved{{ClashResolve, n}}
	},
}

var inserted = row{
	name: "inserted",
	find: func(c *Case, f *Finding) []Moved {
		n := c.moved(Insert)
		if n == 0 || !c.Kernel.Release.In(v4_9, host.Release{}) {
			return nil
		}
		f.Summary = counted(n, "entry was", "entries were") + " made by a program" + c.when() + " (conntrackd, conntrack -I, ntdiag undo)"
		return []Moved{{Insert, n}}
	},
}

var searchRestarted = row{
	name: "search-restart",
	find: func(c *Case, f *Finding) []Moved {
		n := c.moved(SearchRestart)
		if n == 0 {
			return nil
		}
		f.Summary = counted(n, "lookup was", "lookups were") + " begun anew" + c.when() + ", nothing was lost"
		return []Moved{{SearchRestart, n}}
	},
}
