package ticket

import (
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/report"
)

// way is one explained flow: a picture of how it goes, the same in words, and
// what is known of each rewrite.
type way struct {
	ID        string
	Title     string
	Answer    string
	Because   string // why it is shown
	Traits    string
	Wide      drawing
	Narrow    drawing
	Words     []string
	Rewrites  []rewrite
	WhyNone   string
	Stale     *staleness
	Undecided string
	Path      table
	Command   string
	Text      []string // what explain prints, for who shows no picture
}

// rewrite is a report.Rewrite in words.
type rewrite struct {
	End, From, To string
	Grade         string
	Cause         string // where no one rule made it
	Rules         []report.Rule
	MoreRules     int
	Via, Marks    []string
	Assumed       []string
	Unknown       []string
	Not           []miss
	MoreNot       int
	Note, Do      string
}

type miss struct{ Rule, Why string }

// staleness is in which way the flow is not what the rules make of it.
type staleness struct {
	Confidence, Severity, Class, Why string
	Unknown                          []string
	Command                          string // that deletes it
}

// Bounds of one flow.
const (
	maxRules = 8  // of one rewrite
	maxNot   = 30 // that did not make it
	maxSteps = 80 // of its way
)

// endNames are what the ends of a rewrite are called.
var endNames = map[string]string{"dnat": "destination", "snat": "source"}

func (t *Ticket) way(id, why string, x *report.Explained) (way, error) {
	w := way{
		ID: id, Title: x.Flow.Title(), Answer: x.Answer(), Because: why, Traits: strings.Join(x.Flow.Traits(t.Now), ", "),
		WhyNone: x.WhyNone, Undecided: x.Undecided, Command: x.Flow.Command(t.Host.Netns),
	}
	if len(x.Rewrites) > 0 {
		w.WhyNone = ""
	}
	for i := range x.Rewrites {
		r := newRewrite(&x.Rewrites[i], x.Flow.IsICMP())
		if x.Stale != nil && r.Grade == "none" {
			r.Do = "" // what is to be done about a stale flow says it
		}
		w.Rewrites = append(w.Rewrites, r)
	}
	if s := x.Stale; s != nil {
		w.Stale = &staleness{string(s.Confidence), report.Warning, string(s.Class), s.Why, s.Unknown, x.StaleCommand(t.Host.Netns)}
		if s.Confidence == "certain" {
			w.Stale.Severity = report.Critical
		}
	}
	w.Path = path(id, x)
	stations := t.stations(x)
	w.Words = inWords(stations)
	w.Wide, w.Narrow = draw(stations, true), draw(stations, false)
	var err error
	w.Text, err = t.printed(&report.Explain{Header: report.Header{Host: t.Host}, Flows: []report.Explained{*x}})
	return w, err
}

func newRewrite(r *report.Rewrite, icmp bool) rewrite {
	out := rewrite{
		End: endNames[r.Kind], From: r.From.Text(icmp), To: r.To.Text(icmp), Grade: string(r.Grade),
		Rules: r.Rules[:min(len(r.Rules), maxRules)], Assumed: r.Assumed, Unknown: r.Unknown, Note: r.Note, Do: r.Do(),
	}
	out.MoreRules = len(r.Rules) - len(out.Rules)
	if r.Cause != "rule" || len(r.Rules) == 0 {
		out.Cause = r.CauseText()
	}
	for i := range r.Via {
		out.Via = append(out.Via, r.Via[i].Chain+" "+r.Via[i].NameInChain())
	}
	for i := range r.Marks {
		m := &r.Marks[i]
		out.Marks = append(out.Marks, m.Table+" "+m.Chain+" "+m.NameInChain()+": "+m.Text)
	}
	for i := range r.Not[:min(len(r.Not), maxNot)] {
		m := &r.Not[i]
		out.Not = append(out.Not, miss{m.Rule.Table + " " + m.Rule.Chain + " " + m.Rule.NameInChain(), m.Why})
	}
	out.MoreNot = len(r.Not) - len(out.Not)
	return out
}

// path is every rule that was looked at.
func path(id string, x *report.Explained) table {
	t := table{ID: id + "-path", Caption: "Every rule on the way", What: "rules", Folded: true, Columns: []column{
		{"#", number}, {"Hook", words}, {"Chain", words}, {"Rule", long}, {"Result", words}, {"Why", long},
	}}
	for i := range x.Path[:min(len(x.Path), maxSteps)] {
		s := &x.Path[i]
		rule := cell{Parts: parts("dim", "policy")}
		if s.Rule != nil {
			rule = cell{Parts: []part{{s.Rule.NameInChain(), ""}, {s.Rule.Text, "code"}}}
		}
		t.add(num(uint64(i+1)), text(s.Hook), text(s.Family+" "+s.Table+" "+s.Chain), rule, text(s.Result), text(s.Why))
	}
	t.More = len(x.Path) - len(t.Rows)
	t.prune()
	return t
}

// station is one place on the way, with what is there on the way to the server
// and on the way back.
type station struct {
	kind        stationKind
	title       string // there
	back        string // its name on the way back
	there, home []line
}

type stationKind int

const (
	atEnd  stationKind = iota // client or server
	onWire                    // between an end and this host
	atHook                    // within this host
)

// line is a line of a station, and how it is set: strong, dim, code or a
// severity.
type line struct{ text, class string }

// hooks are the hooks of a new packet's way in order, and for each the hook at
// which conntrack undoes on the way back what was done there (nf_nat_inet_ops
// has the source at postrouting and input, the destination at prerouting and
// output).
var (
	forwarded = []string{"prerouting", "routing", "forward", "postrouting"}
	delivered = []string{"prerouting", "routing", "input"}
	sent      = []string{"routing", "output", "postrouting"}
	looped    = []string{"routing", "output", "postrouting", "prerouting", "input"}

	undoneAt = map[string]string{"prerouting": "postrouting", "postrouting": "prerouting", "output": "input", "input": "output", "forward": "forward"}
)

func hooksOf(x *report.Explained) []string {
	switch {
	case x.LocalOut && x.LocalIn:
		return looped
	case x.LocalOut:
		return sent
	case x.LocalIn:
		return delivered
	}
	return forwarded
}

// rewrittenAt is the hook at which an end was rewritten.
func rewrittenAt(kind string, x *report.Explained) string {
	switch {
	case kind == "dnat" && x.LocalOut:
		return "output"
	case kind == "dnat":
		return "prerouting"
	case x.LocalIn && !x.LocalOut:
		return "input"
	}
	return "postrouting"
}

// stations are the places of the way of x, the client's first.
func (t *Ticket) stations(x *report.Explained) []station {
	in, out := x.Flow.Ends()
	answered := x.Flow.Status.Has(host.StatusSeenReply)
	client := station{kind: atEnd, title: "client", there: []line{{in[0], "strong"}}}
	if x.LocalOut {
		client.title = "a process of this host"
	}
	server := station{kind: atEnd, title: "server", there: []line{{out[1], "strong"}}}
	if x.LocalIn {
		server.title = "a process of this host"
	}
	all := []station{client, wire(x.In, "in by ", in[0]+" → "+in[1], in[1]+" → "+in[0], answered, x.LocalOut)}
	for _, hook := range hooksOf(x) {
		all = append(all, hookStation(hook, x))
	}
	return append(all, wire(x.Out, "out by ", out[0]+" → "+out[1], out[1]+" → "+out[0], answered, x.LocalIn), server)
}

// wire is the packet between an end and this host.
func wire(device, lead, there, home string, answered, local bool) station {
	s := station{kind: onWire}
	name := lead + device
	switch {
	case local:
		name = "inside this host"
	case device == "":
		name = lead + "a device that is not known"
	}
	s.there = []line{{name, "dim"}, {there, "code"}}
	s.home = []line{{"the answer", "dim"}, {home, "code"}}
	if !answered {
		s.home = []line{{"no answer was seen; it would be", report.Warning}, {home, "dim"}}
	}
	return s
}

// maxOther is how many rules of a hook are shown that rewrote nothing.
const maxOther = 3

func hookStation(hook string, x *report.Explained) station {
	s := station{kind: atHook, title: hook, back: undoneAt[hook]}
	if hook == "routing" {
		s.back = "routing"
		switch {
		case x.LocalIn && !x.LocalOut:
			s.there = []line{{"to this host itself", "dim"}}
		case x.Out != "":
			s.there = []line{{"to " + x.Out, "dim"}}
		}
		return s
	}
	made := map[string]bool{}
	for i := range x.Rewrites {
		r := &x.Rewrites[i]
		if rewrittenAt(r.Kind, x) != hook {
			continue
		}
		icmp := x.Flow.IsICMP()
		from, to, end := r.From.Text(icmp), r.To.Text(icmp), endNames[r.Kind]
		s.there = append(s.there, madeBy(r, made)...)
		s.there = append(s.there, line{end + " " + from, "code"}, line{"→ " + to, "strong"})
		// what was the destination is the answer's source
		other := map[string]string{"dnat": "source", "snat": "destination"}[r.Kind]
		s.home = append(s.home, line{"conntrack undoes it, no rule is asked", "dim"}, line{other + " " + to, "code"}, line{"→ " + from, "strong"})
	}
	var others []line
	for i := range x.Path {
		p := &x.Path[i]
		if p.Hook != hook || p.Rule == nil || p.Result == "no-match" || made[p.Rule.Name()] {
			continue
		}
		what := map[string]string{"match": "matched ", "unknown": "may match "}[p.Result]
		others = append(others, line{what + p.Chain + " " + p.Rule.NameInChain(), "dim"})
	}
	if n := len(others) - maxOther; n > 0 {
		others = append(others[:maxOther], line{report.Counted(n, "more rule", "more rules"), "dim"})
	}
	s.there = append(others, s.there...)
	return s
}

// madeBy names what made a rewrite; made are the rules that it names.
func madeBy(r *report.Rewrite, made map[string]bool) []line {
	var out []line
	grade := map[string]string{"exact": "ok", "inferred": "ok", "ambiguous": report.Warning, "none": report.Critical}[string(r.Grade)]
	switch {
	case len(r.Rules) > 1:
		out = append(out, line{"one of " + report.Counted(len(r.Rules), "rule", "rules") + ", the likeliest:", grade})
	case len(r.Rules) == 0:
		out = append(out, line{r.CauseText(), grade})
	}
	if len(r.Rules) > 0 {
		rule := &r.Rules[0]
		made[rule.Name()] = true
		out = append(out, line{rule.Name(), grade}, line{rule.Text, "code dim"})
	}
	return out
}

// inWords is the way as sentences, for who does not see the picture.
func inWords(all []station) []string {
	var out []string
	for i := range all {
		if text := joined(all[i].there); text != "" {
			out = append(out, strings.TrimPrefix(all[i].title+": ", ": ")+text)
		}
	}
	for i := len(all) - 1; i >= 0; i-- {
		if text := joined(all[i].home); text != "" {
			out = append(out, strings.TrimPrefix("way back, "+all[i].back+": ", "way back, : ")+text)
		}
	}
	return out
}

func joined(lines []line) string {
	var out []string
	for _, l := range lines {
		out = append(out, l.text)
	}
	return strings.Join(out, "; ")
}
