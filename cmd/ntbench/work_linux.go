package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/explain"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/diagnose/lab/scale"
	"github.com/ntdiag/ntdiag/diagnose/stale"
	"github.com/ntdiag/ntdiag/rules"
)

// workers are what ntbench runs itself as, in a process of its own. All but
// measure work in the network namespace in which they are started.
var workers map[string]func(args []string, out, errs io.Writer) int

func init() {
	workers = map[string]func(args []string, out, errs io.Writer) int{
		"measure": measure,
		"read":    worker(read),
		"receive": worker(func(_ []string, out io.Writer) error {
			n, err := lab.ReceiveHere()
			fmt.Fprintln(out, n)
			return err
		}),
		"ready": worker(ready),
	}
}

func worker(f func(args []string, out io.Writer) error) func(args []string, out, errs io.Writer) int {
	return func(args []string, out, errs io.Writer) int {
		if err := f(args, out); err != nil {
			fmt.Fprintln(errs, err)
			return exitFailure
		}
		return exitOK
	}
}

// read reads the table as every command does, and tells how many entries it has.
func read(_ []string, out io.Writer) error {
	live, err := capture.Open("")
	if err != nil {
		return err
	}
	defer live.Close()
	n := 0
	_, err = live.Flows(context.Background(), capture.Filter{}, func(*host.Flow) error { n++; return nil })
	fmt.Fprintln(out, n)
	return err
}

// ready reads all but the flows, and gets ready to judge and to explain; that
// nothing is put off shows as it then does both for the first flows of a
// cluster. Its arguments are how many services it has, and how many flows.
func ready(args []string, out io.Writer) error {
	var cluster scale.Cluster
	var flows int
	if _, err := fmt.Sscan(strings.Join(args, " "), &cluster.Services, &flows); err != nil {
		return err
	}
	live, err := capture.Open("")
	if err != nil {
		return err
	}
	defer live.Close()
	ctx := context.Background()
	snap, err := live.Snapshot(ctx)
	if err != nil {
		return err
	}
	e, j, t := explain.New(snap), stale.New(snap), newTruth()
	for i := range flows {
		made, _ := scale.At(cluster, i)
		f, err := live.Get(ctx, made.Tuple(), capture.Original, rules.FamilyIPv4, 0)
		if err != nil {
			return err
		}
		v := j.Judge(f)
		t.add(v.Fate, v.Class, v.Confidence)
		for _, rw := range e.Explain(f, explain.Options{}).Rewrites {
			t.Grades[rw.Grade]++
		}
	}
	return json.NewEncoder(out).Encode(t)
}

// resultFD is where measure writes its Sample.
const resultFD = 3

// measure runs one command line and tells of it. It is a process of its own as
// what getrusage says of memory begins with that of the process which started
// the command (exec_mmap): this one is small.
func measure(args []string, _, errs io.Writer) int {
	runtime.LockOSThread() // Pdeathsig is sent when the thread ends
	c := exec.Command(args[0], args[1:]...)
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var s Sample
	start := time.Now()
	if err := c.Start(); err != nil {
		fmt.Fprintln(errs, err)
		return exitFailure
	}
	done, polled := make(chan struct{}), make(chan int)
	go func() { polled <- watchPeak(c.Process.Pid, done) }()
	err := c.Wait()
	s.Wall = time.Since(start)
	close(done)
	s.PeakKiB = <-polled
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		fmt.Fprintln(errs, err)
		return exitFailure
	}
	s.CPU, s.Code = c.ProcessState.UserTime()+c.ProcessState.SystemTime(), c.ProcessState.ExitCode()
	if most := int(c.ProcessState.SysUsage().(*syscall.Rusage).Maxrss); most > peakOf(os.Getpid()) {
		s.PeakKiB = most
	}
	if err := json.NewEncoder(os.NewFile(resultFD, "result")).Encode(s); err != nil {
		fmt.Fprintln(errs, err)
		return exitFailure
	}
	return exitOK
}

// watchPeak looks at a process until done, and tells the most memory that it
// was seen to have had.
func watchPeak(pid int, done <-chan struct{}) (kib int) {
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		select {
		case <-done:
			return kib
		case <-time.After(wait):
			kib = max(kib, peakOf(pid))
		}
	}
}

// peakOf is the most memory that a process had, in KiB (VmHWM).
func peakOf(pid int) (kib int) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if _, text, found := strings.Cut(string(status), "VmHWM:"); err == nil && found {
		_, _ = fmt.Sscan(text, &kib)
	}
	return kib
}

// kernel is the version of the running kernel, without what its builder adds.
func kernel() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return "unknown"
	}
	release, _, _ := strings.Cut(unix.ByteSliceToString(u.Release[:]), "-")
	return release
}
