package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/history"
	"github.com/ntdiag/ntdiag/rules"
)

// historyText is one entry a change, newest last, under the day where it is
// not today; with details when verbose.
func historyText(w io.Writer, d *History, s Style) error {
	var b strings.Builder
	now := s.now()
	day := now.Format(time.DateOnly)
	width := 1
	for _, c := range d.Changes {
		width = max(width, len(fmt.Sprint(c.Seq)))
	}
	for _, c := range d.Changes {
		at := c.At.In(now.Location())
		if on := at.Format(time.DateOnly); on != day {
			b.WriteString(s.paint(bold, on) + "\n")
			day = on
		}
		historyLine(&b, fmt.Sprintf("%*d  ", width, c.Seq), c.Change, at, s)
		if s.Verbose {
			historyDetails(&b, c.Change, s, now)
		}
	}
	historyEnd(&b, d, s, now)
	_, err := io.WriteString(w, b.String())
	return err
}

// HistoryLine is one change in one entry, wrapped at the width.
func HistoryLine(c *history.Change, s Style) string {
	var b strings.Builder
	historyLine(&b, "", c, c.At.In(s.now().Location()), s)
	return b.String()
}

func historyLine(b *strings.Builder, number string, c *history.Change, at time.Time, s Style) {
	sgr := ""
	if c.Kind == history.KindGap {
		sgr = yellow
	}
	kind := s.paint(sgr, fmt.Sprintf("%-7s", c.Kind))
	rest := strings.Repeat(" ", columns(number)+len("10:05:12  address  "))
	wrap(b, s.width(), s.paint(dim, number)+at.Format(time.TimeOnly)+"  "+kind+"  ", rest, safe(summary(c)))
}

// historyDetails are the differences, one line each: what was, after a minus,
// and what is, after a plus.
func historyDetails(b *strings.Builder, c *history.Change, s Style, now time.Time) {
	note := func(name, text string) {
		if text != "" {
			wrap(b, s.width(), "      "+s.paint(dim, name+": "), "        ", safe(text))
		}
	}
	if !c.After.IsZero() {
		note("when", history.WhenText(c.At, c.After, now))
	}
	for i := range c.By {
		note("command", c.By[i].Command)
	}
	note("note", c.Note)
	if d := c.Rules; d != nil {
		rulesDetails(b, d, s)
		for _, u := range d.Unread {
			note("not compared", u)
		}
	}
	for i := range c.Addrs {
		minusPlus(b, s, c.Addrs[i].Op, "", "", addrText(&c.Addrs[i]))
	}
	for i := range c.Links {
		minusPlus(b, s, c.Links[i].Op, "", c.Links[i].Was, c.Links[i].Text)
	}
	for i := range c.Routes {
		table := ""
		if c.Routes[i].Table != mainTable {
			table = fmt.Sprintf("table %d  ", c.Routes[i].Table)
		}
		minusPlus(b, s, c.Routes[i].Op, table, c.Routes[i].Was, c.Routes[i].Text)
	}
	for i := range c.Policies {
		minusPlus(b, s, c.Policies[i].Op, "", "", c.Policies[i].Text)
	}
	if n := c.Omitted; n > 0 {
		note("not kept", counted(n, "more", "more"))
	}
}

const mainTable = 254 // RT_TABLE_MAIN

func addrText(a *history.AddrChange) string {
	text := a.Prefix.String()
	if a.Peer.IsValid() {
		text += " peer " + a.Peer.String()
	}
	return text + " dev " + a.Dev
}

// minusPlus writes the one before and the one after, of which there may be one
// only.
func minusPlus(b *strings.Builder, s Style, op history.Op, ref, was, text string) {
	line := func(sign, sgr, text string) {
		wrap(b, s.width(), "      "+s.paint(sgr, sign)+" "+ref, "          ", s.paint(sgr, safe(text)))
	}
	switch op {
	case history.Added:
		line("+", green, text)
	case history.Removed:
		line("-", red, text)
	default:
		line("-", red, was)
		line("+", green, text)
	}
}

func rulesDetails(b *strings.Builder, d *history.RulesDiff, s Style) {
	place := ""
	under := func(p string) {
		if p != place {
			wrap(b, s.width(), "    ", "      ", safe(p))
			place = p
		}
	}
	for i := range d.Objects {
		o := &d.Objects[i]
		under(objectText(o))
		minusPlus(b, s, o.Op, "", orWord(o.Was, o.What), orWord(o.Text, o.What))
	}
	for i := range d.Rules {
		r := &d.Rules[i]
		under(placeText(&r.Place))
		now := ruleLine(r.Backend, &r.RuleVersion)
		if r.Was != nil {
			minusPlus(b, s, r.Op, "", ruleLine(r.Backend, r.Was), now)
		} else {
			minusPlus(b, s, r.Op, "", "", now)
		}
	}
	if d.Omitted > 0 {
		under(counted(d.Omitted, "more change of a rule", "more changes of rules") + ", not kept")
	}
	for i := range d.Sets {
		c := &d.Sets[i]
		under(c.What + " " + placeText(&c.Place))
		for j := range c.Elements {
			minusPlus(b, s, c.Elements[j].Op, "", c.Elements[j].Was, c.Elements[j].Text)
		}
		if more := c.Added + c.Removed + c.Replaced - len(c.Elements); more > 0 {
			wrap(b, s.width(), "      ", "      ", counted(more, "more element", "more elements")+", not kept")
		}
	}
	for i := range d.Reloaded {
		r := &d.Reloaded[i]
		under(placeText(&r.Place))
		wrap(b, s.width(), "      = ", "        ", counted(r.Rules, "rule", "rules")+" loaded again, unchanged")
	}
}

func orWord(text, word string) string {
	if text == "" {
		return word
	}
	return text
}

func ruleLine(backend rules.Backend, v *history.RuleVersion) string {
	line := rules.RuleRef(backend, v.Handle, v.Position) + ": " + v.Text
	if v.Comment != "" && !backend.Iptables() {
		line += ` comment "` + v.Comment + `"`
	}
	return line
}

// historyEnd says what the list leaves out, and whether it goes on.
func historyEnd(b *strings.Builder, d *History, s Style, now time.Time) {
	if len(d.Changes) == 0 {
		b.WriteString("no recorded change fits\n")
	}
	var notes []string
	if d.Older > 0 {
		notes = append(notes, counted(d.Older, "older change", "older changes")+" not shown: --limit 0 shows all")
	}
	if d.Dropped > 0 {
		notes = append(notes, counted(int(d.Dropped), "older record", "older records")+" made room for newer ones")
	}
	if d.Others > 0 {
		notes = append(notes, counted(d.Others, "record", "records")+" of another network namespace of this number not shown")
	}
	if !d.Recording {
		notes = append(notes, "nobody records now; the records end at "+history.ClockText(d.Until, now))
	}
	if len(notes) > 0 {
		b.WriteByte('\n')
	}
	for _, n := range notes {
		wrap(b, s.width(), s.paint(dim, ""), "  ", n)
	}
	missingText(b, d.Header, s)
}
