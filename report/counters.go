package report

import (
	"io"
	"strconv"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/counters"
)

// Counters is the document of `counters`.
type Counters struct {
	Header
	// Interval is the seconds between two readings, whose difference the
	// counters are; 0: since the namespace was made.
	Interval float64 `json:"interval_s"`
	// Between: two readings of a file, of which it is not known how long it was;
	// then Interval is 0 too.
	Between bool `json:"between_readings,omitempty"`
	// Sum: of all the records of a --follow before it.
	Sum bool `json:"sum,omitempty"`
	// Source is where they were read: netlink, a file of /proc, or a file's name.
	Source string `json:"source"`
	// Kernel is whose meaning the counters have, "" for the newest; KernelWhy how
	// that is known where it was not asked.
	Kernel    string           `json:"kernel_meant,omitempty"`
	KernelWhy string           `json:"kernel_why,omitempty"`
	CPUs      []CounterCPU     `json:"cpus"`
	Total     CounterTotal     `json:"total"`
	Table     CountersTable    `json:"table"`
	Lost      uint64           `json:"lost"`    // packets
	Evicted   uint64           `json:"evicted"` // entries, of a full table
	Findings  []CounterFinding `json:"findings"`
	Notes     []string         `json:"notes,omitempty"`
	// Meanwhile is what was counted between the two readings of a bundle.
	Meanwhile *Counters `json:"meanwhile,omitempty"`

	// PerCPU: the text has a row for each CPU.
	PerCPU bool `json:"-"`
	// Offline: there is nothing but the numbers.
	Offline bool `json:"-"`

	total    counters.CPU
	kernel   counters.Kernel
	interval time.Duration
	before   uint64 // entries at the beginning of it
}

// CountersTable is how full the conntrack table is; Buckets is absent where it
// is not told, ExpectedFull where the table does not grow, or by too little to
// tell when (counters.Growth).
type CountersTable struct {
	Count        uint64     `json:"count"`
	Max          uint64     `json:"max"`
	Buckets      uint64     `json:"buckets,omitempty"`
	ExpectedFull *time.Time `json:"expected_full,omitempty"`
}

// CounterFinding is one joint movement of counters; Counter is "count" for a
// table that fills, of which no counter tells.
type CounterFinding struct {
	Name     string            `json:"name"`
	Counter  string            `json:"counter"`
	Delta    uint64            `json:"delta"`
	Moved    map[string]uint64 `json:"moved"` // with it, and itself
	Lost     uint64            `json:"lost"`  // packets, as far as these tell
	Severity counters.Severity `json:"severity"`
	Summary  string            `json:"summary"`
	Meaning  string            `json:"meaning"`
	Likely   []CounterCause    `json:"likely"`
	RuledOut []CounterRuled    `json:"ruled_out"`
	Note     string            `json:"note,omitempty"`

	finding counters.Finding
}

// CounterCause is what can have moved them. Without evidence Fix looks for it.
type CounterCause struct {
	Name     string         `json:"name"`
	Cause    string         `json:"cause"`
	Grade    counters.Grade `json:"grade"`
	Evidence []string       `json:"evidence"`
	Fix      string         `json:"fix"`
	Cost     string         `json:"cost,omitempty"`
}

// CounterRuled is what cannot have.
type CounterRuled struct {
	Cause string `json:"cause"`
	Why   string `json:"why"`
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

// NewCounters describes what was counted, with what was found in it.
func NewCounters(h Header, c *counters.Case, found []counters.Finding) *Counters {
	s := c.Stats
	d := &Counters{
		Header: h, Interval: c.Interval.Seconds(), Source: s.Source, CPUs: []CounterCPU{}, Findings: []CounterFinding{},
		Kernel: c.Kernel.Release.String(), KernelWhy: c.Kernel.Why, Offline: c.Look == nil,
		total: s.Total(), kernel: c.Kernel, interval: c.Interval, before: c.Before, Between: c.Untimed,
	}
	for _, cpu := range s.CPUs {
		d.CPUs = append(d.CPUs, CounterCPU{cpu})
	}
	d.Total = CounterTotal{d.total}
	d.Table = CountersTable{Count: s.Entries, Max: s.Max, Buckets: s.Buckets}
	if !c.Full.IsZero() {
		d.Table.ExpectedFull = &c.Full
	}
	d.Lost, d.Evicted = c.Lost()
	d.Notes = c.Notes()
	for i := range found {
		d.Findings = append(d.Findings, newCounterFinding(&found[i]))
	}
	return d
}

func newCounterFinding(f *counters.Finding) CounterFinding {
	out := CounterFinding{
		Name: f.Name, Counter: "count", Moved: map[string]uint64{}, Lost: f.Lost,
		Severity: f.Severity, Summary: f.Summary, Meaning: f.Meaning, Note: f.Note, Likely: []CounterCause{}, RuledOut: []CounterRuled{}, finding: *f,
	}
	if len(f.Moved) > 0 {
		out.Counter, out.Delta = f.Moved[0].Counter.String(), f.Moved[0].N
	}
	for _, m := range f.Moved {
		out.Moved[m.Counter.String()] = m.N
	}
	for _, x := range f.Likely {
		out.Likely = append(out.Likely, CounterCause{Name: x.Name, Cause: x.Text, Grade: x.Grade, Evidence: append([]string{}, x.Evidence...), Fix: x.Fix, Cost: x.Cost})
	}
	for _, r := range f.RuledOut {
		out.RuledOut = append(out.RuledOut, CounterRuled{r.Text, r.Why})
	}
	return out
}

// Wrong tells whether packets are lost, or what else is a warning or worse.
func (d *Counters) Wrong() bool {
	for i := range d.Findings {
		if d.Findings[i].Severity != counters.Info {
			return true
		}
	}
	return false
}

func countersJSON(w io.Writer, d *Counters, _ Style) error { return encode(w, d, "  ") }

func countersJSONL(w io.Writer, d *Counters, _ Style) error { return encode(w, d, "") }
