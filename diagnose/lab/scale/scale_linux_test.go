package scale

import (
	"os"
	"os/exec"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/explain"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/diagnose/stale"
	"github.com/ntdiag/ntdiag/rules"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m.Run)) }

// TestTruth judges and explains flows of each kind by rules of each shape, and
// holds what is said against what the kind says.
func TestTruth(t *testing.T) {
	for i := range Shapes {
		s := &Shapes[i]
		t.Run(s.Name, func(t *testing.T) {
			l, err := lab.New()
			if err == nil {
				_, err = exec.LookPath(s.Loader[0])
			}
			if err != nil {
				lab.LeaveOut(t, err)
			}
			t.Cleanup(func() { l.Close() })
			node, err := Node(l)
			if err != nil {
				t.Fatal(err)
			}
			c := s.Cluster(300)
			if err := s.Load(node, c); err != nil {
				t.Fatal(err)
			}
			const flows = 500
			if err := Fill(node, c, flows); err != nil {
				t.Fatal(err)
			}
			hold(t, s, c, node, flows)
		})
	}
}

func hold(t *testing.T, s *Shape, c Cluster, node *lab.Host, flows int) {
	live, err := capture.Open(node.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	snap, err := live.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, table := range snap.Rules.Tables {
		for _, chain := range table.Chains {
			n += len(chain.Rules)
		}
	}
	if want := s.Rules(c); n != want {
		t.Errorf("%d rules, want %d", n, want)
	}
	type made struct {
		Flow
		*Kind
	}
	all := map[rules.Tuple]made{}
	for i := range flows {
		f, k := At(c, i)
		all[f.Tuple()] = made{f, k}
	}
	e, j := explain.New(snap), stale.New(snap)
	seen := map[*Kind]int{}
	_, err = live.Flows(t.Context(), capture.Filter{}, func(f *host.Flow) error {
		k := all[f.Original]
		if k.Kind == nil {
			t.Errorf("%v was not made", f.Original)
			return nil
		}
		seen[k.Kind]++
		v := j.Judge(f)
		if v.Fate != k.Fate || v.Class != k.Class || v.Fate == stale.Stale && v.Confidence != stale.Certain {
			t.Errorf("%s: %s %s %s: %s %v", k.Name, v.Fate, v.Class, v.Confidence, v.Why, v.Unknown)
		}
		got := [2]explain.Grade{}
		for _, rw := range e.Explain(f, explain.Options{}).Rewrites {
			got[rw.Manip] = rw.Grade
		}
		if want := k.Grades(s, &k.Flow); got != want {
			t.Errorf("%s: grades %q, want %q", k.Name, got, want)
			for _, rw := range e.Explain(f, explain.Options{}).Rewrites {
				t.Logf("%+v", rw)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for k, want := range Count(c, flows) {
		if seen[k] != want {
			t.Errorf("%s: %d flows, want %d", k.Name, seen[k], want)
		}
	}
}
