package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/history"
	"github.com/ntdiag/ntdiag/diagnose/host"
)

// HistoryChange is a record with its summary in one line.
type HistoryChange struct {
	*history.Change
	Summary string `json:"summary"`
}

// History is the document of `history`.
type History struct {
	Header
	Store string `json:"store"` // the file
	// Recording: somebody records now. Until is when the records end, for all
	// that is known.
	Recording bool      `json:"recording"`
	Until     time.Time `json:"until"`
	// Dropped is how many older records made room for newer ones; Others how
	// many are of another network namespace that had this one's number.
	Dropped uint64 `json:"dropped"`
	Others  int    `json:"others,omitempty"`
	// Changes fit what was asked for, oldest first; Older is how many more do
	// that come before them.
	Changes []HistoryChange `json:"changes"`
	Older   int             `json:"older"`
}

// HistoryFilter chooses records; the zero value takes all.
type HistoryFilter struct {
	Since time.Time
	Kinds []history.Kind
	Seq   uint64
	Limit int
}

func (f *HistoryFilter) fits(c *history.Change) bool {
	return !c.At.Before(f.Since) && (f.Seq == 0 || c.Seq == f.Seq) && (len(f.Kinds) == 0 || slices.Contains(f.Kinds, c.Kind))
}

// NewHistory makes the document of the records of one namespace.
func NewHistory(s *host.Snapshot, h *history.History, id host.NetnsID, f HistoryFilter) *History {
	d := &History{Store: h.Path, Recording: h.Recording, Until: h.End(), Dropped: h.Dropped, Changes: []HistoryChange{}}
	var missing []host.Missing
	if h.Damaged > 0 {
		missing = append(missing, host.Missing{What: counted(h.Damaged, "record", "records"), Why: "damaged"})
	}
	d.Header = NewHeader("history", s, missing)
	for _, c := range h.Changes {
		switch {
		case !c.Netns.Same(id):
			d.Others++
		case f.fits(c):
			d.Changes = append(d.Changes, HistoryChange{c, summary(c)})
		}
	}
	if f.Limit > 0 && len(d.Changes) > f.Limit {
		d.Older = len(d.Changes) - f.Limit
		d.Changes = d.Changes[d.Older:]
	}
	return d
}

func historyJSON(w io.Writer, d *History, _ Style) error { return encode(w, d, "  ") }

// historyJSONL is one record a line.
func historyJSONL(w io.Writer, d *History, _ Style) error {
	for i := range d.Changes {
		if err := encode(w, &d.Changes[i], ""); err != nil {
			return err
		}
	}
	return nil
}

// maxParts is how many places or things a summary names.
const maxParts = 3

// summary is what a record says, in one line.
func summary(c *history.Change) string {
	var head string
	var parts []string
	switch c.Kind {
	case history.KindRules:
		head, parts = rulesHead(c), rulesParts(c.Rules)
	case history.KindAddress:
		parts = texts(c.Addrs, (*history.AddrChange).String)
	case history.KindLink:
		parts = texts(c.Links, (*history.LinkChange).String)
	case history.KindRoute:
		parts = texts(c.Routes, (*history.RouteChange).String)
	case history.KindPolicy:
		parts = texts(c.Policies, (*history.PolicyChange).String)
	case history.KindStart:
		parts = startParts(c.Start)
	case history.KindStop:
		parts = []string{"recording ended"}
		if c.Note != "" {
			parts[0] += ": " + c.Note
		}
	case history.KindGap:
		if g := c.Gap; g != nil {
			parts = []string{fmt.Sprintf("from %s to %s: %s", g.From.Local().Format(time.TimeOnly), g.To.Local().Format(time.TimeOnly), g.Why)}
			if g.Lost > 0 {
				parts[0] += "; " + counted(g.Lost, "change", "changes") + " lost"
			}
		}
	}
	if n := len(parts); n > maxParts+1 {
		parts = append(parts[:maxParts:maxParts], fmt.Sprintf("and %d more", n-maxParts))
	}
	text := strings.Join(parts, "; ")
	if head != "" && text != "" {
		head += ": "
	}
	return head + text
}

func texts[T any](list []T, text func(*T) string) (out []string) {
	for i := range list {
		out = append(out, text(&list[i]))
	}
	return out
}

// rulesHead is "generation 41 by nft (pid 812)".
func rulesHead(c *history.Change) string {
	switch by := history.ByText(c.By); {
	case by != "":
		return fmt.Sprintf("generation %d by %s", c.Generation, by)
	case c.After.IsZero():
		return fmt.Sprintf("generation %d", c.Generation)
	}
	return "who is not known"
}

// tally counts what happened in one place, in the order of first mention.
type tally struct {
	places []string
	counts map[string]map[history.Op]int
}

func (t *tally) add(place string, op history.Op, n int) {
	if n == 0 {
		return
	}
	if t.counts == nil {
		t.counts = map[string]map[history.Op]int{}
	}
	if t.counts[place] == nil {
		t.counts[place] = map[history.Op]int{}
		t.places = append(t.places, place)
	}
	t.counts[place][op] += n
}

var historyOps = []history.Op{history.Replaced, history.Added, history.Removed, history.Moved}

func (t *tally) texts(count func(n int) string) (out []string) {
	for _, p := range t.places {
		var words []string
		for _, op := range historyOps {
			if n := t.counts[p][op]; n > 0 {
				words = append(words, count(n)+" "+string(op))
			}
		}
		out = append(out, p+": "+strings.Join(words, ", "))
	}
	return out
}

func placeText(p *history.Place) string {
	words := []string{p.Family, p.Table, p.Chain}
	if p.Backend.Iptables() {
		words = append([]string{string(p.Backend)}, words...)
	}
	if p.Set != "" {
		words = append(words[:len(words)-1], p.Set)
	}
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " ")
}

func rulesParts(d *history.RulesDiff) (out []string) {
	if d == nil {
		return nil
	}
	var rules, elements tally
	for i := range d.Rules {
		rules.add(placeText(&d.Rules[i].Place), d.Rules[i].Op, 1)
	}
	for i := range d.Sets {
		s := &d.Sets[i]
		place := s.What + " " + placeText(&s.Place)
		elements.add(place, history.Replaced, s.Replaced)
		elements.add(place, history.Added, s.Added)
		elements.add(place, history.Removed, s.Removed)
	}
	out = rules.texts(thousands)
	if d.Omitted > 0 {
		out = append(out, counted(d.Omitted, "more change of a rule", "more changes of rules"))
	}
	out = append(out, elements.texts(func(n int) string { return counted(n, "element", "elements") })...)
	for i := range d.Objects {
		o := &d.Objects[i]
		if o.What != "chain" && o.What != "set" && o.What != "map" || o.Op == history.Replaced || len(d.Rules)+len(d.Sets) == 0 {
			out = append(out, objectText(o)+" "+string(o.Op))
		}
	}
	reloaded := 0
	for _, r := range d.Reloaded {
		reloaded += r.Rules
	}
	if reloaded > 0 {
		out = append(out, counted(reloaded, "rule", "rules")+" loaded again, unchanged")
	}
	return out
}

func objectText(o *history.ObjectChange) string {
	place := placeText(&o.Place)
	if o.What != "table" && o.Chain == "" && o.Set == "" {
		place += " " + o.Name
	}
	return o.What + " " + place
}

func startParts(s *history.Start) []string {
	if s == nil {
		return []string{"recording began"}
	}
	out := []string{fmt.Sprintf("recording began: generation %d, %s (%d of NAT) in %s, %s, %s, %s", s.Generation,
		counted(s.Rules, "rule", "rules"), s.NATRules, counted(s.Tables, "table", "tables"), counted(s.Elements, "element", "elements"),
		counted(s.Addrs, "address", "addresses"), counted(s.Routes, "route", "routes"))}
	switch {
	case s.Last.IsZero():
	case s.SameRules:
		out = append(out, "nf_tables did not change since the last recording")
	default:
		out = append(out, "what changed since the last recording is not known")
	}
	return out
}
