package counters

import (
	"github.com/ntdiag/ntdiag/diagnose/host"
)

// lostTogether: the entry of a packet clashed with another when it was to be
// confirmed, and the packet was dropped (__nf_conntrack_confirm,
// nf_ct_resolve_clash). A duplicate that NAT chose for want of a free port ends
// in the same way.
var lostTogether = row{
	name: "clash",
	find: func(c *Case, f *Finding) []Moved {
		n := c.split.clash
		if n == 0 {
			return nil
		}
		f.Severity, f.Lost = Warning, n
		f.Summary = c.lost(n) + ": " + its(n, "entry", "entries") + " clashed with one that was there"
		f.Meaning = "insert_failed and drop move together when an entry cannot be added because another has one of its tuples: its first packet is lost, and the sender has to send again"
		return []Moved{{InsertFailed, n}, {Drop, n}}
	},
	causes: []cause{portsExhausted, portRace, sameFlow, zoneOfOne},
}

// dropAlone: the packet got no entry at all (nf_conntrack_in), or its sequence
// numbers could not be adjusted (nf_confirm).
var dropAlone = row{
	name: "drop",
	find: func(c *Case, f *Finding) []Moved {
		n := c.split.drop
		if n == 0 || c.reopened() {
			return nil
		}
		f.Severity, f.Lost = Warning, n
		f.Summary = c.lost(n) + ": no entry could be made"
		f.Meaning = "drop without insert_failed: a packet that began a flow got no entry, as when the table is full"
		out := []Moved{{Drop, n}}
		if early := c.moved(EarlyDrop); early > 0 {
			out = append(out, Moved{EarlyDrop, early})
			f.Meaning += "; early_drop: unassured entries were thrown out to make room, and that was not enough"
		}
		return out
	},
	causes: []cause{tableFull, tcpReopen, helperAdjust, moduleUnload, noMemory},
}

// reopened tells whether the drops are rather those of TCP connections that were
// opened anew: each moved invalid on its CPU, and the table is not full.
func (c *Case) reopened() bool {
	s := c.split
	return s.drop > 0 && s.withInvalid == s.drop && c.within() && c.Stats.Max > 0 && c.fill() < roomy && c.moved(EarlyDrop) == 0
}

// dropWithInvalid: a SYN came for a connection that had ended, whose entry
// somebody else was just taking away (tcp_reopen in nf_conntrack_tcp_packet).
var dropWithInvalid = row{
	name: "reopen",
	find: func(c *Case, f *Finding) []Moved {
		if !c.reopened() {
			return nil
		}
		n := c.split.drop
		f.Severity, f.Lost = Warning, n
		f.Summary = c.lost(n) + ", and counted as invalid too"
		f.Meaning = "invalid and drop on the same CPU: the tracker of a protocol refused a packet and said to drop it"
		return []Moved{{Invalid, n}, {Drop, n}}
	},
	causes: []cause{tcpReopen},
}

// insertFailedAlone: the entry was dying when it was to be confirmed, or before
// 4.7 clashed.
var insertFailedAlone = row{
	name: "refused",
	find: func(c *Case, f *Finding) []Moved {
		n := c.split.refused
		if n == 0 || c.Kernel.Release.In(v4_7, v5_10) {
			return nil
		}
		f.Severity, f.Lost = Warning, n
		f.Summary = c.lost(n) + ": " + its(n, "entry was", "entries were") + " refused"
		f.Meaning = "insert_failed without drop: an entry was deleted while its first packet was on its way, and that packet is lost"
		if !c.Kernel.Release.In(v4_7, host.Release{}) {
			f.Meaning = "insert_failed before 4.7: an entry clashed with one that was there, or was deleted while its first packet was on its way; that packet is lost"
		}
		return []Moved{{InsertFailed, n}}
	},
	causes: []cause{deletedOnWay, portsExhaustedOld},
}

// resolvedBefore510: until then insert_failed moved too where the clash was
// resolved.
var resolvedBefore510 = row{
	name: "clash-resolved",
	find: func(c *Case, f *Finding) []Moved {
		n := c.split.refused
		if n == 0 || !c.Kernel.Release.In(v4_7, v5_10) {
			return nil
		}
		f.Summary = counted(n, "clash was resolved", "clashes were resolved") + c.when() + ", nothing was lost"
		f.Meaning = "insert_failed without drop, on a kernel from 4.7 to 5.9: two first packets of one flow came at once, and the second took the entry of the first; or a program inserted an entry that was there (conntrackd); or, seldom, an entry was deleted on its way"
		return []Moved{{InsertFailed, n}}
	},
}

// chainTooLong: the hash bucket held too many (__nf_conntrack_confirm).
var chainTooLong = row{
	name: "chain-too-long",
	find: func(c *Case, f *Finding) []Moved {
		n := c.moved(ChainTooLong)
		if n == 0 {
			return nil
		}
		f.Severity, f.Lost = Warning, c.split.chain
		f.Summary = counted(n, "entry was refused", "entries were refused") + c.when() + ": too many in one hash bucket"
		out := []Moved{{ChainTooLong, n}}
		if c.split.chain > 0 {
			out = append(out, Moved{InsertFailed, c.split.chain})
		}
		return out
	},
	causes: []cause{fewBuckets},
}

// earlyDropAlone: early_drop found victims for all (__nf_conntrack_alloc).
var earlyDropAlone = row{
	name: "early-drop",
	find: func(c *Case, f *Finding) []Moved {
		n := c.moved(EarlyDrop)
		if n == 0 || c.split.drop > 0 && !c.reopened() {
			return nil
		}
		f.Severity = Warning
		f.Summary = counted(n, "entry was", "entries were") + " thrown out of a full table" + c.when()
		f.Meaning = "early_drop without drop: the table was full, and for each new flow an entry went that was not assured (one packet, or one way only); its answer is then invalid, or not translated back"
		return []Moved{{EarlyDrop, n}}
	},
	causes: []cause{tableFull},
}
