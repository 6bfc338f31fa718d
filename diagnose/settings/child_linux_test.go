package settings

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/lab"
)

// childEnv makes the test binary hold everything in the namespace that it
// names, with files in dirEnv, until the end that endEnv names.
const (
	childEnv = "NTDIAG_SETTINGS_CHILD"
	dirEnv   = "NTDIAG_SETTINGS_DIR"
	endEnv   = "NTDIAG_SETTINGS_END"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(child())
	}
	os.Exit(lab.Main(m.Run))
}

func child() (code int) {
	// as the command does
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	defer stop()
	live, err := capture.Open(os.Getenv(childEnv))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer live.Close()
	h, err := Hold(os.Getenv(dirEnv), live, everything())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		if _, err := h.Restore(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}()
	fmt.Println("held")
	switch os.Getenv(endEnv) {
	case "panic":
		panic("for the test")
	case "closed output":
		// the other end is closed once "held" was read
		for {
			if _, err := fmt.Println("more"); err != nil {
				return 0
			}
		}
	}
	<-ctx.Done()
	return 0
}

// everything is a value for each setting that can be held.
func everything() []Setting {
	return append(ToNFLog(255), Setting{capture.KeyLoggerBr, capture.LoggerNFLog})
}

// start runs a child that holds everything; end waits for its end and returns
// its exit code, -1 when a signal ended it.
func start(t *testing.T, h *lab.Host, dir, how string) (c *exec.Cmd, end func() int) {
	t.Helper()
	// the death signal is sent when the starting thread ends
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
	c = exec.Command("/proc/self/exe")
	c.Env = append(os.Environ(), childEnv+"="+h.Path(), dirEnv+"="+dir, endEnv+"="+how)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var errs strings.Builder
	c.Stderr = &errs
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "held\n" {
		_ = c.Wait()
		t.Fatalf("child: %q %v: %s", line, err, errs.String())
	}
	out.Close()
	return c, func() int {
		if err := c.Wait(); err != nil {
			t.Logf("child: %v: %.200s", err, errs.String())
		}
		return c.ProcessState.ExitCode()
	}
}

// TestEnds: whatever ends a run, the settings are as they were: at once, or
// after SIGKILL once somebody looks.
func TestEnds(t *testing.T) {
	tests := []struct {
		how    string
		signal os.Signal
		stays  bool
		code   int
	}{
		{"SIGINT", unix.SIGINT, false, 0},
		{"SIGTERM", unix.SIGTERM, false, 0},
		{"SIGHUP", unix.SIGHUP, false, 0},
		{"SIGKILL", unix.SIGKILL, true, -1},
		{"SIGQUIT", unix.SIGQUIT, true, 2},
		{"panic", nil, false, 2},
		{"closed output", nil, false, 0},
	}
	for _, tt := range tests {
		t.Run(tt.how, func(t *testing.T) {
			h, live := machine(t)
			before := values(t, live)
			dir := t.TempDir()
			c, end := start(t, h, dir, tt.how)
			if tt.signal != nil {
				expect(t, live, everything())
				if err := c.Process.Signal(tt.signal); err != nil {
					t.Fatal(err)
				}
			}
			if code := end(); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			if tt.stays {
				expect(t, live, everything())
				got, err := Recover(dir, live)
				if err != nil {
					t.Fatal(err)
				}
				fates(t, got, Restored, capture.KeyLogInvalid, capture.KeyLoggerBr, capture.KeyLoggerIPv6, capture.KeyLoggerIPv4)
			}
			expect(t, live, before)
			empty(t, dir)
			got, err := Recover(dir, live)
			if err != nil || len(got) != 0 {
				t.Errorf("nothing is left to recover: %v %v", got, err)
			}
		})
	}
}

// TestKilledThenHeld: the next run does not take for the original values what
// the one before it had set.
func TestKilledThenHeld(t *testing.T) {
	h, live := machine(t)
	before := values(t, live)
	dir := t.TempDir()
	c, end := start(t, h, dir, "")
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	end()
	held, err := Hold(dir, live, everything())
	if err != nil {
		t.Fatal(err)
	}
	fates(t, held.Recovered(), Restored, capture.KeyLogInvalid, capture.KeyLoggerBr, capture.KeyLoggerIPv6, capture.KeyLoggerIPv4)
	expect(t, live, everything())
	if _, err := held.Restore(); err != nil {
		t.Fatal(err)
	}
	expect(t, live, before)
	empty(t, dir)
}

// TestBesideKilled: what a run holds together with one that was killed is put
// back by the one that is left.
func TestBesideKilled(t *testing.T) {
	h, live := machine(t)
	before := values(t, live)
	dir := t.TempDir()
	c, end := start(t, h, dir, "")
	held, err := Hold(dir, live, everything())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	end()
	if got, err := Recover(dir, live); err != nil || len(got) != 0 {
		t.Errorf("recovered what is held: %v %v", got, err)
	}
	expect(t, live, everything())
	if _, err := held.Restore(); err != nil {
		t.Fatal(err)
	}
	expect(t, live, before)
	empty(t, dir)
}
