package capture

import (
	"context"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/rules"
)

// lonely is a namespace without links, and what reads it.
func lonely(t testing.TB) (*lab.Host, *Live) {
	t.Helper()
	l, err := lab.New()
	if err != nil {
		lab.LeaveOut(t, err)
	}
	t.Cleanup(func() { l.Close() })
	h, err := l.Host("router")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Sysctl("net.netfilter.nf_conntrack_acct=1", "net.netfilter.nf_conntrack_timestamp=1"); err != nil {
		t.Fatal(err)
	}
	return h, openHere(t, h.Path())
}

// identity is what makes an entry one of its own.
type identity struct {
	id    uint32
	zone  uint16
	tuple rules.Tuple
}

// TestFlowsOfAChangingTable reads a table in which entries begin and end: none
// is given twice, and all that are there all the time are given.
func TestFlowsOfAChangingTable(t *testing.T) {
	h, live := lonely(t)
	const steady = 20_000
	if err := h.Fill(steady, crowdEntry); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	type made struct {
		n   int
		err error
	}
	done := make(chan made, 1)
	go func() {
		n, err := h.Churn(ctx, 20_000, func(i int) lab.Entry {
			e := crowdEntry(1<<20 + i)
			e.Timeout = 1
			return e
		})
		done <- made{n, err}
	}()
	began, last := 0, FlowsInfo{}
	// until entries have begun during three readings
	for range 1000 {
		seen := map[identity]bool{}
		lasting := 0
		info, err := live.Flows(context.Background(), Filter{}, func(f *host.Flow) error {
			id := identity{f.ID, f.Zone, f.Original}
			if seen[id] {
				return fmt.Errorf("%v came twice", id)
			}
			seen[id] = true
			if f.Timeout > 5 { // no churned one
				lasting++
			}
			return nil
		})
		if err != nil {
			t.Error(err)
			break
		}
		if lasting != steady {
			t.Errorf("%d entries were there all the time, %d came", steady, lasting)
			break
		}
		if info.Turnover.Began > 0 {
			began++
		}
		if last = info; began == 3 {
			break
		}
	}
	cancel()
	m := <-done
	if m.err != nil {
		t.Error(m.err)
	}
	if began < 3 {
		t.Errorf("no entry began while the table was read: %+v, %d were made", last, m.n)
	}
}

// TestFlowsOfABucketAnew deletes the entry that the kernel is to go on with,
// again and again: where another stands before it in its bucket, that bucket is
// given anew.
func TestFlowsOfABucketAnew(t *testing.T) {
	h, live := lonely(t)
	if err := h.Fill(15_000, crowdEntry); err != nil {
		t.Fatal(err)
	}
	// of how many entries a bucket is hangs on the machine
	for range 20 {
		if deletingDump(t, live) > 0 {
			return
		}
	}
	t.Error("the kernel gave no bucket anew")
}

// deletingDump is one dump, and how many entries came again.
func deletingDump(t *testing.T, live *Live) int {
	t.Helper()
	var order []host.Flow // as the kernel gives them, one dump as the other
	at := map[rules.Tuple]int{}
	if _, err := live.Flows(context.Background(), Filter{}, func(f *host.Flow) error {
		at[f.Original] = len(order)
		order = append(order, *f)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	entries, err := live.Entries()
	if err != nil {
		t.Fatal(err)
	}
	defer entries.Close()
	c, err := live.dialConntrack("conntrack dump")
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if err := c.send(ctGet, unix.NLM_F_DUMP, nfgen(0, nil)); err != nil {
		t.Fatal(err)
	}
	came, given, gone := make([]int, len(order)), make([]int, len(order)), make([]bool, len(order))
	r := reading{c: c, recent: new(recent), fn: func(f *host.Flow) error {
		given[at[f.Original]]++
		return nil
	}}
	for done := false; !done; {
		b, err := c.recv(context.Background(), make([]byte, 8<<10))
		if err != nil {
			t.Fatal(err)
		}
		last, count := 0, 0
		if _, err := c.each(b, new(dumpInfo), func(m message) error {
			var f host.Flow
			if err := ParseFlow(m.payload[4:], &f); err != nil {
				return err
			}
			last = at[f.Original]
			came[last]++
			count++
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if done, err = c.each(b, &r.dump, r.message); err != nil {
			t.Fatal(err)
		}
		// the kernel has made one datagram more by now, as long as this one
		if next := last + count + 1; count > 0 && next < len(order) && !gone[next] {
			if err := entries.Delete(context.Background(), &order[next]); err != nil {
				t.Fatal(err)
			}
			gone[next] = true
		}
	}
	repeated := 0
	for i := range order {
		repeated += max(0, came[i]-1)
		switch {
		case given[i] > 1 || (given[i] == 0) != (came[i] == 0):
			t.Errorf("entry %d came %d times and was given %d times", i, came[i], given[i])
		case given[i] == 0 && !gone[i]:
			t.Errorf("entry %d was there all the time and was not given", i)
		}
	}
	if r.info.Turnover.Repeated != repeated {
		t.Errorf("%d entries came again, %d are counted", repeated, r.info.Turnover.Repeated)
	}
	return repeated
}
