package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// TestReadmeFiles holds what the README shows of bundles and of other tools'
// texts against what is printed; the files are those of the scripts.
func TestReadmeFiles(t *testing.T) {
	script := func(name string) map[string]string {
		a, err := txtar.ParseFile("../../testdata/script/" + name)
		if err != nil {
			t.Fatal(err)
		}
		files := map[string]string{}
		for _, f := range a.Files {
			files[f.Name] = string(f.Data)
		}
		return files
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	made, err := os.ReadFile("../../testdata/bundles/format-1.tar.zst")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```console (files|diff)\n(.*?)```").FindAllStringSubmatch(string(readme), -1)
	if len(blocks) < 3 {
		t.Fatalf("%d blocks, want 3 at least", len(blocks))
	}
	evidence, diff := script("evidence.txtar"), script("kernel/bundle-diff.txtar")["want.txt"]
	dir := t.TempDir()
	for name, text := range map[string]string{"line.txt": evidence["line.txt"], "rules.txt": evidence["rules.txt"], "ticket-4711.tar.zst": string(made)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	age := regexp.MustCompile(`\(\d+ \w+ ago\)`)
	for _, b := range blocks {
		want, got := b[2], diff
		if b[1] == "files" {
			line, rest, _ := strings.Cut(b[2], "\n")
			var out bytes.Buffer
			execute(t.Context(), strings.Fields(strings.TrimPrefix(line, "$ ntdiag ")), &out, &bytes.Buffer{})
			want, got = rest, out.String()
		}
		if d := cmp.Diff(age.ReplaceAllString(want, "(N ago)"), age.ReplaceAllString(got, "(N ago)")); d != "" {
			t.Errorf("%s README -, printed +:\n%s", b[1], d)
		}
	}
}
