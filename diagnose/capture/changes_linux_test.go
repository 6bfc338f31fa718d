package capture

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// following runs Changes on the test's namespace.
func following(t *testing.T) (next func(Part) *Changed) {
	t.Helper()
	l := openHere(t, "")
	ctx, cancel := context.WithCancel(context.Background())
	changes := make(chan *Changed, 1000)
	ended := make(chan error, 1)
	go func() {
		ended <- l.Changes(ctx, time.Hour, func(c *Changed) error {
			changes <- c
			return nil
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return func(p Part) *Changed {
		t.Helper()
		for {
			select {
			case c := <-changes:
				if c.Part == p {
					return c
				}
			case <-time.After(20 * time.Second):
				t.Fatal("nothing was told")
			}
		}
	}
}

// A transaction that tells more than the socket holds: what it made is read
// all the same, and that word of it is missing is known.
func TestChangesOverrun(t *testing.T) {
	newNetns(t)
	was := eventQueue
	eventQueue = 4096
	t.Cleanup(func() { eventQueue = was })
	next := following(t)
	start := next(PartAll)
	var b strings.Builder
	b.WriteString("add table ip big\nadd chain ip big c\n")
	for i := range 150 {
		fmt.Fprintf(&b, "add rule ip big c ip saddr 10.0.%d.%d tcp dport %d counter drop\n", i/250, i%250, i+1)
	}
	run(t, b.String(), "nft", "-f", "-")
	c := next(PartNft)
	if !c.Overrun {
		t.Error("nothing overran")
	}
	if n := len(c.After.Rules.Tables[0].Chains[0].Rules); n != 150 {
		t.Errorf("%d rules", n)
	}
	switch n := len(c.Transactions); {
	case n == 0 && c.Unheard != 1:
		t.Errorf("%d unheard", c.Unheard)
	case n == 1 && (!c.Transactions[0].Partial || c.Unheard != 0):
		t.Errorf("word of a whole transaction: %+v", c.Transactions[0])
	}
	if c.After.Rules.Generation != start.After.Rules.Generation+1 {
		t.Errorf("generation %d after %d", c.After.Rules.Generation, start.After.Rules.Generation)
	}
	run(t, "", "nft", "add", "table", "ip", "small")
	c = next(PartNft)
	if len(c.Transactions) != 1 || c.Transactions[0].Program != "nft" || c.Unheard != 0 {
		t.Errorf("after the overrun: %+v", c)
	}
	if _, ok := c.Transactions[0].Touched[Touch{Kind: TouchTable, Family: "ip", Table: "small"}]; !ok {
		t.Errorf("touched %v", c.Transactions[0].Touched)
	}
}

// No change: nothing is told but what was there.
func TestChangesQuiet(t *testing.T) {
	newNetns(t)
	run(t, ruleset, "nft", "-f", "-")
	l := openHere(t, "")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	polls := 0
	err := l.Changes(ctx, time.Millisecond, func(c *Changed) error {
		switch c.Part {
		case PartXt:
			if polls++; polls == 20 {
				cancel()
			}
			if len(c.After.Rules.Tables) != len(c.Before.Rules.Tables) || c.After.Rules.Generation != c.Before.Rules.Generation {
				t.Errorf("a comparison lost tables: %d", len(c.After.Rules.Tables))
			}
		case PartNft:
			t.Errorf("word of rules: %+v", c.Transactions)
		}
		return nil
	})
	if err != nil || polls < 20 {
		t.Errorf("%v after %d", err, polls)
	}
}

func TestIdentity(t *testing.T) {
	newNetns(t)
	a, err := openHere(t, "").Identity()
	if err != nil || a.Inode == 0 || a.Cookie == 0 || len(a.Boot) != 36 {
		t.Fatalf("%+v %v", a, err)
	}
	b, err := openHere(t, "/proc/self/ns/net").Identity()
	if err != nil || b == a || b.Boot != a.Boot || a.Same(b) {
		t.Errorf("another namespace: %+v %v", b, err)
	}
}
