package report

import (
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/query"
	"github.com/ntdiag/ntdiag/diagnose/stale"
)

// confidenceColor: what is certain can be deleted, what is likely wants a look.
var confidenceColor = map[stale.Confidence]string{stale.Certain: red, stale.Likely: yellow}

// staleText is the answer, the groups, what deleting them may lead to, and what
// is not known.
func staleText(w io.Writer, d *Stale, s Style) error {
	t := &staleWriter{d: d, s: s}
	wrap(&t.b, s.width(), "", "  ", t.answer())
	t.groups()
	writeTraps(&t.b, s, d.risk)
	t.whatToDo()
	t.undecided()
	t.ages()
	t.unrecorded()
	missingText(&t.b, d.Header, s)
	_, err := io.WriteString(w, t.b.String())
	return err
}

type staleWriter struct {
	d *Stale
	s Style
	b strings.Builder
	// plan: what is about to be deleted, so that nothing is to be done about it.
	plan bool
}

// StalePlan shows what is about to be deleted, of the groups that take chooses:
// what changed for them, and what deleting them may lead to. notes are further
// things to know before.
func StalePlan(w io.Writer, d *Stale, take func(stale.Confidence) bool, notes []string, s Style) error {
	part := *d
	part.Groups, part.Ungrouped = nil, 0
	planned := 0
	for _, g := range d.Groups {
		if take(g.Confidence) {
			part.Groups = append(part.Groups, g)
			planned += g.Flows
		}
	}
	t := &staleWriter{d: &part, s: s, plan: true}
	wrap(&t.b, s.width(), "", "  ", t.answer())
	t.groups()
	writeTraps(&t.b, s, part.risk)
	for _, note := range notes {
		wrap(&t.b, s.width(), "\n"+s.paint(yellow, "note:")+" ", "      ", note)
	}
	text := s.paint(bold, counted(planned, "flow", "flows")+" to delete")
	if left := d.Certain + d.Likely - planned; left > 0 && !take(stale.Likely) {
		text += "; " + counted(left, "that is only likely stale stays", "that are only likely stale stay") + " (--include likely)"
	}
	missingText(&t.b, d.Header, s)
	wrap(&t.b, s.width(), "\n", "  ", text)
	_, err := io.WriteString(w, t.b.String())
	return err
}

// answer is the first line.
func (t *staleWriter) answer() string {
	d := t.d
	n := d.Certain + d.Likely
	text := thousands(n) + " of " + counted(d.Checked, "flow", "flows") + verb(n, " is ", " are ")
	switch {
	case d.Checked == 0:
		return "No flow to check: " + t.nothing()
	case n == 0:
		text = "No flow is stale: " + thousands(d.Checked) + " checked"
		if d.NotChosen > 0 {
			text = "No such flow is stale: " + thousands(d.Checked) + " checked"
		}
	case d.Likely == 0:
		text += t.s.paint(red, "stale") + verb(n, " (certain)", " (all certain)")
	case d.Certain == 0:
		text += t.s.paint(yellow, "likely") + " stale"
	default:
		text += t.s.paint(red, "stale") + " (" + thousands(d.Certain) + " certain, " + thousands(d.Likely) + " likely)"
	}
	if d.NotChosen > 0 {
		text += "; " + counted(d.NotChosen, "other is not what was asked for", "others are not what was asked for")
	}
	if d.Undecided > 0 {
		text += "; " + thousands(d.Undecided) + " could not be decided"
	}
	return text
}

// nothing is why no flow was checked.
func (t *staleWriter) nothing() string {
	if t.d.OlderThan > 0 && t.d.Undated > 0 {
		return "none is known to be old enough"
	}
	return "there is no entry, or none that fits"
}

// section is groups that differ in the target alone: what is to be said of them
// is said once.
type section struct {
	groups []*StaleGroup
	flows  int
}

// sections keep the order of the groups by the largest of each.
func sections(groups []StaleGroup) []section {
	var out []section
	at := map[stale.Change]int{}
	for i := range groups {
		g := &groups[i]
		key := g.group.Change
		key.To = host.Endpoint{}
		n, ok := at[key]
		if !ok {
			n = len(out)
			at[key] = n
			out = append(out, section{})
		}
		out[n].groups = append(out[n].groups, g)
		out[n].flows += g.Flows
	}
	slices.SortStableFunc(out, func(a, b section) int { return b.flows - a.flows })
	return out
}

// sectionRows is about how many lines one takes of a page, targetRows how many
// targets of one are listed.
const (
	sectionRows = 8
	targetRows  = 5
)

func (t *staleWriter) groups() {
	all := sections(t.d.Groups)
	most := len(all)
	if t.s.Rows > 0 && !t.s.Verbose {
		most = min(most, max(t.s.Rows/sectionRows, 3))
	}
	for i := range all[:most] {
		t.b.WriteByte('\n')
		t.section(&all[i])
	}
	left := t.d.Ungrouped
	for _, x := range all[most:] {
		left += x.flows
	}
	if left > 0 {
		how := "-v shows them"
		if t.s.Verbose {
			how = "use -o jsonl"
		}
		wrap(&t.b, t.s.width(), "\n", "", counted(left, "more stale flow", "more stale flows")+" in other groups: "+how)
	}
}

func (t *staleWriter) section(x *section) {
	g := x.groups[0]
	h := newHeadline(x)
	wrap(&t.b, t.s.width(), "", "  ", t.s.paintWords(bold, h.text))
	facts := []string{string(g.Class), t.s.paint(confidenceColor[g.Confidence], string(g.Confidence))}
	facts = append(facts, t.facts(x)...)
	wrap(&t.b, t.s.width(), "  ", "  ", strings.Join(facts, ", "))
	t.targets(x)
	if h.now != "" {
		wrap(&t.b, t.s.width(), "  ", "    ", h.now)
	}
	if g.Rule != nil {
		ruleText(&t.b, g.Rule, t.s)
		t.otherRules(x)
	}
	for i := range min(len(g.MadeBy), 2) {
		r := &g.MadeBy[i]
		wrap(&t.b, t.s.width(), "      made by: ", "               ", longName(r)+": "+safe(r.Text))
	}
	t.causes(x)
	list(&t.b, t.s, "assumed", union(x, func(g *StaleGroup) []string { return g.Assumed }))
	list(&t.b, t.s, "unknown", union(x, func(g *StaleGroup) []string { return g.Unknown }))
	if risks := riskText(x); risks != "" {
		wrap(&t.b, t.s.width(), "      traps: ", "             ", risks)
	}
	t.examples(x)
	if !t.plan {
		t.deleting(x)
	}
}

// otherRules are those that give the further targets: a rule for each endpoint
// where chance chooses between them.
func (t *staleWriter) otherRules(x *section) {
	names := t.otherNames(x)
	if len(names) > 0 {
		wrap(&t.b, t.s.width(), "      or by: ", "             ", strings.Join(names, "; "))
	}
}

func (t *staleWriter) otherNames(x *section) []string {
	var names []string
	for _, g := range x.groups {
		for i := range g.Now {
			if name := longName(&g.Now[i].Rule); name != longName(x.groups[0].Rule) && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	const most = 3
	if rest := len(names) - most; rest > 0 && !t.s.Verbose {
		names = append(names[:most], counted(rest, "other", "others"))
	}
	return names
}

// causeRows is how many causes of one section are told.
const causeRows = 3

func (t *staleWriter) causes(x *section) {
	for i, text := range causeTexts(x) {
		if i == causeRows && !t.s.Verbose {
			return
		}
		wrap(&t.b, t.s.width(), "      cause: ", "             ", safe(text))
	}
}

// union is what is in any of the groups' lists, once each.
func union(x *section, of func(*StaleGroup) []string) []string {
	var out []string
	for _, g := range x.groups {
		for _, item := range of(g) {
			if !slices.Contains(out, item) {
				out = append(out, item)
			}
		}
	}
	return out
}

// facts are where the flows were sent to, how old they are, and their zones.
func (t *staleWriter) facts(x *section) []string {
	var out []string
	from, zones := map[string]bool{}, map[string]bool{}
	var sent, zoned []string
	more := false
	var oldest, newest *time.Time
	for _, g := range x.groups {
		for _, e := range g.group.From {
			if text := endOf(g, e); !from[text] {
				from[text] = true
				sent = append(sent, text)
			}
		}
		more = more || g.group.FromMore
		for _, z := range g.Zones {
			if text := itoa(int(z)); !zones[text] {
				zones[text] = true
				zoned = append(zoned, text)
			}
		}
		if g.Oldest != nil && (oldest == nil || g.Oldest.Before(*oldest)) {
			oldest = g.Oldest
		}
		if g.Newest != nil && (newest == nil || g.Newest.After(*newest)) {
			newest = g.Newest
		}
	}
	if g := x.groups[0]; len(sent) > 0 && g.Class != stale.RuleAdded && g.Class != stale.NotYetNAT {
		if more || len(sent) > 3 {
			sent = append(sent[:min(len(sent), 3)], "…")
		}
		out = append(out, "sent to "+strings.Join(sent, ", "))
	}
	if oldest != nil {
		out = append(out, t.age(*oldest, *newest)+" old")
	}
	if len(zoned) > 1 || len(zoned) == 1 && zoned[0] != "0" {
		if len(zoned) > 4 {
			zoned = append(zoned[:4], "…")
		}
		out = append(out, "zone "+strings.Join(zoned, ", "))
	}
	return out
}

func (t *staleWriter) age(oldest, newest time.Time) string {
	from, to := ageText(t.s.now().Sub(newest)), ageText(t.s.now().Sub(oldest))
	if from == to {
		return from
	}
	return from + " to " + to
}

// targets lists the ends of a section that has several.
func (t *staleWriter) targets(x *section) {
	if len(x.groups) == 1 {
		return
	}
	most := targetRows
	if t.s.Verbose {
		most = len(x.groups)
	}
	width := len(thousands(x.groups[0].Flows))
	for i, g := range x.groups {
		if i == most {
			rest := 0
			for _, g := range x.groups[i:] {
				rest += g.Flows
			}
			wrap(&t.b, t.s.width(), "      ", "      ", thousands(rest)+" to "+counted(len(x.groups)-i, "other", "others"))
			return
		}
		n := thousands(g.Flows)
		t.b.WriteString("      " + strings.Repeat(" ", width-len(n)) + n + "  " + toText(g) + "\n")
	}
}

// examples are some of the flows, all that are kept with --expand.
func (t *staleWriter) examples(x *section) {
	shown, all := 0, 0
	for _, g := range x.groups {
		all += g.Flows
		for i := range g.group.Examples {
			v := &g.group.Examples[i]
			switch {
			case t.s.Verbose:
				wrap(&t.b, t.s.width(), "      ", "        ", t.flow(v))
			case shown == exampleRows:
				return
			case shown == 0:
				wrap(&t.b, t.s.width(), "      like: ", "            ", t.flow(v))
			default:
				wrap(&t.b, t.s.width(), "            ", "            ", t.flow(v))
			}
			shown++
		}
	}
	if t.s.Verbose && all > shown {
		wrap(&t.b, t.s.width(), "      ", "      ", counted(all-shown, "more flow", "more flows")+" not shown: use -o jsonl")
	}
}

// exampleRows is how many flows stand for a group.
const exampleRows = 2

// flow is one as it was sent, with --expand all that tells it from others.
func (t *staleWriter) flow(v *stale.Verdict) string {
	f := &v.Flow
	text := query.ProtoName(f.Original.Proto) + " " + tupleText(f)
	var facts []string
	if state := stateCell(f); state != "" {
		facts = append(facts, state)
	}
	if t.s.Verbose {
		if e := f.Ends()[v.Manip]; e.From != e.To && v.To.Port == 0 && !f.IsICMP() && f.HasPorts() {
			facts = append(facts, "as "+netip.AddrPortFrom(e.To.Addr, e.To.Port).String())
		}
		if f.Zone != 0 {
			facts = append(facts, "zone "+itoa(int(f.Zone)))
		}
		if age, ok := f.Age(t.s.now()); ok {
			facts = append(facts, ageText(age)+" old")
		}
		if f.Has&host.HasID != 0 {
			facts = append(facts, "id "+strconv.FormatUint(uint64(f.ID), 10))
		}
	}
	if len(facts) > 0 {
		text += " (" + strings.Join(facts, ", ") + ")"
	}
	return text
}

func riskText(x *section) string {
	var out []string
	for _, r := range stale.Risks() {
		n := 0
		for _, g := range x.groups {
			n += g.group.Risks[r]
		}
		switch {
		case n == x.flows:
			out = append(out, string(r))
		case n > 0:
			out = append(out, string(r)+" ("+thousands(n)+" of "+thousands(x.flows)+")")
		}
	}
	return strings.Join(out, ", ")
}

// whatToDo is what to do about all of them.
func (t *staleWriter) whatToDo() {
	word := "do: "
	for i, do := range t.deletions() {
		if i == 0 {
			t.b.WriteByte('\n')
		}
		wrap(&t.b, t.s.width(), word, "    ", do.Lead)
		commandText(&t.b, t.s, "    ", "      ", do.Text)
		word = "or: "
	}
}

// deletions are what to do about all of them.
func (t *staleWriter) deletions() []Do {
	d := t.d
	if d.Certain+d.Likely == 0 {
		return nil
	}
	works, certain := 0, 0 // that may work, of all and of those that are certain
	for i := range d.Groups {
		n := d.Groups[i].group.Risks[stale.RiskWorks]
		works += n
		if d.Groups[i].Confidence == stale.Certain {
			certain += n
		}
	}
	command, lead := d.Command+" --delete", ""
	switch {
	case d.Certain == 0:
		certain = works
		lead = "look at what is assumed and not known; if it is so:"
		command += " --include likely"
	case d.Likely > 0:
		lead = "to delete " + verb(d.Certain, "the one that is", "the "+thousands(d.Certain)+" that are") + " certain, and nothing else (it asks, and undo puts " + verb(d.Certain, "it", "them") + " back):"
	default:
		lead = "to delete " + verb(d.Certain, "it", "them") + ", and nothing else (it asks, and undo puts " + verb(d.Certain, "it", "them") + " back):"
	}
	out := []Do{{Lead: lead, Text: command, Command: true}}
	if certain > 0 {
		out = append(out, Do{
			Lead: "to leave alone " + verb(certain, "the connection", "the "+thousands(certain)+" connections") + " that may still work:",
			Text: command + " --leave " + string(stale.RiskWorks), Command: true,
		})
	}
	return out
}

// reasonRows is how many reasons are listed.
const reasonRows = 5

func (t *staleWriter) undecided() {
	d := t.d
	if d.Undecided == 0 {
		return
	}
	t.b.WriteString("\n" + t.s.paint(bold, "Could not be decided:") + "\n")
	width := len(thousands(d.UndecidedWhy[0].Flows))
	rest := 0
	for i, r := range d.UndecidedWhy {
		if r.Why == "" || i >= reasonRows && !t.s.Verbose {
			rest += r.Flows
			continue
		}
		n := thousands(r.Flows)
		indent := strings.Repeat(" ", width+4)
		wrap(&t.b, t.s.width(), "  "+strings.Repeat(" ", width-len(n))+n+"  ", indent, safe(r.Why))
	}
	if rest > 0 {
		n := thousands(rest)
		wrap(&t.b, t.s.width(), "  "+strings.Repeat(" ", max(width-len(n), 0))+n+"  ", "    ", "for other reasons: -v lists them, -o json has all")
	}
}

// ages says how to have them where they are not known.
func (t *staleWriter) ages() {
	d := t.d
	const how = "sysctl -w net.netfilter.nf_conntrack_timestamp=1 gives new entries one"
	dated := 0
	for i := range d.Groups {
		dated += d.Groups[i].Dated
	}
	switch n := d.Certain + d.Likely; {
	case d.OlderThan > 0 && d.Undated > 0:
		wrap(&t.b, t.s.width(), "\n"+t.s.paint(yellow, "note:")+" ", "      ", counted(d.Undated, "flow has", "flows have")+" no start time and "+was(d.Undated)+" left out, as --older-than asks for one: "+how)
	case n > d.Ungrouped && dated == 0:
		wrap(&t.b, t.s.width(), "\n"+t.s.paint(yellow, "note:")+" ", "      ", "how old they are is not known, as no entry has a start time: "+how)
	}
}

// unrecorded says why no cause is told.
func (t *staleWriter) unrecorded() {
	if d := t.d; d.Unrecorded != "" && d.Certain+d.Likely > 0 {
		wrap(&t.b, t.s.width(), "\n"+t.s.paint(yellow, "note:")+" ", "      ", safe("who changed what, and when, is not known: "+d.Unrecorded))
	}
}
