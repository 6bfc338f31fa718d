package report

import (
	"io"

	"github.com/ntdiag/ntdiag/diagnose/compare"
	"github.com/ntdiag/ntdiag/diagnose/counters"
	"github.com/ntdiag/ntdiag/diagnose/history"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/stale"
	"github.com/ntdiag/ntdiag/rules"
)

// Diff is the document of `bundle diff`. The header is that of the later state.
type Diff struct {
	Header
	Before DiffState `json:"before"`
	After  DiffState `json:"after"`
	// Same tells whether both are one namespace of one boot, null where that is
	// not known.
	Same *bool `json:"same_namespace"`

	Rules     *history.RulesDiff     `json:"rules"`
	Addresses []history.AddrChange   `json:"addresses"`
	Links     []history.LinkChange   `json:"links"`
	Routes    []history.RouteChange  `json:"routes"`
	Policies  []history.PolicyChange `json:"policies"`
	Settings  []DiffSetting          `json:"settings"`
	Counters  []DiffCounter          `json:"counters"`
	Uncounted string                 `json:"uncounted,omitempty"` // why counters are not compared
	Entries   DiffEntries            `json:"entries"`
	// Flows are those of the state before, by what rules, addresses and routes
	// are after; New those that are only after, by what was before.
	Flows DiffFlows `json:"flows"`
	New   DiffFlows `json:"new_flows"`
}

// DiffState is one of the two.
type DiffState struct {
	Host
	Generation uint32 `json:"generation"` // of nf_tables
	Rules      int    `json:"rules"`
}

// DiffSetting is a sysctl that is another one; null is one that was not there
// or not read.
type DiffSetting struct {
	Key string  `json:"key"`
	Was *string `json:"was"`
	Now *string `json:"now"`
}

// DiffCounter is a counter that moved.
type DiffCounter struct {
	Counter string `json:"counter"`
	Delta   uint64 `json:"delta"`
	Total   uint64 `json:"total"`
	Meaning string `json:"meaning"`
}

// DiffEntries is what became of the conntrack table. Other are entries with the
// original tuple of one before, and another reply tuple.
type DiffEntries struct {
	Before int        `json:"before"`
	After  int        `json:"after"`
	Kept   int        `json:"kept"`
	Gone   int        `json:"gone"`
	New    int        `json:"new"`
	Other  int        `json:"other"`
	Pairs  []DiffPair `json:"pairs"`
}

// DiffPair is one of Other.
type DiffPair struct {
	Was Flow `json:"was"`
	Now Flow `json:"now"`
}

// DiffFlows is what one state makes of the flows of the other, as `stale` tells
// it. Already were not what the rules of their own state say either.
type DiffFlows struct {
	Checked      int           `json:"checked"`
	Same         int           `json:"same"`
	Certain      int           `json:"certain"`
	Likely       int           `json:"likely"`
	Already      int           `json:"already"`
	Undecided    int           `json:"undecided"`
	UndecidedWhy []StaleReason `json:"undecided_why"`
	Groups       []StaleGroup  `json:"groups"`
	Ungrouped    int           `json:"ungrouped,omitempty"`
}

// NewDiff describes r.
func NewDiff(r *compare.Result) *Diff {
	var missing []host.Missing
	for _, m := range r.Before.Missing {
		missing = append(missing, host.Missing{What: m.What + " (before)", Why: m.Why})
	}
	d := &Diff{
		Header: NewHeader("bundle-diff", r.After, append(missing, r.Missing...)),
		Before: newDiffState(r.Before), After: newDiffState(r.After),
		Rules: r.Rules, Addresses: notNil(r.Host.Addrs), Links: notNil(r.Host.Links), Routes: notNil(r.Host.Routes), Policies: notNil(r.Host.Policies),
		Settings: []DiffSetting{}, Counters: []DiffCounter{}, Uncounted: r.Uncounted,
		Entries: DiffEntries{Before: r.Entries.Before, After: r.Entries.After, Kept: r.Entries.Kept, Gone: r.Entries.Gone, New: r.Entries.New, Other: r.Entries.Other, Pairs: []DiffPair{}},
		Flows:   newDiffFlows(&r.Flows, r.After), New: newDiffFlows(&r.Fresh, r.Before),
	}
	if r.Same != rules.Unknown {
		same := r.Same == rules.Yes
		d.Same = &same
	}
	for _, s := range r.Settings {
		d.Settings = append(d.Settings, DiffSetting{s.Key, factValue(s.Was), factValue(s.Now)})
	}
	release, _ := host.ParseRelease(r.After.Kernel)
	for _, m := range r.Counters {
		c := &counters.Table[m.Counter]
		d.Counters = append(d.Counters, DiffCounter{c.Name, m.By, m.Now, c.MeaningOn(release)})
	}
	for i := range r.Entries.Pairs {
		p := &r.Entries.Pairs[i]
		d.Entries.Pairs = append(d.Entries.Pairs, DiffPair{Flow{Flow: p.Was}, Flow{Flow: p.Now}})
	}
	return d
}

func newDiffState(s *host.Snapshot) DiffState {
	out := DiffState{Host: Host{Hostname: s.Hostname, Kernel: s.Kernel, Netns: s.Netns, CapturedAt: s.CapturedAt}, Generation: s.Rules.Generation}
	for _, t := range s.Rules.Tables {
		for _, c := range t.Chains {
			out.Rules += len(c.Rules)
		}
	}
	return out
}

func newDiffFlows(j *compare.Judged, s *host.Snapshot) DiffFlows {
	d := NewStale(j.Tally, s, nil, nil)
	return DiffFlows{
		Checked: d.Checked + j.Already, Same: d.Fresh, Certain: d.Certain, Likely: d.Likely, Already: j.Already,
		Undecided: d.Undecided, UndecidedWhy: d.UndecidedWhy, Groups: d.Groups, Ungrouped: d.Ungrouped,
	}
}

func notNil[T any](list []T) []T { return append([]T{}, list...) }

func factValue(f host.Fact[string]) *string {
	if !f.OK {
		return nil
	}
	return &f.Value
}

// Differs tells whether anything of NAT differs: counters and entries that come
// and go do not count.
func (d *Diff) Differs() bool {
	return !d.Rules.Empty() || len(d.Addresses)+len(d.Links)+len(d.Routes)+len(d.Policies)+len(d.Settings)+d.Entries.Other > 0 ||
		d.Flows.differ()+d.New.differ() > 0
}

func (f *DiffFlows) differ() int { return f.Certain + f.Likely }

// certain is whether each that differs does so for certain.
func (f *DiffFlows) confidence() stale.Confidence {
	if f.Likely == 0 {
		return stale.Certain
	}
	return stale.Likely
}

func diffJSON(w io.Writer, d *Diff, _ Style) error { return encode(w, d, "  ") }

// diffJSONL is one difference a line, with what it is of.
func diffJSONL(w io.Writer, d *Diff, _ Style) error {
	var lines []any
	add := func(what string, v any) {
		lines = append(lines, struct {
			What string `json:"what"`
			Is   any    `json:"is"`
		}{what, v})
	}
	for i := range d.Rules.Rules {
		add("rule", &d.Rules.Rules[i])
	}
	for i := range d.Rules.Objects {
		add("object", &d.Rules.Objects[i])
	}
	for i := range d.Rules.Sets {
		add("set", &d.Rules.Sets[i])
	}
	for i := range d.Addresses {
		add("address", &d.Addresses[i])
	}
	for i := range d.Links {
		add("link", &d.Links[i])
	}
	for i := range d.Routes {
		add("route", &d.Routes[i])
	}
	for i := range d.Policies {
		add("policy", &d.Policies[i])
	}
	for i := range d.Settings {
		add("setting", &d.Settings[i])
	}
	for i := range d.Counters {
		add("counter", &d.Counters[i])
	}
	for i := range d.Entries.Pairs {
		add("entry", &d.Entries.Pairs[i])
	}
	for i := range d.Flows.Groups {
		add("flows", &d.Flows.Groups[i])
	}
	for i := range d.New.Groups {
		add("new_flows", &d.New.Groups[i])
	}
	for _, l := range lines {
		if err := encode(w, l, ""); err != nil {
			return err
		}
	}
	return nil
}

// natRules are the changes of rules that make NAT, or did.
func natRules(d *history.RulesDiff) int {
	n := 0
	for i := range d.Rules {
		if r := &d.Rules[i]; r.NAT != nil || r.Was != nil && r.Was.NAT != nil {
			n++
		}
	}
	return n
}
