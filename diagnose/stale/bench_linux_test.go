package stale_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/lab"
)

// bench is the usual network with the router's table at hand.
type bench struct {
	*lab.Net
	live  *capture.Live
	hosts map[string]*lab.Host
}

func newBench(t testing.TB) *bench {
	t.Helper()
	l, err := lab.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	b := &bench{}
	if b.Net, err = l.Typical("s0"); err != nil {
		t.Fatal(err)
	}
	b.hosts = map[string]*lab.Host{"client": b.Client, "router": b.Router, "server": b.Server}
	if b.live, err = capture.Open(b.Router.Path()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.live.Close() })
	return b
}

// link adds a host behind a device of the router.
func (b *bench) link(t *testing.T, l link) {
	t.Helper()
	h := b.hosts[l.host]
	if h == nil {
		var err error
		if h, err = b.Host(l.host); err == nil {
			err = h.AnswerAll()
		}
		if err != nil {
			t.Fatal(err)
		}
		b.hosts[l.host] = h
	}
	err := b.Link(lab.End{Host: h, Dev: "eth-" + l.at.dev, Addrs: []netip.Prefix{l.prefix}}, lab.End{Host: b.Router, Dev: l.at.dev, Addrs: []netip.Prefix{l.at.prefix}})
	if err == nil {
		err = h.Route(everything(l.prefix.Addr()), l.at.prefix.Addr())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// everything is the prefix of all addresses of a's family.
func everything(a netip.Addr) netip.Prefix {
	if a.Is4() {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
}

func (b *bench) host(t *testing.T, name string) *lab.Host {
	t.Helper()
	h := b.hosts[name]
	if h == nil {
		t.Fatalf("host %q", name)
	}
	return h
}

func (b *bench) snapshot(t testing.TB) *host.Snapshot {
	t.Helper()
	s, err := b.live.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// entries are all entries of the router's table.
func (b *bench) entries(t *testing.T) []*host.Flow {
	t.Helper()
	var out []*host.Flow
	_, err := b.live.Flows(context.Background(), capture.Filter{}, func(f *host.Flow) error {
		c := *f
		c.Helper = strings.Clone(f.Helper)
		out = append(out, &c)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// until waits for the table to be as wanted: masquerade's notifiers leave entries
// to a worker.
func (b *bench) until(t *testing.T, ok func([]*host.Flow) bool) bool {
	t.Helper()
	limit := time.NewTimer(20 * time.Second)
	defer limit.Stop()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for !ok(b.entries(t)) {
		select {
		case <-look.C:
		case <-limit.C:
			return false
		}
	}
	return true
}

// run runs a program on the router.
func (b *bench) run(input, name string, args ...string) (string, error) {
	return b.Router.Run(input, name, args...)
}

func (b *bench) must(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := b.run("", name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
