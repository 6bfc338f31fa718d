package settings

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/capture"
)

// Held is settings that are held. Its methods are for one goroutine.
type Held struct {
	dir  *dir
	live *capture.Live
	held []*holding
	// recovered is what Hold put back of a run that was killed.
	recovered []Change
	pipe      chan os.Signal
	once      sync.Once
	result    []Change
}

// holding is one setting: the file is locked for as long as it is open.
type holding struct {
	note note
	file *os.File
}

// Hold sets what is wanted in the namespace of l, in this order, for as long as
// Restore is not called; "" is DefaultDir. What a killed run has left is put back
// first. Settings that another run holds at the same values are shared, and
// refused when it holds other ones. On an error nothing is held.
//
// Until Restore, a write to a closed standard output is an error rather than
// the end of the process: SIGPIPE would leave the settings as they are. The
// caller catches SIGINT, SIGTERM and SIGHUP. After any other end the next Hold
// or Recover puts back what was there.
func Hold(path string, l *capture.Live, want []Setting) (*Held, error) {
	if err := check(want); err != nil {
		return nil, err
	}
	if path == "" {
		path = DefaultDir()
	}
	d, err := makeDir(path)
	if err != nil {
		return nil, err
	}
	h := &Held{dir: d, live: l, pipe: make(chan os.Signal, 1)}
	signal.Notify(h.pipe, unix.SIGPIPE)
	err = d.exclusively(func() error { return h.take(want) })
	if err != nil {
		h.close()
		return nil, err
	}
	return h, nil
}

// take sets what is wanted; nothing else does so meanwhile.
func (h *Held) take(want []Setting) (err error) {
	if h.recovered, err = h.dir.recover(h.live); err != nil {
		return err
	}
	if err := Errs(h.recovered); err != nil {
		return fmt.Errorf("a run of ntdiag was killed, and what it has set cannot be put back: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, Errs(h.release()))
		}
	}()
	for _, s := range want {
		k, err := h.dir.acquire(h.live, s)
		if err != nil {
			return err
		}
		h.held = append(h.held, k)
		if err := k.apply(h.live); err != nil {
			return err
		}
	}
	return nil
}

// apply sets the value, and looks whether it took.
func (k *holding) apply(l *capture.Live) error {
	n := &k.note
	if l.Sysctl(n.Key).Value == n.Set {
		return nil
	}
	if err := l.SetSysctl(n.Key, n.Set); err != nil {
		return err
	}
	switch now := l.Sysctl(n.Key); {
	case !now.OK:
		return fmt.Errorf("sysctl %s: %s", n.Key, now.Why)
	case now.Value != n.Set:
		return fmt.Errorf("sysctl %s: it is %s after %s was written", n.Key, now.Value, n.Set)
	}
	return nil
}

// Recovered is what Hold has put back of runs that were killed.
func (h *Held) Recovered() []Change { return h.recovered }

// Changes are the settings that are held.
func (h *Held) Changes() []Change {
	var out []Change
	for _, k := range h.held {
		out = append(out, k.note.change())
	}
	return out
}

// Restore lets go of all settings, in reverse order: what nobody else holds is
// put back. A value that somebody else has set meanwhile is left. Called again
// it tells the same. The error is that of the changes which failed; the next run
// tries those again.
func (h *Held) Restore() ([]Change, error) {
	h.once.Do(func() {
		err := h.dir.exclusively(func() error {
			h.result = h.release()
			return nil
		})
		if err != nil {
			for _, k := range slices.Backward(h.held) {
				h.result = append(h.result, k.note.failed(h.live, err))
			}
		}
		h.close()
	})
	return h.result, Errs(h.result)
}

// release lets go of what is held.
func (h *Held) release() []Change {
	var out []Change
	for _, k := range slices.Backward(h.held) {
		out = append(out, h.dir.letGo(h.live, k))
	}
	h.held = nil
	return out
}

func (h *Held) close() {
	for _, k := range h.held {
		k.file.Close()
	}
	signal.Stop(h.pipe)
	h.dir.close()
}

// Recover puts back what runs that were killed have left set in the namespace of
// l; "" is DefaultDir. Files of another boot, and of a namespace that is known to
// be no more (6.18), are removed. The error is that of the changes which failed as well.
func Recover(path string, l *capture.Live) ([]Change, error) {
	if path == "" {
		path = DefaultDir()
	}
	d, err := openDir(path)
	if errors.Is(err, unix.ENOENT) {
		return nil, nil // nothing was ever held
	}
	if err != nil {
		return nil, err
	}
	defer d.close()
	var out []Change
	err = d.exclusively(func() error {
		var err error
		out, err = d.recover(l)
		return err
	})
	return out, errors.Join(err, Errs(out))
}
