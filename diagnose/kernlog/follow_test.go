package kernlog

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// followTest is a file that is followed, in a goroutine of its own.
type followTest struct {
	t    *testing.T
	path string
	got  chan string
	end  chan error
	stop context.CancelFunc
	r    *Reader
}

func newFollowTest(t *testing.T, before ...string) *followTest {
	t.Helper()
	f := &followTest{t: t, path: filepath.Join(t.TempDir(), "kern.log"), got: make(chan string), end: make(chan error, 1)}
	f.write("")
	ctx, stop := context.WithCancel(context.Background())
	f.stop = stop
	f.r = openFiles(t, nil, append(before, f.path)...)
	f.r.follow(ctx, time.Millisecond)
	go func() {
		var rec Record
		for {
			if err := f.r.Next(&rec); err != nil {
				f.end <- err
				return
			}
			f.got <- string(rec.Text)
		}
	}()
	return f
}

func (f *followTest) write(text string) {
	f.t.Helper()
	file, err := os.OpenFile(f.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err == nil {
		_, err = file.WriteString(text)
	}
	if err == nil {
		err = file.Close()
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *followTest) want(texts ...string) {
	f.t.Helper()
	for _, text := range texts {
		select {
		case got := <-f.got:
			if got != text {
				f.t.Fatalf("%q, want %q", got, text)
			}
		case err := <-f.end:
			f.t.Fatalf("ends: %v, %v", err, f.r.Missing())
		case <-time.After(30 * time.Second):
			f.t.Fatalf("%q does not come", text)
		}
	}
}

func (f *followTest) finish() {
	f.t.Helper()
	f.stop()
	select {
	case err := <-f.end:
		if err != context.Canceled || len(f.r.Missing()) > 0 {
			f.t.Fatalf("%v, missing %v", err, f.r.Missing())
		}
	case text := <-f.got:
		f.t.Fatalf("%q after the end", text)
	case <-time.After(30 * time.Second):
		f.t.Fatal("does not end")
	}
}

func TestFollow(t *testing.T) {
	f := newFollowTest(t, writeFile(t, filepath.Join(t.TempDir(), "older"), "[    1.000000] a\n"))
	f.want("a")
	f.write("[    2.000000] b\n[    3.000000] c\n[    4.0000")
	f.want("b", "c")
	f.write("00] d\n")
	f.want("d")

	// renamed: what is still written to it is read before the new one
	if err := os.Rename(f.path, f.path+".1"); err != nil {
		t.Fatal(err)
	}
	now := f.path
	f.path += ".1"
	f.write("[    5.000000] e\n")
	f.want("e")
	f.path = now
	f.write("[    6.000000] f\n")
	f.want("f")
	f.write("[    7.000000] g\n")
	f.want("g")

	// cut
	if err := os.Truncate(f.path, 0); err != nil {
		t.Fatal(err)
	}
	f.write("[    8.000000] h\n")
	f.want("h")
	f.finish()
	if s := f.r.Stats(); s.Gaps != 1 || s.Half != 0 {
		t.Errorf("%+v", s)
	}
}

func TestFollowEnds(t *testing.T) {
	f := newFollowTest(t)
	f.finish()
	f = newFollowTest(t)
	f.write("[    1.000000] a\n")
	f.want("a")
	f.finish()

	// a journal
	f = newFollowTest(t)
	f.write(journalMagic + "        ")
	select {
	case <-f.end:
	case <-time.After(30 * time.Second):
		t.Fatal("does not end")
	}
	f.stop()
	if m := f.r.Missing(); len(m) != 1 || m[0].Why != errFollowJournal.Error() {
		t.Errorf("%v", m)
	}
}

// TestFollowStandardInput: a read that waits ends with the context, what was
// read comes, and the other end may end it.
func TestFollowStandardInput(t *testing.T) {
	r, w := io.Pipe()
	ctx, stop := context.WithCancel(context.Background())
	in, err := Follow(ctx, []string{"-"}, r)
	if err != nil {
		t.Fatal(err)
	}
	go io.WriteString(w, "[    1.000000] a\n[    2.000000] b\n") //nolint:errcheck // what comes of it is read
	var rec Record
	for _, want := range []string{"a", "b"} {
		if err := in.Next(&rec); err != nil || string(rec.Text) != want {
			t.Fatalf("%q, %v, want %q", rec.Text, err, want)
		}
	}
	stop()
	if err := in.Next(&rec); !errors.Is(err, context.Canceled) || len(in.Missing()) > 0 {
		t.Errorf("%v, missing %v", err, in.Missing())
	}
	in, err = Follow(context.Background(), []string{"-"}, strings.NewReader("[    1.000000] a\n"))
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Next(&rec); err != nil {
		t.Fatal(err)
	}
	if err := in.Next(&rec); err != io.EOF {
		t.Error(err)
	}
}
