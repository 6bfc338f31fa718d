package index

import "github.com/ntdiag/ntdiag/rules"

// Look is what a statement is to a rule that may fail before it has done
// anything.
type Look uint8

const (
	// Ends: what it does depends on the state; the rule is to be evaluated.
	Ends Look = iota
	// Passes: it has no bearing.
	Passes
	// Remarks: nor has it; but from there on what held counts as having decided
	// the rule, as what failed does.
	Remarks
	// Asks: a condition on one value.
	Asks
	// AsksLoud: any other condition. It is a remark as well.
	AsksLoud
)

// LookAt says which it is.
func LookAt(s rules.Statement) Look {
	switch s.(type) {
	case *rules.Match, *rules.MatchRange, *rules.InSet:
		return Asks
	case *rules.Counter, *rules.Log, *rules.Load:
		return Passes
	case *rules.Remark, *rules.Last:
		return Remarks
	case *rules.AnyOf, *rules.AllOf, *rules.NotOf, *rules.Fixed, *rules.InIPSet:
		return AsksLoud
	}
	return Ends
}
