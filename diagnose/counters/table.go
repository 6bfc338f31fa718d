package counters

import (
	"slices"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

// Counter is one of them.
type Counter struct {
	// Name is what conntrack -S prints.
	Name string
	// Also are its names in the header of /proc/net/stat/nf_conntrack, where
	// they are others.
	Also []string
	// Attr is its number over netlink (CTA_STATS_*).
	Attr uint16
	// Eras are what moves it, the oldest kernels first; those that are not named
	// do not have it, or do not move it any more.
	Eras []Era
}

// Era is what moves a counter on the kernels from Since on, until Before; zero
// ends are open.
type Era struct {
	Since, Before host.Release
	Meaning       string
}

// ID is a counter's place in Table.
type ID int

// The counters.
const (
	Found ID = iota
	Invalid
	Insert
	InsertFailed
	Drop
	EarlyDrop
	Error
	SearchRestart
	ClashResolve
	ChainTooLong
	Searched
	New
	Ignore
	Delete
	DeleteList
)

// Count is how many there are in Table.
const Count = len(Table)

// Kernels with which the meaning of a counter changed.
var (
	v4_7  = host.Release{Major: 4, Minor: 7}  // 71d8c47fc653: clashes are resolved
	v4_9  = host.Release{Major: 4, Minor: 9}  // 8e8118f89314: nothing is counted for each packet
	v4_20 = host.Release{Major: 4, Minor: 20} // header errors are the trackers' own
	v5_10 = host.Release{Major: 5, Minor: 10} // no double counting, ignore gone, clash_resolve
	v5_15 = host.Release{Major: 5, Minor: 15} // chaintoolong
	v6_1  = host.Release{Major: 6, Minor: 1}  // fewer packets out of window are invalid
	v6_2  = host.Release{Major: 6, Minor: 2}
)

// Table is every counter there was, those that the newest kernel moves first and
// in the order in which it sends them.
var Table = [...]Counter{
	Found: {"found", nil, 2, []Era{
		{Before: v4_9, Meaning: "a packet whose entry was there: no sign of anything"},
		{Since: v4_9, Meaning: "a port that NAT wanted was taken; it looked for another (nf_conntrack_tuple_taken)"},
	}},
	Invalid: {"invalid", nil, 4, []Era{
		{Before: v5_10, Meaning: "a packet that fits no entry and begins none, it skips NAT; also a SYN that opens a closed connection anew, which is harmless"},
		{Since: v5_10, Before: v6_1, Meaning: "a packet that fits no entry and begins none; it skips NAT"},
		{Since: v6_1, Meaning: "a packet that fits no entry and begins none; it skips NAT. TCP below the window is none any more"},
	}},
	Insert: {"insert", nil, 8, []Era{
		{Before: v4_9, Meaning: "an entry made, by a packet or through ctnetlink"},
		{Since: v4_9, Meaning: "an entry made through ctnetlink"},
	}},
	InsertFailed: {"insert_failed", nil, 9, []Era{
		{Before: v4_7, Meaning: "an entry that could not be added: its packet is lost"},
		{Since: v4_7, Before: v5_10, Meaning: "an entry that could not be added: with drop its packet is lost; without, it was one of a flow that had its entry just then, and nothing is lost"},
		{Since: v5_10, Meaning: "an entry that could not be added: its packet is lost"},
	}},
	Drop: {"drop", nil, 10, []Era{
		{Before: v4_7, Meaning: "a packet lost: the table is full"},
		{Since: v4_7, Meaning: "a packet lost: the table is full, or its entry clashed with another"},
	}},
	EarlyDrop: {"early_drop", nil, 11, []Era{
		{Meaning: "an unassured entry thrown out to make room in a full table"},
	}},
	Error: {"error", []string{"icmp_error"}, 12, []Era{
		{Before: v4_20, Meaning: "a malformed header of any protocol, or an ICMP error that quotes nothing known; in invalid too"},
		{Since: v4_20, Before: v5_10, Meaning: "an ICMP error that quotes nothing known, or a packet that cannot be read; in invalid too"},
		{Since: v5_10, Meaning: "an ICMP error that quotes nothing known, or is malformed"},
	}},
	SearchRestart: {"search_restart", nil, 13, []Era{
		{Meaning: "a lookup begun anew while the table moved; harmless"},
	}},
	ClashResolve: {"clash_resolve", []string{"clashres"}, 14, []Era{
		{Since: v5_10, Meaning: "two first packets of one flow at once; nothing is lost"},
	}},
	ChainTooLong: {"chaintoolong", []string{"chainlength"}, 15, []Era{
		{Since: v5_15, Meaning: "an entry refused: its hash bucket is too long; more buckets help"},
	}},
	Searched: {"searched", nil, 1, []Era{
		{Before: v4_9, Meaning: "an entry looked at during lookups"},
	}},
	New: {"new", nil, 3, []Era{
		{Before: v4_9, Meaning: "a packet that began an entry"},
	}},
	Ignore: {"ignore", nil, 5, []Era{
		{Before: v5_10, Meaning: "a packet that had its entry (loopback), or that is not tracked; harmless"},
	}},
	Delete: {"delete", nil, 6, []Era{
		{Before: v4_9, Meaning: "an entry that ended"},
	}},
	DeleteList: {"delete_list", nil, 7, []Era{
		{Before: v4_9, Meaning: "an entry that waited for its end to be told"},
	}},
}

// MeaningOn is what moves the counter on kernel k; "" where that has or moves
// none.
func (c *Counter) MeaningOn(k host.Release) string {
	for _, e := range c.Eras {
		if k.In(e.Since, e.Before) {
			return e.Meaning
		}
	}
	return ""
}

// String is the counter's name.
func (id ID) String() string { return Table[id].Name }

// byName finds a counter by any of its names.
func byName(name string) (ID, bool) {
	for i := range Table {
		if Table[i].Name == name || slices.Contains(Table[i].Also, name) {
			return ID(i), true
		}
	}
	return 0, false
}
