package report

import (
	"cmp"
	"io"
	"slices"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/explain"
	"github.com/ntdiag/ntdiag/diagnose/history"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/journal"
	"github.com/ntdiag/ntdiag/diagnose/query"
	"github.com/ntdiag/ntdiag/diagnose/remove"
	"github.com/ntdiag/ntdiag/diagnose/simulate"
	"github.com/ntdiag/ntdiag/diagnose/stale"
	"github.com/ntdiag/ntdiag/rules"
)

// StaleFlow is one stale flow.
type StaleFlow struct {
	// Flow is nil where the flow stands beside it.
	Flow       *Flow            `json:"flow,omitempty"`
	Class      stale.Class      `json:"class"`
	Confidence stale.Confidence `json:"confidence"`
	Was        StaleWas         `json:"was"`
	Now        StaleNow         `json:"now"`
	Why        string           `json:"why"`
	Risk       []stale.Risk     `json:"risk"`
	Action     journal.Action   `json:"action"`
	// ActionWhy is why it was not deleted, and Back what stands there again: as
	// in what became of a flow that was to be deleted.
	ActionWhy string      `json:"action_why,omitempty"`
	Back      remove.Back `json:"back,omitempty"`
	// Alternatives are what else it can become, where chance chooses.
	Alternatives []StaleNow `json:"alternatives,omitempty"`
	// In and Out are the devices of a new packet.
	In      string   `json:"in,omitempty"`
	Out     string   `json:"out,omitempty"`
	Assumed []string `json:"assumed"`
	Unknown []string `json:"unknown"`
}

// StaleWas are the rewrites of an entry, null for an end without one.
type StaleWas struct {
	DNAT *StaleTo `json:"dnat"`
	SNAT *StaleTo `json:"snat"`
}

// StaleTo is what an end was rewritten to.
type StaleTo struct {
	To Endpoint `json:"to"`
}

// StaleNow are the rewrites that a new packet would get, null for none.
type StaleNow struct {
	DNAT *Rewritten `json:"dnat"`
	SNAT *Rewritten `json:"snat"`
}

// NewStaleFlow describes a stale verdict, without its flow; r is what became of
// it, nil where nothing was done.
func NewStaleFlow(v *stale.Verdict, r *remove.Result) StaleFlow {
	out := StaleFlow{
		Class: v.Class, Confidence: v.Confidence, Why: v.Why, Action: journal.None, In: v.In, Out: v.Out,
		Now:     newStaleNow(v.Now),
		Risk:    append([]stale.Risk{}, v.Risks...),
		Assumed: append([]string{}, v.Assumed...), Unknown: append([]string{}, v.Unknown...),
	}
	if r != nil {
		x := newRemoved(r)
		out.Action, out.ActionWhy, out.Back = x.Action, x.Why, x.Back
	}
	for m, to := range map[rules.Manip]**StaleTo{rules.ManipDst: &out.Was.DNAT, rules.ManipSrc: &out.Was.SNAT} {
		if w := v.Was[m]; w != nil {
			*to = &StaleTo{newEndpoint(&v.Flow, w.To)}
		}
	}
	for _, n := range v.Others {
		out.Alternatives = append(out.Alternatives, newStaleNow(n))
	}
	return out
}

func newStaleNow(n [2]*simulate.NAT) StaleNow {
	return StaleNow{DNAT: newRewritten(n[rules.ManipDst]), SNAT: newRewritten(n[rules.ManipSrc])}
}

// Stale is the document of `stale`, but for the flows, which are written one
// by one.
type Stale struct {
	Header
	Checked   int `json:"checked"`
	Fresh     int `json:"fresh"`
	Undecided int `json:"undecided"`
	Certain   int `json:"certain"`
	Likely    int `json:"likely"`
	// NotChosen are stale flows that --class, --to, --rule or --leave left out.
	NotChosen int `json:"not_chosen,omitempty"`
	// Undated are flows of which it is not known whether they are old enough;
	// they were not checked.
	Undated      int           `json:"undated,omitempty"`
	UndecidedWhy []StaleReason `json:"undecided_why"`
	Groups       []StaleGroup  `json:"groups"`
	// Ungrouped are stale flows in groups beyond those listed.
	Ungrouped int    `json:"ungrouped,omitempty"`
	Journal   string `json:"journal,omitempty"`
	DryRun    bool   `json:"dry_run,omitempty"`

	// Command is the command line that found them, without output flags.
	Command string `json:"-"`
	// OlderThan is what was asked for, 0 for nothing.
	OlderThan time.Duration `json:"-"`
	// Unrecorded is why the causes are not known; "" where they are sought.
	Unrecorded string `json:"unrecorded,omitempty"`
}

// StaleReason is why flows could not be decided; Why is "" for further reasons.
type StaleReason struct {
	Why   string `json:"why"`
	Flows int    `json:"flows"`
}

// StaleGroup is the stale flows for which the same changed.
type StaleGroup struct {
	Class      stale.Class      `json:"class"`
	Confidence stale.Confidence `json:"confidence"`
	Proto      string           `json:"proto"`
	Protonum   uint8            `json:"protonum"`
	End        string           `json:"end"` // dnat or snat: which end differs
	// To is what the end still is, null for a source that is not rewritten.
	To    *Endpoint `json:"to"`
	Flows int       `json:"flows"`
	// Rule would rewrite the end now, null for none; Map is that which it takes
	// the target from.
	Rule *Rule     `json:"rule"`
	Map  *StaleMap `json:"map,omitempty"`
	// Now is what new packets of the flows get, and Kept that some get nothing;
	// with Chance each gets one of these by chance.
	Now     []Rewritten `json:"now"`
	Kept    bool        `json:"kept,omitempty"`
	Chance  bool        `json:"chance,omitempty"`
	NowMore bool        `json:"now_more,omitempty"`
	// MadeBy are rules that can have made them, where those are still there.
	MadeBy []Rule      `json:"made_by,omitempty"`
	Zones  []uint16    `json:"zones"`
	Outs   []string    `json:"out,omitempty"`
	Dated  int         `json:"dated"` // flows with a start time
	Oldest *time.Time  `json:"oldest,omitempty"`
	Newest *time.Time  `json:"newest,omitempty"`
	Risk   []StaleRisk `json:"risk"`
	// Assumed and Unknown are those of any of the flows.
	Assumed []string `json:"assumed"`
	Unknown []string `json:"unknown"`
	// Cause is what was recorded of the change; null without records.
	Cause *StaleCause `json:"cause"`

	group *stale.Group
}

// StaleMap is a map of nf_tables. Lacks: To is not among what it gives.
type StaleMap struct {
	Family string `json:"family"`
	Table  string `json:"table"`
	Name   string `json:"name"`
	Lacks  bool   `json:"lacks"`
}

// StaleRisk is a trap of deleting, and of how many of the flows.
type StaleRisk struct {
	Risk  stale.Risk `json:"risk"`
	Flows int        `json:"flows"`
}

// risk is to how many of the flows r applies.
func (d *Stale) risk(r stale.Risk) int {
	n := 0
	for i := range d.Groups {
		n += d.Groups[i].group.Risks[r]
	}
	return n
}

// maxAttributed bounds the groups for which the rule behind them, and the cause,
// are sought.
const maxAttributed = 500

// NewStale describes what a tally holds; h is what was recorded of the
// namespace, nil for nothing.
func NewStale(t *stale.Tally, s *host.Snapshot, missing []host.Missing, h *history.History) *Stale {
	d := &Stale{
		Header: NewHeader("stale", s, missing), Checked: t.Checked, Fresh: t.Fresh, Undecided: t.Undecided,
		Certain: t.Certain, Likely: t.Likely, Ungrouped: t.Ungrouped, UndecidedWhy: []StaleReason{}, Groups: []StaleGroup{},
	}
	for why, n := range t.Reasons {
		d.UndecidedWhy = append(d.UndecidedWhy, StaleReason{why, n})
	}
	slices.SortFunc(d.UndecidedWhy, func(a, b StaleReason) int {
		return cmp.Or(-cmp.Compare(a.Flows, b.Flows), cmp.Compare(a.Why, b.Why))
	})
	e := explain.New(s)
	for i, g := range t.Groups() {
		x := newStaleGroup(g)
		if i < maxAttributed {
			x.MadeBy = madeBy(e, g)
			x.Cause = causeOf(h, g, s.CapturedAt)
		}
		d.Groups = append(d.Groups, x)
	}
	return d
}

func newStaleGroup(g *stale.Group) StaleGroup {
	f := &g.Examples[0].Flow
	out := StaleGroup{
		Class: g.Class, Confidence: g.Confidence, Proto: query.ProtoName(g.Proto), Protonum: g.Proto,
		End: g.Manip.String(), Flows: g.Flows, Now: []Rewritten{}, Kept: g.Kept, Chance: g.Chance, NowMore: g.NowMore, Zones: g.Zones, Outs: g.Outs,
		Dated: len(g.Starts), Risk: []StaleRisk{},
		Assumed: append([]string{}, g.Assumed...), Unknown: append([]string{}, g.Unknown...), group: g,
	}
	if g.To.Addr.IsValid() {
		to := newEndpoint(f, g.To)
		if g.To.Port == 0 {
			to.Port = nil
		}
		out.To = &to
	}
	if g.Rule != nil {
		r := NewRule(g.Rule)
		out.Rule = &r
	}
	if m := g.Map; m != nil {
		out.Map = &StaleMap{Family: m.Table.Family.String(), Table: m.Table.Name, Name: m.Name, Lacks: g.MapLacks()}
	}
	for _, n := range g.Now {
		out.Now = append(out.Now, *newRewritten(n))
	}
	if len(g.Starts) > 0 {
		oldest, newest := time.Unix(0, g.Oldest()).UTC(), time.Unix(0, g.Newest()).UTC()
		out.Oldest, out.Newest = &oldest, &newest
	}
	for _, r := range stale.Risks() {
		if n := g.Risks[r]; n > 0 {
			out.Risk = append(out.Risk, StaleRisk{r, n})
		}
	}
	return out
}

// madeBy are the present rules that can have made the first of the flows what
// it is.
func madeBy(e *explain.Explainer, g *stale.Group) []Rule {
	var out []Rule
	for _, rw := range e.Explain(&g.Examples[0].Flow, explain.Options{}).Rewrites {
		if rw.Manip != g.Manip {
			continue
		}
		for _, r := range rw.Rules {
			if r != g.Rule {
				out = append(out, NewRule(r))
			}
		}
	}
	return out
}

// StaleWriter writes stale flows one by one, and what there is to say of all.
type StaleWriter interface {
	// Add takes one, which is reused after the call, and what became of it, nil
	// where nothing was done.
	Add(*stale.Verdict, *remove.Result) error
	Close(*Stale) error
}

// staleTable is for people: all that it shows is in the document.
type staleTable struct {
	w     io.Writer
	style Style
}

func newStaleTable(w io.Writer, s Style) StaleWriter { return &staleTable{w, s} }

func (t *staleTable) Add(*stale.Verdict, *remove.Result) error { return nil }

func (t *staleTable) Close(d *Stale) error { return staleText(t.w, d, t.style) }

// staleJSONL is one flow a line.
type staleJSONL struct{ w io.Writer }

func newStaleJSONL(w io.Writer, _ Style) StaleWriter { return &staleJSONL{w} }

func (j *staleJSONL) Add(v *stale.Verdict, r *remove.Result) error {
	x := NewStaleFlow(v, r)
	x.Flow = &Flow{v.Flow}
	return encode(j.w, &x, "")
}

func (j *staleJSONL) Close(*Stale) error { return nil }

// staleJSON is one document; what there is to say of all is known when the
// last flow is, so that it stands at the end.
type staleJSON struct {
	staleJSONL
	n int
}

func newStaleJSON(w io.Writer, _ Style) StaleWriter { return &staleJSON{staleJSONL: staleJSONL{w}} }

func (j *staleJSON) Add(v *stale.Verdict, r *remove.Result) error {
	lead := ","
	if j.n == 0 {
		lead = "{\"stale\":[\n"
	}
	j.n++
	if _, err := io.WriteString(j.w, lead); err != nil {
		return err
	}
	return j.staleJSONL.Add(v, r)
}

func (j *staleJSON) Close(d *Stale) error {
	lead := "],\n"
	if j.n == 0 {
		lead = "{\"stale\":[],\n"
	}
	return writeTail(j.w, lead, d)
}

// targetText is a target without a port that the rule leaves as it is.
func targetText(n *simulate.NAT, icmp bool) string {
	var withPort bool
	switch n.To.Port {
	case simulate.PortFixed, simulate.PortRange, simulate.PortRandom, simulate.PortOffset:
		withPort = !icmp
	}
	text := n.To.Text(withPort)
	if n.Kind != n.Manip.String() {
		text += " (" + n.Kind + ")"
	}
	return text
}
