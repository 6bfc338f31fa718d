// Package counters is what conntrack counts of itself (struct
// ip_conntrack_stat): for each CPU, in one network namespace, since that was
// made; and what it means when several of them move together.
package counters

import "fmt"

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
	// Entries and Max are the entries there are, and how many there may be, 0
	// where it is not told; Buckets is the size of the hash table, 0 where it is
	// not told.
	Entries, Max, Buckets uint64
	// Source is where they were read, as answers name it: "netlink",
	// "/proc/net/stat/nf_conntrack", or a file's name.
	Source string
	// Columns are what tells the kernel's age by them.
	Columns Columns
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
// goes round. What a CPU had counted that came meanwhile, all of it counts; one
// that went is left out.
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

// Plus adds what was counted in d, which came after s: what is known of the
// table is as it was then.
func (s *Stats) Plus(d *Stats) Stats {
	out := *d
	out.CPUs = append([]CPU{}, s.CPUs...)
	at := map[int]int{}
	for i := range out.CPUs {
		at[out.CPUs[i].CPU] = i
	}
	for _, c := range d.CPUs {
		i, ok := at[c.CPU]
		if !ok {
			out.CPUs = append(out.CPUs, c)
			continue
		}
		for k := range Table {
			out.CPUs[i].Values[k] += c.Values[k]
			out.CPUs[i].Has[k] = out.CPUs[i].Has[k] || c.Has[k]
		}
	}
	return out
}

// half of what a counter can hold: more than that is no movement between two
// readings, but another boot, or another namespace.
const half = 1 << 31

// Backwards names a counter of s that is less than it was, and did not go
// round.
func (s *Stats) Backwards(before *Stats) (string, bool) {
	d := s.Since(before)
	for i, c := range d.CPUs {
		for _, b := range before.CPUs {
			if b.CPU != c.CPU {
				continue
			}
			for k := range Table {
				if c.Values[k] >= half {
					return fmt.Sprintf("cpu %d: %s is %d and was %d before", c.CPU, Table[k].Name, s.CPUs[i].Values[k], b.Values[k]), true
				}
			}
		}
	}
	return "", false
}
