package kernlog

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestGolden reads each file of testdata/logs, as make.sh there wrote it with the
// programs that write such files, and compares with what is known of it.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/logs/*")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d logs: %v", len(files), err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(name, func(t *testing.T) {
			r := openFiles(t, nil, unpacked(t, file))
			r.inputs[0].name = name
			r.inputs[0].changed = testNow
			got := describe(t, r)
			golden := filepath.Join("testdata/golden", name+".txt")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// unpacked is the path of a file: a journal is kept packed, since most of it is
// empty, and cannot be read so.
func unpacked(t testing.TB, file string) string {
	t.Helper()
	name, packed := strings.CutSuffix(filepath.Base(file), ".packed")
	if !packed {
		return file
	}
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	z, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, z); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// describe reads all that r has: a line a record, then what was counted.
func describe(t testing.TB, r *Reader) string {
	t.Helper()
	var b strings.Builder
	var rec Record
	var err error
	for err = r.Next(&rec); err == nil; err = r.Next(&rec) {
		at := "-"
		if when := rec.Time(); !when.IsZero() {
			at = when.UTC().Format(time.RFC3339Nano)
		}
		up := "-"
		if d, ok := rec.Uptime(); ok {
			up = d.String()
		}
		var marks string
		for _, m := range []struct {
			on   bool
			name string
		}{{rec.Continues, " continues"}, {rec.Foreign, " foreign"}, {rec.Cut, " cut"}} {
			if m.on {
				marks += m.name
			}
		}
		fmt.Fprintf(&b, "%s %s%s x%d %q\n", at, up, marks, rec.Messages(), rec.Text)
	}
	if err != io.EOF {
		t.Fatal(err)
	}
	s := r.Stats()
	fmt.Fprintf(&b, "lines %d, records %d, programs %d, lost %d, gaps %d, repeated %d, half %d, cut %d\n",
		s.Lines, s.Records, s.Programs, s.Lost, s.Gaps, s.Repeated, s.Half, s.Cut)
	fmt.Fprintf(&b, "forms: %s\n", strings.Join(s.Forms, "; "))
	for _, m := range r.Missing() {
		fmt.Fprintf(&b, "missing: %s: %s\n", m.What, m.Why)
	}
	return b.String()
}
