package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/counters"
	"github.com/ntdiag/ntdiag/diagnose/host"
)

// Counters is the document of `counters`.
type Counters struct {
	Header
	// Interval is the seconds between two readings, whose difference the
	// counters are; 0: since the namespace was made.
	Interval float64       `json:"interval_s"`
	CPUs     []CounterCPU  `json:"cpus"`
	Total    CounterTotal  `json:"total"`
	Table    CountersTable `json:"table"`

	total counters.CPU
}

// CountersTable is how full the conntrack table is; Buckets is absent where the
// namespace does not tell.
type CountersTable struct {
	Count   uint64 `json:"count"`
	Max     uint64 `json:"max"`
	Buckets uint64 `json:"buckets,omitempty"`
}

// CounterCPU is what one CPU counted, by name; what the kernel did not send is
// absent.
type CounterCPU struct{ counters.CPU }

// MarshalJSON writes {"cpu":0,"found":0,…}.
func (c CounterCPU) MarshalJSON() ([]byte, error) {
	return appendCounters(strconv.AppendUint([]byte(`{"cpu":`), uint64(c.CPU.CPU), 10), &c.CPU, true), nil
}

// CounterTotal is the sum of all CPUs.
type CounterTotal struct{ counters.CPU }

// MarshalJSON writes {"found":0,…}.
func (c CounterTotal) MarshalJSON() ([]byte, error) {
	return appendCounters([]byte{'{'}, &c.CPU, false), nil
}

func appendCounters(b []byte, c *counters.CPU, comma bool) []byte {
	for k := range counters.Table {
		if !c.Has[k] {
			continue
		}
		if comma {
			b = append(b, ',')
		}
		comma = true
		b = append(append(append(b, '"'), counters.Table[k].Name...), `":`...)
		b = strconv.AppendUint(b, c.Values[k], 10)
	}
	return append(b, '}')
}

// NewCounters describes s.
func NewCounters(h Header, s *counters.Stats, seconds float64) *Counters {
	d := &Counters{Header: h, Interval: seconds, CPUs: []CounterCPU{}, total: s.Total()}
	for _, c := range s.CPUs {
		d.CPUs = append(d.CPUs, CounterCPU{c})
	}
	d.Total = CounterTotal{d.total}
	d.Table = CountersTable{Count: s.Entries, Max: s.Max, Buckets: s.Buckets}
	return d
}

func countersJSON(w io.Writer, d *Counters, _ Style) error { return encode(w, d, "  ") }

func countersJSONL(w io.Writer, d *Counters, _ Style) error { return encode(w, d, "") }

// countersText is the table's fill, then a counter a line with what moves it.
func countersText(w io.Writer, d *Counters, s Style) error {
	var b strings.Builder
	t := d.Table
	fmt.Fprintf(&b, "%s of %d", plural(int(t.Count), "entry", "entries"), t.Max)
	if t.Max > 0 {
		fmt.Fprintf(&b, " (%.1f %%)", 100*float64(t.Count)/float64(t.Max))
	}
	if t.Buckets > 0 {
		fmt.Fprintf(&b, ", %d buckets", t.Buckets)
	}
	b.WriteString("; counted ")
	if d.Interval > 0 {
		fmt.Fprintf(&b, "in %s s\n\n", strconv.FormatFloat(d.Interval, 'f', -1, 64))
	} else {
		b.WriteString("since the namespace was made\n\n")
	}
	var cpus [][]string
	for k := range counters.Table {
		if !d.total.Has[k] {
			continue
		}
		row := fmt.Sprintf("  %-15s %10d", counters.Table[k].Name, d.total.Values[k])
		if d.total.Values[k] > 0 {
			row = s.paint(bold, row)
		}
		wrap(&b, s.width(), row+"  ", strings.Repeat(" ", 30), counters.Table[k].MeaningOn(host.Release{}))
		if s.Wide {
			cells := []string{counters.Table[k].Name}
			for _, c := range d.CPUs {
				cells = append(cells, strconv.FormatUint(c.Values[k], 10))
			}
			cpus = append(cpus, cells)
		}
	}
	if len(cpus) > 0 {
		b.WriteString("\n")
		header := []string{""}
		for _, c := range d.CPUs {
			header = append(header, "cpu "+itoa(c.CPU.CPU))
		}
		if err := table(&b, header, cpus); err != nil {
			return err
		}
	}
	missingText(&b, d.Header, s)
	_, err := io.WriteString(w, b.String())
	return err
}
