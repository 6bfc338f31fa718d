//go:build linux

package explain_test

import (
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/explain"
	"github.com/ntdiag/ntdiag/diagnose/lab"
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
	run.compare(t)
	run.grades(t)
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
