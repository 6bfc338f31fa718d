package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/lab"
)

// listeners are programs that scripts have running, by script.
var listeners sync.Map

// listenCommands run a program beside a script:
//
//	listen COMMAND…     start it, and go on once it says that it listens; what it
//	                    prints is in the files listen.out and listen.err
//	ended SIGNAL CODE   send it INT, TERM, HUP or KILL, or - for none, and wait
//	                    for its end with that exit code, -1 for a signal
var listenCommands = map[string]func(*testscript.TestScript, bool, []string){"listen": listen, "ended": ended, "held": loggingHeld, "untouched": loggingUntouched}

type listener struct {
	cmd  *exec.Cmd
	done chan struct{} // standard error is at its end
}

func listen(ts *testscript.TestScript, _ bool, args []string) {
	c := exec.Command(args[0], args[1:]...)
	c.Dir = ts.MkAbs(".")
	c.Env = append(os.Environ(), "TMPDIR="+ts.Getenv("TMPDIR")) // as what the script runs beside it
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

// loggingOf is log_invalid and the logger of IPv4, on the router of the script.
func loggingOf(ts *testscript.TestScript) (logInvalid, logger string) {
	n, ok := scriptLabs.Load(ts.Name())
	if !ok {
		ts.Fatalf("no lab")
	}
	read := func(path string) string {
		b, err := os.ReadFile("/proc/sys/net/netfilter/" + path)
		ts.Check(err)
		return strings.TrimSpace(string(b))
	}
	ts.Check(n.(*lab.Net).Router.Do(func() error {
		logInvalid, logger = read("nf_conntrack_log_invalid"), read("nf_log/2")
		return nil
	}))
	return logInvalid, logger
}

// loggingHeld is `held`: a program has set the router's logging.
func loggingHeld(ts *testscript.TestScript, _ bool, _ []string) {
	if v, l := loggingOf(ts); v != "255" || l != "nfnetlink_log" {
		ts.Fatalf("log_invalid is %s, the logger %s", v, l)
	}
}

// loggingUntouched is `untouched`: the router's logging is as it was at first.
func loggingUntouched(ts *testscript.TestScript, _ bool, _ []string) {
	if v, l := loggingOf(ts); v != "0" || l == "nfnetlink_log" {
		ts.Fatalf("log_invalid is %s, the logger %s", v, l)
	}
}

// readsKmsg is the condition [kmsg]: this user may read the kernel's log.
func readsKmsg(name string) (bool, error) {
	if name != "kmsg" {
		return false, fmt.Errorf("unknown condition %q", name)
	}
	k, err := capture.OpenKmsg(true)
	if err != nil {
		return false, nil
	}
	return true, k.Close()
}
