package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/history"
	"github.com/ntdiag/ntdiag/diagnose/host"
)

// diffText is the answer, which two states they are, and what differs: rules
// and what they hang on, then flows, then counters.
func diffText(w io.Writer, d *Diff, s Style) error {
	t := &diffWriter{d: d, s: s}
	wrap(&t.b, s.width(), "", "  ", t.answer())
	t.states()
	t.rules()
	t.host()
	t.settings()
	t.flows()
	t.entries()
	t.counters()
	missingText(&t.b, d.Header, s)
	_, err := io.WriteString(w, t.b.String())
	return err
}

type diffWriter struct {
	d *Diff
	s Style
	b strings.Builder
	// left is what a section has that a page does not list.
	left []string
}

func (t *diffWriter) head(text string) { t.b.WriteString("\n" + t.s.paint(bold, text) + "\n") }

// answer says what differs for flows, and then what made it.
func (t *diffWriter) answer() string {
	d := t.d
	if !d.Differs() {
		return "Nothing of NAT differs: rules, sets, addresses, routes and settings are the same"
	}
	n := d.Flows.differ()
	text := "No flow is rewritten differently"
	if d.Flows.Undecided > 0 {
		text = "No flow is known to be rewritten differently (" + thousands(d.Flows.Undecided) + " could not be decided)"
	}
	if n > 0 {
		text = fmt.Sprintf("%s of %s %s", thousands(n), counted(d.Flows.Checked, "flow", "flows"), verb(n, "is ", "are ")) +
			t.s.paint(confidenceColor[d.Flows.confidence()], "rewritten differently") + " by what is now there"
		switch {
		case d.Flows.Likely == 0:
			text += verb(n, " (certain)", " (all certain)")
		case d.Flows.Certain == 0:
			text += " (likely)"
		default:
			text += " (" + thousands(d.Flows.Certain) + " certain, " + thousands(d.Flows.Likely) + " likely)"
		}
	}
	if parts := t.parts(); len(parts) > 0 {
		text += "; " + strings.Join(parts, ", ")
	}
	return text
}

// parts are what differs, counted.
func (t *diffWriter) parts() (out []string) {
	d := t.d
	add := func(n int, one, many string) {
		if n > 0 {
			out = append(out, counted(n, one, many))
		}
	}
	elements := 0
	for i := range d.Rules.Sets {
		elements += d.Rules.Sets[i].Added + d.Rules.Sets[i].Removed + d.Rules.Sets[i].Replaced
	}
	changed := len(d.Rules.Rules) + d.Rules.Omitted
	if nat := natRules(d.Rules); changed > 0 {
		out = append(out, fmt.Sprintf("%s (%s of NAT)", counted(changed, "rule differs", "rules differ"), thousands(nat)))
	}
	add(len(d.Rules.Objects), "table, chain or set", "tables, chains and sets")
	add(elements, "element", "elements")
	add(len(d.Addresses), "address", "addresses")
	add(len(d.Links), "device", "devices")
	add(len(d.Routes), "route", "routes")
	add(len(d.Policies), "policy rule", "policy rules")
	add(len(d.Settings), "setting", "settings")
	return out
}

func (t *diffWriter) states() {
	d := t.d
	later := d.After.CapturedAt.Sub(d.Before.CapturedAt)
	for _, x := range []struct {
		name string
		is   *DiffState
		more string
	}{{"before", &d.Before, ""}, {"after", &d.After, laterText(later)}} {
		text := x.is.CapturedAt.In(t.s.now().Location()).Format("2006-01-02 15:04:05") + x.more + ", " + counted(x.is.Rules, "rule", "rules")
		if x.is.Generation != 0 {
			text += fmt.Sprintf(", generation %d", x.is.Generation)
		}
		name := safe(x.is.Hostname)
		if x.is.Netns != "" {
			name += " " + safe(x.is.Netns)
		}
		wrap(&t.b, t.s.width(), fmt.Sprintf("  %-8s", x.name), "          ", name+", "+text)
	}
	if d.Same != nil && !*d.Same {
		wrap(&t.b, t.s.width(), "  "+t.s.paint(yellow, "note:")+" ", "        ", "they are not the same namespace of the same boot")
	}
}

func laterText(d time.Duration) string {
	switch {
	case d == 0:
		return ""
	case d < 0:
		return " (" + ageText(-d) + " earlier)"
	}
	return " (" + ageText(d) + " later)"
}

func (t *diffWriter) rules() {
	if t.d.Rules.Empty() && len(t.d.Rules.Reloaded) == 0 && len(t.d.Rules.Unread) == 0 {
		return
	}
	t.head("rules")
	d := &history.RulesDiff{
		Objects:  pageOf(t, t.d.Rules.Objects, "table, chain or set", "tables, chains and sets"),
		Rules:    pageOf(t, t.d.Rules.Rules, "rule", "rules"),
		Sets:     t.sets(t.d.Rules.Sets),
		Reloaded: pageOf(t, t.d.Rules.Reloaded, "chain loaded again", "chains loaded again"),
		Omitted:  t.d.Rules.Omitted,
	}
	rulesDetails(&t.b, d, t.s)
	t.more()
	for _, u := range t.d.Rules.Unread {
		wrap(&t.b, t.s.width(), "    "+t.s.paint(yellow, "not compared:")+" ", "      ", safe(u))
	}
}

// diffRows is how many differences of a kind a page lists.
const diffRows = 12

// pageOf is what a page lists of one kind; the rest is for more.
func pageOf[T any](t *diffWriter, list []T, one, many string) []T {
	rest := len(list) - diffRows
	if t.s.Rows == 0 || rest <= 0 {
		return list
	}
	t.left = append(t.left, counted(rest, "more "+one, "more "+many))
	return list[:diffRows]
}

// sets has the elements of a page, of all sets together.
func (t *diffWriter) sets(all []history.SetChange) (out []history.SetChange) {
	var elements, rest int
	for _, c := range all {
		room := len(c.Elements)
		if t.s.Rows > 0 {
			room = min(room, diffRows-elements)
		}
		cut := len(c.Elements) - room
		elements, rest = elements+room, rest+cut
		if cut > 0 { // what counts as not kept stays
			c.Added, c.Removed, c.Replaced = c.Added+c.Removed+c.Replaced-cut, 0, 0
			c.Elements = c.Elements[:room]
		}
		if room > 0 || cut == 0 {
			out = append(out, c)
		}
	}
	if rest > 0 {
		t.left = append(t.left, counted(rest, "more element", "more elements"))
	}
	return out
}

// more says what a page has left out, and how to see it.
func (t *diffWriter) more() {
	if len(t.left) > 0 {
		wrap(&t.b, t.s.width(), "    ", "      ", strings.Join(t.left, ", ")+": -v lists them")
		t.left = nil
	}
}

func (t *diffWriter) host() {
	d := t.d
	c := &history.Change{
		Addrs:    pageOf(t, d.Addresses, "address", "addresses"),
		Links:    pageOf(t, d.Links, "device", "devices"),
		Routes:   pageOf(t, d.Routes, "route", "routes"),
		Policies: pageOf(t, d.Policies, "policy rule", "policy rules"),
	}
	if len(c.Addrs)+len(c.Links)+len(c.Routes)+len(c.Policies) == 0 {
		return
	}
	t.head("addresses, devices, routes")
	historyDetails(&t.b, c, t.s, t.s.now())
	t.more()
}

func (t *diffWriter) settings() {
	if len(t.d.Settings) == 0 {
		return
	}
	t.head("settings")
	value := func(v *string) string {
		if v == nil {
			return "(not there)"
		}
		return *v
	}
	for _, x := range pageOf(t, t.d.Settings, "setting", "settings") {
		wrap(&t.b, t.s.width(), "      ", "        ", safe(x.Key)+": "+t.s.paint(red, safe(value(x.Was)))+" -> "+t.s.paint(green, safe(value(x.Now))))
	}
	t.more()
}

// flows are those of before by what is after, in the words of `stale`, and those
// of after that would have got something else before.
func (t *diffWriter) flows() {
	if f := &t.d.Flows; f.differ() > 0 {
		t.head("flows rewritten differently")
		w := &staleWriter{d: f.stale(), s: t.s, plan: true}
		w.groups()
		t.b.WriteString(strings.TrimPrefix(w.b.String(), "\n"))
	}
	t.judged(&t.d.Flows, "flows of before")
	if f := &t.d.New; f.differ() > 0 {
		t.head("new flows that would have been rewritten differently before")
		t.wouldHave(f)
	}
	t.judged(&t.d.New, "new flows")
}

// stale is f as the writer of stale groups takes it.
func (f *DiffFlows) stale() *Stale {
	return &Stale{Checked: f.Checked, Fresh: f.Same, Certain: f.Certain, Likely: f.Likely, Groups: f.Groups, Ungrouped: f.Ungrouped}
}

// wouldHave lists groups with what they would have got.
func (t *diffWriter) wouldHave(f *DiffFlows) {
	all := sections(f.Groups)
	for i, x := range all {
		g := x.groups[0]
		if i == targetRows && t.s.Rows > 0 {
			rest := f.Ungrouped
			for _, x := range all[i:] {
				rest += x.flows
			}
			wrap(&t.b, t.s.width(), "  ", "  ", counted(rest, "more flow", "more flows")+" in other groups: -v lists them")
			return
		}
		now, _ := nowText(&x)
		if now == "" {
			now = "nothing"
		}
		is := map[string]string{"dnat": "to ", "snat": "from "}[g.End]
		if g.To != nil {
			is += toText(g)
		} else {
			is += endOf(g, g.group.Examples[0].Flow.Ends()[g.group.Manip].From)
		}
		wrap(&t.b, t.s.width(), "  ", "    ", fmt.Sprintf("%s %s: before, %s would have made it %s",
			counted(x.flows, g.Proto+" flow", g.Proto+" flows"), is, ruleOrNone(g.Rule), now))
		wrap(&t.b, t.s.width(), "      like: ", "            ", (&staleWriter{s: t.s}).flow(&g.group.Examples[0]))
	}
}

func ruleOrNone(r *Rule) string {
	if r == nil {
		return "no rule"
	}
	return "rule " + longName(r)
}

// judged is what is to be said of flows that are not in groups.
func (t *diffWriter) judged(f *DiffFlows, name string) {
	var parts []string
	if f.Already > 0 {
		parts = append(parts, counted(f.Already, "was stale already", "were stale already"))
	}
	if f.Undecided > 0 {
		text := thousands(f.Undecided) + " could not be decided"
		if len(f.UndecidedWhy) > 0 && f.UndecidedWhy[0].Why != "" {
			text += " (" + f.UndecidedWhy[0].Why + ")"
		}
		parts = append(parts, text)
	}
	if len(parts) > 0 {
		wrap(&t.b, t.s.width(), "\n  "+name+": ", "    ", safe(strings.Join(parts, "; ")))
	}
}

func (t *diffWriter) entries() {
	e := &t.d.Entries
	t.head("entries")
	wrap(&t.b, t.s.width(), "  ", "    ", fmt.Sprintf("%s before, %s after: %s kept, %s gone, %s new",
		thousands(e.Before), thousands(e.After), thousands(e.Kept), thousands(e.Gone), thousands(e.New)))
	if e.Other == 0 {
		return
	}
	wrap(&t.b, t.s.width(), "  ", "    ", counted(e.Other, "has", "have")+" the original tuple of one before and another reply tuple:")
	pairs := e.Pairs
	if t.s.Rows > 0 {
		pairs = pairs[:min(len(pairs), diffPairs)]
	}
	for i := range pairs {
		p := &pairs[i]
		wrap(&t.b, t.s.width(), "      ", "        ", tupleText(&p.Was.Flow))
		wrap(&t.b, t.s.width(), "        "+t.s.paint(red, "-")+" reply ", "          ", replyText(&p.Was.Flow))
		wrap(&t.b, t.s.width(), "        "+t.s.paint(green, "+")+" reply ", "          ", replyText(&p.Now.Flow))
	}
	if rest := e.Other - len(pairs); rest > 0 {
		text := counted(rest, "more", "more")
		switch kept := len(e.Pairs); {
		case kept == len(pairs):
			text += " not shown"
		case kept == e.Other:
			text += ": -v lists them"
		default:
			text += ": -v lists the first " + thousands(kept)
		}
		wrap(&t.b, t.s.width(), "      ", "      ", text)
	}
}

// diffPairs is how many changed entries a page lists.
const diffPairs = 3

// replyText is the reply tuple: what its answers look like.
func replyText(f *host.Flow) string {
	r := *f
	r.Original = f.Reply
	return tupleText(&r)
}

func (t *diffWriter) counters() {
	d := t.d
	if d.Uncounted == "" && len(d.Counters) == 0 {
		return
	}
	t.head("counters")
	if d.Uncounted != "" {
		wrap(&t.b, t.s.width(), "  ", "    ", "not compared: "+safe(d.Uncounted))
	}
	for _, c := range d.Counters {
		text := fmt.Sprintf("%s +%d (now %d)", c.Counter, c.Delta, c.Total)
		if c.Meaning != "" {
			text += ": " + c.Meaning
		}
		wrap(&t.b, t.s.width(), "  ", "    ", text)
	}
}
