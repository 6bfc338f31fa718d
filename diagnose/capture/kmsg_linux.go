package capture

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/kernlog"
)

const (
	kmsgPath = "/dev/kmsg"
	// kmsgRecord is more than any one record takes (CONSOLE_EXT_LOG_MAX,
	// PRINTK_MESSAGE_MAX): a shorter buffer would lose it.
	kmsgRecord = 16 << 10
)

// Kmsg reads the kernel's log record by record. There is one log for all
// namespaces. It is for one goroutine, but for Lost.
type Kmsg struct {
	fd       int
	past     bool
	read     func(fd int, b []byte) (int, error)
	buf      []byte
	next     uint64 // number of the record to come, when begun
	begun    bool
	boot     time.Time // the wall clock when the log's clock was 0
	lost     atomic.Uint64
	unparsed atomic.Uint64
}

// OpenKmsg opens /dev/kmsg: past from the oldest record that there is, and until
// the last; else for those that are written from now on, without end.
func OpenKmsg(past bool) (*Kmsg, error) {
	fd, err := unix.Open(kmsgPath, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, wordKmsg(err)
	}
	k := newKmsg(fd, past)
	var st unix.Stat_t
	switch err := unix.Fstat(fd, &st); {
	case err != nil:
		k.Close()
		return nil, wordKmsg(err)
	case st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != unix.Mkdev(1, 11):
		k.Close()
		return nil, &OpError{What: kmsgPath, Why: "it is not the kernel's log (as in a container)", Err: unix.ENODEV}
	}
	if !past {
		if _, err := unix.Seek(fd, 0, io.SeekEnd); err != nil {
			k.Close()
			return nil, wordKmsg(err)
		}
	}
	return k, nil
}

func newKmsg(fd int, past bool) *Kmsg {
	k := &Kmsg{fd: fd, past: past, read: unix.Read, buf: make([]byte, kmsgRecord)}
	k.clock()
	return k
}

// wordKmsg names what is missing: check_syslog_permissions asks for CAP_SYSLOG
// while kernel.dmesg_restrict is 1.
func wordKmsg(err error) error {
	why := "permission denied"
	if b, e := os.ReadFile("/proc/sys/kernel/dmesg_restrict"); e == nil && strings.TrimSpace(string(b)) != "0" {
		why += " (needs CAP_SYSLOG, kernel.dmesg_restrict is 1)"
	}
	return explainErr(kmsgPath, err, []reason{
		{unix.EPERM, why},
		{unix.EACCES, why},
		{unix.ENOENT, "no such file (as in a container)"},
	})
}

// clock notes what the wall clock says now. printk counts as CLOCK_MONOTONIC
// does (local_clock), but for what NTP corrects of the latter.
func (k *Kmsg) clock() {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) == nil {
		k.boot = time.Now().Round(0).Add(-time.Duration(ts.Nano()))
	}
}

// Next reads one record into r, and waits for it; what r points to is good
// until the next. It ends with io.EOF after the last record when it was opened
// for the past, and with the cause of ctx when that ends.
//
// A record's time is made of the microseconds since boot and the wall clock of
// now. That clock stands still while the machine sleeps: what was written
// before the last sleep seems later than it was, by as long as was slept since. A
// wall clock that was set meanwhile is wrong in the same way.
func (k *Kmsg) Next(ctx context.Context, r *kernlog.Record) error {
	for {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		some, err := k.Pending(r)
		switch {
		case err != nil || some:
			return err
		case k.past:
			return io.EOF
		}
		fds := []unix.PollFd{{Fd: int32(k.fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, int(recvTimeout/time.Millisecond)); err != nil && !errors.Is(err, unix.EINTR) {
			return wordKmsg(err)
		}
		k.clock()
	}
}

// Pending reads one record into r if there is one, and does not wait.
func (k *Kmsg) Pending(r *kernlog.Record) (bool, error) {
	for {
		n, err := k.read(k.fd, k.buf)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return false, nil
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EPIPE):
			// the ring has gone over the record to come: reading goes on with the
			// oldest, whose number tells how many are gone
			if !k.begun {
				k.lost.Add(1) // at least
			}
			continue
		case err != nil:
			return false, wordKmsg(err)
		case n == 0:
			return false, io.EOF
		}
		if err := kernlog.ParseKmsg(k.buf[:n], r); err != nil {
			k.unparsed.Add(1)
			continue
		}
		k.count(r)
		if up, ok := r.Uptime(); ok {
			r.SetTime(k.boot.Add(up))
		}
		return true, nil
	}
}

// count notes the records that are missing before r.
func (k *Kmsg) count(r *kernlog.Record) {
	if k.begun && r.Seq > k.next {
		k.lost.Add(r.Seq - k.next)
	}
	k.next, k.begun = r.Seq+1, true
}

// Lost is how many records were written and overwritten before they were read,
// so far: at least as many where none had been read before. What was overwritten
// before the log was opened is not among them.
func (k *Kmsg) Lost() uint64 { return k.lost.Load() }

// Unparsed is how many records could not be read.
func (k *Kmsg) Unparsed() uint64 { return k.unparsed.Load() }

// Close closes the log.
func (k *Kmsg) Close() error { return unix.Close(k.fd) }
