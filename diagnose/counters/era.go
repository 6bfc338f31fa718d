package counters

import "github.com/ntdiag/ntdiag/diagnose/host"

// Columns are the columns that a reading had which tell the kernel's age:
// whatever they hold.
type Columns uint16

const (
	// ColumnsProc: they come from /proc, whose header has every column the
	// kernel ever had; over netlink only those that it still sends.
	ColumnsProc Columns = 1 << iota
	ColumnSearched
	ColumnIgnore
	ColumnClash
	ColumnChain
	// ColumnMoved: searched, new or delete_list are not 0.
	ColumnMoved
)

// Kernel is the kernel that counted, as far as it is known.
type Kernel struct {
	// Release is it, or one that counts in the same way; the zero Release is
	// taken for the newest.
	Release host.Release
	// Why is how it is known, "" where the kernel itself was asked.
	Why string
}

// KernelBy tells the kernel by the columns of a reading; told is what is known
// of it already, zero for nothing. A column that a kernel of that number would
// not have was taken over from a later one by whoever built it.
func KernelBy(c Columns, told host.Release, why string) Kernel {
	if told.Known() {
		switch {
		case c&ColumnChain != 0 && !told.AtLeast(5, 15):
			return Kernel{v5_15, "has chaintoolong: counts as a kernel since 5.15 does, whatever " + told.String() + " says"}
		case c&ColumnClash != 0 && !told.AtLeast(5, 10):
			return Kernel{v5_10, "has clash_resolve: counts as a kernel since 5.10 does, whatever " + told.String() + " says"}
		}
		return Kernel{told, why}
	}
	for _, row := range eras {
		if c&row.with == row.with && c&row.without == 0 {
			return row.kernel
		}
	}
	return Kernel{Why: "nothing tells the kernel: taken for the newest; --kernel VERSION tells it"}
}

// eras are what columns tell, the first that fits.
var eras = []struct {
	with, without Columns
	kernel        Kernel
}{
	{ColumnChain, 0, Kernel{host.Release{}, "has chaintoolong: a kernel since 5.15"}},
	{ColumnClash | ColumnsProc, 0, Kernel{host.Release{Major: 5, Minor: 10}, "has clashres without chainlength: a kernel from 5.10 to 5.14"}},
	{ColumnClash, 0, Kernel{host.Release{Major: 5, Minor: 10}, "has clash_resolve without chaintoolong: a kernel since 5.10; taken for one before 5.15, unless an old conntrack tool left that out"}},
	{ColumnSearched | ColumnMoved, 0, Kernel{host.Release{Major: 4, Minor: 8}, "searched, new or delete_list moved: a kernel before 4.9"}},
	{ColumnSearched | ColumnsProc, 0, Kernel{host.Release{Major: 5, Minor: 4}, "has searched, and it is 0: a kernel from 4.9 to 5.9"}},
	{ColumnSearched, 0, Kernel{host.Release{Major: 4, Minor: 8}, "has searched=: a kernel before 4.9, which is the last to send it"}},
	{ColumnIgnore, ColumnSearched | ColumnsProc, Kernel{host.Release{Major: 5, Minor: 4}, "has ignore= without searched=: a kernel from 4.9 to 5.9"}},
	{0, ColumnIgnore | ColumnSearched | ColumnsProc, Kernel{host.Release{Major: 5, Minor: 10}, "has neither ignore= nor clash_resolve=: a kernel since 5.10, read by a conntrack tool that does not know what is newer"}},
}

// columnsOf are those of one CPU's counters.
func columnsOf(c *CPU) (out Columns) {
	for _, row := range []struct {
		id     ID
		column Columns
	}{{Searched, ColumnSearched}, {Ignore, ColumnIgnore}, {ClashResolve, ColumnClash}, {ChainTooLong, ColumnChain}} {
		if c.Has[row.id] {
			out |= row.column
		}
	}
	if c.Values[Searched] > 0 || c.Values[New] > 0 || c.Values[DeleteList] > 0 {
		out |= ColumnMoved
	}
	return out
}

// Noted is s with the columns that its counters have.
func (s *Stats) Noted() *Stats {
	for i := range s.CPUs {
		s.Columns |= columnsOf(&s.CPUs[i])
	}
	return s
}
