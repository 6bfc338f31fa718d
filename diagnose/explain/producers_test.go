//go:build linux

package explain_test

import (
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/explain"
	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/rules"
)

// TestProducers has the programs that write NAT rules on real machines write
// theirs on the lab's router, sends traffic by them, and compares what is said
// of every entry with what the kernel did.
func TestProducers(t *testing.T) {
	needKernel(t)
	cases, err := readCases("testdata/producers/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) == 0 {
		t.Fatal("no cases in testdata/producers")
	}
	for _, c := range cases {
		for _, flavour := range c.flavours {
			c := *c
			c.flavour = flavour
			t.Run(c.name+"/"+flavour, func(t *testing.T) { testProducer(t, &c) })
		}
	}
}

func testProducer(t *testing.T, c *oracleCase) {
	if err := c.missing(); err != nil {
		lab.LeaveOut(t, err)
	}
	t.Parallel()
	run := &oracleRun{oracleCase: c}
	if err := run.play(t); err != nil {
		t.Fatalf("the case itself: %v", err)
	}
	run.understood(t)
	run.compare(t)
	run.grades(t)
}

// understood: no producer writes a rule of which a part is not modelled.
func (r *oracleRun) understood(t *testing.T) {
	for _, m := range r.snapshot.Missing {
		t.Errorf("not read: %s: %s", m.What, m.Why)
	}
	n, opaque := 0, map[string]int{}
	for _, table := range r.snapshot.Rules.Tables {
		for _, c := range table.Chains {
			for _, rule := range c.Rules {
				n++
				for _, s := range rule.Statements {
					if o, ok := s.(*rules.Opaque); ok {
						opaque[o.Name]++
					}
				}
			}
		}
	}
	if len(opaque) > 0 {
		t.Errorf("not understood: %v", opaque)
	}
	t.Logf("%d rules", n)
}

// grades logs how sure the answers about all rewrites are.
func (r *oracleRun) grades(t *testing.T) {
	ex := explain.New(r.snapshot)
	in := map[explain.Grade]int{}
	entries, rewrites := 0, 0
	for _, id := range r.flows {
		if entry := r.entries[id]; entry != nil {
			entries++
			for _, rw := range ex.Explain(entry, explain.Options{}).Rewrites {
				rewrites++
				in[rw.Grade]++
			}
		}
	}
	t.Logf("%d entries, %d rewrites: exact %d, inferred %d, ambiguous %d, none %d", entries, rewrites,
		in[explain.GradeExact], in[explain.GradeInferred], in[explain.GradeAmbiguous], in[explain.GradeNone])
}
