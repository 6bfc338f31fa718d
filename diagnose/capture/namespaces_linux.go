package capture

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

// namedDirs are where namespaces are bound to names: those of `ip netns` are
// opened by name, the others by path.
var namedDirs = []struct {
	dir    string
	byName bool
}{
	{"/run/netns", true},
	{"/var/run/netns", true},
	{"/run/docker/netns", false},
	{"/var/run/docker/netns", false},
}

// Namespaces lists the network namespaces that have a name or a process: the
// own one first, then named ones, then those that processes alone keep. One
// that only a thread, a socket or another mount keeps is not seen. What could not be
// looked at is in missing.
func Namespaces(ctx context.Context) (all []Namespace, missing []host.Missing, err error) {
	s := search{at: map[uint64]*Namespace{}}
	own, err := netnsInode("/proc/thread-self/ns/net")
	if err != nil {
		return nil, nil, netnsError("", err)
	}
	s.of(own)
	s.named()
	if err := s.running(ctx); err != nil {
		return nil, nil, err
	}
	for _, n := range s.order {
		switch {
		case n.Inode == own:
			n.Name = ""
		case n.Name == "" && len(n.Names) > 0:
			n.Name = n.Names[0]
		case n.Name == "":
			n.Name = strconv.Itoa(n.First[0].PID)
		}
		all = append(all, *n)
	}
	return all, s.missing, nil
}

type search struct {
	at      map[uint64]*Namespace // by inode
	order   []*Namespace
	missing []host.Missing
}

func (s *search) of(inode uint64) *Namespace {
	n := s.at[inode]
	if n == nil {
		n = &Namespace{Inode: inode}
		s.at[inode], s.order = n, append(s.order, n)
	}
	return n
}

func (s *search) miss(what string, err error) {
	s.missing = append(s.missing, host.Missing{What: what, Why: whyOf(explainErr(what, err, netnsReasons))})
}

// named looks into the directories; one may be a link to another.
func (s *search) named() {
	seen := map[string]bool{}
	for _, d := range namedDirs {
		real, err := filepath.EvalSymlinks(d.dir)
		if errors.Is(err, fs.ErrNotExist) || seen[real] {
			continue
		}
		seen[real] = true
		entries, err := os.ReadDir(d.dir)
		if err != nil {
			s.miss("network namespaces in "+d.dir, err)
		}
		for _, e := range entries {
			path := filepath.Join(d.dir, e.Name())
			name := path
			if d.byName {
				name = e.Name()
			}
			inode, err := netnsInode(path)
			if err != nil {
				s.miss("network namespace "+strconv.Quote(name), err)
				continue
			}
			n := s.of(inode)
			n.Names = append(n.Names, name)
		}
	}
}

// netnsInode tells which network namespace a file is.
func netnsInode(path string) (uint64, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	// any other file answers ENOTTY
	kind, err := unix.IoctlRetInt(fd, unix.NS_GET_NSTYPE)
	if err != nil || kind != unix.CLONE_NEWNET {
		return 0, unix.EINVAL
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, err
	}
	return st.Ino, nil
}

// running looks at the processes. One that ended meanwhile is none.
func (s *search) running(ctx context.Context) error {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		s.miss("network namespaces of processes", err)
		return nil
	}
	var pids []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	refused, why := 0, error(nil)
	for _, pid := range pids {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var st unix.Stat_t
		switch err := unix.Stat(fmt.Sprintf("/proc/%d/ns/net", pid), &st); {
		case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ESRCH):
			continue // gone, or a zombie: it has none any more
		case err != nil:
			refused, why = refused+1, err
			continue
		}
		n := s.of(st.Ino)
		if n.Processes++; len(n.First) < firstProcesses {
			comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
			if err == nil {
				comm = comm[:max(len(comm)-1, 0)]
			}
			n.First = append(n.First, Process{PID: pid, Comm: string(comm)})
		}
	}
	if refused > 0 {
		what := "the network namespace of a process"
		if refused > 1 {
			what = fmt.Sprintf("network namespaces of %d processes", refused)
		}
		s.missing = append(s.missing, host.Missing{What: what, Why: whyOf(explainErr(what, why, []reason{
			{unix.EACCES, "permission denied (needs CAP_SYS_PTRACE)"}, {unix.EPERM, "permission denied (needs CAP_SYS_PTRACE)"},
		}))})
	}
	slices.SortStableFunc(s.order[1:], func(a, b *Namespace) int {
		return cmp.Compare(boolInt(len(a.Names) == 0), boolInt(len(b.Names) == 0))
	})
	return nil
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
