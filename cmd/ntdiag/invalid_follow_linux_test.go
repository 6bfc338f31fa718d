package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// followedLog is an `ntdiag invalid --follow` of a log: what it prints comes line by
// line.
type followedLog struct {
	t      *testing.T
	c      *exec.Cmd
	lines  chan string
	stderr bytes.Buffer
}

func followLog(t *testing.T, stdin io.Reader, args ...string) *followedLog {
	t.Helper()
	f := &followedLog{t: t, c: exec.Command("ntdiag", append([]string{"invalid", "--follow"}, args...)...), lines: make(chan string)}
	f.c.Stdin, f.c.Stderr = stdin, &f.stderr
	out, err := f.c.StdoutPipe()
	if err == nil {
		err = f.c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.c.Process.Kill() }) // it has ended where all is well
	go func() {
		defer close(f.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			f.lines <- s.Text()
		}
	}()
	return f
}

// want waits for a line that has the words.
func (f *followedLog) want(words string) {
	f.t.Helper()
	select {
	case line, ok := <-f.lines:
		if !ok || !strings.Contains(line, words) {
			f.t.Fatalf("%q, want %q; %s", line, words, f.stderr.String())
		}
	case <-time.After(30 * time.Second):
		f.t.Fatalf("no %q comes", words)
	}
}

// interrupt ends it, and looks for the words in the line after the messages.
func (f *followedLog) interrupt(summary string) {
	f.t.Helper()
	if err := f.c.Process.Signal(os.Interrupt); err != nil {
		f.t.Fatal(err)
	}
	f.want(summary)
	for range f.lines {
	}
	if err := f.c.Wait(); f.c.ProcessState.ExitCode() != exitFound {
		f.t.Errorf("%v: %s", err, f.stderr.String())
	}
}

func resetLine(port int) string {
	return fmt.Sprintf("[ 1032.704062] nf_ct_proto_6: invalid new IN=r0 OUT= SRC=10.77.1.99 DST=10.77.2.99 LEN=40 TOS=0x00 PREC=0x00 TTL=64 ID=4660 DF PROTO=TCP SPT=%d DPT=80 SEQ=1000 ACK=0 WINDOW=64240 RES=0x00 RST URGP=0 \n", port)
}

// TestInvalidFollowsFile: a log that grows and is rotated, until it is
// interrupted.
func TestInvalidFollowsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kern.log")
	write := func(name string, port int) {
		t.Helper()
		file, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if _, err := file.WriteString(resetLine(port)); err != nil {
			t.Fatal(err)
		}
	}
	write(path, 1001)
	f := followLog(t, nil, path)
	f.want(`"sport":1001,`)
	write(path, 1002)
	f.want(`"sport":1002,`)
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	write(path+".1", 1003)
	f.want(`"sport":1003,`)
	write(path, 1004)
	f.want(`"sport":1004,`)
	f.interrupt(`{"record":"reason","reason":"invalid-new","text":"invalid new","proto":"tcp","count":4,`)
}

// TestInvalidFollowsPipe: standard input that never ends is left when it is
// interrupted.
func TestInvalidFollowsPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	f := followLog(t, r, "-")
	for port := 1001; port < 1003; port++ {
		if _, err := io.WriteString(w, resetLine(port)); err != nil {
			t.Fatal(err)
		}
		f.want(fmt.Sprintf(`"sport":%d,`, port))
	}
	f.interrupt(`{"record":"reason","reason":"invalid-new","text":"invalid new","proto":"tcp","count":2,`)
}

// TestInvalidSecondInterrupt: an answer that nobody reads does not hold the
// program.
func TestInvalidSecondInterrupt(t *testing.T) {
	var log strings.Builder
	for port := range 2000 { // more than a pipe takes
		log.WriteString(resetLine(port))
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c := exec.Command("ntdiag", "invalid", "-", "-o", "json")
	c.Stdin, c.Stdout = strings.NewReader(log.String()), w
	err = c.Start()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Process.Kill() //nolint:errcheck // it has ended where all is well
	if _, err := io.ReadFull(r, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	select {
	case <-ended:
		if s, ok := c.ProcessState.Sys().(syscall.WaitStatus); !ok || !s.Signaled() || s.Signal() != syscall.SIGINT {
			t.Errorf("it ended otherwise: %v", c.ProcessState)
		}
	case <-time.After(30 * time.Second):
		t.Error("the signal did not end it")
	}
}
