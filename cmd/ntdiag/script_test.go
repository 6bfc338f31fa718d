package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ntdiag/ntdiag/diagnose/lab"
)

// inUserNamespace runs the tests as lab.Main does: without root in a user
// namespace, so that a lab can be made.
type inUserNamespace struct{ m *testing.M }

func (r inUserNamespace) Run() int { return lab.Main(r.m.Run) }

func TestMain(m *testing.M) {
	testscript.Main(inUserNamespace{m}, map[string]func(){"ntdiag": main})
}

// exits is `exits N COMMAND…`: the command ends with exit code N.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%s: %v", args[1], err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// TestScript runs the scripts that need no kernel.
func TestScript(t *testing.T) {
	bundles, err := filepath.Abs("../../testdata/bundles")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:           "../../testdata/script",
		Setup:         func(e *testscript.Env) error { e.Setenv("BUNDLES", bundles); return nil },
		Cmds:          map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
		UpdateScripts: os.Getenv("NTDIAG_UPDATE") != "",
	})
}
