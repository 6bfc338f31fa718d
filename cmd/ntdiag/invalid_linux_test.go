package main

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/lab"
)

// pty is a terminal of 100 columns and 30 rows: what is written to the one end
// is read at the other.
func pty(t *testing.T) (near, far *os.File) {
	t.Helper()
	near, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		lab.LeaveOut(t, err)
	}
	t.Cleanup(func() { near.Close() })
	n, err := unix.IoctlGetInt(int(near.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(near.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		far, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(int(far.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 30, Col: 100})
	}
	if err != nil {
		lab.LeaveOut(t, err)
	}
	return near, far
}

// TestInvalidTerminal: on a terminal --follow draws a table in place, and ends
// with the answer.
func TestInvalidTerminal(t *testing.T) {
	needLab(t)
	n := scriptLab(t)
	near, far := pty(t)
	c := exec.Command("ntdiag", "--netns", n.Router.Path(), "invalid", "--nflog", "--enable", "--follow", "--color", "never")
	c.Stdout = far
	var said bytes.Buffer
	c.Stderr = &said
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Process.Kill() //nolint:errcheck // it has ended where all is well
	far.Close()
	w, err := n.Client.Wire("eth0", n.Router, "c0")
	if err != nil {
		t.Fatal(err)
	}
	reset := lab.Packet{Src: lab.ClientAddr4, Dst: netip.MustParseAddr("10.8.2.12"), L4: lab.TCP{SPort: 7000, DPort: 80, Flags: lab.RST, Seq: 1}}
	var all strings.Builder
	stopped := false
	buf := make([]byte, 4096)
	for {
		k, err := near.Read(buf)
		all.Write(buf[:k])
		if err != nil { // EIO: the other end is closed
			break
		}
		if strings.Contains(all.String(), "PER S") && !stopped {
			if err := w.Send(reset); err != nil {
				t.Fatal(err)
			}
		}
		if strings.Contains(all.String(), "tcp invalid-new") && !stopped {
			stopped = true
			if err := c.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := c.Wait(); c.ProcessState.ExitCode() != exitFound {
		t.Errorf("%v: %s", err, said.String())
	}
	out := all.String()
	for _, want := range []string{"messages of NFLOG in ", "^C ends it", "\x1b[K", "tcp 10.0.0.10:7000 → 10.8.2.12:80 in by c0", "invalid to conntrack, so that no NAT rule is asked"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%q", want, out)
		}
	}
	if strings.LastIndex(out, "^C ends it") > strings.Index(out, "What becomes of them:") {
		t.Error("the table is drawn after the answer")
	}
}
