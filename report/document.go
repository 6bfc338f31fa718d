// Package report turns answers into documents, and documents into text or
// JSON. The JSON is a promise to other programs: within a schema version a
// field keeps its name, type and meaning. The text is for people and free.
package report

import (
	"time"

	"github.com/ntdiag/ntdiag/diagnose/explain"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/packet"
	"github.com/ntdiag/ntdiag/diagnose/stale"
	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/nft"
)

// Host is the machine that a document is about.
type Host struct {
	Hostname   string    `json:"hostname"`
	Kernel     string    `json:"kernel"`
	Netns      string    `json:"netns"`
	CapturedAt time.Time `json:"captured_at"`
}

// Header is what every document begins with.
type Header struct {
	Schema   string         `json:"schema"`
	Host     Host           `json:"host"`
	Complete bool           `json:"complete"`
	Missing  []host.Missing `json:"missing"`
	// Note is what to know of the answer that does not make it incomplete.
	Note string `json:"note,omitempty"`
}

// NewHeader makes the header of the document of command, version 1.
func NewHeader(command string, s *host.Snapshot, missing []host.Missing) Header {
	h := Header{Schema: "ntdiag." + command + "/1", Missing: []host.Missing{}}
	if s != nil {
		h.Host = Host{Hostname: s.Hostname, Kernel: s.Kernel, Netns: s.Netns, CapturedAt: s.CapturedAt}
		h.Missing = append(h.Missing, s.Missing...)
	}
	h.Missing = append(h.Missing, missing...)
	h.Complete = len(h.Missing) == 0
	return h
}

// Rule is a rule as documents name it.
type Rule struct {
	Backend  rules.Backend `json:"backend"`
	Family   string        `json:"family"`
	Table    string        `json:"table"`
	Chain    string        `json:"chain"`
	Handle   uint64        `json:"handle,omitempty"`
	Position int           `json:"position"`
	Text     string        `json:"text"`
	Comment  string        `json:"comment,omitempty"`
	// Owner is the program that wrote it, when it is recognised.
	Owner   string `json:"owner,omitempty"`
	Decoded bool   `json:"decoded"`
}

// NewRule describes r.
func NewRule(r *rules.Rule) Rule {
	out := textless(r)
	out.Text = textOf(r)
	return out
}

func textOf(r *rules.Rule) string {
	if r.Text != "" {
		return r.Text
	}
	return nft.RuleText(r)
}

// textless is the rule without its text.
func textless(r *rules.Rule) Rule {
	out := Rule{Handle: r.Handle, Position: r.Position, Comment: r.Comment, Owner: r.MadeBy(), Decoded: r.Decoded()}
	if r.Chain != nil {
		out.Chain = r.Chain.Name
		if t := r.Chain.Table; t != nil {
			out.Backend, out.Family, out.Table = t.Backend, t.Family.String(), t.Name
		}
	}
	return out
}

// Endpoint is one side of a rewrite. For ICMP Port is the query's id; it is
// nil for protocols without ports.
type Endpoint struct {
	Addr string  `json:"addr"`
	Port *uint16 `json:"port,omitempty"`
}

// Miss is a rule that did not make a rewrite.
type Miss struct {
	Rule Rule   `json:"rule"`
	Why  string `json:"why"`
}

// Rewrite is one rewrite with what made it.
type Rewrite struct {
	Kind    string        `json:"kind"`
	From    Endpoint      `json:"from"`
	To      Endpoint      `json:"to"`
	Cause   explain.Cause `json:"cause"`
	Grade   explain.Grade `json:"grade"`
	Rules   []Rule        `json:"rules"`
	Assumed []string      `json:"assumed"`
	Unknown []string      `json:"unknown"`
	Not     []Miss        `json:"not"`
	Note    string        `json:"note,omitempty"`
	// Via are the jumps that lead to the one rule, outermost first.
	Via []Rule `json:"via,omitempty"`
	// Marks are the rules that set the packet mark which a rule on the way
	// asks for.
	Marks []Rule `json:"marks,omitempty"`
}

// Step is one step of the packet's way.
type Step struct {
	Hook   string `json:"hook"`
	Family string `json:"family"`
	Table  string `json:"table"`
	Chain  string `json:"chain"`
	Rule   *Rule  `json:"rule"`
	Result string `json:"result"`
	Why    string `json:"why,omitempty"`
}

// Explained is one entry with its rewrites.
type Explained struct {
	Flow      Flow      `json:"flow"`
	MatchedAs string    `json:"matched_as,omitempty"`
	Rewrites  []Rewrite `json:"rewrites"`
	WhyNone   string    `json:"why_none,omitempty"`
	In        string    `json:"in,omitempty"`
	Out       string    `json:"out,omitempty"`
	LocalOut  bool      `json:"local_out,omitempty"`
	LocalIn   bool      `json:"local_in,omitempty"`
	Path      []Step    `json:"path,omitempty"`
	// Stale says in which way it no longer is what the rules make of it; null
	// when it is, or when that could not be decided, which Undecided tells.
	Stale     *StaleFlow `json:"stale"`
	Undecided string     `json:"undecided,omitempty"`
}

// NewExplained describes x; as is the form in which the entry fits the query.
func NewExplained(x *explain.Explanation, as string) Explained {
	out := Explained{
		Flow: Flow{x.Flow}, MatchedAs: as, Rewrites: []Rewrite{}, WhyNone: x.WhyNone,
		In: x.In, Out: x.Out, LocalOut: x.LocalOut, LocalIn: x.LocalIn,
	}
	for i := range x.Rewrites {
		out.Rewrites = append(out.Rewrites, newRewrite(&x.Flow, &x.Rewrites[i]))
	}
	for i := range x.Path {
		out.Path = append(out.Path, newStep(&x.Path[i]))
	}
	return out
}

// Judge adds what a verdict on the flow says.
func (x *Explained) Judge(v *stale.Verdict) {
	switch v.Fate {
	case stale.Stale:
		s := NewStaleFlow(v, nil)
		x.Stale = &s
	case stale.Undecided:
		x.Undecided = v.Why
	}
}

func newRewrite(f *host.Flow, r *explain.Rewrite) Rewrite {
	out := Rewrite{
		Kind: r.Manip.String(), From: newEndpoint(f, r.From), To: newEndpoint(f, r.To),
		Cause: r.Cause, Grade: r.Grade, Note: r.Note,
		Rules: []Rule{}, Not: []Miss{},
		Assumed: append([]string{}, r.Assumed...), Unknown: append([]string{}, r.Unknown...),
	}
	for _, rule := range r.Rules {
		out.Rules = append(out.Rules, NewRule(rule))
	}
	for _, rule := range r.Via {
		out.Via = append(out.Via, NewRule(rule))
	}
	for _, rule := range r.Marks {
		out.Marks = append(out.Marks, NewRule(rule))
	}
	for _, m := range r.Not {
		out.Not = append(out.Not, Miss{NewRule(m.Rule), m.Why})
	}
	return out
}

func newEndpoint(f *host.Flow, e host.Endpoint) Endpoint {
	out := Endpoint{Addr: e.Addr.String()}
	if f.HasPorts() || f.IsICMP() {
		out.Port = &e.Port
	}
	return out
}

func newStep(s *packet.Step) Step {
	out := Step{Hook: s.Hook.String(), Result: s.Result, Why: s.Why}
	if s.Chain != nil {
		out.Chain = s.Chain.Name
		if s.Chain.Table != nil {
			out.Family, out.Table = s.Chain.Table.Family.String(), s.Chain.Table.Name
		}
	}
	if s.Rule != nil {
		r := NewRule(s.Rule)
		out.Rule = &r
	}
	return out
}

// Explain is the document of `explain`.
type Explain struct {
	Header
	Query string `json:"query"`
	// ReadAs is what the query was taken for, when it was a pasted line.
	ReadAs string      `json:"read_as,omitempty"`
	Flows  []Explained `json:"flows"`
	// More is how many entries fit beyond those in Flows.
	More int `json:"more,omitempty"`
	// Nearest are entries that fit the query in part, when none fits.
	Nearest []Flow `json:"nearest,omitempty"`
	// Simulated is filled where the query names a whole packet that has no
	// entry and its way was worked out.
	Simulated *Simulation `json:"simulated,omitempty"`
}
