package watch

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/explain"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// machine has one rule, of the handle, that sends port 80 to the server.
func machine(handle uint64, server string, backend rules.Backend) *host.Snapshot {
	a := netip.MustParseAddr
	t := &rules.Table{Backend: backend, Family: rules.FamilyIPv4, Name: "nat", Handle: 1}
	pre := &rules.Chain{Table: t, Name: "pre", Handle: 1, Base: &rules.BaseChain{Type: rules.ChainNAT, Hook: rules.Prerouting, Priority: -100, Policy: rules.VerdictAccept}}
	t.Chains = []*rules.Chain{pre}
	to := a(server).As4()
	pre.Rules = []*rules.Rule{{Chain: pre, Handle: handle, Position: 1, Statements: []rules.Statement{
		&rules.Match{Left: &rules.Payload{Base: rules.PayloadTransport, Off: 2, Len: 2}, Op: rules.CmpEq, Right: []byte{0, 80}},
		// a counter that was read before the flow began says nothing of it
		&rules.Counter{},
		&rules.NAT{Kind: rules.DNAT, Family: rules.FamilyIPv4, AddrMin: &rules.Const{Data: to[:]}},
	}}}
	s := &host.Snapshot{Order: binary.LittleEndian, Rules: &rules.Ruleset{Order: binary.LittleEndian, Tables: []*rules.Table{t}}}
	for i, l := range []struct{ name, addr string }{{"c0", "10.0.0.1/24"}, {"s0", "192.168.1.1/24"}} {
		p, index := netip.MustParsePrefix(l.addr), uint32(i+2)
		s.Links = append(s.Links, rules.Link{Index: index, Name: l.name})
		s.Addrs = append(s.Addrs, host.Addr{Index: index, Prefix: p})
		s.Routes = append(s.Routes,
			host.RouteEntry{Family: rules.FamilyIPv4, Table: 254, Dst: p.Masked(), Type: rules.AddrUnicast, Oif: index},
			host.RouteEntry{Family: rules.FamilyIPv4, Table: 255, Dst: netip.PrefixFrom(p.Addr(), 32), Type: rules.AddrLocal, Oif: index})
	}
	for i, table := range []uint32{255, 254} {
		s.RuleTable = append(s.RuleTable, host.PolicyRule{Family: rules.FamilyIPv4, Priority: uint32(i), Table: table, Action: 1, SuppressPrefix: -1})
	}
	s.Prepare()
	return s
}

// flow i is sent to the server.
func flow(i int, server string) host.Flow {
	a := netip.MustParseAddr
	return host.Flow{
		Family: rules.FamilyIPv4, ID: uint32(i), Status: host.StatusConfirmed | host.StatusDstNAT | host.StatusSrcNATDone | host.StatusDstNATDone,
		Original: rules.Tuple{Proto: 6, Src: a("10.0.0.10"), Dst: a("10.0.0.1"), SrcPort: uint16(i), DstPort: 80},
		Reply:    rules.Tuple{Proto: 6, Src: a(server), Dst: a("10.0.0.10"), SrcPort: 80, DstPort: uint16(i)},
	}
}

func gen(n uint32) capture.Revision { return capture.Revision{Generation: n} }

// described is a rule as the tests name it.
type described struct{ Handle uint64 }

func describe(r *rules.Rule) described { return described{r.Handle} }

// answer is a rewrite in short.
type answer struct {
	Rules   []uint64
	Cause   explain.Cause
	Grade   explain.Grade
	Unknown []string
}

func short(rewrites []Rewrite[described]) (out []answer) {
	for _, r := range rewrites {
		a := answer{Cause: r.Cause, Grade: r.Grade, Unknown: r.Unknown}
		for _, rule := range r.Rules {
			a.Rules = append(a.Rules, rule.Handle)
		}
		out = append(out, a)
	}
	return out
}

// world is a machine whose rules change: at generation g it has rule 100+g.
type world struct {
	now      uint32
	server   func(gen uint32) string
	backend  rules.Backend
	readings int
	fails    error
}

func (w *world) read(context.Context) (*host.Snapshot, capture.Revision, bool, error) {
	w.readings++
	return machine(uint64(100+w.now), w.server(w.now), w.backend), gen(w.now), true, w.fails
}

func same(uint32) string { return "192.168.1.80" }

func TestAttribute(t *testing.T) {
	exact := func(handle uint64) []answer {
		return []answer{{Rules: []uint64{handle}, Cause: explain.CauseRule, Grade: explain.GradeExact}}
	}
	other := func(g uint32) string { return netip.AddrFrom4([4]byte{192, 168, 1, byte(80 + g)}).String() }
	tests := []struct {
		name         string
		server       func(uint32) string
		to           string
		now          uint32 // when the event is looked at
		since, until uint32
		found        bool
		want         []answer
		readings     int
	}{
		{name: "no change", server: same, to: "192.168.1.80", now: 1, since: 1, until: 1, want: exact(101), readings: 1},
		{name: "it came after the change", server: same, to: "192.168.1.80", now: 2, since: 2, until: 2, want: exact(102), readings: 2},
		{name: "it came while they changed", server: same, to: "192.168.1.80", now: 2, since: 1, until: 2, readings: 2,
			want: []answer{{Rules: []uint64{102, 101}, Cause: explain.CauseRule, Grade: explain.GradeAmbiguous, Unknown: []string{changedThen}}}},
		{name: "only the old rule makes it", server: other, to: "192.168.1.81", now: 2, since: 1, until: 2, want: exact(101), readings: 2},
		{name: "only the new rule makes it", server: other, to: "192.168.1.82", now: 2, since: 1, until: 2, want: exact(102), readings: 2},
		{name: "no rule makes it", server: other, to: "192.168.1.90", now: 2, since: 1, until: 2, readings: 2,
			want: []answer{{Cause: explain.CauseRuleGone, Grade: explain.GradeNone}}},
		{name: "one between was never read", server: same, to: "192.168.1.80", now: 3, since: 1, until: 3, readings: 2,
			want: []answer{{Rules: []uint64{103, 101}, Cause: explain.CauseRule, Grade: explain.GradeAmbiguous, Unknown: []string{changedThen, notReadYet}}}},
		{name: "its rules are past", server: other, to: "192.168.1.82", now: 3, since: 2, until: 2, readings: 2,
			want: []answer{{Cause: explain.CauseUnknown, Grade: explain.GradeNone, Unknown: []string{notReadYet}}}},
		{name: "found in the table", server: other, to: "192.168.1.82", now: 2, since: 2, until: 2, found: true, readings: 2,
			want: []answer{{Rules: []uint64{102}, Cause: explain.CauseRule, Grade: explain.GradeInferred}}},
	}
	ctx := context.Background()
	for _, tt := range tests {
		w := &world{now: 1, server: tt.server, backend: rules.BackendNft}
		a, err := New(ctx, w.read, describe)
		if err != nil {
			t.Fatal(err)
		}
		w.now = tt.now
		e := capture.Event{Kind: capture.EventNew, Found: tt.found, Flow: flow(5000, tt.to), Since: gen(tt.since), Until: gen(tt.until)}
		got, err := a.Attribute(ctx, &e)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(tt.want, short(got)); d != "" || w.readings != tt.readings {
			t.Errorf("%s: read %d times, want %d: %s", tt.name, w.readings, tt.readings, d)
		}
		// its end is told as its beginning, whatever the rules are then
		w.now = 9
		e.Kind, e.Until, e.Since = capture.EventDestroy, gen(9), gen(9)
		end, err := a.Attribute(ctx, &e)
		if d := cmp.Diff(short(got), short(end)); err != nil || d != "" || w.readings != tt.readings {
			t.Errorf("%s: at its end: %v %s", tt.name, err, d)
		}
		if len(a.answers) != 0 {
			t.Errorf("%s: remembered after its end", tt.name)
		}
	}
}

// Readings that take long are not made one after the other: what comes
// meanwhile is told without being sure.
func TestReadingsRest(t *testing.T) {
	ctx := context.Background()
	w := &world{now: 1, server: same, backend: rules.BackendNft}
	a, err := New(ctx, w.read, describe)
	if err != nil {
		t.Fatal(err)
	}
	w.now = 2
	a.held[0].took = 2 * patience / rest
	got, err := a.Attribute(ctx, &capture.Event{Kind: capture.EventNew, Flow: flow(1, "192.168.1.80"), Since: gen(2), Until: gen(2)})
	want := []answer{{Rules: []uint64{101}, Cause: explain.CauseRule, Grade: explain.GradeInferred, Unknown: []string{notReadYet}}}
	if d := cmp.Diff(want, short(got)); err != nil || d != "" || w.readings != 1 {
		t.Errorf("%v, read %d times: %s", err, w.readings, d)
	}
}

// iptables-legacy tells of no change: where no rule is found it is read again,
// and no answer is exact.
func TestLegacy(t *testing.T) {
	ctx := context.Background()
	w := &world{now: 1, server: func(g uint32) string { return netip.AddrFrom4([4]byte{192, 168, 1, byte(80 + g)}).String() }, backend: rules.BackendIptablesLegacy}
	a, err := New(ctx, w.read, describe)
	if err != nil {
		t.Fatal(err)
	}
	a.held[0].end = time.Now().Add(-time.Second)
	got, err := a.Attribute(ctx, &capture.Event{Kind: capture.EventNew, Flow: flow(1, "192.168.1.81"), Since: gen(1), Until: gen(1)})
	want := []answer{{Rules: []uint64{101}, Cause: explain.CauseRule, Grade: explain.GradeInferred, Unknown: []string{uncounted}}}
	if d := cmp.Diff(want, short(got)); err != nil || d != "" || w.readings != 1 {
		t.Errorf("%v, read %d times: %s", err, w.readings, d)
	}
	a.read = func(ctx context.Context) (*host.Snapshot, capture.Revision, bool, error) {
		w.readings++
		return machine(102, w.server(2), w.backend), gen(1), true, nil
	}
	got, err = a.Attribute(ctx, &capture.Event{Kind: capture.EventNew, Flow: flow(2, "192.168.1.82"), Since: gen(1), Until: gen(1)})
	want[0].Rules[0] = 102
	if d := cmp.Diff(want, short(got)); err != nil || d != "" || w.readings != 2 {
		t.Errorf("changed: %v, read %d times: %s", err, w.readings, d)
	}
}

func TestReadFails(t *testing.T) {
	ctx := context.Background()
	w := &world{now: 1, server: same, backend: rules.BackendNft}
	a, err := New(ctx, w.read, describe)
	if err != nil {
		t.Fatal(err)
	}
	w.fails, w.now = errors.New("gone"), 2
	if _, err := a.Attribute(ctx, &capture.Event{Kind: capture.EventNew, Flow: flow(1, "192.168.1.80"), Until: gen(2)}); !errors.Is(err, w.fails) {
		t.Errorf("%v", err)
	}
	plain := flow(1, "10.0.0.1")
	if got, err := a.Attribute(ctx, &capture.Event{Kind: capture.EventNew, Flow: plain, Until: gen(2)}); got != nil || err != nil {
		t.Errorf("a flow without NAT: %v, %v", got, err)
	}
}
