package counters

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

// document is what is read of a document of ntdiag counters.
type document struct {
	Schema string `json:"schema"`
	Host   struct {
		Hostname string `json:"hostname"`
		Kernel   string `json:"kernel"`
	} `json:"host"`
	Interval float64           `json:"interval_s"`
	CPUs     []json.RawMessage `json:"cpus"`
	Table    struct {
		Count   uint64 `json:"count"`
		Max     uint64 `json:"max"`
		Buckets uint64 `json:"buckets"`
	} `json:"table"`
	Sum bool `json:"sum"`
}

const schema = "ntdiag.counters/1"

// readDocuments reads documents one after the other. Those that have an
// interval are differences already: they add up, and the sum that a --follow
// ends with is left out. Those that count since boot are readings.
func readDocuments(b []byte) (*Reading, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	var readings, steps []Stats
	out := &Reading{}
	for {
		var doc document
		err := d.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		n := 1 + bytes.Count(b[:min(int(d.InputOffset()), len(b))], []byte("\n"))
		if err != nil {
			return nil, fmt.Errorf("line %d: not JSON that ntdiag counters writes: %w", n, err)
		}
		if doc.Schema != schema {
			return nil, fmt.Errorf("line %d: schema %q, want %s", n, doc.Schema, schema)
		}
		s, err := doc.stats()
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		out.Kernel, _ = host.ParseRelease(doc.Host.Kernel)
		out.Host = doc.Host.Hostname
		switch {
		case doc.Interval < 0:
			return nil, fmt.Errorf("line %d: interval_s %v", n, doc.Interval)
		case doc.Interval == 0:
			readings = append(readings, *s)
		case !doc.Sum || len(steps) == 0:
			steps = append(steps, *s)
			out.Seconds += doc.Interval
		}
	}
	switch {
	case len(readings) > 0 && len(steps) > 0:
		return nil, errors.New("documents since boot and of an interval in one file")
	case len(steps) > 0:
		return out.added(steps), nil
	case len(readings) == 0:
		return nil, errors.New("no document")
	}
	r, err := between(readings)
	if err != nil {
		return nil, err
	}
	r.Kernel, r.Host = out.Kernel, out.Host
	return r, nil
}

// added sums differences.
func (r *Reading) added(steps []Stats) *Reading {
	var sum Stats
	for i := range steps {
		sum = sum.Plus(&steps[i])
	}
	r.Stats, r.First, r.Readings = *sum.Noted(), &steps[0], len(steps)+1
	return r
}

func (d *document) stats() (*Stats, error) {
	s := &Stats{Entries: d.Table.Count, Max: d.Table.Max, Buckets: d.Table.Buckets}
	for i, raw := range d.CPUs {
		var m map[string]json.RawMessage
		if err := json.Unmarshal(raw, &m); err != nil {
			return nil, fmt.Errorf("cpus[%d]: %w", i, err)
		}
		c := CPU{CPU: i}
		for name, number := range m {
			id, ok := byName(name)
			if !ok && name != "cpu" {
				continue // of a later version
			}
			n, err := strconv.ParseUint(string(number), 10, 64)
			switch {
			case err != nil || !ok && n > maxCPU || n > 1<<62:
				return nil, fmt.Errorf("cpus[%d]: %s is %.20s", i, name, number)
			case !ok:
				c.CPU = int(n)
			default:
				c.Values[id], c.Has[id] = n, true
			}
		}
		s.CPUs = append(s.CPUs, c)
	}
	if len(s.CPUs) == 0 {
		return nil, errors.New("no CPU in it")
	}
	return s.Noted(), nil
}
