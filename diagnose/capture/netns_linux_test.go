package capture

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/lab"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m.Run)) }

// newNetns moves the test's thread into a network namespace of its own; the
// thread, and the namespace with it, dies with the test.
func newNetns(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		lab.LeaveOut(t, fmt.Errorf("no network namespace can be made: %w", err))
	}
	run(t, "", "ip", "link", "set", "lo", "up")
}

// run runs a command in the namespace of the test's thread.
func run(t *testing.T, stdin, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = strings.NewReader(stdin), &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, stderr.String()[:min(stderr.Len(), 500)])
	}
	return string(out)
}

func openHere(t *testing.T, name string) *Live {
	t.Helper()
	l, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}
