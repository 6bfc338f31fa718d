package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/ntdiag/ntdiag/diagnose/bundle"
	"github.com/ntdiag/ntdiag/diagnose/redact/seeded"
)

// TestBundleHoldsNoSecret creates a bundle of a namespace that is full of names
// and addresses, and finds none of them in any byte of the file.
func TestBundleHoldsNoSecret(t *testing.T) {
	n := seeded.New(t)
	before, after := seededBundle(t, n, false), seededBundle(t, n, true)
	lowerBefore, lower := strings.ToLower(before), strings.ToLower(after)
	for _, f := range seeded.Forms() {
		if f.Seeded && f.In(before, lowerBefore) < 0 {
			t.Errorf("%s: %q is not in the bundle as it is", f.What, f.Text)
		}
		if at := f.In(after, lower); at >= 0 {
			t.Errorf("%s: %q is in what is redacted: %q", f.What, f.Text, after[max(0, at-100):min(len(after), at+100)])
		}
	}
	for _, name := range append(seeded.Names(), "corpsec-netns", "corpsec-dir", "corpsec-host", "corpsec-lost") {
		if !strings.Contains(before, name) {
			t.Errorf("%q is not in the bundle as it is", name)
		}
	}
}

// seededBundle is the archive as it is unpacked, with the names of its members.
func seededBundle(t *testing.T, n *seeded.Namespace, hide bool) string {
	t.Helper()
	ctx := context.Background()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	// one more that cannot be opened: the file says so
	a := &app{netns: n.Path + ",corpsec-lost"}
	dir := filepath.Join(t.TempDir(), "corpsec-out")
	must(os.Mkdir(dir, 0o700))
	// one key: what becomes of what is the same each time
	keyFile := filepath.Join(dir, "corpsec.key")
	must(os.WriteFile(keyFile, []byte(`{"version":1,"key":"`+strings.Repeat("0b", 32)+`"}`), 0o600))
	cmd := newBundleCreateCmd(a)
	cmd.SetContext(ctx)
	cmd.SetErr(&bytes.Buffer{})
	s, err := a.openSpaces(ctx, t.TempDir())
	must(err)
	defer s.close()
	r := &bundleRun{app: a, cmd: cmd, spaces: s, flags: &bundleFlags{maxSize: "100M", max: bundle.DefaultMaxBytes}}
	must(r.prepare(ctx))
	r.of[0].Source = n
	r.of[0].Snapshot, err = n.Snapshot(ctx)
	must(err)
	if hide {
		r.flags.redact, r.flags.keyFile = true, keyFile
		must(r.hide(ctx))
	}
	path := filepath.Join(dir, "corpsec.tar.zst")
	_, _, err = r.write(ctx, path)
	must(err)
	f, err := os.Open(path)
	must(err)
	defer f.Close()
	z, err := zstd.NewReader(f)
	must(err)
	defer z.Close()
	text, err := io.ReadAll(z)
	must(err)
	return string(text)
}
