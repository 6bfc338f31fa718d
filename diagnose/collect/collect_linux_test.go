package collect

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/bundle"
	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/lab"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(roundEnv); path != "" {
		if err := roundAlone(context.Background(), path, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(lab.Main(m.Run))
}

const ruleset = `table ip nat {
 chain d { type nat hook prerouting priority -100; tcp dport 8080 dnat to 192.168.1.80:80; }
 chain s { type nat hook postrouting priority 100; oifname "s0" masquerade; }
}
`

func network(t *testing.T) (*lab.Net, *capture.Live) {
	t.Helper()
	l, err := lab.New()
	if err != nil {
		lab.LeaveOut(t, err)
	}
	t.Cleanup(func() { l.Close() })
	n, err := l.Typical("s0")
	if err != nil {
		t.Fatal(err)
	}
	nft(t, n.Router, ruleset)
	src, err := capture.Open(n.Router.Path())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	return n, src
}

func nft(t *testing.T, h *lab.Host, rules string) {
	t.Helper()
	if _, err := h.Run(rules, "nft", "-f", "-"); err != nil {
		lab.LeaveOut(t, err)
	}
}

// moving is a namespace whose rules change each time that they were read.
type moving struct {
	*capture.Live
	t     *testing.T
	h     *lab.Host
	times int // that they still change
	reads int
}

func (m *moving) Snapshot(ctx context.Context) (*host.Snapshot, error) {
	s, err := m.Live.Snapshot(ctx)
	if m.reads++; m.times > 0 {
		m.times--
		nft(m.t, m.h, fmt.Sprintf("add table ip moved%d\n", m.times))
	}
	return s, err
}

func TestSnapshotThatMoves(t *testing.T) {
	n, src := network(t)
	for _, tc := range []struct {
		times, reads int
		torn         bool
	}{{0, 1, false}, {2, 3, false}, {100, tries, true}} {
		m := &moving{Live: src, t: t, h: n.Router, times: tc.times}
		s, err := Snapshot(context.Background(), m)
		if err != nil {
			t.Fatal(err)
		}
		torn := slices.ContainsFunc(s.Missing, func(m host.Missing) bool { return m.What == partRules })
		if m.reads != tc.reads || torn != tc.torn {
			t.Errorf("%d changes: read %d times, torn %v: %v", tc.times, m.reads, torn, s.Missing)
		}
		now, err := src.Generation(context.Background())
		if !torn && (err != nil || s.Rules.Generation != now) {
			t.Errorf("%d changes: generation %d, now %d", tc.times, s.Rules.Generation, now)
		}
	}
}

// TestRun: two namespaces, one of which changes between its two readings.
func TestRun(t *testing.T) {
	n, router := network(t)
	client, err := capture.Open(n.Client.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	connect := func(port uint16) {
		t.Helper()
		if _, err := n.Client.TCP(netip.AddrPort{}, netip.AddrPortFrom(lab.RouterIn4, port)); err != nil {
			t.Fatal(err)
		}
	}
	connect(8080)
	path := filepath.Join(t.TempDir(), "b.tar.zst")
	file, err := bundle.CreateFile(context.Background(), path, false)
	if err != nil {
		t.Fatal(err)
	}
	w, err := bundle.NewWriter(file, bundle.Info{Tool: "ntdiag", Created: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	var samples [][]host.Flow
	opt := Options{
		Progress: func(what string) {
			if said = append(said, what); strings.HasPrefix(what, "namespace 1 of 2: waiting") {
				connect(8080)
				if err := n.Client.Ping(lab.ClientAddr4, lab.ServerAddr4, 7, true); err != nil {
					t.Error(err)
				}
			}
		},
		Findings: func(_ context.Context, f *Frozen, put func(string, []byte, []byte) error) ([]host.Missing, error) {
			samples = append(samples, f.Samples)
			var out bytes.Buffer
			info, err := f.Flows(context.Background(), capture.Filter{}, func(flow *host.Flow) error {
				one, err := f.Get(context.Background(), flow.Original, capture.Original, flow.Family, flow.Zone)
				if err != nil || one.ID != flow.ID {
					t.Errorf("asked for %v: %v, %v", flow.Original, one, err)
				}
				_, err = fmt.Fprintln(&out, flow.ID)
				return err
			})
			if err != nil || info.Count != f.Entries {
				t.Errorf("%d entries, not %d: %v", info.Count, f.Entries, err)
			}
			return []host.Missing{{What: "a finding", Why: "of no matter"}}, put("seen", []byte("{}"), out.Bytes())
		},
	}
	results, err := Run(context.Background(), w, []*Space{{Name: "router", Source: router}, {Path: n.Client.Path(), Source: client}}, opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := file.Commit(); err != nil {
		t.Fatal(err)
	}
	if len(results) != 2 || results[0].Flows[0] != 1 || results[0].Flows[1] != 3 {
		t.Errorf("%+v", results)
	}
	// one of both connections, and the ping
	if len(samples) != 2 || len(samples[0]) != 2 {
		t.Errorf("samples %+v", samples)
	}
	in, err := bundle.Open(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	m := in.Manifest()
	if len(m.Namespaces) != 2 || m.Namespaces[0].Name != "router" || m.Namespaces[1].Path != n.Client.Path() {
		t.Fatalf("%+v", m.Namespaces)
	}
	for i, n := range m.Namespaces {
		if len(n.Rounds) != 2 || !slices.Contains(n.Missing, host.Missing{What: "a finding", Why: "of no matter"}) {
			t.Errorf("%s: %+v", n.Dir, n)
		}
		for _, name := range []string{"state.json", "findings/seen.json", "text/ip-addr.txt"} {
			if !slices.ContainsFunc(m.Members, func(x bundle.Member) bool { return x.Name == n.Dir+"/"+name }) {
				t.Errorf("%d: no %s", i, name)
			}
		}
	}
}

// TestRunEnds: the end of the context ends it at once.
func TestRunEnds(t *testing.T) {
	_, src := network(t)
	ctx, cancel := context.WithCancel(context.Background())
	w, err := bundle.NewWriter(&bytes.Buffer{}, bundle.Info{Tool: "ntdiag", Created: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	opt := Options{Interval: time.Hour, Progress: func(what string) {
		if strings.Contains(what, "waiting") {
			cancel()
		}
	}}
	if _, err := Run(ctx, w, []*Space{{Source: src}}, opt); err != context.Canceled {
		t.Errorf("%v", err)
	}
}
