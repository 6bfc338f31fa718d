package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/lab"
)

// mostBundleKiB is what a process that makes a bundle may have in memory.
const mostBundleKiB = 150 << 10

// BenchmarkBundle makes a redacted bundle of NTDIAG_BENCH_FLOWS (1,000,000)
// entries, whole: two readings of the table, what commands say, the search for
// originals. Beside it `conntrack -L` reads the table once.
func BenchmarkBundle(b *testing.B) {
	n := benchFlows(b)
	l, err := lab.New()
	benchNeeds(b, err)
	defer l.Close()
	_, err = exec.LookPath("conntrack")
	benchNeeds(b, err)
	router, err := l.Host("router")
	benchNeeds(b, err)
	raiseMax(b, n+100000)
	if err := router.Fill(n, benchEntry); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		start := time.Now()
		if err := router.Do(exec.Command("conntrack", "-L", "-o", "extended,id").Run); err != nil {
			b.Fatal(err)
		}
		theirs := time.Since(start)
		file := filepath.Join(b.TempDir(), "b.tar.zst")
		p := watchPhases(b, router, ntdiagBinary(), "bundle", "create", "--interval", "0s", file)
		for _, phase := range p.phases {
			b.Logf("%7.2fs, of the processors %6.2fs: %s", phase.took.Seconds(), phase.cpu.Seconds(), phase.name)
		}
		b.Log(p.said)
		info, err := os.Stat(file)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(n), "entries")
		b.ReportMetric(p.took.Seconds(), "s/bundle")
		b.ReportMetric(p.cpu.Seconds(), "cpu-s/bundle")
		b.ReportMetric(float64(p.took)/float64(theirs), "ratio-to-conntrack-L")
		b.ReportMetric(float64(p.peakKiB)/1024, "MiB-peak")
		b.ReportMetric(float64(info.Size())/(1<<20), "MiB-file")
		if p.peakKiB > mostBundleKiB {
			b.Errorf("bundle create had %d MiB in memory, at most %d", p.peakKiB>>10, mostBundleKiB>>10)
		}
	}
}

// phase is what a process said that it does, until it said something else.
type phase struct {
	name      string
	took, cpu time.Duration
}

type phases struct {
	phases    []phase
	took, cpu time.Duration
	peakKiB   int    // VmHWM
	said      string // on standard output
}

// drawn is one line of a report.Screen.
var drawn = regexp.MustCompile(`\r([^\r\n\x1b]+)\x1b\[K`)

// watchPhases runs a command whose standard error is a terminal.
func watchPhases(b *testing.B, h *lab.Host, name string, args ...string) phases {
	b.Helper()
	near, far := pty(b)
	c := exec.Command(name, args...)
	var out strings.Builder
	c.Stdout, c.Stderr = &out, far
	start := time.Now()
	if err := h.Do(c.Start); err != nil {
		b.Fatal(err)
	}
	far.Close()
	var p phases
	said := make(chan string)
	go func() {
		defer close(said)
		buf := make([]byte, 4096)
		for {
			n, err := near.Read(buf) // EIO when the other end is closed
			for _, m := range drawn.FindAllSubmatch(buf[:n], -1) {
				said <- string(m[1])
			}
			if err != nil {
				return
			}
		}
	}()
	now := phase{name: "start"}
	began, worked := start, time.Duration(0)
	end := func(cpu time.Duration) {
		now.took, now.cpu = time.Since(began), cpu-worked
		p.phases = append(p.phases, now)
		began, worked = time.Now(), cpu
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for open := true; open; {
		select {
		case text, more := <-said:
			if open = more; open && text != now.name {
				end(cpuOf(c.Process.Pid))
				now.name = text
			}
		case <-tick.C:
			p.peakKiB = max(p.peakKiB, peakOf(c.Process.Pid))
		}
	}
	if err := c.Wait(); err != nil {
		b.Fatal(err)
	}
	p.took, p.cpu = time.Since(start), c.ProcessState.UserTime()+c.ProcessState.SystemTime()
	end(p.cpu)
	p.said = out.String()
	return p
}

// peakOf is the most memory that a process had, in KiB. What getrusage says
// begins with that of the process it was forked from.
func peakOf(pid int) (kib int) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if _, text, found := strings.Cut(string(status), "VmHWM:"); err == nil && found {
		_, _ = fmt.Sscan(text, &kib)
	}
	return kib
}

// cpuOf is the time that a process had of the processors, in steps of 10 ms.
func cpuOf(pid int) time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	var user, system time.Duration
	_, _ = fmt.Sscan(fields[11]+" "+fields[12], &user, &system)
	return (user + system) * 10 * time.Millisecond
}
