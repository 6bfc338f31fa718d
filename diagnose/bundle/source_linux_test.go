package bundle

import (
	"context"
	"errors"
	"net/netip"
	"os/exec"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/rules"
)

// zonedRules rewrite flows, in zones of both directions and of one.
const zonedRules = `table inet z {
 chain raw { type filter hook prerouting priority -300;
  udp dport 1001 ct zone set 7
  udp dport 1002 ct original zone set 7
  udp dport 1003 ct reply zone set 7
 }
 chain pre { type nat hook prerouting priority -100; tcp dport 80 dnat ip to 192.168.1.80:8080; }
 chain post { type nat hook postrouting priority 100; oifname "s0" masquerade; }
}`

// kept is the table of l as a file would hold it.
func kept(t *testing.T, l *capture.Live) *Source {
	t.Helper()
	var all []host.Flow
	if _, err := l.Flows(t.Context(), capture.Filter{}, func(f *host.Flow) error {
		all = append(all, *f)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	s, err := l.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return NewSource(&State{Snapshot: s}, Table{Each: func(_ context.Context, _ *rules.Tuple, fn func(*host.Flow) error) error {
		for i := range all {
			f := all[i]
			if err := fn(&f); err != nil {
				return err
			}
		}
		return nil
	}})
}

// TestSourceGet: an entry is found by the tuples and zones by which the kernel
// finds it.
func TestSourceGet(t *testing.T) {
	if _, err := exec.LookPath("nft"); err != nil {
		lab.LeaveOut(t, err)
	}
	n := zoned(t)
	live, err := capture.Open(n.Router.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	file := kept(t, live)
	var tuples []rules.Tuple
	var zones, dirs int
	if _, err := file.Flows(t.Context(), capture.Filter{}, func(f *host.Flow) error {
		tuples = append(tuples, f.Original, f.Reply)
		if f.Zone != 0 {
			zones++
		}
		if f.Has&(host.HasZoneOrig|host.HasZoneReply) != 0 {
			dirs++
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if zones < 3 || dirs < 2 {
		t.Fatalf("%d flows in zones, %d in one of one direction", zones, dirs)
	}
	other := tuples[0]
	other.SrcPort++
	for _, tuple := range append(tuples, other) {
		for _, zone := range []uint16{0, 7, 8} {
			want, wantErr := live.Get(t.Context(), tuple, capture.Original, rules.FamilyUnspec, zone)
			got, err := file.Get(t.Context(), tuple, capture.Original, rules.FamilyUnspec, zone)
			if errors.Is(err, capture.ErrNotFound) != errors.Is(wantErr, capture.ErrNotFound) || (err == nil) != (wantErr == nil) {
				t.Errorf("%v in zone %d: %v, the kernel: %v", tuple, zone, err, wantErr)
				continue
			}
			if d := cmp.Diff(want, got, byAddr, cmpopts.IgnoreFields(host.Flow{}, "Timeout", "Use")); d != "" {
				t.Errorf("%v in zone %d (kernel -, file +):\n%s", tuple, zone, d)
			}
		}
	}
}

var byAddr = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

func zoned(t *testing.T) *lab.Net {
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
	if out, err := n.Router.Run(zonedRules, "nft", "-f", "-"); err != nil {
		t.Fatal(err, out)
	}
	src := func(port uint16) netip.AddrPort { return netip.AddrPortFrom(lab.ClientAddr4, port) }
	for port := uint16(1000); port < 1004; port++ {
		if _, err := n.Client.UDP(src(port), netip.AddrPortFrom(lab.ServerAddr4, port), false); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := n.Client.TCP(src(5536), netip.AddrPortFrom(lab.RouterIn4, 80)); err != nil {
		t.Fatal(err)
	}
	if err := n.Client.Ping(lab.ClientAddr4, lab.ServerAddr4, 77, true); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestSourceFilter: a filter leaves out of a file what the kernel leaves out.
func TestSourceFilter(t *testing.T) {
	if _, err := exec.LookPath("nft"); err != nil {
		lab.LeaveOut(t, err)
	}
	n := zoned(t)
	live, err := capture.Open(n.Router.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	file := kept(t, live)
	ids := func(l capture.Source, f capture.Filter) (out []uint32, filtered bool) {
		info, err := l.Flows(t.Context(), f, func(f *host.Flow) error {
			out = append(out, f.ID)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(out)
		return out, info.Filtered
	}
	for name, f := range map[string]capture.Filter{
		"all":       {},
		"zone":      {HasZone: true, Zone: 7},
		"zone 0":    {HasZone: true},
		"family":    {Family: rules.FamilyIPv4},
		"status":    {HasStatus: true, Status: uint32(host.StatusDstNAT)},
		"unreplied": {HasStatus: true, StatusMask: uint32(host.StatusSeenReply)},
		"source":    {Orig: capture.TuplePart{Src: lab.ClientAddr4}},
		"port":      {Orig: capture.TuplePart{Dst: lab.ServerAddr4, Proto: host.ProtoUDP, DstPort: 1001}},
		"reply":     {Reply: capture.TuplePart{Src: lab.ServerAddr4, Proto: host.ProtoTCP}},
		"no port":   {Family: rules.FamilyIPv4, Orig: capture.TuplePart{Proto: host.ProtoICMP, SrcPort: 1}},
	} {
		want, filtered := ids(live, f)
		if !filtered && !f.Empty() {
			t.Logf("%s: not filtered by this kernel", name)
			continue
		}
		if got, _ := ids(file, f); len(want) == 0 || !slices.Equal(got, want) {
			t.Errorf("%s: %d, the kernel %d", name, got, want)
		}
	}
}
