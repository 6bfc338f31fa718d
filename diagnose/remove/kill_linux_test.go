package remove

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/journal"
)

// childEnv makes the test binary delete every flow of the namespace that it
// names, with a journal in journalEnv.
const (
	childEnv   = "NTDIAG_REMOVE_CHILD"
	journalEnv = "NTDIAG_REMOVE_JOURNAL"
)

func child() int {
	err := func() error {
		live, err := capture.Open(os.Getenv(childEnv))
		if err != nil {
			return err
		}
		table, err := live.Entries()
		if err != nil {
			return err
		}
		var todo []Planned
		if _, err := live.Flows(context.Background(), capture.Filter{}, func(f *host.Flow) error {
			todo = append(todo, Planned{Flow: *f})
			return nil
		}); err != nil {
			return err
		}
		fmt.Println("ready")
		w, err := journal.Create(os.Getenv(journalEnv), journal.Header{Created: time.Now()})
		if err != nil {
			return err
		}
		_, err = Run(context.Background(), table, w, todo, Options{})
		return errors.Join(err, w.Close())
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// TestKilled: a removal that is killed at any moment leaves no entry deleted
// that its journal does not name, and an undo brings all of them back.
func TestKilled(t *testing.T) {
	tb := newTable(t)
	const n, cuts, rounds = 700, 5, 30
	tb.insert(kinds(n)...)
	began, before := time.Now(), tb.dump()
	cut := 0
	for round := 0; cut < cuts && round < rounds; round++ {
		dir := t.TempDir()
		tb.kill(dir, rand.Uint64N(n))
		left := tb.dump()
		if len(left) > 0 && len(left) < n {
			cut++
		}
		path := onlyFile(t, dir)
		if path == "" {
			if len(left) != n {
				t.Fatalf("round %d: %d of %d are left, and there is no journal", round, len(left), n)
			}
			continue
		}
		named := namedIn(t, path, n-len(left))
		there := map[string]bool{}
		for i := range left {
			there[key(&left[i])] = true
		}
		for i := range before {
			if k := key(&before[i]); !there[k] && !named[k] {
				t.Fatalf("round %d: not named in the journal: %+v", round, before[i])
			}
		}
		if named != nil {
			tb.undo(path)
		}
		now, after := time.Now(), tb.dump()
		if d := cmp.Diff(before, after, kept(began)); d != "" {
			t.Fatalf("round %d: before -, after +:\n%s", round, d)
		}
		before, began = after, now // each insert loses part of a second
	}
	if cut == 0 {
		t.Errorf("none of %d removals was cut in the middle", rounds)
	}
}

// kill starts a removal of everything, and kills it when no more than left
// entries are there.
func (tb *table) kill(dir string, left uint64) {
	t := tb.t
	t.Helper()
	// the death signal is sent when the starting thread ends
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	c := exec.Command("/proc/self/exe")
	c.Env = append(os.Environ(), childEnv+"="+tb.host.Path(), journalEnv+"="+dir)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("no child: %v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	for {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatal(err)
			}
			return
		default:
		}
		n, _, err := tb.live.Count()
		if err != nil {
			t.Fatal(err)
		}
		if n <= left {
			_ = c.Process.Kill() // it may have ended by itself
			<-ended
			return
		}
	}
}

// onlyFile is the journal in dir, "" for none.
func onlyFile(t *testing.T, dir string) string {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil || len(files) > 1 {
		t.Fatalf("%v: %v", files, err)
	}
	if len(files) == 0 {
		return ""
	}
	return filepath.Join(dir, files[0].Name())
}

// namedIn are the flows that a journal names, nil where its header was not
// whole: then nothing is missing.
func namedIn(t *testing.T, path string, missing int) map[string]bool {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	j, err := journal.Read(f)
	if err != nil {
		if missing > 0 {
			t.Fatalf("%d entries are missing: %v", missing, err)
		}
		return nil
	}
	out := map[string]bool{}
	for i := range j.Entries {
		out[key(&j.Entries[i].Flow)] = true
	}
	return out
}
