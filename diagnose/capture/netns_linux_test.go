package capture

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/lab"
	"golang.org/x/sys/unix"
)

const inUserNS = "NTDIAG_TEST_IN_USERNS"

// TestMain runs the tests as root of a user namespace when it is not root.
func TestMain(m *testing.M) {
	if os.Geteuid() == 0 || os.Getenv(inUserNS) != "" {
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), inUserNS+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	err := cmd.Run()
	if cmd.ProcessState == nil {
		fmt.Fprintln(os.Stderr, "no user namespace, kernel tests are skipped:", err)
		os.Exit(m.Run())
	}
	os.Exit(cmd.ProcessState.ExitCode())
}

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
