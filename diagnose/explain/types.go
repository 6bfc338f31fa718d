// Package explain says which rule made each rewrite of a conntrack entry that
// exists already, and how sure that is.
package explain

import (
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/packet"
	"github.com/ntdiag/ntdiag/rules"
)

// Cause is what made a rewrite.
type Cause string

const (
	CauseRule      Cause = "rule"
	CauseHelper    Cause = "helper"     // nf_nat_follow_master: no nat chain was asked
	CausePortClash Cause = "port-clash" // null binding changed the source port
	CauseRuleGone  Cause = "rule-gone"  // no present rule can have made it
	CauseInserted  Cause = "inserted"   // made through ctnetlink
	CauseUnknown   Cause = "unknown"
)

// Grade is how sure the rules named are.
type Grade string

const (
	// GradeExact: every condition on the way is decided by the entry, or was
	// assumed and the rewrite itself confirms it.
	GradeExact Grade = "exact"
	// GradeInferred: some conditions could not be known, but of the present
	// rules only this one can have made the rewrite.
	GradeInferred Grade = "inferred"
	// GradeAmbiguous: several rules can have made it; all are listed.
	GradeAmbiguous Grade = "ambiguous"
	// GradeNone: no present rule can have made it.
	GradeNone Grade = "none"
)

// Miss is a rule that did not make the rewrite, and the first condition that
// failed or what else ruled it out.
type Miss struct {
	Rule *rules.Rule
	Why  string
}

// Rewrite is one rewrite with what made it.
type Rewrite struct {
	host.Rewrite
	Cause   Cause
	Grade   Grade
	Rules   []*rules.Rule // the one; all when ambiguous; none when GradeNone
	Assumed []string      // "oif s0 from route 192.168.1.0/24"
	Unknown []string      // "packet mark"
	Not     []Miss        // rules that came before, in evaluation order
	// Via are the jumps that lead to the one rule, outermost first.
	Via []*rules.Rule
	// Marks are the rules that set the packet mark on the way, where a rule on
	// the way asks for it.
	Marks []*rules.Rule
	// Note adds what the operator should know: "its counter is 0", …
	Note string
}

// Explanation is the answer for one entry.
type Explanation struct {
	Flow     host.Flow
	Rewrites []Rewrite
	// WhyNone says why there is no rewrite; empty when there is one.
	WhyNone string
	// In and Out are the devices assumed for the first packet, "" for none
	// (locally generated, or delivered locally) or when not known.
	In, Out string
	// Local tells that the router itself sent (Output) or received (Input) it.
	LocalOut, LocalIn bool
	// Path is filled when asked for.
	Path []packet.Step
}

// Options of one explanation.
type Options struct {
	Path bool // keep every rule looked at
	Not  bool // keep the rules that came before and why they failed
	// Later: the flow began after the rules were read, so that a counter of 0
	// says nothing.
	Later bool
}
