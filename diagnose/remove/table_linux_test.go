package remove

import (
	"context"
	"net/netip"
	"os/exec"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/journal"
	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/rules"
)

// table is a conntrack table of its own.
type table struct {
	t    testing.TB
	host *lab.Host
	live *capture.Live
	*capture.Entries
}

func newTable(t testing.TB) *table {
	t.Helper()
	l, err := lab.New()
	if err != nil {
		lab.LeaveOut(t, err)
	}
	t.Cleanup(func() { l.Close() })
	h, err := l.Host("gw")
	if err != nil {
		t.Fatal(err)
	}
	return tableOf(t, h)
}

func tableOf(t testing.TB, h *lab.Host) *table {
	t.Helper()
	live, err := capture.Open(h.Path())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { live.Close() })
	tb := &table{t: t, host: h, live: live}
	tb.Entries = tb.open()
	return tb
}

// open is one more socket to the table.
func (tb *table) open() *capture.Entries {
	tb.t.Helper()
	e, err := tb.live.Entries()
	if err != nil {
		tb.t.Fatal(err)
	}
	tb.t.Cleanup(e.Close)
	return e
}

// nft loads rules into the table's namespace.
func (tb *table) nft(rules string) {
	tb.t.Helper()
	if _, err := exec.LookPath("nft"); err != nil {
		lab.LeaveOut(tb.t, err)
	}
	if _, err := tb.host.Run(rules, "nft", "-f", "-"); err != nil {
		tb.t.Fatal(err)
	}
}

func (tb *table) insert(flows ...host.Flow) {
	tb.t.Helper()
	for i := range flows {
		if err := tb.Insert(context.Background(), &flows[i]); err != nil {
			tb.t.Fatalf("insert %+v: %v", flows[i], err)
		}
	}
}

// dump is the table as it is.
func (tb *table) dump() []host.Flow {
	tb.t.Helper()
	var out []host.Flow
	_, err := tb.live.Flows(context.Background(), capture.Filter{}, func(f *host.Flow) error {
		out = append(out, *f)
		return nil
	})
	if err != nil {
		tb.t.Fatal(err)
	}
	return out
}

// plan takes the flows that pick chooses.
func plan(flows []host.Flow, pick func(*host.Flow) bool) []Planned {
	var out []Planned
	for i := range flows {
		if pick(&flows[i]) {
			out = append(out, Planned{Flow: flows[i]})
		}
	}
	return out
}

func all(*host.Flow) bool { return true }

func newJournal(t testing.TB, dir string) *journal.Writer {
	t.Helper()
	w, err := journal.Create(dir, journal.Header{Created: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// actions counts the results.
func actions(results []Result) map[journal.Action]int {
	out := map[journal.Action]int{}
	for _, r := range results {
		out[r.Action]++
	}
	return out
}

// undo puts back what the journal at path names, and counts the outcomes.
func (tb *table) undo(path string) map[journal.Outcome]int {
	tb.t.Helper()
	j, w, err := journal.Open(path)
	if err != nil {
		tb.t.Fatal(err)
	}
	undone, err := Undo(context.Background(), tb, j, w)
	if err != nil {
		tb.t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.t.Fatal(err)
	}
	out := map[journal.Outcome]int{}
	for _, u := range undone {
		if u.Outcome != journal.Restored && u.Outcome != journal.There {
			tb.t.Errorf("%s: %s: %+v", u.Outcome, u.Why, u.Flow)
		}
		out[u.Outcome]++
	}
	return out
}

// kept compares two tables but for what an undo cannot keep, which is among
// capture.InsertLoses, and for the seconds that went by since.
func kept(since time.Time) cmp.Options {
	slack := uint32(time.Since(since)/time.Second) + 3
	return cmp.Options{
		cmpopts.EquateComparable(netip.Addr{}),
		cmpopts.SortSlices(func(a, b host.Flow) bool { return key(&a) < key(&b) }),
		cmpopts.IgnoreFields(host.Flow{}, "ID", "Start", "Use"),
		cmp.FilterPath(func(p cmp.Path) bool { return p.String() == "Timeout" }, cmp.Comparer(func(a, b uint32) bool {
			return max(a, b)-min(a, b) <= slack
		})),
		// the windows are learned anew (IP_CT_TCP_FLAG_MAXACK_SET)
		cmp.FilterPath(func(p cmp.Path) bool { return p.String() == "TCPFlags" }, cmp.Comparer(func(a, b [2]uint8) bool {
			return (a[0]^b[0])&^0x20 == 0 && (a[1]^b[1])&^0x20 == 0
		})),
	}
}

// key orders flows by tuple and zone.
func key(f *host.Flow) string {
	o := f.Original
	return o.Src.String() + " " + o.Dst.String() + string([]byte{
		o.Proto, byte(o.SrcPort >> 8), byte(o.SrcPort), byte(o.DstPort >> 8), byte(o.DstPort), byte(f.Zone >> 8), byte(f.Zone),
	})
}

// tcp is an established flow from a port of 10.0.0.10, masqueraded to another.
func tcp(n int) host.Flow {
	client := netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)})
	port := uint16(1024 + n>>16)
	server, out := netip.MustParseAddr("10.8.2.12"), netip.AddrFrom4([4]byte{192, 168, byte(n >> 8), byte(n)})
	return host.Flow{
		Family: rules.FamilyIPv4, Status: host.StatusSeenReply | host.StatusAssured | host.StatusConfirmed | natted,
		Has: host.HasTCPState | host.HasTimeout | host.HasMark, TCPState: 3, Timeout: 600,
		Original: rules.Tuple{Proto: 6, Src: client, Dst: server, SrcPort: port, DstPort: 80},
		Reply:    rules.Tuple{Proto: 6, Src: server, Dst: out, SrcPort: 80, DstPort: port},
	}
}

const natted = host.StatusSrcNAT | host.StatusSrcNATDone | host.StatusDstNATDone
