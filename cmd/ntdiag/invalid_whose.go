package main

import (
	"context"

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
	several bool   // what it logs of others does too
	devices map[string]bool
}

func (r *invalidRun) whose(ctx context.Context) (*whose, error) {
	g := r.log
	w := &whose{names: g.Release.AtLeast(6, 17), devices: map[string]bool{}}
	if g.Initial != rules.Yes {
		id, err := r.live.Identity()
		if err != nil {
			return nil, err
		}
		w.inode = id.Inode
		v4, _ := g.ToKernelLog(rules.FamilyIPv4)
		w.silent = v4 == rules.No && g.Initial == rules.No && g.AllNetns.OK && !g.AllNetns.Value
	}
	w.several = g.Initial != rules.Yes || !g.AllNetns.OK || g.AllNetns.Value
	r.doc.Mixed = w.several && !w.silent
	s, err := r.live.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	for _, l := range s.Links {
		w.devices[l.Name] = true
	}
	for _, m := range s.Missing {
		if m.What == host.PartLinks {
			w.devices = nil
		}
	}
	return w, nil
}

// here tells whether m is about this namespace.
func (w *whose) here(m *invalid.Message) rules.Truth {
	switch m.Kind {
	case invalid.KindTableFull:
		return rules.TruthOf(!w.names || m.Netns == w.inode)
	case invalid.KindNoAddress, invalid.KindExpectFull: // printed for every namespace, without its name
		switch {
		case !w.has(m.Out):
			return rules.No
		case w.inode != 0:
			return rules.Unknown
		}
		return rules.Yes
	}
	return rules.TruthOf(!w.silent && (!w.several || w.has(m.In) && w.has(m.Out)))
}

func (w *whose) has(dev []byte) bool {
	return len(dev) == 0 || w.devices == nil || w.devices[string(dev)]
}
