package main

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/bundle"
	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// made is a bundle of namespaces by their names, each with one flow; info is
// what there is to say of its table.
func made(t *testing.T, info capture.FlowsInfo, names ...string) string {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "b.tar.zst")
	f, err := os.Create(path)
	must(err)
	defer f.Close()
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	w, err := bundle.NewWriter(f, bundle.Info{Tool: "ntdiag", Version: "test", Created: at})
	must(err)
	for i, name := range names {
		n := w.Namespace(name, "", host.Place{})
		flows, err := n.Flows(1, bundle.FlowOptions{At: at})
		must(err)
		tuple := rules.Tuple{Proto: host.ProtoUDP, Src: netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + i)}), Dst: netip.MustParseAddr("198.51.100.1"), SrcPort: 4000, DstPort: 53}
		answer := rules.Tuple{Proto: host.ProtoUDP, Src: tuple.Dst, Dst: tuple.Src, SrcPort: 53, DstPort: 4000}
		must(flows.Add(&host.Flow{Family: rules.FamilyIPv4, Original: tuple, Reply: answer, Has: host.HasID | host.HasMark}))
		must(flows.Close(info))
		must(n.State(&bundle.State{Snapshot: &host.Snapshot{Hostname: "gw1", Netns: name, CapturedAt: at, Rules: &rules.Ruleset{}}}))
	}
	must(w.Close())
	return path
}

func ran(t *testing.T, args ...string) (code int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	code = execute(t.Context(), args, &o, &e)
	return code, o.String(), e.String()
}

// TestFromSeveral: of several namespaces the one of the command is taken, or
// the first; which others there are is said.
func TestFromSeveral(t *testing.T) {
	for _, tt := range []struct {
		names, args []string
		source, say string
	}{
		{[]string{"", "blue"}, nil, "192.0.2.1", "ntdiag: this is of network namespace netns-0; --netns takes the others: blue\n"},
		{[]string{"red", "blue"}, nil, "192.0.2.1", "ntdiag: this is of network namespace red; --netns takes the others: blue\n"},
		{[]string{"red", ""}, nil, "192.0.2.2", "ntdiag: this is of network namespace netns-1; --netns takes the others: red\n"},
		{[]string{"red", "blue"}, []string{"--netns", "blue"}, "192.0.2.2", ""},
		{[]string{"red", "blue"}, []string{"--netns", "netns-1"}, "192.0.2.2", ""},
		{[]string{"red"}, nil, "192.0.2.1", ""},
	} {
		path := made(t, capture.FlowsInfo{Count: 1}, tt.names...)
		code, out, errOut := ran(t, append([]string{"flows", "--from", path}, tt.args...)...)
		if code != exitOK || !strings.Contains(out, tt.source+":4000") || errOut != tt.say {
			t.Errorf("%q %q: exit code %d, %q\n%s", tt.names, tt.args, code, errOut, out)
		}
	}
}

// TestFromIncomplete: what the file lacks of the table makes answers that are
// not complete.
func TestFromIncomplete(t *testing.T) {
	var path string
	for want, info := range map[string]capture.FlowsInfo{
		"3 conntrack entries: bad attribute": {Count: 1, Unparsed: 3, Why: "bad attribute"},
		"which conntrack entries were read twice: the hash table was resized while it was read (nf_conntrack_buckets 64, then 128): ask again": {
			Count: 1, Turnover: capture.Turnover{BucketsBefore: 64, BucketsAfter: 128}},
	} {
		path = made(t, info, "")
		for _, line := range []string{"flows", "stale", "rules"} {
			code, out, errOut := ran(t, line, "--from", path, "-o", "json")
			if code != exitIncomplete || !strings.Contains(out, `"complete": false`) && !strings.Contains(out, `"complete":false`) ||
				!strings.Contains(errOut, want) {
				t.Errorf("%s: exit code %d, %q\n%s", line, code, errOut, out)
			}
		}
	}
	// what it does not have at all is no zero
	for line, want := range map[string]string{"counters": "conntrack statistics: not captured", "history": "nothing was recorded"} {
		if code, out, errOut := ran(t, line, "--from", path); code != exitIncomplete || !strings.Contains(errOut, want) {
			t.Errorf("%s: exit code %d, %q\n%s", line, code, errOut, out)
		}
	}
}
