package remove

import (
	"context"
	"errors"
	"fmt"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/journal"
	"github.com/ntdiag/ntdiag/diagnose/query"
	"github.com/ntdiag/ntdiag/diagnose/stale"
)

// Back is what stands where an entry was deleted.
type Back string

const (
	BackNone     Back = ""         // nothing
	BackFresh    Back = "fresh"    // what the rules make of it now
	BackSame     Back = "same"     // the mapping that it had
	BackPlain    Back = "plain"    // an entry without NAT
	BackOther    Back = "other"    // another mapping, of which nobody knows whether it is right
	BackReversed Back = "reversed" // an entry whose original tuple is the old reply
)

// Wrong tells whether it is not what was wanted.
func (b Back) Wrong() bool { return b == BackSame || b == BackPlain || b == BackReversed }

// backTexts is what each came from, and what to do.
var backTexts = map[Back]struct{ what, do string }{
	BackFresh: {"began anew, as the rules say now", ""},
	BackSame: {
		"is back with the mapping that it had: a rule still makes it, or a program put it back",
		"ask which rule makes it: ntdiag explain",
	},
	BackPlain: {
		"is back without NAT",
		"let it begin anew: delete it once more when no packet of it is on its way",
	},
	BackOther: {"is back with another mapping", "ask which rule makes it: ntdiag explain"},
	BackReversed: {
		"is back the other way round: an answer came before the next request and made its entry, which no rule rewrites",
		"delete that entry, by its own original tuple, while the far side is silent",
	},
}

// plainTCP is how a TCP flow comes back without NAT.
var plainTCP = struct{ what, do string }{
	"is back without NAT: conntrack picked the connection up in mid-stream (nf_conntrack_tcp_loose), by a packet that no NAT rule matches",
	"reject what is new without a SYN, delete it once more, let the client connect anew",
}

// BackText says how f came back, in words that go on from its name, and what
// to do about it; both are empty where there is nothing to say.
func BackText(b Back, f *host.Flow) (what, do string) {
	t := backTexts[b]
	if b == BackPlain && f.Original.Proto == host.ProtoTCP {
		t = plainTCP
	}
	return t.what, t.do
}

// verify looks what stands where entries were deleted. It is the last thing
// that is done, so that packets had what time there is.
func (r *run) verify(judge *stale.Judge) error {
	// also when the removal was stopped: what was deleted is deleted
	ctx := context.WithoutCancel(r.ctx)
	for i := range r.results {
		res := &r.results[i]
		if res.Action != journal.Deleted {
			continue
		}
		now, err := r.t.Get(ctx, &res.Flow)
		if err == nil {
			res.Now, res.Back = now, backOf(&res.Flow, now, judge)
			continue
		}
		if errors.Is(err, capture.ErrNotFound) {
			other := reversed(&res.Flow)
			if now, err = r.t.Get(ctx, &other); err == nil {
				res.Now, res.Back = now, BackReversed
				continue
			}
		}
		if !errors.Is(err, capture.ErrNotFound) {
			return fmt.Errorf("whether deleted flows stayed away: %w", err)
		}
	}
	return nil
}

// backOf compares the entry that came with the one that was.
func backOf(was, now *host.Flow, judge *stale.Judge) Back {
	if judge != nil && judge.Judge(now).Fate == stale.Fresh {
		return BackFresh
	}
	src, dst := query.Rewritten(now)
	switch {
	case was.Reply == now.Reply:
		return BackSame
	case !src && !dst:
		return BackPlain
	}
	return BackOther
}

// reversed is the entry that an answer of f would make: it has the zone that f
// has in that direction.
func reversed(f *host.Flow) host.Flow {
	out := host.Flow{Family: f.Family, Original: f.Reply, Reply: f.Original, Zone: f.Zone}
	switch {
	case f.Has&host.HasZoneReply != 0:
		out.Has |= host.HasZoneOrig
	case f.Has&host.HasZoneOrig != 0:
		out.Zone = 0
	}
	return out
}
