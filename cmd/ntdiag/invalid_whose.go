package main

import (
	"context"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/invalid"
	"github.com/ntdiag/ntdiag/rules"
)

// whose tells which messages of the kernel's log are about this namespace: there
// is one log for all.
type whose struct {
	inode   uint64 // of this namespace, 0 for the initial one
	names   bool   // table full names its namespace (6.17)
	silent  bool   // nothing that conntrack logs of this namespace comes to the log
	unfull  bool   // nothing was ever dropped here, for a full table or else
	file    bool   // the log is said to be of this namespace
	devices map[string]bool
	// list reads the devices anew, where they can change while messages come; nil
	// where not.
	list   func() map[string]bool
	listed time.Time
}

// belonging is where a message belongs.
type belonging uint8

const (
	ours      belonging = iota
	elsewhere           // to another namespace
	absent              // it names a device that is not here: another namespace's, or gone since
	unowned             // it cannot be told
)

// relist is how often devices are read anew, for one that is not known.
const relist = 2 * time.Second

func (r *invalidRun) whose(ctx context.Context) (*whose, error) {
	g := r.log
	w := &whose{names: g.Release.AtLeast(6, 17)}
	if g.Initial != rules.Yes {
		id, err := r.source.Identity()
		if err != nil && isLive(r.source) {
			return nil, err
		}
		// without it the log of a file is taken for that of the namespace
		w.file = err != nil
		w.inode = id.Inode
		v4, _ := g.ToKernelLog(rules.FamilyIPv4)
		w.silent = v4 == rules.No && g.Initial == rules.No && g.AllNetns.OK && !g.AllNetns.Value
	}
	several := g.Initial != rules.Yes || !g.AllNetns.OK || g.AllNetns.Value
	r.doc.Mixed = several && !w.silent && !w.file
	if err := r.devices(ctx, w); err != nil {
		return nil, err
	}
	if r.flags.live() {
		w.list = func() map[string]bool {
			if err := r.devices(ctx, w); err != nil {
				r.miss("new devices", err.Error())
				w.list = nil
			}
			return w.devices
		}
	}
	return w, nil
}

// devices notes the devices of the namespace in w; nil where they are not known.
func (r *invalidRun) devices(ctx context.Context, w *whose) error {
	s, err := r.source.Snapshot(ctx)
	if err != nil {
		return err
	}
	w.devices, w.listed = map[string]bool{}, time.Now()
	for _, l := range s.Links {
		w.devices[l.Name] = true
	}
	for _, m := range s.Missing {
		if m.What == host.PartLinks {
			w.devices = nil
		}
	}
	return nil
}

// of tells where m belongs.
func (w *whose) of(m *invalid.Message) belonging {
	here := w.has(m.In) && w.has(m.Out)
	switch {
	case !w.file && m.Kind == invalid.KindTableFull:
		if w.names && m.Netns != w.inode || w.unfull && w.inode != 0 { // numbers are used again
			return elsewhere
		}
		return ours
	case !w.file && m.Kind == invalid.KindInvalid && w.silent, !w.file && m.Kind == invalid.KindHelper && w.silent:
		return elsewhere
	case !here:
		return absent
	case !w.file && (m.Kind == invalid.KindNoAddress || m.Kind == invalid.KindExpectFull) && w.inode != 0:
		return unowned // printed for every namespace, without its name
	}
	return ours
}

func (w *whose) has(dev []byte) bool {
	if len(dev) == 0 || w.devices == nil || w.devices[string(dev)] {
		return true
	}
	if w.list != nil && time.Since(w.listed) > relist {
		return w.list()[string(dev)]
	}
	return false
}

// maxAway bounds the names of devices that are not here.
const maxAway = 64

// away are the messages that name devices that are not here.
type away struct {
	tally   *invalid.Tally
	devices map[string]uint64
}

func (a *away) add(w *whose, m *invalid.Message, n uint64) {
	if a.tally == nil {
		a.tally, a.devices = invalid.NewTally(), map[string]uint64{}
	}
	a.tally.Add(m, n)
	for _, dev := range [][]byte{m.In, m.Out} {
		if len(dev) == 0 || w.devices[string(dev)] {
			continue
		}
		if _, known := a.devices[string(dev)]; known || len(a.devices) < maxAway {
			a.devices[string(dev)] += n
		} else {
			a.devices["(others)"] += n
		}
	}
}
