package report

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/counters"
	"github.com/ntdiag/ntdiag/diagnose/host"
)

// countedStats is a reading of two CPUs.
func countedStats(first, second map[counters.ID]uint64) *counters.Stats {
	s := &counters.Stats{Entries: 245000, Max: 262144, Buckets: 65536, Source: "netlink"}
	for i, m := range []map[counters.ID]uint64{first, second} {
		c := counters.CPU{CPU: i}
		for id := counters.Found; id <= counters.ChainTooLong; id++ {
			c.Has[id], c.Values[id] = true, m[id]
		}
		s.CPUs = append(s.CPUs, c)
	}
	return s.Noted()
}

// noLook has no evidence.
type noLook struct{ counters.Look }

func countersCases() map[string]*Counters {
	busy := countedStats(map[counters.ID]uint64{counters.InsertFailed: 120, counters.Drop: 162, counters.EarlyDrop: 9, counters.ClashResolve: 3}, map[counters.ID]uint64{counters.Found: 5})
	found := []counters.Finding{
		{
			Name: "clash", Moved: []counters.Moved{{Counter: counters.InsertFailed, N: 120}, {Counter: counters.Drop, N: 120}}, Lost: 120,
			Severity: counters.Critical, Summary: "120 packets were lost in 10 s: no free source port for SNAT toward 203.0.113.9:443",
			Meaning: "insert_failed and drop move together when an entry cannot be added because another has one of its tuples",
			Likely: []counters.Cause{
				{Name: "ports-exhausted", Text: "no source port is free for SNAT toward one destination", Grade: counters.Shown,
					Evidence: []string{"tcp as 192.0.2.1 to 203.0.113.9:443: 1000 of 1000 ports (40000-40999) in use, by inet nat postrouting handle 5 \"wan\x1b[31m\""},
					Fix:      "nft replace rule inet nat postrouting handle 5 oifname '\"eth0\"' counter packets 1234567 bytes 1234567890 snat ip to 192.0.2.1 comment '\"a comment with words\"'", Cost: "new flows only"},
				{Name: "same-flow", Text: "two first packets of one flow came at once", Grade: counters.Open, Fix: "tcpdump -ni any 'tcp[tcpflags] & tcp-syn != 0'"},
			},
			RuledOut: []counters.Ruled{{Text: "two clients that send from the same port at the same time", Why: "every rule that rewrites sources here chooses ports at random"}},
		},
		{
			Name: "drop", Moved: []counters.Moved{{Counter: counters.Drop, N: 42}, {Counter: counters.EarlyDrop, N: 9}}, Lost: 42, Severity: counters.Warning,
			Summary: "42 packets were lost in 10 s: no entry could be made", Meaning: "drop without insert_failed",
			Likely: []counters.Cause{{Name: "table-full", Text: "the conntrack table was full", Grade: counters.Indicated, Evidence: []string{"now 245000 of 262144 entries (93 %)"}, Fix: "sysctl -w net.netfilter.nf_conntrack_max=524288"}},
		},
		{Name: "clash-resolved", Moved: []counters.Moved{{Counter: counters.ClashResolve, N: 3}}, Severity: counters.Info, Summary: "3 clashes were resolved in 10 s, nothing was lost", Meaning: "clash_resolve"},
	}
	full := now.Add(90 * time.Second)
	lost := NewCounters(header("counters", host.Missing{What: "flows", Why: "permission denied"}), &counters.Case{Stats: busy, Interval: 10 * time.Second, Look: noLook{}, Full: full}, found)
	cpus := *lost
	cpus.PerCPU = true
	quiet := NewCounters(header("counters"), &counters.Case{Stats: countedStats(nil, nil), Look: noLook{}}, nil)
	old := countedStats(map[counters.ID]uint64{counters.InsertFailed: 15}, nil)
	old.Source, old.Max, old.Buckets = "old\x1b[2J.txt", 0, 0
	file := &counters.Case{Stats: old, Kernel: counters.Kernel{Release: host.Release{Major: 5, Minor: 4}, Why: "told by --kernel"}, Untimed: true}
	return map[string]*Counters{"lost": lost, "cpus": &cpus, "quiet": quiet, "file": NewCounters(header("counters"), file, counters.Diagnose(file))}
}

func TestCounters(t *testing.T) {
	for name, doc := range countersCases() {
		for _, f := range formats {
			var b bytes.Buffer
			if err := f.Counters(&b, doc, Style{Now: now, Wide: f.Name == "wide"}); err != nil {
				t.Fatal(err)
			}
			golden(t, "counters-"+name+"."+f.Name, b.Bytes())
			if f.Human {
				harmless(t, b.String(), 80)
			} else if !json.Valid(b.Bytes()) {
				t.Errorf("%s: not JSON", name)
			}
		}
	}
}

// TestCountersFrame: what is shown again and again fits 80 columns and 24 lines.
func TestCountersFrame(t *testing.T) {
	doc := countersCases()["lost"]
	frame := CountersFrame(doc, doc, Style{Now: now})
	golden(t, "counters-frame.table", []byte(frame))
	if n := strings.Count(frame, "\n"); n > 23 {
		t.Errorf("%d lines", n)
	}
}

// TestCountersManyCPUs: a row each, within 80 columns, whatever moved.
func TestCountersManyCPUs(t *testing.T) {
	s := &counters.Stats{Source: "netlink"}
	const cpus = 512
	for i := range cpus {
		c := counters.CPU{CPU: i}
		for id := counters.Found; id <= counters.ChainTooLong; id++ {
			c.Has[id], c.Values[id] = true, 1<<32-1
		}
		s.CPUs = append(s.CPUs, c)
	}
	doc := NewCounters(header("counters"), &counters.Case{Stats: s, Look: noLook{}, Brief: true}, nil)
	var b bytes.Buffer
	if err := countersText(&b, doc, Style{Now: now, Wide: true}); err != nil {
		t.Fatal(err)
	}
	harmless(t, b.String(), 80)
	moved := map[string]bool{}
	for line := range strings.Lines(b.String()) {
		if f := strings.Fields(line); len(f) > 2 && f[0] == "cpu" && f[1] == "share" {
			for _, name := range f[2:] {
				moved[name] = true
			}
		}
	}
	if n := int(counters.ChainTooLong-counters.Found) + 1; len(moved) != n {
		t.Errorf("%d counters have a column, not %d: %v", len(moved), n, moved)
	}
	if n := strings.Count(b.String(), "\n511 "); n < 2 {
		t.Errorf("the last CPU has %d rows", n)
	}
}

// TestCountersGrowing: without a forecast it is not said that nothing grows.
func TestCountersGrowing(t *testing.T) {
	for before, want := range map[uint64]string{244950: "buckets; 50 more than 10 s before", 245000: "buckets; not growing", 245001: "buckets; not growing"} {
		c := &counters.Case{Stats: countedStats(nil, nil), Interval: 10 * time.Second, Before: before, Look: noLook{}}
		if got := NewCounters(header("counters"), c, nil).fillText(); !strings.HasSuffix(got, want) {
			t.Errorf("from %d: %s", before, got)
		}
	}
}
