package invalid

import (
	"context"
	"errors"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/explain"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/packet"
	"github.com/ntdiag/ntdiag/rules"
)

// Entries is a conntrack table: capture.Live is one.
type Entries interface {
	Count() (n, max uint64, err error)
	Get(ctx context.Context, t rules.Tuple, dir capture.Direction, family rules.Family, zone uint16) (*host.Flow, error)
	Flows(ctx context.Context, f capture.Filter, fn func(*host.Flow) error) (capture.FlowsInfo, error)
}

// Bounds of Find.
const (
	maxEntries = 4      // that are kept of those a packet fits
	smallTable = 50_000 // entries that are read rather than asked for one by one
	fewFlows   = 64     // flows that are asked for one by one of a larger table
)

// Entry is a conntrack entry that a packet fits.
type Entry struct {
	Flow host.Flow
	Fit  Fit
	// Quoted: it is the packet that the ICMP error quotes that fits.
	Quoted bool
	// Younger: it began after the last of the packets, so that it may be another
	// connection with the same ends. Only known with nf_conntrack_timestamp.
	Younger bool
	// Made is what made its NAT, nil where nobody has asked.
	Made *explain.Explanation
}

// As says as what the packet fits.
func (e *Entry) As() string {
	switch {
	case !e.Quoted:
		return e.Fit.String()
	case e.Fit.Odd():
		return "quotes a packet of the " + Fit{Reply: e.Fit.Reply}.String() + " as it is without the NAT of this host"
	}
	return "quotes a packet of the " + e.Fit.String()
}

// Found is the entries that the packets of a flow fit. Where they fit one as
// its packets come here, those that they fit in another way are left out; of
// several zones there are all.
type Found struct {
	Entries []Entry
	More    int // entries beyond these
}

// One is the entry where there is one only.
func (x *Found) One() *Entry {
	if x == nil || len(x.Entries) != 1 || x.More > 0 {
		return nil
	}
	return &x.Entries[0]
}

// TableState is what Find has seen of the conntrack table.
type TableState struct {
	// Read: all of it was read. The rest is only known then.
	Read    bool
	Entries int
	// Stamped is how many say when they began, Oldest when the first of them
	// did.
	Stamped int
	Oldest  time.Time
	Missing []host.Missing
}

// search is one lookup of many packets.
type search struct {
	want map[rules.Tuple][]*wanted
	// loose are those whose ports are not told, by the tuple without ports.
	loose map[rules.Tuple][]*wanted
	all   map[*Flow]*Found
	table TableState
	flow  host.Flow // the entry that is looked at
}

type wanted struct {
	flow   *Flow
	tuple  rules.Tuple
	family rules.Family
	whole  bool
	quoted bool
}

// Find finds the entries of packets. A small table is read once and nothing of
// it gathered; a large one is asked for each of few packets, and read for what
// that does not find.
func Find(ctx context.Context, entries Entries, flows []*Flow) (map[*Flow]*Found, TableState, error) {
	j := &search{want: map[rules.Tuple][]*wanted{}, loose: map[rules.Tuple][]*wanted{}, all: map[*Flow]*Found{}}
	var list []*wanted
	for _, f := range flows {
		j.all[f] = &Found{}
		p, w := &f.Packet, &wanted{flow: f}
		if f.Inner != nil {
			p, w.quoted = f.Inner, true
		}
		w.tuple, w.whole = p.Tuple()
		w.family = p.Family
		if w.tuple.Src.IsValid() && w.tuple.Dst.IsValid() {
			list = append(list, w)
		}
	}
	n, _, err := entries.Count()
	if err != nil {
		return nil, j.table, err
	}
	if n > smallTable && len(list) <= fewFlows {
		if list, err = j.ask(ctx, entries, list); err != nil {
			return nil, j.table, err
		}
	}
	if len(list) > 0 {
		err = j.read(ctx, entries, list)
	}
	for f, found := range j.all {
		found.settle(f)
	}
	return j.all, j.table, err
}

// ask looks each packet up by the tuples that the kernel knows, and returns
// those that it did not find. It finds those of zone 0 only.
func (j *search) ask(ctx context.Context, entries Entries, list []*wanted) (rest []*wanted, err error) {
	for _, w := range list {
		found := false
		for _, t := range []rules.Tuple{w.tuple, packet.Inverse(w.tuple)} {
			if !w.whole || found {
				break
			}
			f, err := entries.Get(ctx, t, capture.Original, w.family, 0)
			switch {
			case errors.Is(err, capture.ErrNotFound):
				continue
			case err != nil:
				return nil, err
			}
			j.flow = *f
			fits(f, func(fit Fit, t rules.Tuple) {
				if t == w.tuple && !found {
					found = true
					j.add(w, fit)
				}
			})
		}
		if !found {
			rest = append(rest, w)
		}
	}
	return rest, nil
}

// read goes through the table once.
func (j *search) read(ctx context.Context, entries Entries, list []*wanted) error {
	for _, w := range list {
		if w.whole {
			j.want[w.tuple] = append(j.want[w.tuple], w)
		} else {
			t := portless(w.tuple)
			j.loose[t] = append(j.loose[t], w)
		}
	}
	take := j.take // once: the callback allocates nothing
	info, err := entries.Flows(ctx, capture.Filter{}, func(f *host.Flow) error {
		j.table.Entries++
		if f.Has&host.HasStart != 0 {
			j.table.Stamped++
			if at := time.Unix(0, f.Start); j.table.Oldest.IsZero() || at.Before(j.table.Oldest) {
				j.table.Oldest = at
			}
		}
		j.flow = *f
		fits(f, take)
		return nil
	})
	j.table.Read = err == nil
	if info.Unparsed > 0 {
		j.table.Missing = append(j.table.Missing, host.Missing{What: "conntrack entries", Why: info.Why})
	}
	return err
}

func (j *search) take(fit Fit, t rules.Tuple) {
	for _, w := range j.want[t] {
		j.add(w, fit)
	}
	if len(j.loose) > 0 {
		for _, w := range j.loose[portless(t)] {
			j.add(w, fit)
		}
	}
}

func portless(t rules.Tuple) rules.Tuple {
	t.SrcPort, t.DstPort = 0, 0
	return t
}

// add keeps the entry at hand; one that fits as its packets come here goes
// before others.
func (j *search) add(w *wanted, fit Fit) {
	found := j.all[w.flow]
	e := Entry{Flow: j.flow, Fit: fit, Quoted: w.quoted}
	if w.quoted {
		e.Fit = fit.quoted(&j.flow)
	}
	for i := range found.Entries {
		was := &found.Entries[i]
		if was.Flow.Original == e.Flow.Original && was.Flow.Zone == e.Flow.Zone && was.Flow.ID == e.Flow.ID {
			if was.Fit.Odd() && !e.Fit.Odd() {
				*was = e
			}
			return
		}
	}
	if len(found.Entries) < maxEntries {
		found.Entries = append(found.Entries, e)
		return
	}
	found.More++
	if e.Fit.Odd() {
		return
	}
	for i := range found.Entries {
		if found.Entries[i].Fit.Odd() {
			found.Entries[i] = e
			return
		}
	}
}

// stampSlack is how far the clocks of the log and of entries may be apart: the
// log's is that of the boot, put right later.
const stampSlack = time.Second

// settle leaves the best fits, and looks how old the entries are.
func (x *Found) settle(f *Flow) {
	best := x.Entries[:0:0]
	for i := range x.Entries {
		if !x.Entries[i].Fit.Odd() {
			best = append(best, x.Entries[i])
		}
	}
	if len(best) > 0 {
		x.Entries = best
	}
	for i := range x.Entries {
		e := &x.Entries[i]
		if e.Flow.Has&host.HasStart != 0 && !f.Last.IsZero() {
			e.Younger = time.Unix(0, e.Flow.Start).After(f.Last.Add(stampSlack))
		}
	}
}
