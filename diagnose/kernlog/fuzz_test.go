package kernlog

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// drain reads all that r has, and asks all that a record tells.
func drain(t *testing.T, r *Reader) {
	var rec Record
	var err error
	for err = r.Next(&rec); err == nil; err = r.Next(&rec) {
		if len(rec.Text) > MaxLine {
			t.Fatalf("a text of %d bytes", len(rec.Text))
		}
		if at, b := rec.Time(), rec.stamp; at.After(testNow) && len(b) >= 15 && monthOf(b) != 0 && isClock(b[7:]) {
			t.Fatalf("%s is in the future: %v", rec.stamp, at)
		}
		if up, ok := rec.Uptime(); ok && up < 0 {
			t.Fatalf("uptime %v", up)
		}
		if rec.Messages() == 0 {
			t.Fatal("no message")
		}
	}
	if err != io.EOF {
		t.Fatal(err)
	}
	s := r.Stats()
	if s.Records+s.Programs > s.Lines {
		t.Fatalf("%+v", s)
	}
	for _, m := range r.Missing() {
		if m.What == "" || m.Why == "" || strings.ContainsAny(m.Why, "\n\r") {
			t.Fatalf("missing %q: %q", m.What, m.Why)
		}
	}
}

// FuzzReader reads streams: text of any form, JSON, the export format, packed.
func FuzzReader(f *testing.F) {
	files, err := filepath.Glob("testdata/logs/*")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		if len(data) > 16<<10 || strings.HasSuffix(file, ".packed") {
			continue
		}
		f.Add(data)
	}
	f.Add([]byte(`{"dmesg": [{"pri":5,"time":1.5,"msg":"a\n<5>[ 1.0] b"},` + "\n" + `{"MESSAGE":[97,10,255,[1]],"x":{"y":["z",null,-1e5,true]},"u":"\ud83d\ude00\u00e4"}]}`))
	f.Add([]byte("__CURSOR=x\nMESSAGE\n\x04\x00\x00\x00\x00\x00\x00\x00a\nb\x00\n_TRANSPORT=kernel\n\nNov 27 14:00:01 fw1 kernel: message repeated 3 times: [ x#012y]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := openAt([]string{"-"}, bytes.NewReader(data), func() time.Time { return testNow }, time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		drain(t, r)
	})
}

// FuzzJournal reads journal files.
func FuzzJournal(f *testing.F) {
	for _, kind := range journalKinds {
		f.Add(writeJournal(f, kind, 4))
	}
	f.Fuzz(func(t *testing.T, data []byte) { drainJournal(t, data) })
}

// drainJournal reads a journal file, and returns what was in it.
func drainJournal(t *testing.T, data []byte) Stats {
	j, err := openJournal(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return Stats{}
	}
	r := newReader()
	defer r.Close()
	r.now, r.zone = func() time.Time { return testNow }, time.UTC
	r.in = &input{name: "x.journal", journal: j}
	r.p.begin(newClock(r.now, time.Time{}, r.zone))
	drain(t, r)
	return r.Stats()
}
