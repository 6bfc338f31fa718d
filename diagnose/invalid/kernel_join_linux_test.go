package invalid_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/explain"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/invalid"
	"github.com/ntdiag/ntdiag/diagnose/lab"
)

// traced chooses the packets that the kernel traces: all but sentinels.
const traced = `table inet traced {
	chain pre { type filter hook prerouting priority raw - 10; meta l4proto != 253 meta nftrace set 1; }
}
`

// decoys are flows that a packet of a case must not be taken for.
var decoys = []sent{
	client(lab.TCP{SPort: 4002, DPort: 80, Flags: syn}).as("10.0.1.77"),
	client(lab.TCP{SPort: 4001, DPort: 80, Flags: syn}),
	client(lab.UDP{SPort: 4000, DPort: 80}).as("10.0.1.78"),
}

// TestKernelJoin holds what is found for a logged packet against what the kernel
// used: the entry by its id, the NAT rules by their handles, both from the trace
// of the flow's first packet, and what became of the packet by what was seen on
// the other side.
func TestKernelJoin(t *testing.T) {
	b := newBed(t)
	trace, err := b.router.Trace()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range kernelCases {
		if len(c.log) == 0 || c.log[0].reason == "helper-parse" {
			continue
		}
		t.Run(c.name, func(t *testing.T) { c.join(t, b, trace) })
	}
}

func (c *kernelCase) join(t *testing.T, b *bed, trace *lab.Trace) {
	b.reset(t, traced+string(c.nat)+"\n"+c.rules, c.sysctls...)
	seen := traceOf(t, trace) // of cases before
	for _, d := range decoys {
		if err := b.put(d.from, d.wire(ends4, c.nat)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.passed(atClient, ends4, nil); err != nil {
		t.Fatal(err)
	}
	others := traceOf(t, trace)
	p := c.sendBefore(t, b)
	id, handles := used(traceOf(t, trace)[len(others):])
	if len(c.before) == 0 {
		_, handles = used(others[len(seen):]) // what a flow like it met
	}
	sent := b.observe(t, c.send.from, c.ends(), func() error { return b.put(c.send.from, p) })
	snapshot, err := b.live.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	m := sent.lines[0].message()
	if m.In = []byte{'c', '0'}; c.send.from == atServer {
		m.In = []byte{'s', '0'}
	} else if c.send.from == atRouter {
		m.In, m.Out = nil, []byte{'s', '0'}
	}
	m.At = time.Now()
	tally := invalid.NewTally()
	tally.Add(&m, 1)
	flow := tally.Groups()[0].Flows()[0]
	found, _, err := invalid.Find(context.Background(), b.live, []*invalid.Flow{flow})
	if err != nil {
		t.Fatal(err)
	}

	entry := found[flow].One()
	switch {
	case len(c.before) == 0 || c.fresh():
		if entry != nil {
			t.Errorf("belongs to %s, has no entry", flowText(&entry.Flow))
		}
	case entry == nil:
		t.Fatalf("entry not found, the kernel used id %d: %+v", id, found[flow])
	default:
		if entry.Flow.ID != id {
			t.Errorf("entry %d (%s), the kernel used %d", entry.Flow.ID, flowText(&entry.Flow), id)
		}
		if reply := c.send.from == atServer; !entry.Quoted && entry.Fit != (invalid.Fit{Reply: reply}) {
			t.Errorf("fits as %s, was sent by the %s", entry.As(), c.send.from)
		}
		entry.Made = explain.New(snapshot).Explain(&entry.Flow, explain.Options{})
		sameRules(t, entry.Made, handles)
	}
	if m.Accepted(release) {
		return
	}
	d := invalid.Diagnose(&invalid.Case{Groups: tally.Groups(), Kernel: release, Host: snapshot, Found: found})
	got, want := d.Of[flow], invalid.FateForwarded
	switch {
	case len(sent.left) == 0:
		want = invalid.FateDropped
	case c.nat != noNAT && c.send.from != atRouter:
		want = invalid.FateLeaks
	}
	if got.Fate != want {
		t.Errorf("fate %s (%s, may be %v), was %s: left as %q", got.Fate, got.Why, got.May, want, shownAll(sent.left))
	}
	if want == invalid.FateLeaks && (got.Rule == nil || !slices.Contains(handles, got.Rule.Handle)) {
		t.Errorf("misses the NAT of %+v, the kernel used handles %d", got.Rule, handles)
	}
}

// traceOf is all that was traced so far.
func traceOf(t *testing.T, trace *lab.Trace) []lab.TraceEvent {
	t.Helper()
	events, err := trace.Events()
	if err != nil {
		t.Fatal(err)
	}
	return events
}

// fresh tells whether what was sent before made no entry: fragments.
func (c *kernelCase) fresh() bool {
	return slices.ContainsFunc(c.before, func(s sent) bool { return s.More })
}

// used is the entry and the NAT rules of the first packet that was traced.
func used(events []lab.TraceEvent) (id uint32, handles []uint64) {
	for _, e := range events {
		if e.Packet != events[0].Packet {
			continue
		}
		if e.HasCt {
			id = e.CtID
		}
		if e.Table == "nat" && e.Handle != 0 {
			handles = append(handles, e.Handle)
		}
	}
	return id, handles
}

func sameRules(t *testing.T, x *explain.Explanation, handles []uint64) {
	t.Helper()
	var got []uint64
	for _, r := range x.Rewrites {
		for _, rule := range r.Rules {
			got = append(got, rule.Handle)
		}
		if r.Cause != explain.CauseRule {
			t.Errorf("rewrite by %s, %s", r.Cause, r.Grade)
		}
	}
	if !slices.Equal(got, handles) {
		t.Errorf("rules with handles %d, the kernel used %d", got, handles)
	}
}

func flowText(f *host.Flow) string {
	return f.Original.Src.String() + " > " + f.Original.Dst.String()
}
