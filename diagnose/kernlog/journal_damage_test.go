package kernlog

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// TestJournalDamaged damages files as journald wrote them at random places, or
// cuts them off. Whatever is in a file, reading it comes to an end, takes no more
// memory, gives no more than there was, and most of it.
func TestJournalDamaged(t *testing.T) {
	const (
		seed    = 1
		damages = 400
		most    = 8 << 20 // bytes that a file may take in all: one field may, maxFieldWindow
	)
	files, err := filepath.Glob("testdata/logs/*.journal.packed")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d journals: %v", len(files), err)
	}
	for _, file := range files {
		data, err := os.ReadFile(unpacked(t, file))
		if err != nil {
			t.Fatal(err)
		}
		var used []int // most of a file is empty
		for at, b := range data {
			if b != 0 {
				used = append(used, at)
			}
		}
		whole := drainJournal(t, data)
		random := rand.New(rand.NewPCG(seed, uint64(len(file))))
		given := uint64(0)
		for i := range damages {
			at := used[random.IntN(len(used))]
			damaged := data[:at]
			var kept []byte
			if i%4 != 0 {
				damaged = data
				part := data[at:min(at+1+i%9, len(data))]
				kept = bytes.Clone(part)
				for k := range part {
					part[k] = byte(random.Uint32())
				}
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			s := drainJournal(t, damaged)
			runtime.ReadMemStats(&after)
			copy(data[at:], kept)
			if got := after.TotalAlloc - before.TotalAlloc; got > most+maxFieldWindow {
				t.Errorf("%s, damage %d at %d: %d bytes", file, i, at, got)
			}
			if s.Records+s.Programs > whole.Records+whole.Programs {
				t.Errorf("%s, damage %d at %d: %+v of %+v", file, i, at, s, whole)
			}
			given += s.Records
		}
		if share := float64(given) / float64(damages*whole.Records); share < 0.7 {
			t.Errorf("%s: %.2f of the records are given", file, share)
		} else {
			t.Logf("%s: %.2f of %d records are given", file, share, whole.Records)
		}
	}
}
