package history

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

var here = host.NetnsID{Boot: "b", Cookie: 7, Inode: 4026532000}

func create(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Create(dir, here)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func read(t *testing.T, dir string) *History {
	t.Helper()
	h, err := Read(dir, here)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// sized is a change whose record has some n bytes.
func sized(n int) *Change {
	return &Change{At: time.Now(), Netns: here, Kind: KindGap, Note: strings.Repeat("x", n)}
}

func TestStoreKeepsWhatItIsGiven(t *testing.T) {
	dir := t.TempDir()
	if _, err := Read(dir, here); !errors.Is(err, ErrNoStore) {
		t.Errorf("no store: %v", err)
	}
	s := create(t, dir)
	port := uint16(53)
	in := &Change{
		At: time.Date(2026, 11, 27, 10, 5, 12, 0, time.UTC), Netns: here, Kind: KindRules, Generation: 41,
		By: []Author{{Generation: 41, PID: 812, Program: "firewalld", Parent: "systemd", Command: "firewalld --nofork"}},
		Rules: &RulesDiff{Rules: []RuleChange{{Op: Replaced, Place: Place{Backend: "nft", Family: "ip", Table: "nat", Chain: "pre"},
			RuleVersion: RuleVersion{Handle: 9, Position: 1, Text: "a"},
			Was:         &RuleVersion{Handle: 7, Position: 1, Text: "b", NAT: &Target{Kind: "dnat", To: []Range{{Addr: ip("10.244.1.7"), Port: &port}}}}}}},
	}
	if err := s.Append(in, &Change{At: in.At, Netns: here, Kind: KindStop}); err != nil {
		t.Fatal(err)
	}
	h := read(t, dir)
	if len(h.Changes) != 2 || h.Changes[1].Seq != 2 || !h.Recording {
		t.Fatalf("%+v", h)
	}
	if d := cmp.Diff(in, h.Changes[0], cmp.Comparer(func(a, b Range) bool { return a.String() == b.String() })); d != "" {
		t.Error(d)
	}
	st, err := os.Stat(s.Path())
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v %v", st.Mode(), err)
	}
	if _, err := Read(dir, host.NetnsID{Inode: 5}); !errors.Is(err, ErrNoStore) {
		t.Errorf("another namespace: %v", err)
	}
}

func TestOneWriter(t *testing.T) {
	dir := t.TempDir()
	s := create(t, dir)
	if _, err := Create(dir, here); !errors.Is(err, ErrLocked) {
		t.Errorf("second writer: %v", err)
	}
	// to ask whether somebody records is not to stand in the way
	for range 100 {
		if h := read(t, dir); !h.Recording {
			t.Fatal("it is not known that somebody records")
		}
	}
	at := time.Now().Add(-time.Hour).Truncate(time.Second)
	if err := s.Alive(at); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if h := read(t, dir); h.Recording || !h.Alive.Equal(at) {
		t.Errorf("after the writer: recording %v, alive %v", h.Recording, h.Alive)
	}
	if s := create(t, dir); !s.Last.Equal(at) {
		t.Errorf("last at work %v, want %v", s.Last, at)
	}
}

func TestStoreIsBounded(t *testing.T) {
	dir := t.TempDir()
	s := create(t, dir)
	s.MaxBytes = 1 << 20
	var size int64
	for i := range 150 {
		if err := s.Append(sized(20000)); err != nil {
			t.Fatal(err)
		}
		st, err := os.Stat(s.Path())
		if err != nil {
			t.Fatal(err)
		}
		if i < 75 {
			size = max(size, st.Size())
		} else if st.Size() > size+size/4 {
			t.Fatalf("the file still grows: %d after %d bytes", st.Size(), size)
		}
	}
	h := read(t, dir)
	if n := len(h.Changes); n < 40 || n > 52 || h.Dropped != uint64(150-n) || h.Changes[0].Seq != h.Dropped+1 {
		t.Errorf("%d kept from %d on, %d dropped", n, h.Changes[0].Seq, h.Dropped)
	}
	s.MaxChanges = 10
	if err := s.Append(sized(1)); err != nil {
		t.Fatal(err)
	}
	if h := read(t, dir); len(h.Changes) != 10 || h.Changes[9].Seq != 151 {
		t.Errorf("%d kept, the last is %d", len(h.Changes), h.Changes[len(h.Changes)-1].Seq)
	}
	// one that is larger than the bound stays by itself
	if err := s.Append(sized(2 << 20)); err != nil {
		t.Fatal(err)
	}
	if h := read(t, dir); len(h.Changes) != 1 || h.Dropped != 151 {
		t.Errorf("%d kept, %d dropped", len(h.Changes), h.Dropped)
	}
}

// What other bytes there are in the file: an error, or records that were
// written; never the end of the program.
func TestDamagedStore(t *testing.T) {
	dir := t.TempDir()
	s := create(t, dir)
	for range 30 {
		if err := s.Append(sized(3000)); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	whole, err := os.ReadFile(s.Path())
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	failed := 0
	for i := range 60 {
		b := append([]byte(nil), whole...)
		switch i % 3 {
		case 0:
			b = b[:rng.IntN(len(b))]
		case 1:
			at := rng.IntN(len(b) / 4096)
			clear(b[at*4096 : (at+1)*4096])
		default:
			for range 20 {
				b[rng.IntN(len(b))] = byte(rng.Uint32())
			}
		}
		if err := os.WriteFile(s.Path(), b, 0o600); err != nil {
			t.Fatal(err)
		}
		h, err := Read(dir, here)
		if err != nil {
			failed++
			if !strings.Contains(err.Error(), s.Path()) || strings.Contains(err.Error(), "\n") {
				t.Errorf("not one clear line: %v", err)
			}
			continue
		}
		if len(h.Changes)+h.Damaged > 30 {
			t.Errorf("%d changes, %d damaged", len(h.Changes), h.Damaged)
		}
	}
	if failed == 0 {
		t.Error("no damage was noticed")
	}
}

// writerEnv makes the test binary a writer, for the directory that it names.
const writerEnv = "NTDIAG_HISTORY_WRITER"

// writeForever prints the number of each record once it is stored.
func writeForever(dir string) {
	for n := 0; ; n++ {
		s, err := Create(dir, here)
		for i := 0; err == nil; i++ {
			c := sized(i % 7 * 3000)
			if err = s.Append(c, sized(10)); err == nil {
				fmt.Println(c.Seq + 1)
			}
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// A writer that is killed at any moment leaves all that it has said is stored,
// whole and in order.
func TestKilledWriter(t *testing.T) {
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	stored := uint64(0)
	rng := rand.New(rand.NewPCG(5, 6))
	for round := range 12 {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), writerEnv+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// killed after so many records, wherever it is then
		for range 1 + rng.IntN(12) {
			if _, err := fmt.Fscanln(out, &stored); err != nil {
				t.Fatalf("round %d: the writer ended by itself: %v", round, err)
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for n, err := fmt.Fscanln(out, &stored); n == 1 && err == nil; n, err = fmt.Fscanln(out, &stored) {
		}
		_ = cmd.Wait() // killed
		h := read(t, dir)
		n := uint64(len(h.Changes))
		// of two records written together both are there, or none
		if h.Damaged > 0 || h.Dropped > 0 || n < stored || n > stored+2 || n%2 != 0 || h.Changes[n-1].Seq != n {
			t.Fatalf("round %d: %d records, %d damaged, %d were stored", round, n, h.Damaged, stored)
		}
		stored = n
	}
}

func TestNoDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(filepath.Join(file, "dir"), here); err == nil || !strings.HasPrefix(err.Error(), "state directory: "+file) {
		t.Errorf("%v", err)
	}
}
