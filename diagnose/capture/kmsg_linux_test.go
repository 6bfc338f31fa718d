package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/kernlog"
	"github.com/ntdiag/ntdiag/diagnose/lab"
)

// kmsgMark marks what this test writes: the log is that of the whole machine.
var kmsgMark = fmt.Sprintf("ntdiag test %d %d", os.Getpid(), time.Now().UnixNano())

// openKmsg opens the log where that is allowed: in a user namespace it is for
// who has CAP_SYSLOG over the machine.
func openKmsg(t *testing.T, past bool) *Kmsg {
	t.Helper()
	k, err := OpenKmsg(past)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.ENOENT) {
		lab.LeaveOut(t, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k
}

// writeKmsg writes one record: without its newline it would not be told before
// the next.
func writeKmsg(t *testing.T, text string) {
	t.Helper()
	f, err := os.OpenFile(kmsgPath, os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(text + "\n")
		f.Close()
	}
	if err != nil {
		lab.LeaveOut(t, fmt.Errorf("write: %w", err))
	}
}

func TestKmsg(t *testing.T) {
	writeKmsg(t, kmsgMark+" before")
	k := openKmsg(t, false)
	before := time.Now()
	writeKmsg(t, kmsgMark+" \\ here")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var r kernlog.Record
	for {
		if err := k.Next(ctx, &r); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(string(r.Text), kmsgMark) {
			break
		}
	}
	if string(r.Text) != kmsgMark+" \\ here" {
		t.Errorf("text %q", r.Text)
	}
	if at := r.Time(); at.Before(before.Add(-time.Second)) || at.After(time.Now().Add(time.Second)) {
		t.Errorf("at %v, written after %v", at, before)
	}
	seq := r.Seq
	cancel()
	if err := k.Next(ctx, &r); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}

	old := openKmsg(t, true)
	found := 0
	for {
		err := old.Next(context.Background(), &r)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(string(r.Text), kmsgMark) {
			found++
		}
		if r.Seq == seq && string(r.Text) != kmsgMark+" \\ here" {
			t.Errorf("record %d is %q", seq, r.Text)
		}
	}
	if found != 2 || k.Lost()+old.Lost() != 0 || k.Unparsed()+old.Unparsed() != 0 {
		t.Errorf("found %d, lost %d and %d, unparsed %d and %d", found, k.Lost(), old.Lost(), k.Unparsed(), old.Unparsed())
	}
}

// TestKmsgEnds: waiting ends with its context.
func TestKmsgEnds(t *testing.T) {
	k := openKmsg(t, false)
	why := errors.New("told to end")
	ctx, cancel := context.WithTimeoutCause(context.Background(), time.Millisecond, why)
	defer cancel()
	var r kernlog.Record
	for {
		if err := k.Next(ctx, &r); err != nil {
			if !errors.Is(err, why) {
				t.Error(err)
			}
			return
		}
	}
}

// TestKmsgGaps: the ring of a machine that others use is not overrun for a
// test, so that a socket stands in for it here.
func TestKmsgGaps(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[0])
	k := newKmsg(fds[1], true)
	defer k.Close()
	overrun := map[int]bool{0: true, 3: true} // readings before which the ring was overrun
	reads := 0
	k.read = func(fd int, b []byte) (int, error) {
		defer func() { reads++ }()
		if overrun[reads] {
			return 0, unix.EPIPE
		}
		return unix.Read(fd, b)
	}
	for _, rec := range []string{"5,10,1000000,-;a\n", "5,11,1000001,-;b\n", "nonsense", "5,20,1000002,-;c\n", "5,23,1000003,-;d\n"} {
		if _, err := unix.Write(fds[0], []byte(rec)); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	var r kernlog.Record
	for {
		err := k.Next(context.Background(), &r)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %d", r.Text, k.Lost()))
	}
	if s := strings.Join(got, ", "); s != "a 1, b 1, c 9, d 11" || k.Unparsed() != 1 {
		t.Errorf("text and lost so far: %s; unparsed %d", s, k.Unparsed())
	}
}
