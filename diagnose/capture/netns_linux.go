package capture

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

// worker is an OS thread inside one network namespace. What depends on the
// namespace of the calling thread (making sockets, /proc/sys/net,
// /proc/thread-self/net) is run there. The thread dies with the worker: a
// thread that was moved is never given back to the scheduler.
type worker struct {
	jobs chan func()
	quit chan struct{}
}

var errClosed = errors.New("it is closed")

// enter starts a worker in the namespace that name stands for.
func enter(name string) (*worker, error) {
	f, err := openNetns(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	w := &worker{jobs: make(chan func()), quit: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := moveTo(int(f.Fd()))
		started <- err
		if err != nil {
			return
		}
		for {
			select {
			case job := <-w.jobs:
				job()
			case <-w.quit:
				return
			}
		}
	}()
	if err := <-started; err != nil {
		return nil, netnsError(name, err)
	}
	return w, nil
}

// do runs f on the worker's thread; it fails only once the worker is closed.
func (w *worker) do(f func()) error {
	done := make(chan struct{})
	job := func() {
		defer close(done)
		f()
	}
	select {
	case w.jobs <- job:
		<-done
		return nil
	case <-w.quit:
		return errClosed
	}
}

func (w *worker) close() { close(w.quit) }

// moveTo is setns, left out when the thread is there already: that needs no
// capability.
func moveTo(fd int) error {
	var want, have unix.Stat_t
	if err := unix.Fstat(fd, &want); err != nil {
		return err
	}
	if err := unix.Stat("/proc/thread-self/ns/net", &have); err == nil && want.Dev == have.Dev && want.Ino == have.Ino {
		return nil
	}
	return unix.Setns(fd, unix.CLONE_NEWNET)
}

// netnsDirs are where `ip netns` keeps names.
var netnsDirs = []string{"/run/netns", "/var/run/netns"}

// openNetns opens the namespace that name stands for: a path, a name that
// `ip netns` knows, a process id; "" is the one of the calling thread.
func openNetns(name string) (*os.File, error) {
	if name == "" {
		return open("", "/proc/thread-self/ns/net")
	}
	if strings.ContainsRune(name, '/') {
		return open(name, name)
	}
	for _, dir := range netnsDirs {
		f, err := os.Open(filepath.Join(dir, name))
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			return nil, netnsError(name, err)
		}
	}
	if pid, err := strconv.ParseUint(name, 10, 31); err == nil {
		f, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
		if errors.Is(err, os.ErrNotExist) {
			return nil, netnsError(name, unix.ESRCH)
		}
		if err != nil {
			return nil, netnsError(name, err)
		}
		return f, nil
	}
	return nil, netnsError(name, unix.ENOENT)
}

func open(name, path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, netnsError(name, err)
	}
	return f, nil
}

var netnsReasons = []reason{
	{unix.ENOENT, "no such file"},
	{unix.ENOTDIR, "no such file"},
	{unix.ESRCH, "no such process"},
	{unix.EINVAL, "not a network namespace"},
	{unix.EPERM, "permission denied (needs CAP_SYS_ADMIN)"},
	{unix.EACCES, "permission denied"},
}

func netnsError(name string, err error) error {
	what := "network namespace " + strconv.Quote(name)
	if name == "" {
		what = "current network namespace"
	}
	return explainErr(what, err, netnsReasons)
}

// Identity tells the namespace apart from others.
func (l *Live) Identity() (id host.NetnsID, err error) {
	closed := l.ns.do(func() {
		var st unix.Stat_t
		if err = unix.Stat("/proc/thread-self/ns/net", &st); err != nil {
			return
		}
		id.Inode = st.Ino
		var boot []byte
		if boot, err = os.ReadFile("/proc/sys/kernel/random/boot_id"); err != nil {
			return
		}
		id.Boot = strings.TrimSpace(string(boot))
		id.Cookie, err = netnsCookie()
	})
	if err = errors.Join(closed, err); err != nil {
		return id, explainErr("network namespace", err, netnsReasons)
	}
	return id, nil
}

// netnsCookie is SO_NETNS_COOKIE, 0 where the kernel has none (before 5.14).
func netnsCookie() (uint64, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if errors.Is(err, unix.ENOPROTOOPT) {
		return 0, nil
	}
	return cookie, err
}
