package compare

import (
	"context"
	"net/netip"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/counters"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/diagnose/stale"
	"github.com/ntdiag/ntdiag/rules"
)

// frozen is a namespace as it was.
type frozen struct {
	capture.Source
	snapshot *host.Snapshot
	flows    []host.Flow
	stats    *counters.Stats
}

func freeze(t *testing.T, src capture.Source) *frozen {
	t.Helper()
	ctx := context.Background()
	out := &frozen{Source: src}
	var err error
	if out.snapshot, err = src.Snapshot(ctx); err != nil {
		t.Fatal(err)
	}
	if out.stats, err = src.Stats(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := src.Flows(ctx, capture.Filter{}, func(f *host.Flow) error { out.flows = append(out.flows, *f); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

func (s *frozen) Snapshot(context.Context) (*host.Snapshot, error) { return s.snapshot, nil }
func (s *frozen) Stats(context.Context) (*counters.Stats, error)   { return s.stats, nil }
func (s *frozen) Flows(_ context.Context, _ capture.Filter, fn func(*host.Flow) error) (capture.FlowsInfo, error) {
	for i := range s.flows {
		f := s.flows[i]
		if err := fn(&f); err == capture.ErrStop {
			break
		} else if err != nil {
			return capture.FlowsInfo{}, err
		}
	}
	return capture.FlowsInfo{Count: len(s.flows)}, nil
}

const before = `table ip nat {
	chain prerouting {
		type nat hook prerouting priority dstnat;
		tcp dport 8080 dnat to 192.168.1.80:80
		tcp dport 8081 dnat to 192.168.1.80:81
	}
	chain postrouting {
		type nat hook postrouting priority srcnat;
		oifname "s0" masquerade
	}
}`

const after = `flush table ip nat
table ip nat {
	chain prerouting {
		tcp dport 8080 dnat to 192.168.1.80:82
		tcp dport 8081 dnat to 192.168.1.80:81
		tcp dport 8082 dnat to 192.168.1.80:82
	}
	chain postrouting {
		oifname "s0" masquerade
	}
}`

// TestSources: what differs after a change of rules, with flows from before it
// and one from after it.
func TestSources(t *testing.T) {
	l, err := lab.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	n, err := l.Typical("s0")
	if err != nil {
		t.Fatal(err)
	}
	load := func(ruleset string) {
		t.Helper()
		if out, err := n.Router.Run(ruleset, "nft", "-f", "-"); err != nil {
			lab.LeaveOut(t, lab.NotHere(err, out))
		}
	}
	live, err := capture.Open(n.Router.Path())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { live.Close() })
	connect := func(sport, dport uint16) {
		t.Helper()
		c, err := n.Client.TCP(netip.AddrPortFrom(lab.ClientAddr4, sport), netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), dport))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
	}
	load(before)
	connect(40001, 8080)
	connect(40002, 8080)
	connect(40003, 8081)
	was := freeze(t, live)
	load(after)
	connect(40004, 8082)
	connect(40005, 8081)

	r, err := Sources(context.Background(), was, live)
	if err != nil {
		t.Fatal(err)
	}
	if r.Same != rules.Yes {
		t.Errorf("same: %v %s", r.Same, r.Why)
	}
	if g := r.Flows.Tally.Groups(); r.Flows.Tally.Certain != 2 || len(g) != 1 || g[0].Class != stale.TargetChanged || g[0].To.Port != 80 {
		t.Errorf("flows of before: %d certain, %d likely, groups %+v", r.Flows.Tally.Certain, r.Flows.Tally.Likely, g)
	}
	if x := r.Fresh.Tally; x.Checked != 2 || x.Certain+x.Likely != 1 || x.Fresh != 1 {
		t.Errorf("new flows: %+v", x)
	}
	if e := r.Entries; e.Before != 3 || e.After != 5 || e.Kept != 3 || e.New != 2 || e.Gone+e.Other != 0 {
		t.Errorf("entries: %+v", e)
	}
	if len(r.Rules.Rules) == 0 || len(r.Host.Addrs)+len(r.Host.Links)+len(r.Host.Routes) != 0 || len(r.Settings) != 0 {
		t.Errorf("rules %+v, host %+v, settings %v", r.Rules, r.Host, r.Settings)
	}
	same, err := Sources(context.Background(), live, live)
	if err != nil {
		t.Fatal(err)
	}
	// the two of before are stale on both sides: nothing that differs
	if x := same.Flows; !same.Rules.Empty() || x.Tally.Stale() != 0 || x.Already != 2 || same.Entries.Kept != 5 {
		t.Errorf("with itself: %+v, %d already, %+v", x.Tally, x.Already, same.Entries)
	}
}
