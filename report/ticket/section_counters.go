package ticket

import (
	"strconv"
	"strings"

	"github.com/ntdiag/ntdiag/report"
)

// counters are what conntrack counts of itself.
func (t *Ticket) counters() *section {
	d := t.Counters
	if d == nil {
		return nil
	}
	answer, fill := d.Answer()
	s := &section{ID: "counters", Title: "Counters", Lead: capital(answer) + ". The table: " + fill + ".", Notes: append([]string{}, d.Notes...)}
	if d.KernelWhy != "" {
		s.Notes = append(s.Notes, "Kernel: "+d.KernelWhy)
	}
	if d.Meanwhile != nil {
		answer, fill := d.Meanwhile.Answer()
		s.Notes = append(s.Notes, "Between the two readings: "+answer+"; "+fill)
	}
	lines := d.Lines()
	sum := table{ID: "counter-list", Caption: "Counters of all CPUs", What: "counters", Columns: []column{{"Counter", words}, {"Count", number}, {"Between the readings", number}, {"What moves it", long}}}
	between := map[string]cell{}
	if d.Meanwhile != nil {
		for _, l := range d.Meanwhile.Lines() {
			between[l.Name] = num(l.N)
		}
	}
	for _, l := range lines {
		sum.add(code(l.Name), num(l.N), between[l.Name], text(l.Meaning))
	}
	s.Tables = append(s.Tables, sum)
	if len(d.CPUs) > 1 {
		s.Tables = append(s.Tables, perCPU(d, lines))
	}
	return s
}

// perCPU has a column for each counter that moved.
func perCPU(d *report.Counters, lines []report.CounterLine) table {
	t := table{ID: "counter-cpus", Caption: "Counters that moved, by CPU", What: "CPUs", Folded: true, Columns: []column{{"CPU", number}}}
	var moved []report.CounterLine
	for _, l := range lines {
		if l.N > 0 {
			moved = append(moved, l)
			t.Columns = append(t.Columns, column{l.Name, number})
		}
	}
	for i := range d.CPUs {
		row := []cell{ident(uint64(d.CPUs[i].CPU.CPU))}
		for _, l := range moved {
			row = append(row, num(l.CPUs[i]))
		}
		t.add(row...)
	}
	return t
}

// ident is a number that is no amount.
func ident(n uint64) cell {
	s := strconv.FormatUint(n, 10)
	return cell{Key: s, Parts: parts("", s)}
}

func signed(n int) cell {
	s := strconv.Itoa(n)
	return cell{Key: s, Parts: parts("", s)}
}

func capital(s string) string {
	if first, _, _ := strings.Cut(s, " "); s == "" || s[0] < 'a' || s[0] > 'z' || strings.ContainsAny(first, "._") {
		return s // a setting has no other letter
	}
	return string(s[0]-'a'+'A') + s[1:]
}
