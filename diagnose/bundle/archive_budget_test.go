package bundle

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/history"
	"github.com/ntdiag/ntdiag/diagnose/host"
)

// noise is text that hardly can be compressed, in lines.
func noise(w io.Writer, n int) error {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	for range n / 64 {
		line := make([]byte, 0, 64)
		for len(line) < 63 {
			line = append(line, byte(' '+r.IntN(95)))
		}
		if _, err := w.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	return nil
}

// TestBudget: whatever is written, the file takes no more than it may, is
// whole, and tells what it lacks.
func TestBudget(t *testing.T) {
	const n = 60_000
	for _, most := range []int64{MinMaxBytes, 3 << 20} {
		for _, expect := range []uint64{0, n / 10, n, 10 * n} {
			t.Run(fmt.Sprintf("%s of %d", SizeText(most), expect), func(t *testing.T) {
				info := testInfo()
				info.MaxBytes, info.Flows = most, 2*expect
				var out bytes.Buffer
				w, err := NewWriter(&out, info)
				must(t, err)
				ns := w.Namespace("", "", host.Place{})
				must(t, ns.State(testState()))
				for round := 1; round <= 2; round++ {
					f, err := ns.Flows(round, FlowOptions{Expect: expect, Line: testLine})
					must(t, err)
					var flow host.Flow
					for i := range n {
						testFlow(&flow, i)
						must(t, f.Add(&flow))
					}
					must(t, f.Close(capture.FlowsInfo{Count: n}))
				}
				must(t, ns.Finding("stale", []byte(`{"stale":[]}`)))
				must(t, ns.Text("noise.txt", func(w io.Writer) error { return noise(w, 20<<20) }))
				must(t, w.Close())
				if got := int64(out.Len()); got > most {
					t.Errorf("the file takes %d bytes, may take %d", got, most)
				} else if got < most/2 {
					t.Errorf("the file takes %d bytes, could take %d", got, most)
				}
				holdsWhatItSays(t, out.Bytes(), n)
			})
		}
	}
}

func holdsWhatItSays(t *testing.T, b []byte, n uint64) {
	t.Helper()
	r, err := Open(context.Background(), saved(t, b))
	must(t, err)
	defer r.Close()
	m := r.Manifest()
	ns := &m.Namespaces[0]
	for round := 1; round <= 2; round++ {
		got, rare := uint64(0), 0
		ids := map[uint32]bool{}
		must(t, r.Flows(context.Background(), ns, round, func(f *host.Flow) error {
			got++
			ids[f.ID] = true
			if f.Reply.SrcPort == 53 {
				rare++
			}
			return nil
		}))
		info, _ := ns.Round(round)
		if info.Seen != n || info.Kept != got || uint64(len(ids)) != got {
			t.Errorf("round %d: %d flows, %d ids; the manifest has %+v", round, got, len(ids), info)
		}
		if got == n {
			continue
		}
		if rare < 60_000/5000 {
			t.Errorf("round %d: %d flows of the rare rule among %d", round, rare, got)
		}
		left := uint64(0)
		for _, s := range info.Strata {
			left += s.Seen - s.Kept
		}
		if left != n-got {
			t.Errorf("round %d: the strata lack %d, the round %d", round, left, n-got)
		}
		want := fmt.Sprintf("%d of %d were left out to keep the bundle small", n-got, n)
		if miss := info.Missing(); len(miss) != 1 || miss[0].Why != want {
			t.Errorf("missing: %v, want %s", miss, want)
		}
	}
	lines := 0
	for _, tr := range m.Truncated {
		if tr.Member == "netns-0/text/noise.txt" && tr.Kept+tr.LeftOut == 20<<20/64 {
			lines++
			var text bytes.Buffer
			if tr.Kept > 0 {
				must(t, r.Text(context.Background(), ns, "noise.txt", &text))
			}
			if got := uint64(bytes.Count(text.Bytes(), []byte("\n"))); got != tr.Kept || int64(text.Len()) != int64(got)*64 {
				t.Errorf("%d lines of %d bytes, want %d", got, text.Len(), tr.Kept)
			}
		}
	}
	if lines != 1 {
		t.Errorf("truncated: %+v", m.Truncated)
	}
}

// TestMonotonousText: a text that is compressed as only a bomb is, is cut to
// what a Reader takes.
func TestMonotonousText(t *testing.T) {
	const lines = 1 << 20
	var out bytes.Buffer
	w, err := NewWriter(&out, testInfo())
	must(t, err)
	line := []byte(strings.Repeat("x", 63) + "\n")
	must(t, w.Text("x.txt", func(w io.Writer) error {
		for range lines {
			if _, err := w.Write(line); err != nil {
				return err
			}
		}
		return nil
	}))
	must(t, w.Close())
	r, err := Open(context.Background(), saved(t, out.Bytes()))
	must(t, err)
	defer r.Close()
	cut := r.Manifest().Truncated
	if len(cut) != 1 || cut[0].Kept == 0 || cut[0].Kept+cut[0].LeftOut != lines || r.members["text/x.txt"].Size != int64(cut[0].Kept)*64 {
		t.Errorf("truncated: %+v", cut)
	}
}

// fullDisk takes so many bytes.
type fullDisk int

func (d *fullDisk) Write(b []byte) (int, error) {
	if len(b) > int(*d) {
		return 0, io.ErrShortWrite
	}
	*d -= fullDisk(len(b))
	return len(b), nil
}

// TestFullDisk: what cannot be written is an error of that call, and of every
// one that follows.
func TestFullDisk(t *testing.T) {
	disk := fullDisk(2000)
	w, err := NewWriter(&disk, testInfo())
	must(t, err)
	ns := w.Namespace("", "", host.Place{})
	must(t, ns.State(testState()))
	const want = "bundle: short write"
	if err := ns.Text("noise.txt", func(w io.Writer) error { return noise(w, 1<<20) }); err == nil || err.Error() != want {
		t.Errorf("text: %v", err)
	}
	if _, err := ns.Flows(1, FlowOptions{}); err == nil || err.Error() != want {
		t.Errorf("flows: %v", err)
	}
	if err := w.Close(); err == nil || err.Error() != want {
		t.Errorf("close: %v", err)
	}
}

// TestKeepsTheSameFlows: what the first round has of a table that stayed, the
// second has as well, so that they can be compared.
func TestKeepsTheSameFlows(t *testing.T) {
	info := testInfo()
	info.MaxBytes = 2 << 20
	r, err := Open(context.Background(), saved(t, writeTest(t, info, 100_000)))
	must(t, err)
	defer r.Close()
	ns := &r.Manifest().Namespaces[0]
	first := map[uint32]bool{}
	must(t, r.Flows(context.Background(), ns, 1, func(f *host.Flow) error { first[f.ID] = true; return nil }))
	both, second := 0, 0
	must(t, r.Flows(context.Background(), ns, 2, func(f *host.Flow) error {
		second++
		if first[f.ID] {
			both++
		}
		return nil
	}))
	if len(first) == 100_000 || both*10 < min(len(first), second)*8 {
		t.Errorf("of %d and %d flows %d are in both", len(first), second, both)
	}
}

// TestManyStrata: a table where each flow is rewritten in its own way is
// sampled as well, and the manifest stays small.
func TestManyStrata(t *testing.T) {
	info := testInfo()
	info.MaxBytes = MinMaxBytes
	var out bytes.Buffer
	w, err := NewWriter(&out, info)
	must(t, err)
	ns := w.Namespace("", "", host.Place{})
	f, err := ns.Flows(1, FlowOptions{Expect: 100_000, Stratum: func(b []byte, f *host.Flow) []byte {
		return fmt.Appendf(b, "%d %s", f.ID, strings.Repeat("x", 300))
	}})
	must(t, err)
	var flow host.Flow
	for i := range 100_000 {
		testFlow(&flow, i)
		must(t, f.Add(&flow))
	}
	must(t, f.Close(capture.FlowsInfo{Count: 100_000}))
	must(t, ns.State(testState()))
	must(t, w.Close())
	if out.Len() > MinMaxBytes {
		t.Errorf("%d bytes", out.Len())
	}
	r, err := Open(context.Background(), saved(t, out.Bytes()))
	must(t, err)
	defer r.Close()
	round := r.Manifest().Namespaces[0].Rounds[0]
	left := round.Further.Seen - round.Further.Kept
	for _, s := range round.Strata {
		left += s.Seen - s.Kept
	}
	if len(round.Strata) != maxListed || left != round.Seen-round.Kept || round.Seen != 100_000 {
		t.Errorf("%d strata are listed, they lack %d: %d of %d are kept", len(round.Strata), left, round.Kept, round.Seen)
	}
}

// TestTrim: the oldest of the log and of the history go first.
func TestTrim(t *testing.T) {
	s := &State{History: &history.History{Path: "p", Dropped: 3}}
	for i := range 1000 {
		s.Log = append(s.Log, LogLine{Text: fmt.Sprintf("%04d %s", i, strings.Repeat("x", 75)), Seq: uint64(i)})
		s.History.Changes = append(s.History.Changes, &history.Change{Seq: uint64(i + 1), Note: strings.Repeat("y", 1000)})
	}
	got, cut := trim(s, "netns-0/state.json", 100_000)
	if len(s.Log) != 1000 || len(s.History.Changes) != 1000 {
		t.Error("the state itself was changed")
	}
	if len(got.Log) != 500 || got.Log[499].Seq != 999 || got.LogLost != 500 {
		t.Errorf("%d records, lost %d", len(got.Log), got.LogLost)
	}
	h := got.History
	if n := len(h.Changes); n < 50 || n > 100 || h.Changes[n-1].Seq != 1000 || h.Dropped != 3+uint64(1000-n) {
		t.Errorf("%d changes, dropped %d", n, h.Dropped)
	}
	if len(cut) != 2 || len(got.Missing) != 2 || got.Missing[0].Why != "the oldest 500 of 1000 were left out: they take more than 97.7 KiB" {
		t.Errorf("cut %+v, missing %v", cut, got.Missing)
	}
}

func TestWriterRefuses(t *testing.T) {
	var out bytes.Buffer
	info := testInfo()
	info.MaxBytes = 1000
	if _, err := NewWriter(&out, info); err == nil || err.Error() != "bundle: at most 1000 bytes: want at least 1048576" {
		t.Error(err)
	}
	w, err := NewWriter(&out, testInfo())
	must(t, err)
	ns := w.Namespace("", "", host.Place{})
	write := func(w io.Writer) error { return nil }
	must(t, ns.Text("a.txt", write))
	f, err := ns.Flows(1, FlowOptions{})
	must(t, err)
	for _, tt := range []struct {
		err  error
		want string
	}{
		{ns.Text("b.txt", write), "bundle: netns-0/flows-1 is not closed"},
		{w.Close(), "bundle: netns-0/flows-1 is not closed"},
		{f.Close(capture.FlowsInfo{}), ""},
		{f.Add(&host.Flow{}), "bundle: netns-0/flows-1 is closed"},
		{ns.Text("a.txt", write), "bundle: netns-0/text/a.txt is written twice"},
		{ns.Text("../a", write), `bundle: text "../a": want small letters, digits, -, _ and dots between them`},
		{ns.Text("c.txt", func(io.Writer) error { return io.ErrShortWrite }), "bundle: netns-0/text/c.txt: short write"},
		{ns.Finding("stale", []byte("{")), `bundle: finding "stale" is no JSON`},
		{ns.Text("d.txt", write), ""},
	} {
		if got := fmt.Sprint(tt.err); tt.err == nil && tt.want != "" || tt.err != nil && got != tt.want {
			t.Errorf("got %v, want %s", tt.err, tt.want)
		}
	}
	if _, err := ns.Flows(1, FlowOptions{}); err == nil || err.Error() != "bundle: round 1 of netns-0 is written twice" {
		t.Error(err)
	}
}
