package counters

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

// moves makes counters of one CPU.
func moves(m map[ID]uint64) CPU {
	c := CPU{}
	for id := range Table {
		c.Has[id] = true
	}
	for id, n := range m {
		c.Values[id] = n
	}
	return c
}

func TestDiagnose(t *testing.T) {
	release := func(s string) host.Release { r, _ := host.ParseRelease(s); return r }
	tests := []struct {
		name   string
		kernel string
		since  time.Duration
		cpus   []map[ID]uint64
		want   []string // name severity lost
		lost   uint64
	}{
		{"nothing", "6.18", time.Second, []map[ID]uint64{{}}, nil, 0},
		{"clash", "6.18", time.Second, []map[ID]uint64{{InsertFailed: 3, Drop: 3}}, []string{"clash warning 3"}, 3},
		{"clash and full", "6.18", time.Second, []map[ID]uint64{{InsertFailed: 3, Drop: 5}}, []string{"clash warning 3", "drop warning 2"}, 5},
		{"on different CPUs", "6.18", time.Second, []map[ID]uint64{{InsertFailed: 3}, {Drop: 5}}, []string{"drop warning 5", "refused warning 3"}, 8},
		{"chain", "6.18", time.Second, []map[ID]uint64{{InsertFailed: 3, ChainTooLong: 3}}, []string{"chain-too-long warning 3"}, 3},
		{"chain of ctnetlink", "6.18", time.Second, []map[ID]uint64{{ChainTooLong: 3}}, []string{"chain-too-long warning 0"}, 0},
		{"dying", "6.18", time.Second, []map[ID]uint64{{InsertFailed: 3}}, []string{"refused warning 3"}, 3},
		{"resolved before 5.10", "5.4", time.Second, []map[ID]uint64{{InsertFailed: 15}}, []string{"clash-resolved info 0"}, 0},
		{"unresolved before 5.10", "5.4", time.Second, []map[ID]uint64{{InsertFailed: 15, Drop: 4}}, []string{"clash warning 4", "clash-resolved info 0"}, 4},
		{"before 4.7", "4.4", time.Second, []map[ID]uint64{{InsertFailed: 15, Drop: 4}}, []string{"drop warning 4", "refused warning 15"}, 19},
		{"reopen", "6.18", time.Second, []map[ID]uint64{{Invalid: 3, Drop: 2}}, []string{"reopen warning 2", "invalid info 0"}, 2},
		{"invalid elsewhere", "6.18", time.Second, []map[ID]uint64{{Invalid: 3}, {Drop: 2}}, []string{"drop warning 2", "invalid info 0"}, 2},
		{"early drop", "6.18", time.Second, []map[ID]uint64{{EarlyDrop: 3}}, []string{"early-drop warning 0"}, 0},
		{"early drop and drop", "6.18", time.Second, []map[ID]uint64{{EarlyDrop: 3, Drop: 2}}, []string{"drop warning 2"}, 2},
		{"found", "6.18", time.Second, []map[ID]uint64{{Found: 3}}, []string{"port-taken info 0"}, 0},
		{"found before 4.9", "4.4", time.Second, []map[ID]uint64{{Found: 3, Insert: 4, New: 4, Searched: 100}}, nil, 0},
		{"error", "6.18", time.Second, []map[ID]uint64{{Error: 3}}, []string{"error info 0"}, 0},
		{"harmless", "6.18", time.Second, []map[ID]uint64{{ClashResolve: 3, SearchRestart: 1, Insert: 1, Ignore: 4}}, []string{"clash-resolved info 0", "inserted info 0", "search-restart info 0"}, 0},
		{"since boot", "6.18", 0, []map[ID]uint64{{InsertFailed: 3, Drop: 3, Invalid: 9}}, []string{"clash warning 3", "invalid info 0"}, 3},
	}
	for _, tt := range tests {
		c := &Case{Stats: &Stats{Entries: 10, Max: 1000}, Kernel: Kernel{Release: release(tt.kernel)}, Interval: tt.since, Before: 10}
		for i, m := range tt.cpus {
			cpu := moves(m)
			cpu.CPU = i
			c.Stats.CPUs = append(c.Stats.CPUs, cpu)
		}
		var got []string
		for _, f := range Diagnose(c) {
			got = append(got, fmt.Sprintf("%s %s %d", f.Name, f.Severity, f.Lost))
			if f.Summary == "" || f.Meaning == "" || (f.Note == "") != (tt.since > 0 || f.Severity == Info) {
				t.Errorf("%s: %+v", tt.name, f)
			}
			for _, x := range f.Likely {
				if x.Grade != Open || len(x.Evidence) > 0 || x.Fix == "" {
					t.Errorf("%s: without anything to look at: %+v", tt.name, x)
				}
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
		if lost, _ := c.Lost(); lost != tt.lost {
			t.Errorf("%s: %d lost, want %d", tt.name, lost, tt.lost)
		}
	}
}

// TestTable: every counter has a meaning for some kernel, its eras do not
// overlap, and no name is taken twice.
func TestTable(t *testing.T) {
	names := map[string]bool{}
	attrs := map[uint16]bool{}
	for _, c := range Table {
		for _, n := range append([]string{c.Name}, c.Also...) {
			if names[n] {
				t.Errorf("%s twice", n)
			}
			names[n] = true
		}
		if attrs[c.Attr] || len(c.Eras) == 0 {
			t.Errorf("%s: attribute %d, %d eras", c.Name, c.Attr, len(c.Eras))
		}
		attrs[c.Attr] = true
		for i, e := range c.Eras {
			if e.Meaning == "" || i > 0 && c.Eras[i-1].Before != e.Since || e.Before.Known() && e.Since.Known() && e.Before.In(host.Release{}, e.Since) {
				t.Errorf("%s: era %d", c.Name, i)
			}
		}
	}
}

func TestGrowth(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		n0, n1, limit uint64
		want          string
	}{
		{1000, 2000, 3000, "2026-01-01T00:00:20Z"},
		{1000, 1000, 3000, ""},
		{1000, 900, 3000, ""},
		{1000, 1050, 3000, ""}, // chance
		{1000, 2000, 2000, ""},
		{0, 10, 1 << 60, ""},                             // too far
		{100, 300, 262144, ""},                           // a burst
		{100, 3000, 262144, "2026-01-01T00:15:03Z"},      // more than that
		{200000, 201000, 262144, "2026-01-01T00:10:21Z"}, // little, of a table that is full soon
	} {
		var g Growth
		g.Add(at, tt.n0)
		g.Add(at.Add(10*time.Second), tt.n1)
		got := ""
		if full, ok := g.Full(tt.limit); ok {
			got = full.Format(time.RFC3339)
		}
		if got != tt.want {
			t.Errorf("%v: %q", tt, got)
		}
	}
}

func TestPercent(t *testing.T) {
	for _, tt := range []struct {
		n, of float64
		want  string
	}{{0, 5, "0 %"}, {1, 1e6, "under 0.1 %"}, {25, 1000, "2.5 %"}, {50, 100, "50 %"}, {995, 1000, "99.5 %"}, {9999, 10000, "99.9 %"}, {1, 0, "0 %"}, {5, 5, "100 %"}} {
		if got := Percent(tt.n, tt.of); got != tt.want {
			t.Errorf("%v of %v: %s, want %s", tt.n, tt.of, got, tt.want)
		}
	}
	if strings.Contains(Percent(1, 3), "33.") {
		t.Error("too many digits")
	}
}

func TestSeconds(t *testing.T) {
	for d, want := range map[time.Duration]string{
		1500 * time.Microsecond: "0.002 s", 3001 * time.Millisecond: "3 s", 2460 * time.Millisecond: "2.5 s", 61600 * time.Millisecond: "62 s",
	} {
		if got := Seconds(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}
