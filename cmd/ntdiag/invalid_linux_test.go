package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/lab"
)

// pty is a terminal of 100 columns and 30 rows: what is written to the one end
// is read at the other.
func pty(t testing.TB) (near, far *os.File) {
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
	for _, want := range []string{"messages of NFLOG in ", "^C ends it", "\x1b[K", "tcp 10.0.0.10:7000 → 10.8.2.12:80 in by c0", "with an address that NAT should have replaced"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%q", want, out)
		}
	}
	if strings.LastIndex(out, "^C ends it") > strings.Index(out, "What becomes of them") {
		t.Error("the table is drawn after the answer")
	}
}

// TestInvalidKernelLog: what the kernel's log has of a namespace is joined to
// its table and rules; while its messages do not come there, nothing is taken
// for its own.
func TestInvalidKernelLog(t *testing.T) {
	needLab(t)
	if ok, _ := readsKmsg("kmsg"); !ok {
		lab.LeaveOut(t, errors.New("/dev/kmsg cannot be read"))
	}
	n := scriptLab(t)
	restore := lab.Global(t, "net.netfilter.nf_log_all_netns=1")
	if err := n.Router.Sysctl("net.netfilter.nf_conntrack_log_invalid=255"); err != nil {
		t.Fatal(err)
	}
	w, err := n.Client.Wire("eth0", n.Router, "c0")
	if err != nil {
		t.Fatal(err)
	}
	ask := func() *kernelLogAnswer {
		out, _ := exec.Command("ntdiag", "--netns", n.Router.Path(), "invalid", "-o", "json").Output() // its exit code is that something was found
		var d kernelLogAnswer
		if err := json.Unmarshal(out, &d); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return &d
	}
	// the log keeps what runs before this one made, for as long as it has room
	port := uint16(20000 + rand.IntN(40000))
	for ask().flow(port) != nil {
		port++
	}
	for range 3 {
		p := lab.Packet{Src: lab.ClientAddr4, Dst: netip.MustParseAddr("10.8.2.12"), L4: lab.TCP{SPort: port, DPort: 80, Flags: lab.RST, Seq: 1}}
		if err := w.Send(p); err != nil {
			t.Fatal(err)
		}
	}
	d := ask()
	f := d.flow(port)
	for limit := time.Now().Add(10 * time.Second); (f == nil || f.Count < 3) && time.Now().Before(limit); f = d.flow(port) {
		d = ask()
	}
	if d.Source != "kmsg" || !d.Joined || !d.Mixed || f == nil || f.Count != 3 || f.Fate != "leaks" || f.In != "c0" {
		t.Errorf("source %s, joined %v, mixed %v, flow %+v", d.Source, d.Joined, d.Mixed, f)
	}
	if d.Logging.Silent != "" {
		t.Errorf("it says that the log is silent: %s", d.Logging.Silent)
	}
	restore()
	if d := ask(); d.flow(port) != nil || d.Elsewhere < 3 || d.Logging.Silent == "" {
		t.Errorf("a silent log: %d of other namespaces, %q, flow %+v", d.Elsewhere, d.Logging.Silent, d.flow(port))
	}
}

// kernelLogAnswer is what of the document is looked at.
type kernelLogAnswer struct {
	Source    string
	Joined    bool
	Mixed     bool
	Elsewhere uint64
	Logging   struct{ Silent string }
	Messages  []struct{ Flows []kernelLogFlow }
}

type kernelLogFlow struct {
	Packet   struct{ Sport uint16 }
	Count    int
	Fate, In string
}

func (d *kernelLogAnswer) flow(port uint16) *kernelLogFlow {
	for i := range d.Messages {
		for j := range d.Messages[i].Flows {
			if f := &d.Messages[i].Flows[j]; f.Packet.Sport == port {
				return f
			}
		}
	}
	return nil
}
