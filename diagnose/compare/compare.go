// Package compare tells what differs between two states of a network namespace
// in terms of NAT: rules, sets, addresses, routes, settings and counters, and
// which flows the one rewrites otherwise than the other.
package compare

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"runtime"
	"slices"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/counters"
	"github.com/ntdiag/ntdiag/diagnose/history"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/stale"
	"github.com/ntdiag/ntdiag/rules"
)

// Setting is a sysctl that is another one. What is not OK was not there or could
// not be read.
type Setting struct {
	Key      string
	Was, Now host.Fact[string]
}

// Moved is a counter, summed over the CPUs: by how much it moved, and what it
// is now.
type Moved struct {
	Counter counters.ID
	By, Now uint64
}

// Pair is an original tuple that is in both tables, with another reply tuple.
type Pair struct{ Was, Now host.Flow }

// Entries is what became of the conntrack table. Entries are told apart by
// original tuple and zone.
type Entries struct {
	Before, After int
	Kept          int // in both, with the same reply tuple
	Other         int // in both, with another one
	Gone, New     int
	// Pairs are the first of Other.
	Pairs []Pair
}

// Judged is flows that were made under one state, judged by the other.
type Judged struct {
	Tally *stale.Tally
	// Already are those that are stale by the state they come from as well, or
	// cannot be decided there: what they are is not the difference's work.
	Already int
}

// Result is the difference of two states.
type Result struct {
	Before, After *host.Snapshot
	// Same tells whether both are one namespace of one boot, Why why not.
	Same rules.Truth
	Why  string

	Rules    *history.RulesDiff
	Host     *history.HostDiff
	Settings []Setting
	// Counters moved between the two; empty with Uncounted, which says why they
	// cannot be compared.
	Counters  []Moved
	Uncounted string

	Entries Entries
	// Flows are those of the state before by the rules, addresses and routes of
	// that after; Fresh those that only the table after has, by the state before.
	Flows, Fresh Judged

	Missing []host.Missing // beside those of the snapshots
}

// Bounds of what is kept as examples.
const (
	maxPairs    = 20
	perGroup    = 3
	maxVerdicts = 5000
)

// Sources compares two states. What one of them lacks is named in Missing; it
// is an error only when one cannot be read at all, or ctx ended.
func Sources(ctx context.Context, before, after capture.Source) (*Result, error) {
	r := &Result{}
	var err error
	if r.Before, err = before.Snapshot(ctx); err != nil {
		return nil, err
	}
	if r.After, err = after.Snapshot(ctx); err != nil {
		return nil, err
	}
	r.Same, r.Why = before.Place().Same(after.Place())
	r.Rules = history.Diff(r.Before.Rules, r.After.Rules)
	r.Host = history.DiffHost(r.Before, r.After)
	r.Settings = settings(r.Before.Sysctls, r.After.Sysctls)
	r.counters(ctx, before, after)
	return r, r.flows(ctx, before, after)
}

// countKey is no setting, though it stands among them.
const countKey = "net.netfilter.nf_conntrack_count"

func settings(before, after map[string]host.Fact[string]) (out []Setting) {
	keys := map[string]bool{}
	for k := range before {
		keys[k] = true
	}
	for k := range after {
		keys[k] = true
	}
	for k := range keys {
		was, now := before[k], after[k]
		if k == countKey {
			continue
		}
		if was.OK != now.OK || was.Value != now.Value {
			out = append(out, Setting{k, was, now})
		}
	}
	slices.SortFunc(out, func(a, b Setting) int { return strings.Compare(a.Key, b.Key) })
	return out
}

func (r *Result) counters(ctx context.Context, before, after capture.Source) {
	if r.Same != rules.Yes {
		r.Uncounted = "counters are of one namespace of one boot: " + r.Why
		if r.Why == "" {
			r.Uncounted = "it is not known whether both are the same namespace of the same boot"
		}
		return
	}
	was, err := before.Stats(ctx)
	if err != nil {
		r.Uncounted = "before: " + err.Error()
		return
	}
	now, err := after.Stats(ctx)
	if err != nil {
		r.Uncounted = "after: " + err.Error()
		return
	}
	if why, back := now.Backwards(was); back {
		r.Uncounted = why
		return
	}
	since := now.Since(was)
	a, b := since.Total(), now.Total()
	for id := range counters.Count {
		if a.Has[id] && a.Values[id] != 0 {
			r.Counters = append(r.Counters, Moved{counters.ID(id), a.Values[id], b.Values[id]})
		}
	}
}

// table finds the entries of one table again: a hash of original tuple and zone,
// with one of the reply tuple. Of a million entries one pair is taken for the
// same by mistake once in ten million times.
type table struct {
	seed    maphash.Seed
	entries map[uint64]uint64
	buf     []byte
}

func newTable() *table {
	return &table{seed: maphash.MakeSeed(), entries: map[uint64]uint64{}}
}

func (t *table) hash(f *host.Flow) (original, reply uint64) {
	b := appendTuple(t.buf[:0], &f.Original)
	b = binary.BigEndian.AppendUint16(append(b, byte(f.Family)), f.Zone)
	// a zone of one direction is another one than that of both
	b = binary.BigEndian.AppendUint32(b, uint32(f.Has&(host.HasZoneOrig|host.HasZoneReply)))
	original = maphash.Bytes(t.seed, b)
	t.buf = appendTuple(b[:0], &f.Reply)
	return original, maphash.Bytes(t.seed, t.buf)
}

func appendTuple(b []byte, t *rules.Tuple) []byte {
	src, dst := t.Src.As16(), t.Dst.As16()
	b = append(append(b, src[:]...), dst[:]...)
	b = binary.BigEndian.AppendUint16(append(b, t.Proto), t.SrcPort)
	return binary.BigEndian.AppendUint16(b, t.DstPort)
}

// flows goes through both tables: twice through that before, for the entries
// that are to be shown are known only at the end of that after.
func (r *Result) flows(ctx context.Context, before, after capture.Source) error {
	was, now := stale.New(r.Before), stale.New(r.After)
	t, e := newTable(), &r.Entries
	err := r.judge(ctx, before, &r.Flows, now, was, func(f *host.Flow) bool {
		original, reply := t.hash(f)
		if _, twice := t.entries[original]; twice {
			return false
		}
		e.Before++
		t.entries[original] = reply
		return true
	})
	if err != nil {
		return err
	}
	var there [][2]uint64
	err = r.judge(ctx, after, &r.Fresh, was, now, func(f *host.Flow) bool {
		e.After++
		original, reply := t.hash(f)
		had, ok := t.entries[original]
		switch {
		case !ok:
			e.New++
			return true
		case had == reply:
			e.Kept++
		default:
			e.Other++
			if len(there) < maxPairs {
				there = append(there, [2]uint64{original, uint64(len(e.Pairs))})
				e.Pairs = append(e.Pairs, Pair{Now: *f})
			}
		}
		delete(t.entries, original)
		return false
	})
	if err != nil {
		return err
	}
	e.Gone = len(t.entries)
	return r.pairs(ctx, before, t, there)
}

// pairs fills in what the entries of Pairs were.
func (r *Result) pairs(ctx context.Context, before capture.Source, t *table, there [][2]uint64) error {
	if len(there) == 0 {
		return nil
	}
	at := map[uint64]uint64{}
	for _, x := range there {
		at[x[0]] = x[1]
	}
	_, err := before.Flows(ctx, capture.Filter{}, func(f *host.Flow) error {
		original, _ := t.hash(f)
		if i, ok := at[original]; ok {
			r.Entries.Pairs[i].Was = *f
			if delete(at, original); len(at) == 0 {
				return capture.ErrStop
			}
		}
		return nil
	})
	return err
}

// judge judges the flows of src that take chooses by the rules of the other
// side; own are those that they were made under.
func (r *Result) judge(ctx context.Context, src capture.Source, into *Judged, other, own *stale.Judge, take func(*host.Flow) bool) error {
	into.Tally = stale.NewTally(perGroup, maxVerdicts)
	s := other.Stream(runtime.GOMAXPROCS(0), func(v *stale.Verdict) error {
		if v.Fate == stale.Stale {
			if mine := own.Judge(&v.Flow); mine.Fate != stale.Fresh {
				into.Already++
				return nil
			}
		}
		into.Tally.Add(v)
		return nil
	})
	info, err := src.Flows(ctx, capture.Filter{}, func(f *host.Flow) error {
		if !take(f) {
			return nil
		}
		return s.Add(f)
	})
	if cerr := s.Close(); err == nil {
		err = cerr
	}
	if info.Unparsed > 0 {
		r.Missing = append(r.Missing, host.Missing{What: fmt.Sprintf("%d conntrack entries", info.Unparsed), Why: info.Why})
	}
	return err
}
