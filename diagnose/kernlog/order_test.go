package kernlog

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the zones of a machine that has none

	"github.com/klauspost/compress/gzip"
)

func writeFile(t testing.TB, path, text string) string {
	t.Helper()
	if strings.HasSuffix(path, ".gz") {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if _, err := z.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		text = b.String()
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, testNow, testNow); err != nil {
		t.Fatal(err)
	}
	return path
}

func texts(t testing.TB, r *Reader) (out []string) {
	t.Helper()
	var rec Record
	var err error
	for err = r.Next(&rec); err == nil; err = r.Next(&rec) {
		out = append(out, string(rec.Text))
	}
	if err != io.EOF {
		t.Error(err)
	}
	return out
}

func TestOrder(t *testing.T) {
	for _, tc := range []struct {
		name  string
		files [][2]string // name, text; in the order given
		want  string
	}{
		{"by time", [][2]string{
			{"kern.log", "Nov 27 12:00:00 fw1 kernel: d\n"}, {"kern.log.1", "Nov 26 12:00:00 fw1 kernel: c\n"},
			{"kern.log.10.gz", "Nov 17 12:00:00 fw1 sshd[1]: x\nNov 17 12:00:01 fw1 kernel: a\n"}, {"kern.log.2.gz", "Nov 25 12:00:00 fw1 kernel: b\n"},
		}, "a b c d"},
		{"over the year's end", [][2]string{
			{"kern.log", "Jan  2 12:00:00 fw1 kernel: c\n"}, {"kern.log.2", "Nov 30 12:00:00 fw1 kernel: a\n"}, {"kern.log.1", "Dec 26 12:00:00 fw1 kernel: b\n"},
		}, "a b c"},
		{"time before number", [][2]string{
			{"kern.log.1", "2026-11-27T12:00:00Z fw1 kernel: b\n"}, {"kern.log", "2026-11-26T12:00:00Z fw1 kernel: a\n"},
		}, "a b"},
		{"by number", [][2]string{{"dmesg", "[ 1.0] d\n"}, {"dmesg.0", "[ 1.0] c\n"}, {"dmesg.1.gz", "[ 1.0] b\n"}, {"dmesg.2.gz", "[ 1.0] a\n"}}, "a b c d"},
		{"one without a time", [][2]string{{"kern.log", "Nov 27 12:00:00 fw1 kernel: c\n"}, {"kern.log.2", ""}, {"kern.log.1", "Nov 28 12:00:00 fw1 kernel: b\n"}}, "b c"},
		{"by day", [][2]string{{"messages", "c\n"}, {"messages-20261127.gz", "b\n"}, {"messages-20261120", "a\n"}}, "a b c"},
		{"different logs", [][2]string{{"b.log", "1\n"}, {"messages", "3\n"}, {"a.log", "4\n"}, {"messages.1", "2\n"}}, "1 2 4 3"},
	} {
		dir := t.TempDir()
		var paths []string
		for _, f := range tc.files {
			paths = append(paths, writeFile(t, filepath.Join(dir, f[0]), f[1]))
		}
		r := openFiles(t, nil, paths...)
		if tc.name == "over the year's end" {
			year := func() time.Time { return time.Date(2027, 1, 3, 0, 0, 0, 0, time.UTC) }
			for _, p := range paths {
				if err := os.Chtimes(p, year(), year()); err != nil {
					t.Fatal(err)
				}
			}
			var err error
			if r, err = openAt(paths, nil, year, time.UTC); err != nil {
				t.Fatal(err)
			}
		}
		if got := strings.Join(texts(t, r), " "); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestYear reads times without a year.
func TestYear(t *testing.T) {
	at := func(s string) time.Time {
		when, err := time.Parse("2006-01-02T15:04:05", s)
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	for _, tc := range []struct{ now, changed, stamp, want string }{
		{"2026-11-27T14:00:00", "", "Nov 27 13:59:59", "2026-11-27T13:59:59"},
		{"2026-11-27T14:00:00", "", "Nov 27 14:00:02", "2026-11-27T14:00:00"}, // a clock a little ahead
		{"2026-11-27T14:00:00", "", "Nov 27 16:00:00", ""},                    // another zone, or a year ago
		{"2026-11-27T14:00:00", "", "Nov 29 14:00:00", "2025-11-29T14:00:00"},
		{"2027-01-01T00:00:10", "", "Dec 31 23:59:59", "2026-12-31T23:59:59"},
		{"2026-12-31T23:59:59", "", "Jan  1 01:00:00", ""}, // ahead by an hour
		{"2026-12-31T12:00:00", "", "Jan  3 00:00:10", "2026-01-03T00:00:10"},
		{"2026-11-27T14:00:00", "2024-03-05T10:00:00", "Mar  4 12:00:00", "2024-03-04T12:00:00"},
		{"2026-11-27T14:00:00", "2024-03-05T10:00:00", "Dec  4 12:00:00", "2023-12-04T12:00:00"},
		{"2026-11-27T14:00:00", "2024-03-05T10:00:00", "Mar  5 12:00:00", "2024-03-05T12:00:00"}, // another zone
		{"2026-11-27T14:00:00", "2030-01-01T00:00:00", "Nov 27 13:00:00", "2026-11-27T13:00:00"}, // the file is of the future
		{"2026-11-27T14:00:00", "", "Feb 29 12:00:00", "2024-02-29T12:00:00"},
		{"2026-11-27T14:00:00", "", "Feb 30 12:00:00", ""},
		{"2026-11-27T14:00:00", "", "Nov 27 13:59:59.25", "2026-11-27T13:59:59.25"},
	} {
		var changed time.Time
		if tc.changed != "" {
			changed = at(tc.changed)
		}
		got := newClock(func() time.Time { return at(tc.now) }, changed, time.UTC).syslog([]byte(tc.stamp))
		want := time.Time{}
		if tc.want != "" {
			want = at(tc.want)
		}
		if !got.Equal(want) {
			t.Errorf("%s, now %s, file of %s: %v, want %s", tc.stamp, tc.now, tc.changed, got, tc.want)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	good := writeFile(t, filepath.Join(dir, "kern.log"), "[    1.000000] a\n")
	link := filepath.Join(dir, "link")
	if err := os.Symlink(good, link); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none"): "none: no such file",
		dir:                        ": is a directory, not a file",
		good:                       "kern.log: given twice",
		link:                       "link: given twice, by another name",
	} {
		if _, err := Open([]string{good, path}, nil); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	// damaged files do not keep the others from being read
	r := openFiles(t, strings.NewReader("[    2.000000] b\n"), writeFile(t, filepath.Join(dir, "x"), "\x1f\x8b\x08\xe0no header"), good, "-",
		writeFile(t, filepath.Join(dir, "y.json"), `{"MESSAGE":"c"}`+"\n"+`{"MESSAGE":]`+"\n"+`{"MESSAGE":"d`+"\n"+`{"MESSAGE":"e"}`+"\n"))
	if got := texts(t, r); !slices.Equal(got, []string{"a", "b", "c", "e"}) {
		t.Errorf("%q", got)
	}
	var got []string
	for _, m := range r.Missing() {
		got = append(got, filepath.Base(m.What)+": "+m.Why)
	}
	if want := []string{"x: gzip: invalid header at byte 10", "y.json: line 2: JSON: not as it should be, and 1 more"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	// a journal through a pipe
	r = openFiles(t, strings.NewReader(journalMagic+strings.Repeat("\x00", 300)), "-")
	if got := texts(t, r); len(got) > 0 || len(r.Missing()) != 1 || !strings.Contains(r.Missing()[0].Why, "pipe") {
		t.Errorf("%q, %v", got, r.Missing())
	}
}

// TestSyslogMinutes: a clock that knows the minute of the line before tells the
// same as one that knows nothing, over all that lies about the turns of a year.
func TestSyslogMinutes(t *testing.T) {
	now := time.Date(2026, 2, 28, 12, 0, 30, 0, time.UTC)
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, changed := range []time.Time{{}, now.Add(-36 * time.Hour)} {
		fresh := func() *clock { return newClock(func() time.Time { return now }, changed, zone) }
		used := fresh()
		known := 0
		for at := now.AddDate(-1, 0, -3); at.Before(now.AddDate(0, 0, 3)); at = at.Add(611 * time.Second) {
			stamp := []byte(at.In(zone).Format(time.Stamp))
			for _, b := range [][]byte{stamp, append(stamp[:13:13], "59.123456"...), append(stamp[:13:13], "60"...)} {
				if got, want := used.readSyslog(b), fresh().readSyslog(b); !got.Equal(want) {
					t.Fatalf("%s of a file of %v: %v, want %v", b, changed, got, want)
				}
				if string(used.minute[:]) == string(b[:13]) {
					known++
				}
			}
		}
		if known == 0 {
			t.Error("no minute was kept")
		}
	}
}
