package report

import (
	"time"

	"github.com/ntdiag/ntdiag/diagnose/explain"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/query"
)

// What follows are the words of the text forms, for what shows documents in
// another form.

// Name names the rule among all: ip nat PREROUTING rule 2.
func (r *Rule) Name() string { return longName(r) }

// NameInChain names it inside its chain: handle 4 "web".
func (r *Rule) NameInChain() string { return ruleName(r) }

// Text is the end with its port, or with its id for ICMP.
func (e Endpoint) Text(icmp bool) string { return e.text(icmp) }

// Answer is what happens to the flow, and by what.
func (x *Explained) Answer() string { return answer(x) }

// Title is the protocol and the original tuple, with an arrow.
func (f *Flow) Title() string {
	return query.ProtoName(f.Original.Proto) + " " + tupleText(&f.Flow)
}

// Ends are source and destination of the original packets as they arrive, and as
// they leave.
func (f *Flow) Ends() (in, out [2]string) {
	t := forward(&f.Flow)
	return [2]string{srcText(f.Original), dstText(f.Original)}, [2]string{srcText(t), dstText(t)}
}

// Traits are state, status and age at a time, in words.
func (f *Flow) Traits(now time.Time) []string { return traits(&f.Flow, now) }

// Command is how the flow is explained on its machine.
func (f *Flow) Command(netns string) string {
	return "ntdiag explain" + Style{host: netns}.netns() + " " + ShellWord(FlowName(&f.Flow))
}

// CauseText is what made the rewrite, in words, where no one rule did.
func (r *Rewrite) CauseText() string { return causes[r.Cause].text }

// Do is what to do about the rewrite, "" for nothing.
func (r *Rewrite) Do() string {
	if r.Grade == explain.GradeAmbiguous {
		return tellApart
	}
	return causes[r.Cause].do
}

// StateText is the state of the entry, for a cell.
func StateText(f *host.Flow) string { return stateCell(f) }

// Thousands is n with commas.
func Thousands(n int) string { return thousands(n) }

// Counted is n of something: 1 flow, 2 flows.
func Counted(n int, one, many string) string { return counted(n, one, many) }

// NetnsFlag is the flag that names a namespace, behind a space; "" for none.
func NetnsFlag(netns string) string { return Style{host: netns}.netns() }
