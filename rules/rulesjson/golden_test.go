package rulesjson

import (
	"flag"
	"os"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ntdiag/ntdiag/rules"
)

var update = flag.Bool("update", false, "write the form as it is now")

// TestFormIsKept: a change of a Go type is one of the form. What is added an
// older program passes over, or takes for something that it does not know; for
// any other change there has to be a new Version.
func TestFormIsKept(t *testing.T) {
	const path = "testdata/form.txt"
	got := form.Describe(reflect.TypeFor[rules.Ruleset]())
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("another form (-kept +now); -update keeps it:\n%s", d)
	}
}
