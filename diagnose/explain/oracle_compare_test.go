//go:build linux

package explain_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/explain"
	"github.com/ntdiag/ntdiag/rules"
)

// compare holds every flow of the case against the kernel's trace.
func (r *oracleRun) compare(t *testing.T) {
	ex := explain.New(r.snapshot)
	seen := map[string]bool{}
	for i := range r.traffic {
		r.compareFlow(t, ex, fmt.Sprint(i+1), seen)
	}
	if _, ok := r.flows["data"]; ok {
		r.compareFlow(t, ex, "data", seen)
	}
	if err := r.heldAlike(1); err != nil {
		t.Error(err)
	}
	for _, w := range r.wants {
		if key := w.flow + " " + w.kind; w.kind != "none" && !seen[key] {
			t.Errorf("flow %s: there is no %s rewrite", w.flow, w.kind)
		}
	}
}

func (r *oracleRun) compareFlow(t *testing.T, ex *explain.Explainer, name string, seen map[string]bool) {
	id, traced := r.flows[name]
	entry := r.entries[id]
	wantNone := r.want(name, "none") != nil
	if !traced || entry == nil {
		if !wantNone {
			t.Errorf("flow %s: no entry (id %d, traced %v)", name, id, traced)
		}
		return
	}
	x := ex.Explain(entry, explain.Options{Path: true, Not: true})
	var bad []string
	if why := r.indexed(entry); why != "" {
		bad = append(bad, why)
	}
	if wantNone != (len(x.Rewrites) == 0) {
		bad = append(bad, fmt.Sprintf("%d rewrites", len(x.Rewrites)))
	}
	if len(x.Rewrites) == 0 && x.WhyNone == "" {
		bad = append(bad, "no rewrite, and it is not said why")
	}
	for _, rw := range x.Rewrites {
		seen[name+" "+rw.Manip.String()] = true
		if why := r.wrong(name, &rw); why != "" {
			bad = append(bad, rw.Manip.String()+": "+why)
		}
	}
	for _, say := range r.says {
		if say.flow == name && !strings.Contains(notes(x), say.text) {
			bad = append(bad, fmt.Sprintf("does not say %q", say.text))
		}
	}
	if len(bad) > 0 {
		t.Errorf("flow %s: %s\n%s  kernel's trace:\n%s", name, strings.Join(bad, "; "), printExplanation(x), printTrace(r.events, id))
		return
	}
	for _, rw := range x.Rewrites {
		t.Logf("flow %s %s %s %s", name, rw.Manip, rw.Cause, rw.Grade)
	}
}

// notes are what is said of a rewrite beside the rule: notes, the chains that
// lead to it, and those that set the mark it asks for.
func notes(x *explain.Explanation) string {
	all := x.WhyNone
	for _, rw := range x.Rewrites {
		all += "\n" + rw.Note + "\n" + rw.Manip.String() + " via"
		for _, r := range rw.Via {
			all += " " + r.Chain.Name
		}
		all += "\n" + rw.Manip.String() + " marked by"
		for _, r := range rw.Marks {
			all += " " + r.Chain.Name
		}
	}
	return all + "\n"
}

func (r *oracleRun) want(flow, kind string) *want {
	for i, w := range r.wants {
		if w.flow == flow && w.kind == kind {
			return &r.wants[i]
		}
	}
	return nil
}

// wrong says what is wrong with the answer about one rewrite, "" for nothing.
func (r *oracleRun) wrong(flow string, rw *explain.Rewrite) string {
	kernel := r.verdicts[r.flows[flow]].rule[rw.Manip]
	w := r.want(flow, rw.Manip.String())
	gone := kernel != nil && !r.isLeft(*kernel)
	switch {
	case w != nil && w.grade != "" && string(rw.Grade) != w.grade:
		return fmt.Sprintf("grade %s, want %s", rw.Grade, w.grade)
	case w != nil && string(rw.Cause) != w.cause:
		return fmt.Sprintf("cause %s, want %s", rw.Cause, w.cause)
	case kernel == nil && w == nil:
		return fmt.Sprintf("cause %s; the kernel ran no rule, and the case does not say what to expect", rw.Cause)
	case gone && w == nil && rw.Cause != explain.CauseRuleGone:
		return fmt.Sprintf("cause %s, want rule-gone: %s is there no more", rw.Cause, kernel)
	}
	if kernel == nil && r.allowAmbiguous != "" && rw.Grade == explain.GradeAmbiguous && orNoRule(rw) {
		return ""
	}
	unnamed := w != nil && w.cause != string(explain.CauseRule) // also a rule that is left but changed its target
	if kernel == nil || unnamed || gone && w == nil {
		if len(rw.Rules) > 0 || rw.Grade != explain.GradeNone && rw.Cause == explain.CauseRuleGone {
			return "rules are named, but no present rule made it"
		}
		return ""
	}
	if gone { // an equal rule in its place
		return ""
	}
	named := slices.ContainsFunc(rw.Rules, func(x *rules.Rule) bool {
		return x.Handle == kernel.handle && x.Chain.Table.Name == kernel.table && x.Chain.Table.Family.String() == kernel.family
	})
	noted := rw.Grade == explain.GradeInferred && regexp.MustCompile(fmt.Sprintf(`handle %d\b`, kernel.handle)).MatchString(rw.Note)
	switch {
	case !named && noted && r.allowNoted != "":
		return ""
	case !named:
		return fmt.Sprintf("%s, but the kernel ran %s", rw.Grade, kernel)
	case rw.Cause != explain.CauseRule:
		return fmt.Sprintf("cause %s, but the kernel ran %s", rw.Cause, kernel)
	case rw.Grade == explain.GradeAmbiguous && r.allowAmbiguous == "":
		return fmt.Sprintf("ambiguous, but only %s can be", kernel)
	case rw.Grade != explain.GradeAmbiguous && len(rw.Rules) != 1:
		return fmt.Sprintf("%s with %d rules", rw.Grade, len(rw.Rules))
	case rw.Grade == explain.GradeNone:
		return "grade none with a rule"
	case (r.exact[""] || r.exact[flow]) && rw.Grade != explain.GradeExact:
		return fmt.Sprintf("%s, want exact", rw.Grade)
	}
	return ""
}

// orNoRule tells whether the answer leaves open that no rule was met.
func orNoRule(rw *explain.Rewrite) bool { return strings.HasPrefix(rw.Note, "or no rule") }

func (r *oracleRun) isLeft(id ruleID) bool { _, ok := r.left[id]; return ok }
