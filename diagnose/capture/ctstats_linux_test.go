package capture

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/counters"
	"github.com/ntdiag/ntdiag/diagnose/lab"
)

// TestStats holds what is read against conntrack's own printing of it, counter
// by counter and CPU by CPU.
func TestStats(t *testing.T) {
	newNetns(t)
	insertAll(t)
	s, err := openHere(t, "").Stats(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	total := s.Total()
	for k := range counters.Table {
		if counters.Table[k].Name == "insert" && total.Values[k] != uint64(len(entries)) {
			t.Errorf("insert %d, made %d entries", total.Values[k], len(entries))
		}
	}
	if s.Entries != uint64(len(entries)) || s.Max == 0 {
		t.Errorf("%d entries of %d, made %d", s.Entries, s.Max, len(entries))
	}
	tool, err := exec.LookPath("conntrack")
	if err != nil {
		lab.LeaveOut(t, err)
	}
	out, err := exec.Command(tool, "-S").CombinedOutput()
	if err != nil {
		t.Fatalf("conntrack -S: %v: %s", err, out)
	}
	lines := regexp.MustCompile(`(?m)^cpu=(\d+)\s.*$`).FindAllStringSubmatch(string(out), -1)
	if len(lines) != len(s.CPUs) {
		t.Fatalf("%d CPUs, conntrack has %d", len(s.CPUs), len(lines))
	}
	for i, line := range lines {
		if line[1] != strconv.Itoa(s.CPUs[i].CPU) {
			t.Errorf("CPU %d, conntrack has %s", s.CPUs[i].CPU, line[1])
		}
		for k, c := range counters.Table {
			m := regexp.MustCompile(`\b` + c.Name + `=(\d+)`).FindStringSubmatch(line[0])
			if !s.CPUs[i].Has[k] {
				if m != nil {
					t.Errorf("%s is not read", c.Name)
				}
				continue
			}
			if m == nil || m[1] != fmt.Sprint(s.CPUs[i].Values[k]) {
				t.Errorf("cpu %d: %s %d, conntrack has %v", s.CPUs[i].CPU, c.Name, s.CPUs[i].Values[k], m)
			}
		}
	}
}

// TestStatsFile: /proc has what netlink has.
func TestStatsFile(t *testing.T) {
	newNetns(t)
	insertAll(t)
	l := openHere(t, "")
	want, err := l.netlinkStats(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	got, err := l.fileStats()
	if err != nil {
		t.Fatal(err)
	}
	if got.Source != statsFile || got.Entries != uint64(len(entries)) || got.Total().Values[counters.Insert] != uint64(len(entries)) {
		t.Errorf("%d entries, insert %d of %s, made %d", got.Entries, got.Total().Values[counters.Insert], got.Source, len(entries))
	}
	for i := range want.CPUs {
		if got.CPUs[i].CPU != want.CPUs[i].CPU || got.CPUs[i].Values != want.CPUs[i].Values {
			t.Errorf("cpu %d: %v, netlink has %v", i, got.CPUs[i], want.CPUs[i])
		}
	}
}
