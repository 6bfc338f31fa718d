package report

import (
	"github.com/ntdiag/ntdiag/diagnose/invalid"
)

// fateSeverity is how much the end of a packet matters: colour and severity say
// the same.
var fateSeverity = map[string]string{red: Critical, yellow: Warning}

// Points are what becomes of the invalid packets, the worst first, with why they
// are; or what only counters tell of.
func (d *Invalid) Points() []Point {
	v := &d.Verdict
	if v.Invalid == 0 && v.Unlogged == nil {
		return nil
	}
	p := Point{Of: "invalid", Severity: Warning, Text: d.Answer()}
	if len(v.Fates) > 0 {
		p.Severity = (&InvalidFate{Fate: v.Harm}).Severity()
	}
	for i := range v.Fates {
		p.Facts = append(p.Facts, v.Fates[i].Line())
		for _, r := range []*Rule{v.Fates[i].By, v.Fates[i].MissedRule} {
			if r != nil {
				p.Rules = append(p.Rules, *r)
			}
		}
	}
	for i := range v.Causes {
		p.Causes = append(p.Causes, d.cause(&v.Causes[i]))
	}
	if v.Unclear > 0 {
		p.Causes = append(p.Causes, PointCause{Sure: "not known", Text: "of " + packets(v.Unclear) + " the cause cannot be told by these messages",
			Evidence: []string{"would tell: " + wouldTell(d)}})
	}
	if v.Invalid == 0 && len(v.Causes) == 0 {
		p.Causes = append(p.Causes, d.silent()...)
	}
	if v.Drop != nil {
		p.Do = append(p.Do, d.do(v.Drop))
	}
	return []Point{p}
}

func (d *Invalid) cause(c *InvalidCause) PointCause {
	out := PointCause{Sure: "cause", Text: c.Text + " (" + packets(c.Packets) + ")", Evidence: c.Evidence}
	if c.Likely {
		out.Sure = "likely"
	}
	for i := range c.Fixes {
		out.Do = append(out.Do, d.do(&c.Fixes[i]))
	}
	return out
}

// silent are what can be behind what was not logged.
func (d *Invalid) silent() []PointCause {
	var out []PointCause
	u := d.Verdict.Unlogged
	for i := range u.Causes[:min(len(u.Causes), maxSilentCauses)] {
		c := &u.Causes[i]
		x := PointCause{Sure: "possible", Text: c.What, Evidence: []string{c.Cause}}
		if u.Likely {
			x.Sure = "likely"
			if c.because {
				x.Sure = "cause"
			}
			if c.Fix != "" {
				x.Do = []Do{d.do(&InvalidFix{Do: c.Fix})}
			}
		}
		out = append(out, x)
		if u.Likely {
			break
		}
	}
	return out
}

func (d *Invalid) do(f *InvalidFix) Do {
	text, command := doWords(f.Do, d.Host.Netns)
	return Do{Text: text, Command: command, Cost: f.Cost}
}

// Answer is the first line of the text.
func (d *Invalid) Answer() string { return invalidHeadline(d) }

// CounterLines set the counters against the messages, a line each.
func (d *Invalid) CounterLines() []string {
	var out []string
	for i := range d.Counters {
		out = append(out, counterText(d, &d.Counters[i]))
	}
	return out
}

// ReadText is what was read, and what of it was lost.
func (d *Invalid) ReadText() string { return readText(d, Style{}) }

// AbsentText is what of the log is of devices that are not here, "" for nothing.
func (d *Invalid) AbsentText() string {
	if d.Absent == nil {
		return ""
	}
	return absentText(d.Absent, true)
}

// Line is what becomes of the packets, in a line.
func (f *InvalidFate) Line() string {
	text := packets(f.Packets) + " of " + counted(f.Flows, "flow", "flows") + " "
	if !f.Certain && invalid.Fate(f.Fate) != invalid.FateUnknown {
		text += "likely "
	}
	return text + f.Fate + ": " + fateText(f)
}

// Severity is how much it matters.
func (f *InvalidFate) Severity() string {
	if s, ok := fateSeverity[fateColor(f.Fate)]; ok {
		return s
	}
	return Info
}

// Text is what becomes of the packets, in a sentence.
func (f *InvalidFate) Text() string { return fateText(f) }

// MissedTexts are the rewrites that did not come about.
func (f *InvalidFate) MissedTexts() []string {
	var out []string
	for _, m := range f.Missed {
		out = append(out, m.text(f.Example.ICMP != nil))
	}
	return out
}

// Moved is what each of the packets counted as.
func (m *InvalidMessage) Moved() string { return movedText(m) }

// Line is the packet, with what it quotes.
func (f *InvalidFlow) Line() string {
	text := f.Packet.text
	if f.Packet.Quotes != nil {
		text += ", quotes " + f.Packet.Quotes.text
	}
	return text
}

// EntryText is the entry that the packet belongs to, "" for none.
func (f *InvalidFlow) EntryText() string { return belongsTo(f) }
