package bundle

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

var created = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func testInfo() Info {
	return Info{
		Tool: "ntdiag", Version: "test", Created: created,
		Machine: Machine{Hostname: "router", Kernel: "6.18.0", Arch: "x86_64", ByteOrder: "little"},
		Command: []string{"bundle", "create"},
	}
}

// testState is a namespace without anything.
func testState() *State {
	return &State{Enter: "ip netns exec blue", Snapshot: &host.Snapshot{Rules: &rules.Ruleset{}}}
}

// testFlow is flow i of a busy router: of 1000 clients to 8 servers, all of
// one rule but each 5000th.
func testFlow(f *host.Flow, i int) {
	client := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8 & 3), byte(i)})
	server := netip.AddrFrom4([4]byte{192, 168, 1, byte(80 + i%8)})
	sport, dport := uint16(1024+i*7919), uint16(8080)
	if i%5000 == 4999 {
		server, dport = netip.AddrFrom4([4]byte{192, 168, 9, 9}), 53
	}
	*f = host.Flow{
		Family: rules.FamilyIPv4, ID: uint32(i) * 2654435761, Timeout: uint32(i * 31 % 432000), Mark: 0, Use: 1,
		Original: rules.Tuple{Proto: 6, Src: client, Dst: netip.AddrFrom4([4]byte{203, 0, 113, 5}), SrcPort: sport, DstPort: 80},
		Reply:    rules.Tuple{Proto: 6, Src: server, Dst: netip.AddrFrom4([4]byte{192, 168, 1, 1}), SrcPort: dport, DstPort: sport},
		Status:   host.StatusSeenReply | host.StatusAssured | host.StatusConfirmed | host.StatusSrcNAT | host.StatusDstNAT | host.StatusSrcNATDone | host.StatusDstNATDone,
		Has:      host.HasID | host.HasTimeout | host.HasTCPState | host.HasMark | host.HasCounters | host.HasUse, TCPState: 3,
		Orig: host.Counts{Packets: uint64(i % 977), Bytes: uint64(i%977) * 611}, Repl: host.Counts{Packets: uint64(i % 1013), Bytes: uint64(i%1013) * 1201},
	}
}

func testLine(b []byte, f *host.Flow) []byte {
	return append(b, fmt.Sprintf("tcp 6 %d src=%s dst=%s id=%d\n", f.Timeout, f.Original.Src, f.Original.Dst, f.ID)...)
}

// writeTest writes a bundle of n flows in each of two rounds.
func writeTest(t testing.TB, info Info, n int) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, info)
	must(t, err)
	ns := w.Namespace("blue", "/run/netns/blue", host.Place{BootID: "b", Inode: 7, Cookie: 9})
	must(t, ns.State(testState()))
	must(t, ns.Text("ruleset.nft", func(w io.Writer) error { _, err := io.WriteString(w, "table ip nat {\n}\n"); return err }))
	must(t, w.Text("readme.txt", func(w io.Writer) error { _, err := io.WriteString(w, "a\xff\xe4b\n"); return err }))
	for round := 1; round <= 2; round++ {
		f, err := ns.Flows(round, FlowOptions{At: created, Expect: uint64(n), Line: testLine})
		must(t, err)
		var flow host.Flow
		for i := range n {
			testFlow(&flow, i)
			must(t, f.Add(&flow))
		}
		must(t, f.Close(capture.FlowsInfo{Count: n}))
	}
	must(t, ns.Finding("explain", []byte(`{"schema":"ntdiag.explain/1"}`)))
	ns.Missing(host.Missing{What: "xfrm", Why: "permission denied"})
	must(t, w.Close())
	return out.Bytes()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// saved puts b into a file.
func saved(t testing.TB, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "b.tar.zst")
	must(t, os.WriteFile(path, b, 0o600))
	return path
}

func TestRoundTrip(t *testing.T) {
	const n = 20000
	r, err := Open(context.Background(), saved(t, writeTest(t, testInfo(), n)))
	must(t, err)
	defer r.Close()
	ns, err := r.Namespace("blue")
	must(t, err)
	if d := cmp.Diff([]host.Missing{{What: "xfrm", Why: "permission denied"}}, ns.Missing); d != "" {
		t.Error(d)
	}
	s, err := r.State(context.Background(), ns)
	must(t, err)
	if s.Enter != "ip netns exec blue" {
		t.Errorf("enter %q", s.Enter)
	}
	for round := 1; round <= 2; round++ {
		i := 0
		err := r.Flows(context.Background(), ns, round, func(f *host.Flow) error {
			var want host.Flow
			testFlow(&want, i)
			if d := cmp.Diff(want, *f, cmpopts.EquateComparable(netip.Addr{})); d != "" && i%100 == 0 {
				t.Fatalf("flow %d: %s", i, d)
			}
			i++
			return nil
		})
		if err != nil || i != n {
			t.Errorf("round %d: %d flows, %v", round, i, err)
		}
	}
	var text bytes.Buffer
	must(t, r.Text(context.Background(), ns, "conntrack-1", &text))
	if got := bytes.Count(text.Bytes(), []byte("\n")); got != n {
		t.Errorf("%d lines of text", got)
	}
	text.Reset()
	must(t, r.Text(context.Background(), nil, "readme.txt", &text))
	if text.String() != `a\xff\xe4b`+"\n" {
		t.Errorf("text %q", text.String())
	}
	doc, err := r.Finding(context.Background(), ns, "explain")
	must(t, err)
	if !json.Valid(doc) {
		t.Errorf("finding %s", doc)
	}
}
