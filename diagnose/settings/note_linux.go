package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// note is the file of one setting of one namespace. It is written once, before
// the setting is changed.
type note struct {
	Schema string     `json:"schema"`
	Place  host.Place `json:"place"`
	Key    string     `json:"key"`
	Was    string     `json:"was"`
	Set    string     `json:"set"`
}

const (
	schema = "ntdiag.held/1"
	// maxNote is more than any file has.
	maxNote = 8 << 10

	noteBegin = "held-"
	noteEnd   = ".json"
	tempBegin = "new-" // a file that is not whole yet
)

// noteName tells a setting of a namespace from all others.
func noteName(p host.Place, key string) (string, error) {
	ns := fmt.Sprintf("c%d", p.Cookie)
	if p.Cookie == 0 {
		ns = fmt.Sprintf("i%d", p.Inode)
	}
	if p.BootID == "" || p.Inode == 0 {
		return "", errors.New("network namespace: /proc does not tell which one this is")
	}
	return noteBegin + p.BootID + "-" + ns + "-" + key + noteEnd, nil
}

func (n *note) change() Change { return Change{Key: n.Key, Was: n.Was, Set: n.Set} }

// failed says which command puts the setting back.
func (n *note) failed(l *capture.Live, err error) Change {
	c := n.change()
	c.Fate = Failed
	c.Err = fmt.Errorf("%s is not put back: %w; by hand: %ssysctl -w %s=%s", n.Key, err, l.Enter(), n.Key, n.Was)
	return c
}

// restore puts the setting back, unless it is not what it was set to.
func (n *note) restore(l *capture.Live) Change {
	c := n.change()
	switch now := l.Sysctl(n.Key); {
	case !now.OK && now.Why == host.NotThere:
		c.Fate = Gone
	case !now.OK:
		return n.failed(l, errors.New(now.Why))
	case now.Value == n.Was:
		c.Fate = Unchanged
	case now.Value != n.Set:
		c.Fate, c.Now = Foreign, now.Value
	default:
		if err := l.SetSysctl(n.Key, n.Was); err != nil {
			return n.failed(l, err)
		}
	}
	return c
}

// readNote reads a file that this package has written.
func readNote(f *os.File) (*note, error) {
	b, err := io.ReadAll(io.LimitReader(f, maxNote))
	if err != nil {
		return nil, err
	}
	var n note
	if err := json.Unmarshal(b, &n); err != nil {
		return nil, err
	}
	if n.Schema != schema || !slices.Contains(keys, n.Key) || n.Was == "" || n.Set == "" {
		return nil, errors.New("not a file of this version of ntdiag")
	}
	return &n, nil
}

// acquire locks the file of a setting, which it makes when there is none.
func (d *dir) acquire(l *capture.Live, s Setting) (*holding, error) {
	place := l.Place()
	name, err := noteName(place, s.Key)
	if err != nil {
		return nil, err
	}
	now := l.Sysctl(s.Key)
	if !now.OK {
		return nil, fmt.Errorf("sysctl %s: %s", s.Key, now.Why)
	}
	f, err := d.open(name)
	if errors.Is(err, unix.ENOENT) {
		n := note{Schema: schema, Place: place, Key: s.Key, Was: now.Value, Set: s.Value}
		f, err := d.create(name, &n)
		return &holding{n, f}, err
	}
	if err != nil {
		return nil, err
	}
	k, err := join(d.path(name), f, s, now.Value)
	if err != nil {
		f.Close()
	}
	return k, err
}

// join shares a setting that another run holds.
func join(path string, f *os.File, s Setting, now string) (*holding, error) {
	n, err := readNote(f)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", path, err)
	case n.Set != s.Value:
		return nil, fmt.Errorf("sysctl %s: another ntdiag holds it at %s, wanted is %s", s.Key, n.Set, s.Value)
	case now != n.Set:
		return nil, fmt.Errorf("sysctl %s: another ntdiag holds it at %s, and somebody else has set it to %s since", s.Key, n.Set, now)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB); err != nil {
		return nil, fmt.Errorf("%s: lock: %w", path, err)
	}
	return &holding{*n, f}, nil
}

// letGo gives up one setting, and puts it back when nobody else holds it. The
// kernel drops a shared lock before it tries for the exclusive one
// (flock_lock_inode), so that it is gone either way; of several that leave, one
// after the other, the last gets it.
func (d *dir) letGo(l *capture.Live, k *holding) Change {
	defer k.file.Close()
	err := unix.Flock(int(k.file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		c := k.note.change()
		c.Fate = Shared
		return c
	}
	if err != nil {
		return k.note.failed(l, fmt.Errorf("lock: %w", err))
	}
	c := k.note.restore(l)
	if c.Fate == Failed {
		return c // the next run tries again
	}
	if err := d.remove(k.file.Name()); err != nil {
		return k.note.failed(l, err)
	}
	return c
}

// recover goes through the files that nobody holds: those of this namespace are
// put back, in reverse of the order of keys; those of a namespace that may still
// be there are left for who enters it.
func (d *dir) recover(l *capture.Live) ([]Change, error) {
	names, err := d.names()
	if err != nil {
		return nil, err
	}
	place := l.Place()
	if _, err := noteName(place, ""); err != nil {
		return nil, err
	}
	var left []*holding
	for _, name := range names {
		k, err := d.abandoned(name)
		if err != nil {
			return nil, err
		}
		if k == nil {
			continue
		}
		if k.note.Place == place {
			left = append(left, k)
			continue
		}
		if capture.Exists(k.note.Place, place) == rules.No {
			err = d.remove(name)
		}
		k.file.Close()
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(left, func(a, b *holding) int {
		return slices.Index(keys, b.note.Key) - slices.Index(keys, a.note.Key)
	})
	var out []Change
	for _, k := range left {
		out = append(out, d.letGo(l, k))
	}
	return out, nil
}

// abandoned locks the file of a run that was killed; nil for one that is held,
// or that is none of this package's.
func (d *dir) abandoned(name string) (*holding, error) {
	if strings.HasPrefix(name, tempBegin) {
		return nil, d.remove(name)
	}
	if !strings.HasPrefix(name, noteBegin) || !strings.HasSuffix(name, noteEnd) {
		return nil, nil
	}
	f, err := d.open(name)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, nil
		}
		return nil, fmt.Errorf("%s: lock: %w", d.path(name), err)
	}
	n, err := readNote(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", d.path(name), err)
	}
	return &holding{*n, f}, nil
}
