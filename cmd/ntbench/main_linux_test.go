package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/lab"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && workers[os.Args[1]] != nil {
		os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(lab.Main(m.Run))
}

// TestBench runs the whole bench on little: every answer is checked, and none
// of the times.
func TestBench(t *testing.T) {
	for _, tool := range []string{"go", "conntrack", "nft", "iptables-nft-restore", "iptables-legacy-restore"} {
		if _, err := exec.LookPath(tool); err != nil {
			lab.LeaveOut(t, err)
		}
	}
	if l, err := lab.New(); err != nil {
		lab.LeaveOut(t, err)
	} else if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	ntdiag := filepath.Join(dir, "ntdiag")
	if said, err := exec.Command("go", "build", "-o", ntdiag, "../ntdiag").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	var out, errs bytes.Buffer
	code := run([]string{
		"-ntdiag", ntdiag, "-out", dir, "-flows", "1000", "-rules", "150", "-few", "100", "-elements", "500",
		"-runs", "1", "-bounds=false",
	}, &out, &errs)
	if code != exitOK {
		t.Fatalf("exit code %d: %s%s", code, errs.String(), out.String())
	}
	var r Report
	data, err := os.ReadFile(filepath.Join(dir, "results.json"))
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	if err != nil {
		t.Fatal(err)
	}
	measured := map[string]int{}
	for _, x := range r.Results {
		if measured[x.Name]++; x.Ours.Seconds <= 0 || x.Theirs.Seconds <= 0 || x.Ours.PeakKiB <= 0 {
			t.Errorf("%s, %s: %+v", x.Name, x.Shape, x)
		}
	}
	for i := range Rows {
		if want := max(len(Rows[i].Shapes), 1); measured[Rows[i].Name] != want {
			t.Errorf("%s: measured %d times, want %d", Rows[i].Name, measured[Rows[i].Name], want)
		}
	}
	for _, name := range []string{"results.md", "growth-flows-nft.svg", "growth-rules-nft.svg", "growth-rules-iptables-nft.svg", "growth-rules-iptables-legacy.svg"} {
		if text, err := os.ReadFile(filepath.Join(dir, name)); err != nil || len(text) == 0 {
			t.Errorf("%s: %d bytes, %v", name, len(text), err)
		}
	}
	for _, text := range strings.Split(strings.TrimSpace(out.String()), "\n") {
		if !strings.HasPrefix(text, dir) && len(text) > 80 {
			t.Errorf("a line of %d columns: %s", len(text), text)
		}
	}
}

// TestMeasure holds what is measured of a process against what it does.
func TestMeasure(t *testing.T) {
	l, err := lab.New()
	if err != nil {
		lab.LeaveOut(t, err)
	}
	defer l.Close()
	x := &node{config: &config{self: []string{"/proc/self/exe"}}, lab: l}
	if x.host, err = l.Host("h"); err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(t.TempDir(), "script")
	// a shell that has 64 MiB in one variable, and ends with 1
	text := "#!/bin/sh\na=0123456789abcdef\nfor i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22; do a=$a$a; done\necho said >&2\nexit 1\n"
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := x.sample(t.Context(), patience, []string{script}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if s.Code != 1 || s.Said != "said" || s.Over || s.PeakKiB < 64<<10 || s.CPU <= 0 || s.Wall <= 0 {
		t.Errorf("%+v", s)
	}
	if s, err = x.sample(t.Context(), patience, []string{"true", script}, nil); err != nil || s.Code != 1 || s.PeakKiB < 64<<10 {
		t.Errorf("two commands: %+v, %v", s, err)
	}
	if s, err = x.sample(t.Context(), patience, []string{"true"}, nil); err != nil || s.PeakKiB > 16<<10 {
		t.Errorf("a small one has that of its parent: %+v, %v", s, err)
	}
	if s, err = x.sample(t.Context(), 100*time.Millisecond, []string{"sleep 1000"}, nil); err != nil || !s.Over {
		t.Errorf("what takes too long: %+v, %v", s, err)
	}
	if _, err = x.sample(t.Context(), patience, []string{"/nonexistent"}, nil); err == nil {
		t.Error("a program that is not there: no error")
	}
}
