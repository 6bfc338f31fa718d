package capture

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

// errLostAgain: events were lost while the table was read, so that it cannot be
// told which of both is newer.
var errLostAgain = errors.New("events were lost while the table was read")

// resync is one reading of the table beside the events.
//
// What it reads is held against what is known only when every event that was
// sent before it was read is taken in. An entry of which an event came since the
// reading began is as new as its event, and is left alone; any other is as it
// was when the gap ended. So nothing is told twice.
type resync struct {
	*watch
	first  bool
	forgot bool // some entries were not remembered until now
	got    WatchResync
}

// reread reads the table, tells what it shows, and then EventResync: always
// when asked, else when there was something.
func (w *watch) reread(ctx context.Context, asked bool) error {
	start := time.Now()
	w.epoch++
	w.reading = true
	r := &resync{watch: w, first: !w.read, forgot: w.known.forgotten > 0, got: WatchResync{First: !w.read}}
	w.known.forgotten = 0
	err := r.dump(ctx)
	if err == nil && !r.first {
		err = r.gone(ctx)
	}
	w.reading = false
	w.bury()
	if err != nil {
		if r.forgot {
			w.known.forgotten++ // it is not known which were
		}
		return err
	}
	w.read = true
	r.got.Took, r.got.Forgotten = time.Since(start), w.known.forgotten
	if !asked && r.got.New+r.got.Changed+r.got.Gone == 0 {
		return nil
	}
	return w.tell(&Event{Kind: EventResync, At: time.Now(), Resync: r.got})
}

// bury forgets what was destroyed during the reading.
func (w *watch) bury() {
	// each cannot fail: the function does not
	_ = w.known.each(func(f *host.Flow, k known) error {
		if k.ended {
			w.known.drop(f)
		}
		return nil
	})
}

// socket is one to ask by. A dump that was given up still comes out of it.
func (w *watch) socket() (*conn, error) {
	if w.ask != nil {
		return w.ask, nil
	}
	var err error
	w.ask, err = w.live.dialConntrack("conntrack dump")
	return w.ask, err
}

func (w *watch) dropSocket() {
	w.ask.close()
	w.ask = nil
}

// dump asks for the table and takes it in.
func (r *resync) dump(ctx context.Context) error {
	err := r.dumpOf(ctx, r.opt.Filter)
	refused := errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP)
	if refused && !r.opt.Filter.Empty() {
		r.opt.Filter = Filter{}
		return r.dumpOf(ctx, r.opt.Filter)
	}
	return err
}

func (r *resync) dumpOf(ctx context.Context, filter Filter) error {
	c, err := r.socket()
	if err != nil {
		return err
	}
	if err := c.send(ctGet, unix.NLM_F_DUMP, nfgen(uint8(filter.family()), filter.attributes())); err != nil {
		return err
	}
	var info dumpInfo
	var f host.Flow
	for {
		b, err := c.recv(ctx, r.table)
		if err != nil {
			r.dropSocket()
			return err
		}
		if err := r.catchUp(ctx); err != nil {
			r.dropSocket()
			return err
		}
		at := time.Now()
		done, err := c.each(b, &info, func(m message) error {
			if m.typ != ctNew || len(m.payload) < 4 {
				r.unparsed(badAttr("conntrack message"))
				return nil
			}
			if err := ParseFlow(m.payload[4:], &f); err != nil {
				r.unparsed(err)
				return nil
			}
			return r.there(&f, at)
		})
		if done {
			if err != nil {
				r.dropSocket()
			}
			return err
		}
	}
}

func (r *resync) unparsed(err error) {
	if r.got.Unparsed++; r.got.Why == "" {
		r.got.Why = err.Error()
	}
}

// catchUp takes in every event that has been sent by now.
func (r *resync) catchUp(ctx context.Context) error {
	if err := r.drain(ctx); err != nil {
		return err
	}
	if r.lost {
		return errLostAgain
	}
	return nil
}

// there takes in an entry that the table has.
func (r *resync) there(f *host.Flow, at time.Time) error {
	if !r.opt.keeps(f) {
		return nil
	}
	r.got.Entries++
	k, known := r.known.find(f)
	if known && k.epoch == r.epoch {
		return nil // an event told, or it came twice
	}
	now := knownOf(f)
	now.epoch = r.epoch
	r.known.put(f, now)
	switch {
	case r.first:
	case known && k.differs(f):
		r.got.Changed++
		return r.found(EventUpdate, f, at)
	case !known && r.forgot:
		r.got.Unsure++
	case !known:
		r.got.New++
		return r.found(EventNew, f, at)
	}
	return nil
}

func (r *resync) found(kind EventKind, f *host.Flow, at time.Time) error {
	if !r.opt.wants(kind) {
		return nil
	}
	return r.tell(&Event{Kind: kind, Flow: *f, At: at, Found: true, Since: r.prior, Until: r.last})
}

// gone tells of the entries that were known and that the table did not have. A
// dump may miss one (ctnetlink_dump_table goes on by bucket, and buckets change):
// each is asked for.
func (r *resync) gone(ctx context.Context) error {
	return r.known.each(func(f *host.Flow, k known) error {
		if k.epoch == r.epoch {
			return nil
		}
		now, err := r.lookUp(ctx, f)
		if err != nil {
			return err
		}
		if err := r.catchUp(ctx); err != nil {
			return err
		}
		at := time.Now()
		if now != nil && (now.ID == f.ID) {
			return r.there(now, at)
		}
		if k, still := r.known.find(f); still && k.epoch != r.epoch {
			r.known.drop(f)
			r.got.Gone++
			if err := r.found(EventDestroy, f, at); err != nil {
				return err
			}
		}
		if now != nil {
			return r.there(now, at)
		}
		return nil
	})
}

// lookUp asks for the entry with the tuple of f, nil when there is none.
func (r *resync) lookUp(ctx context.Context, f *host.Flow) (*host.Flow, error) {
	c, err := r.socket()
	if err != nil {
		return nil, err
	}
	attrs, err := keyMessage(f, Original)
	if err != nil {
		return nil, err
	}
	b, err := c.ask(ctx, ctGet, nfgen(uint8(f.Family), attrs), r.table)
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	now := new(host.Flow)
	err = badAttr("conntrack get")
	if len(b) >= 4 {
		err = ParseFlow(b[4:], now)
	}
	if err != nil {
		r.unparsed(err)
		*now = *f // there, and what became of it cannot be read
	}
	return now, nil
}
