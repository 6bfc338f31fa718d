package main

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// told runs a command that may find something, or miss something: what the
// kernel's log has is everybody's here.
func told(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	code := execute(context.Background(), args, &out, &errs)
	if !slices.Contains([]int{exitOK, exitFound, exitIncomplete}, code) {
		t.Fatalf("ntdiag %s: exit code %d: %s", strings.Join(args, " "), code, errs.String())
	}
	if code == exitIncomplete && !strings.Contains(errs.String(), "the answer is not complete") {
		t.Fatalf("ntdiag %s: %s", strings.Join(args, " "), errs.String())
	}
	return out.String()
}

// TestKernelReport is of a router whose rule for a flow is gone.
func TestKernelReport(t *testing.T) {
	n := scriptLab(t)
	inside(t, n.Router, "nft", "delete", "rule", "inet", "nat", "prerouting", "handle", strconv.Itoa(handleOf(t, n, "web")))
	netns := n.Router.Path()
	file := filepath.Join(t.TempDir(), "report.html")
	said := told(t, "bundle", "report", "--netns", netns, "--out", file, "--explain", "10.0.0.10:5536 10.8.2.12:80", "--explain", ":1")
	if !regexp.MustCompile(`^` + regexp.QuoteMeta(file) + `: \d+ (KiB|bytes)\n$`).MatchString(said) {
		t.Errorf("it says %q", said)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != fs.FileMode(0o600) {
		t.Errorf("the file is %v", info.Mode())
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	for _, want := range []string{
		"1 tcp flow still goes to 192.168.1.80:80, and no present rule sends it there", // the verdict
		"asked for: 10.0.0.10:5536 10.8.2.12:80", "No entry fits <code>:1</code>",
		"stale: rule-gone", "by no present rule", "conntrack undoes it, no rule is asked",
		"oifname &#34;s0&#34; counter masquerade", "--delete", "insert_failed",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not on the page", want)
		}
	}
	if asked, stale := strings.Index(page, "asked for: "), strings.Index(page, "stale: rule-gone"); asked > stale {
		t.Error("what was asked for does not stand first")
	}

	text := told(t, "bundle", "report", "--netns", netns, "-o", "markdown")
	for _, want := range []string{"1 tcp flow still goes to `192.168.1.80:80`", "### Findings", "### NAT rules", "oifname \"s0\" counter masquerade"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in the markdown", want)
		}
	}
	md := filepath.Join(t.TempDir(), "report.md")
	told(t, "bundle", "report", "--netns", netns, "--out", md)
	if b, err := os.ReadFile(md); err != nil || !strings.HasPrefix(string(b), "## NAT of ") {
		t.Errorf("report.md is no markdown: %v", err)
	}

	// a file that cannot be written leaves what was there
	var out, errs bytes.Buffer
	if code := execute(t.Context(), []string{"bundle", "report", "--netns", netns, "--out", filepath.Join(t.TempDir(), "none", "x.html")}, &out, &errs); code != exitIncomplete || !strings.Contains(errs.String(), "no such file or directory") {
		t.Errorf("without a directory: %d, %s", code, errs.String())
	}
}
