package capture

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/lab"
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
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// needTool leaves a test out where a program is not installed.
func needTool(t testing.TB, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		lab.LeaveOut(t, err)
	}
}

// run runs a command in the namespace of the test's thread.
func run(t *testing.T, stdin, name string, args ...string) string {
	t.Helper()
	needTool(t, name)
	cmd := exec.Command(name, args...)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = strings.NewReader(stdin), &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, stderr.String()[:min(stderr.Len(), 500)])
	}
	return string(out)
}

func openHere(t testing.TB, name string) *Live {
	t.Helper()
	l, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}
