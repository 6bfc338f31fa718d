// Package counters is what conntrack counts of itself (struct
// ip_conntrack_stat): for each CPU, in one network namespace, since that was
// made.
package counters

// Counter is one of them.
type Counter struct {
	// Name is what conntrack -S prints.
	Name string
	// Attr is its number over netlink (CTA_STATS_*).
	Attr uint16
	// Meaning is what moves it, by the kernel since 5.15.
	Meaning string
}

// Table is every counter that a kernel still moves, in the order in which the
// kernel sends them. The others (searched, new, ignore, delete, delete_list)
// went with 4.9 and 5.10.
var Table = [...]Counter{
	{"found", 2, "a port that NAT wanted was taken; it took another (nf_conntrack_tuple_taken)"},
	{"invalid", 4, "a packet that fits no entry and begins none; it skips NAT"},
	{"insert", 8, "an entry made through ctnetlink"},
	{"insert_failed", 9, "an entry that could not be added: its packet is lost"},
	{"drop", 10, "a packet lost: the table is full, or its entry clashed with another"},
	{"early_drop", 11, "an unassured entry thrown out to make room in a full table"},
	{"error", 12, "an ICMP error that quotes nothing known, or is malformed"},
	{"search_restart", 13, "a lookup begun anew while the table moved; harmless"},
	{"clash_resolve", 14, "two first packets of one flow at once; nothing is lost"},
	{"chaintoolong", 15, "an entry refused: its hash bucket is too long; more buckets help"},
}

// Count is how many there are in Table.
const Count = len(Table)

// Values are counters by their place in Table.
type Values [Count]uint64

// CPU is what one CPU has counted. Has tells by place in Table which counters
// the kernel sent.
type CPU struct {
	CPU int
	Has [Count]bool
	Values
}

// Stats are those of one namespace.
type Stats struct {
	CPUs []CPU
	// Entries and Max are the entries there are, and how many there may be;
	// Buckets is the size of the hash table, 0 where it is not told.
	Entries, Max, Buckets uint64
}

// Total sums the CPUs. Has tells which counters any of them has.
func (s *Stats) Total() CPU {
	var t CPU
	for i := range s.CPUs {
		for k := range Table {
			t.Values[k] += s.CPUs[i].Values[k]
			t.Has[k] = t.Has[k] || s.CPUs[i].Has[k]
		}
	}
	return t
}

// Since is what was counted between before and s. A counter has 32 bits, and
// goes round.
func (s *Stats) Since(before *Stats) Stats {
	out := *s
	out.CPUs = make([]CPU, len(s.CPUs))
	was := map[int]*CPU{}
	for i := range before.CPUs {
		was[before.CPUs[i].CPU] = &before.CPUs[i]
	}
	for i, c := range s.CPUs {
		out.CPUs[i] = c
		if b := was[c.CPU]; b != nil {
			for k := range Table {
				out.CPUs[i].Values[k] = uint64(uint32(c.Values[k]) - uint32(b.Values[k]))
			}
		}
	}
	return out
}
