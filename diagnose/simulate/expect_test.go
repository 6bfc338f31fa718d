package simulate

import (
	"strings"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/query"
	"github.com/ntdiag/ntdiag/rules"
)

func TestExpect(t *testing.T) {
	s := gateway(func(t *table) {
		r := do(&rules.Chance{Hits: 1, Of: 2}, dnat("192.168.1.81", 8080))
		t.chain(pre(), r, do(dnat("192.168.1.82", 8080)))
		t.Chains[0].Rules[0].Comment = "first half"
		t.chain(post(), do(&rules.NAT{Kind: rules.Masquerade}))
	})
	r := simulate(t, s, web)
	for text, want := range map[string]bool{
		"dnat":                                   true,
		"dnat to 192.168.1.81:8080":              false,
		"possible: dnat to 192.168.1.81:8080":    true,
		"any: dnat to 192.168.1.83":              false,
		"dnat to 192.168.1.80/30":                true,
		"dnat to 192.168.1.81-192.168.1.82:8080": true,
		"to :8080":                               true,
		"to :8081":                               false,
		"dnat by 11":                             false,
		"possible: dnat by handle 11":            true,
		`possible:dnat by "first half"`:          true,
		`dnat by "first half"`:                   false,
		"redirect":                               false,
		"masquerade":                             true,
		"snat to 192.168.1.2 by 21":              true,
		"snat to 192.168.1.2:5536":               true, // kept unless taken
		"masquerade to 192.168.1.3":              false,
		"no nat":                                 false,
		"no dnat":                                false,
		"accept":                                 true,
		"dnat to 192.168.1.80/30 accept forward": true,
		"local":                                  false,
		"out s0":                                 true,
		"out c0":                                 false,
		"drop":                                   false,
		"possible: drop":                         false,
	} {
		e, err := ParseExpectation(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got, instead := e.Check(r)
		if got != want || !got && len(instead) == 0 {
			t.Errorf("%s: %v, with %d outcomes instead", text, got, len(instead))
		}
	}
	none := simulate(t, gateway(func(*table) {}), web)
	for text, want := range map[string]bool{"no nat": true, "no snat": true, "local": true, "dnat": false, "accept": true} {
		e, _ := ParseExpectation(text)
		if got, _ := e.Check(none); got != want {
			t.Errorf("without rules, %s: %v", text, got)
		}
	}
}

func TestExpectRule(t *testing.T) {
	in := func(b rules.Backend, handle uint64, position int) *rules.Rule {
		tab := &rules.Table{Backend: b, Family: rules.FamilyIPv4, Name: "nat"}
		return &rules.Rule{Chain: &rules.Chain{Table: tab, Name: "DOCKER"}, Handle: handle, Position: position, Comment: "web out"}
	}
	nft, both, legacy := in(rules.BackendNft, 7, 2), in(rules.BackendIptablesNft, 7, 2), in(rules.BackendIptablesLegacy, 0, 2)
	for text, want := range map[string][3]bool{ // of nft, iptables-nft and iptables-legacy
		"by 7":                           {true, true, false},
		"by 2":                           {false, false, true},
		"by handle 7":                    {true, true, false},
		"by rule 2":                      {false, true, true},
		"by rule 7":                      {false, false, false},
		"by DOCKER rule 2":               {false, true, true},
		"by DOCKER handle 7":             {true, true, false},
		"by KUBE rule 2":                 {false, false, false},
		`by DOCKER rule 2 "web out"`:     {false, true, true},
		`by ip nat DOCKER rule 2 accept`: {false, true, true},
		`by rule ip nat DOCKER handle 7`: {true, true, false},
		`by ip6 nat DOCKER handle 7`:     {false, false, false},
		`by mangle DOCKER handle 7`:      {false, false, false},
		`by "web out"`:                   {true, true, true},
		`by comment "web"`:               {false, false, false},
	} {
		e, err := ParseExpectation(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		for i, r := range []*rules.Rule{nft, both, legacy} {
			if got := e.Rule.Names(r); got != want[i] {
				t.Errorf("%s names a rule of %s: %v", text, r.Chain.Table.Backend, got)
			}
		}
	}
}

func TestExpectErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                          "says nothing",
		"possible:":                 "says nothing",
		"dnat to":                   "to without a value",
		"dnat to 10.0.0.300":        `bad address "10.0.0.300"`,
		"dnat to 10.0.0.1:x":        `bad port "x"`,
		"dnat to 10.0.0.9-10.0.0.1": "bad range",
		"dnat by web":               `rule "web": neither "handle N", "CHAIN rule N" nor a comment in quotes`,
		"dnat by a b c d handle 4":  `rule "a b c d": more than a family, a table and a chain`,
		`dnat by ""`:                `rule "": neither`,
		"dnat by rule x":            `rule "x": neither`,
		"dnat by rule 0":            `rule "0": neither`,
		`dnat by "web`:              "a quote that does not end",
		"no way":                    "after no: nat, dnat or snat",
		"dnat snat":                 `"snat" is not understood`,
		"pass":                      `"pass" is not understood`,
	} {
		if _, err := ParseExpectation(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
}

// FuzzExpect: any text is an expectation or one line of error, and one that is
// understood can be checked.
func FuzzExpect(f *testing.F) {
	for _, s := range []string{"dnat to 10.0.0.5:80", "no nat", `possible: snat by "x"`, "to [fd00::1]:80", "drop by 7", "masquerade to 10.0.0.0/8 out s0"} {
		f.Add(s)
	}
	p, err := query.ParsePacket([]string{web})
	if err != nil {
		f.Fatal(err)
	}
	r, err := New(gateway(func(t *table) { t.chain(pre(), do(dnat("192.168.1.81", 80))) })).Simulate(p)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := ParseExpectation(text)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Errorf("error is not one harmless line: %q", err)
			}
			return
		}
		if holds, instead := e.Check(r); holds == (len(instead) == len(r.Outcomes)) {
			t.Errorf("%q holds %v, with %d of %d outcomes instead", text, holds, len(instead), len(r.Outcomes))
		}
	})
}

func TestParseRuleName(t *testing.T) {
	for text, want := range map[string]RuleName{
		"7":                            {Handle: 7},
		"handle 7":                     {Handle: 7},
		"DOCKER rule 2":                {Chain: "DOCKER", Number: 2},
		"DOCKER 2":                     {Chain: "DOCKER", Handle: 2},
		"inet nat prerouting handle 4": {Family: "inet", Table: "nat", Chain: "prerouting", Handle: 4},
		`prerouting "web out"`:         {Chain: "prerouting", Comment: "web out"},
	} {
		got, err := ParseRuleName(text)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"":           "no rule is named",
		"DOCKER":     `rule "DOCKER": neither`,
		"7 8":        `rule "7 8": too many words, from "8" on`,
		"handle 0":   `rule "0": neither`,
		`DOCKER "we`: "a quote that does not end",
	} {
		if _, err := ParseRuleName(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}
