package main

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

// listeners are programs that scripts have running, by script.
var listeners sync.Map

// listenCommands run a program beside a script:
//
//	listen COMMAND…     start it, and go on once it says that it listens; what it
//	                    prints is in the files listen.out and listen.err
//	ended SIGNAL CODE   send it INT, TERM, HUP or KILL, or - for none, and wait
//	                    for its end with that exit code, -1 for a signal
var listenCommands = map[string]func(*testscript.TestScript, bool, []string){"listen": listen, "ended": ended}

type listener struct {
	cmd  *exec.Cmd
	done chan struct{} // standard error is at its end
}

func listen(ts *testscript.TestScript, _ bool, args []string) {
	c := exec.Command(args[0], args[1:]...)
	c.Dir = ts.MkAbs(".")
	out, err := os.Create(ts.MkAbs("listen.out"))
	ts.Check(err)
	c.Stdout = out
	said, err := c.StderrPipe()
	ts.Check(err)
	ts.Check(c.Start())
	ts.Defer(func() { _ = c.Process.Kill() })
	out.Close()
	l := &listener{c, make(chan struct{})}
	listeners.Store(ts.Name(), l)
	ready := make(chan bool, 1)
	go func() {
		defer close(l.done)
		var all strings.Builder
		s := bufio.NewScanner(said)
		for s.Scan() {
			all.WriteString(s.Text() + "\n")
			if strings.Contains(s.Text(), "listening to") {
				ready <- true
			}
		}
		_ = os.WriteFile(ts.MkAbs("listen.err"), []byte(all.String()), 0o600)
		ready <- false
	}()
	if !<-ready {
		<-l.done
		ts.Fatalf("it ended: %s", ts.ReadFile("listen.err"))
	}
}

func ended(ts *testscript.TestScript, _ bool, args []string) {
	v, ok := listeners.Load(ts.Name())
	if !ok || len(args) != 2 {
		ts.Fatalf("usage: ended SIGNAL CODE, after listen")
	}
	l := v.(*listener)
	sig := map[string]syscall.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "KILL": syscall.SIGKILL}[args[0]]
	if sig != 0 {
		ts.Check(l.cmd.Process.Signal(sig))
	}
	<-l.done
	err := l.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		ts.Check(err)
	}
	if got := strconv.Itoa(l.cmd.ProcessState.ExitCode()); got != args[1] {
		ts.Fatalf("exit code %s, want %s: %s", got, args[1], ts.ReadFile("listen.err"))
	}
}
