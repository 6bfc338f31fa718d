package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// insideEnv marks a process that Main has started in its own namespaces.
const insideEnv = "NTDIAG_LAB_INSIDE"

// Reexec runs this program again with args inside mount and network
// namespaces of its own, and without root inside a user namespace in which it
// is root. It returns the exit code; the program ends when ctx does, or with
// the caller.
func Reexec(ctx context.Context, args, env []string) (int, error) {
	// the death signal is sent when the starting thread ends
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, "/proc/self/exe", args...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(unix.SIGTERM) }
	attr := &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET, Pdeathsig: unix.SIGKILL}
	if os.Geteuid() != 0 {
		attr.Cloneflags |= unix.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	cmd.SysProcAttr = attr
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("own namespaces: %w", err)
	}
	err := cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	return 0, err
}

// Main is for TestMain: first it puts right what a test that was killed has left
// of Global. Without root it runs the whole test binary again
// inside a user namespace, so that a lab can be made. Where that is not
// allowed the tests run as they are, and New fails.
func Main(run func() int) int {
	if os.Geteuid() == 0 || os.Getenv(insideEnv) != "" {
		if err := mendGlobal(); err != nil {
			fmt.Fprintf(os.Stderr, "lab: %v\n", err)
		}
		return run()
	}
	// iptables-legacy locks a file in /run, which is not ours: the network
	// namespace that it runs in serves as well
	env := []string{insideEnv + "=1", "XTABLES_LOCKFILE=/proc/self/ns/net"}
	code, err := Reexec(context.Background(), os.Args[1:], env)
	if err != nil {
		fmt.Fprintf(os.Stderr, "lab: %v\n", err)
		return run()
	}
	return code
}

// runDir is where `ip netns` and --netns look for names.
const runDir = "/run/netns"

// PublishNames gives the hosts made from now on names under /run/netns. Only
// for a process started by Reexec: its mounts are its own, and end with it.
func (l *Lab) PublishNames() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("own mounts: %w", err)
	}
	if err := unix.Mount("lab", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return fmt.Errorf("own /run: %w", err)
	}
	if err := os.MkdirAll(runDir, 0o755); err != nil {
		return err
	}
	l.named = true
	return nil
}

func (h *Host) publish() error {
	path := runDir + "/" + h.Name
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0)
	if err != nil {
		return fmt.Errorf("host %s: %w", h.Name, err)
	}
	f.Close()
	self := fmt.Sprintf("/proc/self/fd/%d", h.Fd())
	if err := unix.Mount(self, path, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("host %s: name: %w", h.Name, err)
	}
	h.path = path
	return nil
}
