package capture

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A transaction that tells more than the socket holds: what it made is read
// all the same, and that word of it is missing is known.
func TestChangesOverrun(t *testing.T) {
	newNetns(t)
	was := eventQueue
	eventQueue = 4096
	t.Cleanup(func() { eventQueue = was })
	l := openHere(t, "")
	ctx, cancel := context.WithCancel(context.Background())
	start, err := l.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	c, err := l.ns.subscribe(unix.NETLINK_NETFILTER, nftGroups)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("add table ip big\nadd chain ip big c\n")
	for i := range 150 {
		fmt.Fprintf(&b, "add rule ip big c ip saddr 10.0.%d.%d tcp dport %d counter drop\n", i/250, i%250, i+1)
	}
	run(t, b.String(), "nft", "-f", "-") // nobody reads the socket meanwhile
	f := &follower{l: l, state: start}
	var ended <-chan struct{}
	f.nft, ended = listen(ctx, c, takeNft)
	t.Cleanup(func() { cancel(); <-ended })
	read := func() *Changed {
		t.Helper()
		<-f.nft.wake
		c, s, missing := f.readNft(ctx, false)
		if c == nil || len(missing) > 0 {
			t.Fatalf("nothing was read: %v", missing)
		}
		c.After, f.state = s, s
		return c
	}
	got := read()
	if !got.Overrun {
		t.Error("nothing overran")
	}
	if n := len(got.After.Rules.Tables[0].Chains[0].Rules); n != 150 {
		t.Errorf("%d rules", n)
	}
	// the last word of a transaction may have found room again
	switch n := len(got.Transactions); {
	case n == 0 && got.Unheard != 1:
		t.Errorf("%d unheard", got.Unheard)
	case n == 1 && (!got.Transactions[0].Partial || got.Unheard != 0):
		t.Errorf("word of a whole transaction: %+v", got.Transactions[0])
	}
	if got.After.Rules.Generation != start.Rules.Generation+1 {
		t.Errorf("generation %d after %d", got.After.Rules.Generation, start.Rules.Generation)
	}
	run(t, "", "nft", "add", "table", "ip", "small")
	got = read()
	if len(got.Transactions) != 1 || got.Transactions[0].Program != "nft" || got.Unheard != 0 {
		t.Errorf("after the overrun: %+v", got)
	}
	if _, ok := got.Transactions[0].Touched[Touch{Kind: TouchTable, Family: "ip", Table: "small"}]; !ok {
		t.Errorf("touched %v", got.Transactions[0].Touched)
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
	was, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	defer was.Close()
	newNetns(t)
	a, err := openHere(t, "").Identity()
	if err != nil || a.Inode == 0 || a.Cookie == 0 || len(a.Boot) != 36 {
		t.Fatalf("%+v %v", a, err)
	}
	b, err := openHere(t, fmt.Sprintf("/proc/self/fd/%d", was.Fd())).Identity()
	if err != nil || b == a || b.Boot != a.Boot || a.Same(b) {
		t.Errorf("another namespace: %+v %v", b, err)
	}
}
