//go:build linux

package explain_test

import (
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/explain"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// TestOracleSeesWrongAnswers holds answers of known worth against the judge
// itself: it must not be content with a wrong one.
func TestOracleSeesWrongAnswers(t *testing.T) {
	table := &rules.Table{Family: rules.FamilyIPv4, Name: "nat"}
	chain := &rules.Chain{Table: table, Name: "prerouting"}
	ran := &rules.Rule{Chain: chain, Handle: 2}
	other := &rules.Rule{Chain: chain, Handle: 3}
	elsewhere := &rules.Rule{Chain: &rules.Chain{Table: &rules.Table{Family: rules.FamilyIPv4, Name: "nat2"}}, Handle: 2}
	id := ruleID{family: "ip", table: "nat", tableHandle: 1, handle: 2}

	tests := []struct {
		name   string
		kernel *ruleID // the rule that ran
		gone   bool    // and is there no more
		want   string  // the case's own expectation
		allow  bool
		cause  explain.Cause
		grade  explain.Grade
		rules  []*rules.Rule
		ok     bool
	}{
		{"the rule", &id, false, "", false, explain.CauseRule, explain.GradeExact, []*rules.Rule{ran}, true},
		{"inferred", &id, false, "", false, explain.CauseRule, explain.GradeInferred, []*rules.Rule{ran}, true},
		{"another rule", &id, false, "", false, explain.CauseRule, explain.GradeExact, []*rules.Rule{other}, false},
		{"same handle of another table", &id, false, "", false, explain.CauseRule, explain.GradeExact, []*rules.Rule{elsewhere}, false},
		{"two rules, exact", &id, false, "", false, explain.CauseRule, explain.GradeExact, []*rules.Rule{ran, other}, false},
		{"ambiguous", &id, false, "", false, explain.CauseRule, explain.GradeAmbiguous, []*rules.Rule{ran, other}, false},
		{"ambiguous where that is allowed", &id, false, "", true, explain.CauseRule, explain.GradeAmbiguous, []*rules.Rule{ran, other}, true},
		{"ambiguous without the rule", &id, false, "", true, explain.CauseRule, explain.GradeAmbiguous, []*rules.Rule{other, elsewhere}, false},
		{"none", &id, false, "", true, explain.CauseRuleGone, explain.GradeNone, nil, false},
		{"helper", &id, false, "", false, explain.CauseHelper, explain.GradeNone, []*rules.Rule{ran}, false},
		{"rule without grade", &id, false, "", false, explain.CauseRule, explain.GradeNone, []*rules.Rule{ran}, false},
		{"a rule where none ran", nil, false, "port-clash", false, explain.CauseRule, explain.GradeExact, []*rules.Rule{ran}, false},
		{"a clash with a rule named", nil, false, "port-clash", false, explain.CausePortClash, explain.GradeNone, []*rules.Rule{ran}, false},
		{"a clash", nil, false, "port-clash", false, explain.CausePortClash, explain.GradeNone, nil, true},
		{"a clash nobody expects", nil, false, "", false, explain.CausePortClash, explain.GradeNone, nil, false},
		{"gone", &id, true, "", false, explain.CauseRuleGone, explain.GradeNone, nil, true},
		{"another rule for the one gone", &id, true, "", false, explain.CauseRule, explain.GradeExact, []*rules.Rule{other}, false},
		{"an equal rule for the one gone", &id, true, "rule", false, explain.CauseRule, explain.GradeExact, []*rules.Rule{other}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := &verdict{id: 7}
			v.rule[rules.ManipDst] = tt.kernel
			r := &oracleRun{
				oracleCase: &oracleCase{},
				flows:      map[string]uint32{"1": 7},
				verdicts:   map[uint32]*verdict{7: v},
				left:       map[ruleID]rules.Manip{},
			}
			if !tt.gone {
				r.left[id] = rules.ManipDst
			}
			if tt.want != "" {
				r.wants = []want{{flow: "1", kind: "dnat", cause: tt.want}}
			}
			if tt.allow {
				r.allowAmbiguous = "a reason"
			}
			why := r.wrong("1", &explain.Rewrite{Rewrite: host.Rewrite{Manip: rules.ManipDst}, Cause: tt.cause, Grade: tt.grade, Rules: tt.rules})
			if (why == "") != tt.ok {
				t.Errorf("judged %q", why)
			}
		})
	}
}

// TestLegacyRuleID: rules of iptables-legacy have no handles, so that their
// place alone tells them apart.
func TestLegacyRuleID(t *testing.T) {
	out := map[ruleID]legacyRule{}
	err := parseLegacySave("ip", `*nat
:PREROUTING ACCEPT [4:240]
:web - [0:0]
[3:180] -A PREROUTING -i c0 -j web
[0:0] -A web -p udp -j RETURN
[2:120] -A web -p tcp -j DNAT --to-destination 192.168.1.80
COMMIT
`, out)
	if err != nil {
		t.Fatal(err)
	}
	id := ruleID{family: "ip", table: "nat", chain: "web", position: 2}
	if len(out) != 1 || out[id] != (legacyRule{rules.ManipDst, 2}) {
		t.Fatalf("read %v", out)
	}
	place := func(table *rules.Table, chain string, position int, handle uint64) *rules.Rule {
		return &rules.Rule{Chain: &rules.Chain{Table: table, Name: chain}, Position: position, Handle: handle}
	}
	nat := &rules.Table{Backend: rules.BackendIptablesLegacy, Family: rules.FamilyIPv4, Name: "nat"}
	for _, tt := range []struct {
		name string
		rule *rules.Rule
		want bool
	}{
		{"itself", place(nat, "web", 2, 0), true},
		{"before it", place(nat, "web", 1, 0), false},
		{"another chain", place(nat, "PREROUTING", 2, 0), false},
		{"iptables-nft", place(nat, "web", 2, 5), false},
		{"another family", place(&rules.Table{Family: rules.FamilyIPv6, Name: "nat"}, "web", 2, 0), false},
	} {
		if got := id.is(tt.rule); got != tt.want {
			t.Errorf("%s: is %v", tt.name, got)
		}
	}
}
