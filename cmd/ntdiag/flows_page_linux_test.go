package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/lab"
)

// TestFlowsPage: of a big table a page is read, and how many more there are is
// about what the kernel counts; with a filter, all of it.
func TestFlowsPage(t *testing.T) {
	l, err := lab.New()
	if err != nil {
		lab.LeaveOut(t, err)
	}
	t.Cleanup(func() { l.Close() })
	router, err := l.Host("router")
	if err != nil {
		t.Fatal(err)
	}
	if err := router.Fill(bigTable+10, benchEntry); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ args, want string }{
		{"", "about 49,970 more flows not shown: --all shows them"},
		{"--limit 7", "about 50,003 more flows not shown: --all shows them"},
		{"--snat", "49,970 more flows not shown: --all shows them"},
		{"--all", "45,010 more flows not shown: use -o jsonl"},
	} {
		var out, errOut bytes.Buffer
		args := append([]string{"flows", "--netns", router.Path()}, strings.Fields(tt.args)...)
		if code := execute(t.Context(), args, &out, &errOut); code != 0 {
			t.Errorf("%q: exit code %d: %s", args, code, errOut.String())
		}
		if got := regexp.MustCompile(`(?m)^.*not shown.*$`).FindString(out.String()); got != tt.want {
			t.Errorf("flows %s: %q, want %q", tt.args, got, tt.want)
		}
	}
}
