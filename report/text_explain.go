package report

import (
	"io"
	"net/netip"
	"strconv"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/explain"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/query"
	"github.com/ntdiag/ntdiag/diagnose/stale"
	"github.com/ntdiag/ntdiag/rules"
)

func itoa(n int) string { return strconv.Itoa(n) }

// gradeColor paints what is sure green, what wants a look yellow or red.
var gradeColor = map[explain.Grade]string{
	explain.GradeExact: green, explain.GradeInferred: green,
	explain.GradeAmbiguous: yellow, explain.GradeNone: red,
}

// causes are the causes in words, and what to do about each.
var causes = map[explain.Cause]struct{ text, do string }{
	explain.CauseRule:      {"by rule", ""},
	explain.CauseHelper:    {"by the helper of its master connection", ""},
	explain.CausePortClash: {"by the kernel itself: the source port was taken", ""},
	explain.CauseRuleGone: {"by no present rule",
		"if the flow is to follow the present rules, delete its entry (ntdiag flows delete) and let it start anew"},
	explain.CauseInserted: {"by a program: the entry was inserted through ctnetlink", ""},
	explain.CauseUnknown:  {"by an unknown cause", ""},
}

// maxWhole is how many flows are shown whole; of more only the answers.
const maxWhole = 3

func explainText(w io.Writer, d *Explain, s Style) error {
	var b strings.Builder
	if len(d.Flows) == 0 {
		explainNothing(&b, d, s)
	}
	s.host = d.Host.Netns
	s.brief = len(d.Flows) > maxWhole && !s.Verbose
	for i := range d.Flows {
		if i > 0 && !s.brief {
			b.WriteByte('\n')
		}
		explainFlow(&b, &d.Flows[i], s)
	}
	if d.More > 0 {
		wrap(&b, s.width(), "\n", "", counted(d.More, "more flow fits", "more flows fit")+", not shown: name more of the flow, or use --all")
	}
	if s.brief {
		wrap(&b, s.width(), "\n", "", "Name one of them, or use -v, for the rules and what the answer rests on.")
	}
	missingText(&b, d.Header, s)
	_, err := io.WriteString(w, b.String())
	return err
}

func explainNothing(b *strings.Builder, d *Explain, s Style) {
	wrap(b, s.width(), "", "  ", "No conntrack entry fits "+safe(d.Query))
	if d.ReadAs != "" {
		b.WriteString("  (read as a " + d.ReadAs + ")\n")
	}
	if len(d.Nearest) > 0 {
		b.WriteString("\n  nearest entries:\n")
		for i := range d.Nearest {
			wrap(b, s.width(), "    ", "      ", nearestText(&d.Nearest[i].Flow))
		}
	}
	b.WriteByte('\n')
	var hints []string
	if s.Redacted {
		hints = append(hints, "Addresses and names of this bundle are hidden: name those that it has; ntdiag flows --from FILE lists them.")
	}
	hints = append(hints,
		"An entry lives only as long as its timeout: ask while the flow is there.",
		"In another network namespace? Name it with --netns.",
	)
	if strings.Contains(d.Query, " ") {
		hints = append(hints, "Name less of it (an address, or :PORT) to see what is near.")
	}
	for _, hint := range hints {
		wrap(b, s.width(), "  try: ", "       ", hint)
	}
	if d.Simulated != nil {
		b.WriteString("\nWhat would happen to a new packet like this, by the present rules:\n")
		simulationText(b, d.Simulated, "", s)
	}
}

func nearestText(f *host.Flow) string {
	text := query.ProtoName(f.Original.Proto) + " " + tupleText(f)
	if f.Zone != 0 {
		text += " zone=" + itoa(int(f.Zone))
	}
	if f.Has&host.HasID != 0 {
		text += " id=" + strconv.FormatUint(uint64(f.ID), 10)
	}
	return text
}

// tupleText is the original tuple: a → b, with the id of an ICMP query.
func tupleText(f *host.Flow) string {
	text := srcText(f.Original) + " → " + dstText(f.Original)
	if f.IsICMP() {
		text += " id " + itoa(int(f.Original.SrcPort))
	}
	return text
}

func explainFlow(b *strings.Builder, x *Explained, s Style) {
	f := &x.Flow.Flow
	head := query.ProtoName(f.Original.Proto) + " " + tupleText(f)
	text := answer(x)
	if s.brief && x.Stale != nil {
		text += "; " + s.paint(confidenceColor[x.Stale.Confidence], "stale")
	}
	wrap(b, s.width(), "", "  ", s.paintWords(bold, head)+": "+text)
	if s.brief {
		return
	}
	facts := traits(f, s.now())
	if f.Zone != 0 {
		facts = append(facts, "zone "+itoa(int(f.Zone)))
	}
	if f.Mark != 0 {
		facts = append(facts, "ct mark 0x"+strconv.FormatUint(uint64(f.Mark), 16))
	}
	if f.Has&host.HasHelper != 0 && f.Helper != "" {
		facts = append(facts, "helper "+safe(f.Helper))
	}
	if f.Has&host.HasID != 0 {
		facts = append(facts, "id "+strconv.FormatUint(uint64(f.ID), 10))
	}
	wrap(b, s.width(), "  ", "  ", strings.Join(facts, ", "))
	if x.MatchedAs != "" && x.MatchedAs != "original tuple" && x.MatchedAs != "entry" {
		wrap(b, s.width(), "  ", "  ", "found by its "+x.MatchedAs)
	}
	b.WriteByte('\n')
	picture(b, x, s)
	for i := range x.Rewrites {
		b.WriteByte('\n')
		rewriteText(b, &x.Rewrites[i], f.IsICMP(), s, x.Stale == nil)
	}
	explainStale(b, x, s)
	if s.Verbose {
		pathText(b, x.Path, s)
	}
}

// answer is the first line after the tuple: what happens, and by what.
func answer(x *Explained) string {
	if len(x.Rewrites) == 0 {
		return "no NAT: " + safe(x.WhyNone)
	}
	var out []string
	for i := range x.Rewrites {
		r := &x.Rewrites[i]
		verb := map[string]string{"dnat": "to ", "snat": "from "}[r.Kind] + r.To.text(x.Flow.IsICMP())
		out = append(out, verb+" "+shortCause(r))
	}
	return strings.Join(out, ", ")
}

func shortCause(r *Rewrite) string {
	switch {
	case r.Cause == explain.CauseRule && len(r.Rules) == 1:
		return "by " + shortName(&r.Rules[0])
	case r.Cause == explain.CauseRule && len(r.Rules) > 1:
		return "by one of " + itoa(len(r.Rules)) + " rules"
	case r.Cause == explain.CauseRuleGone:
		return "by no present rule"
	case r.Cause == explain.CausePortClash:
		return "by a port clash"
	case r.Cause == explain.CauseHelper:
		return "by a helper"
	case r.Cause == explain.CauseInserted:
		return "by a program"
	}
	return "by an unknown cause"
}

// ruleName names a rule inside its chain.
func ruleName(r *Rule) string {
	return rules.RuleRef(r.Backend, r.Handle, r.Position) + quoted(r.Comment)
}

// shortName names a rule in the line that is read first: of iptables by chain
// and number.
func shortName(r *Rule) string {
	if r.Backend.Iptables() {
		return safe(r.Chain) + " " + rules.RuleRef(r.Backend, 0, r.Position) + quoted(r.Comment)
	}
	return ruleName(r)
}

// longName names a rule among all.
func longName(r *Rule) string {
	return safe(r.Family+" "+r.Table+" "+r.Chain) + " " + ruleName(r)
}

func quoted(comment string) string {
	if comment == "" {
		return ""
	}
	return " \"" + safe(comment) + "\""
}

// text is the end with its port, or with its id for ICMP.
func (e Endpoint) text(icmp bool) string {
	if e.Port == nil {
		return e.Addr
	}
	if icmp {
		return e.Addr + " id " + itoa(int(*e.Port))
	}
	a, err := netip.ParseAddr(e.Addr)
	if err != nil {
		return e.Addr + ":" + itoa(int(*e.Port))
	}
	return netip.AddrPortFrom(a, *e.Port).String()
}

// picture draws the way of a flow.
func picture(b *strings.Builder, x *Explained, s Style) {
	f := &x.Flow.Flow
	out := forward(f)
	d := drawing{
		ends: [4]string{srcText(f.Original), dstText(f.Original), srcText(out), dstText(out)},
		in:   x.In, out: x.Out, localOut: x.LocalOut, localIn: x.LocalIn,
	}
	d.draw(b, s)
}

// drawing is what the initiator sends, this machine, and what leaves it.
type drawing struct {
	ends              [4]string // source and destination before, and after
	in, out           string
	localOut, localIn bool
}

// draw takes one line, two, or an end a line, as the width allows.
func (d *drawing) draw(b *strings.Builder, s Style) {
	ends := d.ends
	box := "══ this host ══▶"
	if d.in != "" {
		box = safe(d.in) + " " + box
	} else if d.localOut {
		ends[0], box = "(local) "+ends[0], "══▶"
	}
	if d.out != "" {
		box += " " + safe(d.out)
	} else if d.localIn {
		ends[3] += " (local)"
	}
	const arrow = " ──▶ "
	layouts := [][]string{
		{"  " + ends[0] + arrow + ends[1] + "  " + box + "  " + ends[2] + arrow + ends[3]},
		{"  " + ends[0] + arrow + ends[1], "      " + box + "  " + ends[2] + arrow + ends[3]},
		{"  " + ends[0], "      ──▶ " + ends[1], "    " + box, "  " + ends[2], "      ──▶ " + ends[3]},
	}
	for i, lines := range layouts {
		if fits(lines, s.width()) || i == len(layouts)-1 {
			b.WriteString(strings.Join(lines, "\n") + "\n")
			return
		}
	}
}

func fits(lines []string, width int) bool {
	for _, l := range lines {
		if columns(l) > width {
			return false
		}
	}
	return true
}

func rewriteText(b *strings.Builder, r *Rewrite, icmp bool, s Style, advise bool) {
	left := "  " + map[string]string{"dnat": "dst ", "snat": "src "}[r.Kind] + r.From.text(icmp) + " →"
	if to := r.To.text(icmp); columns(left)+1+columns(to) <= s.width() {
		left += " " + to
	} else {
		b.WriteString(left + "\n")
		left = "      " + to
	}
	right(b, s.width(), left, s.paint(gradeColor[r.Grade], string(r.Grade)))
	for i := range shown(len(r.Rules), s) {
		ruleText(b, &r.Rules[i], s)
	}
	viaText(b, r, s)
	moreText(b, len(r.Rules), "that could be", s)
	if r.Cause != explain.CauseRule || len(r.Rules) == 0 {
		wrap(b, s.width(), "      ", "        ", causes[r.Cause].text)
	}
	list(b, s, "assumed", r.Assumed)
	list(b, s, "unknown", r.Unknown)
	for i := range shown(len(r.Not), s) {
		m := &r.Not[i]
		wrap(b, s.width(), "      not: ", "           ", safe(m.Rule.Table+" "+m.Rule.Chain)+" "+ruleName(&m.Rule)+": "+safe(m.Why))
	}
	moreText(b, len(r.Not), "that did not match", s)
	if r.Note != "" {
		wrap(b, s.width(), "      note: ", "            ", safe(r.Note))
	}
	do := ""
	if advise {
		do = causes[r.Cause].do
	}
	if r.Grade == explain.GradeAmbiguous {
		do = tellApart
	}
	if do != "" {
		wrap(b, s.width(), "      do: ", "          ", do)
	}
}

const tellApart = "any of these can have made it; a counter in each rule, or a new flow, tells them apart"

// viaText is the way that led to the rule: the jumps, and who set the mark that
// was asked for.
func viaText(b *strings.Builder, r *Rewrite, s Style) {
	var steps []string
	for i := range r.Via {
		steps = append(steps, safe(r.Via[i].Chain)+" "+ruleName(&r.Via[i]))
	}
	if len(steps) > 0 {
		wrap(b, s.width(), "      via: ", "           ", strings.Join(steps, ", "))
	}
	for i := range shown(len(r.Marks), s) {
		m := &r.Marks[i]
		wrap(b, s.width(), "      mark: ", "            ", "set by "+safe(m.Table+" "+m.Chain)+" "+ruleName(m)+": "+safe(m.Text))
	}
}

// maxListed bounds the rules under one rewrite: a service table can hold
// thousands that came before.
const maxListed = 8

// shown is how many of n rules are listed.
func shown(n int, s Style) int {
	if s.Verbose {
		return n
	}
	return min(n, maxListed)
}

func moreText(b *strings.Builder, n int, what string, s Style) {
	if rest := n - shown(n, s); rest > 0 {
		wrap(b, s.width(), "      ", "        ", counted(rest, "more rule", "more rules")+" "+what+": -v lists them")
	}
}

func ruleText(b *strings.Builder, r *Rule, s Style) {
	name := "by rule " + longName(r)
	if r.Backend.Iptables() {
		// "rule" is in its name already
		name = "by " + longName(r) + ", " + string(r.Backend)
	}
	wrap(b, s.width(), "      ", "        ", name)
	wrap(b, s.width(), "        ", "          ", s.paintWords(bold, safe(r.Text)))
	if !r.Decoded {
		wrap(b, s.width(), "        ", "        ", "(a part of this rule is not understood)")
	}
}

// paintWords paints word by word, so that a wrapped line does not leak colour.
func (s Style) paintWords(sgr, text string) string {
	if !s.Color {
		return text
	}
	words := strings.Fields(text)
	for i := range words {
		words[i] = s.paint(sgr, words[i])
	}
	return strings.Join(words, " ")
}

func list(b *strings.Builder, s Style, name string, items []string) {
	if len(items) == 0 {
		return
	}
	indent := "      " + name + ": "
	wrap(b, s.width(), indent, strings.Repeat(" ", len(indent)), safe(strings.Join(items, "; ")))
}

// explainStale says in which way the flow is stale, and how to delete it.
func explainStale(b *strings.Builder, x *Explained, s Style) {
	if x.Stale == nil {
		return
	}
	label := s.paint(confidenceColor[x.Stale.Confidence], "stale") + " (" + string(x.Stale.Confidence) + "): "
	wrap(b, s.width(), "\n  "+label, "      ", safe(x.Stale.Why))
	list(b, s, "unknown", x.Stale.Unknown)
	commandText(b, s, "      do: ", "            ", x.StaleCommand(s.host))
}

// StaleCommand deletes the flow, which is stale.
func (x *Explained) StaleCommand(netns string) string {
	include := ""
	if x.Stale.Confidence == stale.Likely {
		include = " --include likely"
	}
	return "ntdiag stale" + NetnsFlag(netns) + " --delete" + include + " " + flagsOf(&x.Flow.Flow)
}

func pathText(b *strings.Builder, path []Step, s Style) {
	if len(path) == 0 {
		return
	}
	b.WriteString("\n  path:\n")
	at := ""
	for i := range path {
		p := &path[i]
		if here := safe(p.Hook + ": " + p.Family + " " + p.Table + " " + p.Chain); here != at {
			at = here
			b.WriteString("    " + here + "\n")
		}
		what := p.Result
		if p.Rule != nil {
			what += " " + ruleName(p.Rule) + ": " + safe(p.Rule.Text)
		}
		if p.Why != "" {
			what += " (" + safe(p.Why) + ")"
		}
		wrap(b, s.width(), "      ", "          ", what)
	}
}

func missingText(b *strings.Builder, h Header, s Style) {
	lead := "\n" + s.paint(yellow, "not read:")
	all := host.MissingText(h.Missing)
	if len(all) == 1 {
		wrap(b, s.width(), lead+" ", "  ", safe(all[0]))
		return
	}
	for i, m := range all {
		if i == 0 {
			b.WriteString(lead + "\n")
		}
		wrap(b, s.width(), "  ", "    ", safe(m))
	}
}
