package report

import (
	"io"
	"strconv"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/order"
	"github.com/ntdiag/ntdiag/diagnose/query"
	"github.com/ntdiag/ntdiag/diagnose/simulate"
)

func simulateText(w io.Writer, d *Simulate, s Style) error {
	var b strings.Builder
	note := ""
	if d.Entry != nil {
		note = "an entry of this tuple is there already: its packets follow it, not the rules; explain says what it is by"
	}
	simulationText(&b, &d.Simulation, note, s)
	missingText(&b, d.Header, s)
	_, err := io.WriteString(w, b.String())
	return err
}

// simulationText is the answer, what is to be said first of all of it, the
// picture, the outcomes, and what they rest on.
func simulationText(b *strings.Builder, d *Simulation, note string, s Style) {
	head := packetText(&d.Packet)
	wrap(b, s.width(), "", "  ", s.paintWords(bold, head)+": "+simulationAnswer(d))
	if note != "" {
		wrap(b, s.width(), "  "+s.paint(yellow, "note:")+" ", "        ", note)
	}
	if len(d.Outcomes) == 1 {
		oneOutcome(b, d, s)
	} else {
		same := sharedSource(d)
		for i := range shown(len(d.Outcomes), s) {
			b.WriteByte('\n')
			o := d.Outcomes[i]
			if same != nil {
				o = withoutSource(o)
			}
			outcomeRow(b, d, &o, s)
		}
		if rest := len(d.Outcomes) - shown(len(d.Outcomes), s); rest > 0 {
			wrap(b, s.width(), "\n  ", "  ", counted(rest, "more outcome", "more outcomes")+": -v lists them")
		}
		if same != nil {
			b.WriteByte('\n')
			wrap(b, s.width(), "  each  ", "      ", natText(same, d.Packet.ICMP != nil, true))
			ruleText(b, &same.SNAT.Rule, s)
		}
	}
	if d.More {
		wrap(b, s.width(), "\n  ", "  ", "there are more ways than were gone: name more of the packet")
	}
	evidence(b, d, s)
	for i := range d.Expect {
		if d.Expect[i].Holds {
			wrap(b, s.width(), "  "+s.paint(green, "as expected")+": ", "      ", safe(d.Expect[i].Expect))
		}
	}
	if s.Verbose {
		pathText(b, d.Path, s)
	}
}

// packetText is the packet in the notation of a query.
func packetText(p *Packet) string {
	f := host.Flow{Original: p.asked.Tuple}
	src, dst := srcText(f.Original), dstText(f.Original)
	if p.asked.SportOpen {
		src = f.Original.Src.String()
	}
	text := query.ProtoName(p.asked.Tuple.Proto) + " " + src + " → " + dst
	if f.IsICMP() && !p.asked.IDOpen {
		text += " id " + itoa(int(f.Original.SrcPort))
	}
	return text
}

func simulationAnswer(d *Simulation) string {
	icmp := d.Packet.ICMP != nil
	if len(d.Outcomes) == 1 {
		return outcomeText(&d.Outcomes[0], icmp)
	}
	if len(d.Outcomes) > 3 {
		return "one of " + itoa(len(d.Outcomes)) + " outcomes"
	}
	if text := oneSource(d, icmp); text != "" {
		return text
	}
	var out []string
	for i := range d.Outcomes {
		o := &d.Outcomes[i]
		out = append(out, strings.TrimSpace(shortOutcome(o, icmp)+" "+chanceText(o)))
	}
	return strings.Join(out, "; or ")
}

// oneSource is the answer where the outcomes are several destinations of one
// rewrite each, and differ in nothing else; else "".
func oneSource(d *Simulation, icmp bool) string {
	var to []string
	from := ""
	for i := range d.Outcomes {
		o := &d.Outcomes[i]
		if o.outcome.DNAT == nil || o.outcome.Verdict != simulate.VerdictAccept {
			return ""
		}
		text := ""
		if n := o.outcome.SNAT; n != nil {
			text = ", from " + n.Text(icmp) + " by " + shortName(&o.SNAT.Rule)
		}
		if i > 0 && text != from {
			return ""
		}
		from = text
		to = append(to, strings.TrimSpace(o.outcome.DNAT.Text(icmp)+" "+chanceText(o)))
	}
	return "to " + strings.Join(to, " or ") + from
}

// sharedSource is the source rewrite by one rule that every outcome has beside a
// destination rewrite of its own, so that it need be said once; else nil.
func sharedSource(d *Simulation) *Outcome {
	icmp := d.Packet.ICMP != nil
	var first *Outcome
	for i := range d.Outcomes {
		o := &d.Outcomes[i]
		if o.outcome.DNAT == nil || o.outcome.SNAT == nil {
			return nil
		}
		only := withoutDestination(*o)
		if first == nil {
			first = &only
		} else if first.outcome.SNAT.Rule != o.outcome.SNAT.Rule || natText(first, icmp, true) != natText(&only, icmp, true) {
			return nil
		}
	}
	return first
}

func withoutSource(o Outcome) Outcome {
	o.SNAT, o.outcome.SNAT = nil, nil
	return o
}

func withoutDestination(o Outcome) Outcome {
	o.DNAT, o.outcome.DNAT = nil, nil
	return o
}

func chanceText(o *Outcome) string {
	if o.Probability == nil {
		return ""
	}
	return "(" + percent(*o.Probability) + ")"
}

func percent(p float64) string {
	if p < 1e-5 {
		return "under 0.001 %"
	}
	return strconv.FormatFloat(p*100, 'g', 3, 64) + " %"
}

// outcomeText is what becomes of the packet, with the rules.
func outcomeText(o *Outcome, icmp bool) string {
	nat := natText(o, icmp, true)
	end := endingText(o)
	switch {
	case end == "" && nat == "" && o.Invalid:
		return "no NAT: it is invalid to conntrack, and no NAT rule is asked"
	case end == "" && nat == "" && o.Untracked:
		return "no NAT: conntrack does not track it"
	case end == "" && nat == "":
		return "no NAT: no NAT rule matched"
	case end == "":
		return nat
	case nat == "":
		return end
	}
	return end + "; before that " + nat
}

func shortOutcome(o *Outcome, icmp bool) string {
	if end := endingText(o); end != "" {
		return end
	}
	if nat := natText(o, icmp, false); nat != "" {
		return nat
	}
	return "no NAT"
}

func natText(o *Outcome, icmp, withRule bool) string {
	var parts []string
	for _, r := range []struct {
		verb string
		n    *simulate.NAT
		json *Rewritten
	}{{"to ", o.outcome.DNAT, o.DNAT}, {"from ", o.outcome.SNAT, o.SNAT}} {
		if r.n == nil {
			continue
		}
		text := r.verb + r.n.Text(icmp)
		if withRule {
			text += " by " + shortName(&r.json.Rule)
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}

var endings = map[simulate.Verdict]string{
	simulate.VerdictDrop: "dropped", simulate.VerdictReject: "rejected",
	simulate.VerdictQueue: "kept by the program behind a queue", simulate.VerdictStolen: "taken",
}

// endingText is what ends the packet, "" when it goes through.
func endingText(o *Outcome) string {
	what := endings[o.outcome.Verdict]
	switch {
	case what == "":
		return ""
	case o.By != nil:
		what += " by " + longName(o.By)
	case o.Policy != "":
		return what + " by the policy of " + safe(order.Name(o.outcome.Chain))
	}
	if o.Why != "" {
		what += ": " + safe(o.Why)
	}
	return what
}

// oneOutcome is the one end of the packet in full.
func oneOutcome(b *strings.Builder, d *Simulation, s Style) {
	o := &d.Outcomes[0]
	wrap(b, s.width(), "  ", "  ", strings.Join(outcomeFacts(d, o), ", "))
	if o.outcome.Verdict == simulate.VerdictAccept {
		b.WriteByte('\n')
		simulatedPicture(b, d, o, s)
	}
	outcomeRules(b, d, o, s)
	if o.Untracked && d.notrack != nil {
		wrap(b, s.width(), "\n  ", "      ", "not tracked")
		ruleText(b, d.notrack, s)
	}
}

func outcomeFacts(d *Simulation, o *Outcome) []string {
	facts := []string{"certain"}
	switch {
	case o.Certain:
	case len(d.Otherwise) > 0 && len(d.Unknown) == 0 && !d.More:
		facts[0] = "if what is assumed is so"
	default:
		facts[0] = "not certain"
	}
	switch {
	case d.Packet.Hook == "output":
		facts = append(facts, "sent by this host")
	case o.In != "":
		facts = append(facts, "in by "+safe(o.In))
	}
	switch {
	case o.Local:
		facts = append(facts, "delivered to this host")
	case o.Out != "":
		facts = append(facts, "out by "+safe(o.Out))
	}
	return facts
}

// outcomeRules are the rules behind an outcome, each rewrite with its text.
func outcomeRules(b *strings.Builder, d *Simulation, o *Outcome, s Style) {
	icmp := d.Packet.ICMP != nil
	for _, r := range []struct {
		name string
		n    *simulate.NAT
		json *Rewritten
	}{{"dst ", o.outcome.DNAT, o.DNAT}, {"src ", o.outcome.SNAT, o.SNAT}} {
		if r.n == nil {
			continue
		}
		b.WriteByte('\n')
		wrap(b, s.width(), "  ", "      ", r.name+r.n.From.Text(!icmp)+" → "+r.n.Text(icmp))
		ruleText(b, &r.json.Rule, s)
	}
	if o.By != nil {
		b.WriteByte('\n')
		wrap(b, s.width(), "  ", "      ", endings[o.outcome.Verdict])
		ruleText(b, o.By, s)
	}
}

func simulatedPicture(b *strings.Builder, d *Simulation, o *Outcome, s Style) {
	f := host.Flow{Original: d.Packet.asked.Tuple}
	src := srcText(f.Original)
	if d.Packet.asked.SportOpen {
		src = f.Original.Src.String()
	}
	p := drawing{
		ends: [4]string{src, dstText(f.Original), o.outcome.Src.Text(!f.IsICMP()), o.outcome.Dst.Text(!f.IsICMP())},
		in:   o.In, out: o.Out, localOut: d.Packet.Hook == "output", localIn: o.Local,
	}
	p.draw(b, s)
}

// outcomeRow is one of several outcomes: how likely, what, by which rules.
func outcomeRow(b *strings.Builder, d *Simulation, o *Outcome, s Style) {
	icmp := d.Packet.ICMP != nil
	first := "  "
	if o.Probability != nil {
		first += s.paint(bold, percent(*o.Probability)) + "  "
	}
	wrap(b, s.width(), first, "      ", outcomeText(o, icmp))
	for _, w := range o.When {
		wrap(b, s.width(), "      when ", "        ", safe(w))
	}
	if len(d.Outcomes) > maxWhole && !s.Verbose {
		return
	}
	var seen []Rule
	for _, r := range []*Rewritten{o.DNAT, o.SNAT} {
		if r != nil {
			seen = append(seen, r.Rule)
		}
	}
	if o.By != nil {
		seen = append(seen, *o.By)
	}
	for i := range seen {
		ruleText(b, &seen[i], s)
	}
}

// maxOtherwise bounds the outcomes that only another assumption brings.
const maxOtherwise = 4

func evidence(b *strings.Builder, d *Simulation, s Style) {
	icmp := d.Packet.ICMP != nil
	if len(d.Assumed)+len(d.Unknown)+len(d.Not)+len(d.Otherwise) > 0 {
		b.WriteByte('\n')
	}
	evidenceList(b, s, "assumed", d.Assumed)
	evidenceList(b, s, "unknown", d.Unknown)
	others := otherwise(d)
	n := len(others)
	if !s.Verbose {
		n = min(n, maxOtherwise)
	}
	for i := range n {
		o := &others[i]
		text := outcomeText(o, icmp)
		if len(o.When) > 0 {
			text += ", when " + safe(strings.Join(o.When, "; "))
		}
		wrap(b, s.width(), "  otherwise: ", "             ", text)
	}
	if rest := len(others) - n; rest > 0 {
		wrap(b, s.width(), "  ", "  ", counted(rest, "more outcome", "more outcomes")+" with other assumptions: -v lists them")
	}
	for i := range shown(len(d.Not), s) {
		m := &d.Not[i]
		wrap(b, s.width(), "  not: ", "       ", safe(m.Rule.Table+" "+m.Rule.Chain)+" "+ruleName(&m.Rule)+": "+safe(m.Why))
	}
	if rest := len(d.Not) - shown(len(d.Not), s); rest > 0 {
		wrap(b, s.width(), "  ", "  ", counted(rest, "more rule", "more rules")+" that did not match: -v lists them")
	}
}

// otherwise are the outcomes that only another assumption brings. Where that
// gives every outcome the same other source, it is one of them, without the
// destinations and the choices that led there.
func otherwise(d *Simulation) []Outcome {
	if len(d.Outcomes) < 2 {
		return d.Otherwise
	}
	has := map[string]map[int]bool{} // the outcomes that a change of source applies to
	for i := range d.Otherwise {
		if c, at := newSource(d, &d.Otherwise[i]); at >= 0 {
			key := sourceKey(d, &c)
			if has[key] == nil {
				has[key] = map[int]bool{}
			}
			has[key][at] = true
		}
	}
	var out []Outcome
	told := map[string]bool{}
	for i := range d.Otherwise {
		c, at := newSource(d, &d.Otherwise[i])
		key := sourceKey(d, &c)
		switch {
		case at < 0 || len(has[key]) < len(d.Outcomes):
			out = append(out, d.Otherwise[i])
		case !told[key]:
			told[key] = true
			out = append(out, c)
		}
	}
	return out
}

// newSource finds the outcome that o is but for its source and for what that
// takes, and returns the difference; -1 when there is none.
func newSource(d *Simulation, o *Outcome) (Outcome, int) {
	for i := range d.Outcomes {
		m := &d.Outcomes[i]
		rest, ok := cutChoices(o.When, m.When)
		if ok && len(rest) > 0 && o.Verdict == m.Verdict && o.outcome.SNAT != nil && destination(o) != "" && destination(o) == destination(m) {
			c := withoutDestination(*o)
			c.When = rest
			return c, i
		}
	}
	return Outcome{}, -1
}

func sourceKey(d *Simulation, c *Outcome) string {
	return outcomeText(c, d.Packet.ICMP != nil) + " when " + strings.Join(c.When, "; ")
}

// destination is the destination rewrite of an outcome with its rule.
func destination(o *Outcome) string {
	if o.DNAT == nil {
		return ""
	}
	return o.outcome.DNAT.Text(false) + " " + longName(&o.DNAT.Rule)
}

// cutChoices takes the conditions less from all, when it has them in that order.
func cutChoices(all, less []string) ([]string, bool) {
	var rest []string
	for _, w := range all {
		if len(less) > 0 && less[0] == w {
			less = less[1:]
		} else {
			rest = append(rest, w)
		}
	}
	return rest, len(less) == 0
}

func evidenceList(b *strings.Builder, s Style, name string, items []string) {
	if len(items) == 0 {
		return
	}
	indent := "  " + name + ": "
	wrap(b, s.width(), indent, strings.Repeat(" ", len(indent)), safe(strings.Join(items, "; ")))
}
