package xt_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/xt"
)

const legacyRules = `*mangle
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:SEEN - [0:0]
-A PREROUTING -p udp -j SEEN
-A PREROUTING -p tcp -j SEEN
-A SEEN -p udp -m udp --dport 53
-A SEEN -p udp -m udp --dport 5353 -j RETURN
-A SEEN -j MARK --set-xmark 0x1/0xffffffff
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A PREROUTING -p udp -m udp --dport 53 -j REDIRECT --to-ports 5353
-A PREROUTING -p udp -m udp --dport 54 -j REDIRECT --to-ports 5353
COMMIT
`

// TestLegacyCounters: rules of iptables-legacy have the numbers and counters
// that the tool itself gives them.
func TestLegacyCounters(t *testing.T) {
	n := typical(t)
	if out, err := command(n.Router, []byte(legacyRules), "iptables-legacy-restore"); err != nil {
		lab.LeaveOut(t, fmt.Errorf("iptables-legacy-restore: %w: %s", err, out))
	}
	router := netip.AddrPortFrom(lab.RouterIn4, 53)
	for range 3 {
		if _, err := n.Client.UDP(netip.AddrPortFrom(lab.ClientAddr4, 0), router, false); err != nil {
			t.Fatal(err)
		}
	}
	tables := snapshotOf(t, n.Router)
	for end := time.Now().Add(5 * time.Second); hits(tables) < 3; tables = snapshotOf(t, n.Router) {
		if time.Now().After(end) {
			t.Fatalf("the first rule counts %d of 3 flows", hits(tables))
		}
	}
	out, err := command(n.Router, nil, "iptables-legacy-save", "-c")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	at := map[string]int{}
	table := ""
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "*"); ok {
			table, at = name, map[string]int{}
		}
		if words := strings.Fields(line); len(words) > 2 && words[1] == "-A" {
			at[words[2]]++
			want[fmt.Sprintf("%s %s %d %s", table, words[2], at[words[2]], words[0])] = true
		}
	}
	got := 0
	for _, tb := range tables {
		for _, c := range tb.Chains {
			for _, r := range c.Rules {
				got++
				line := fmt.Sprintf("%s %s %d %s", tb.Name, c.Name, r.Position, countersOf(r))
				if !want[line] {
					text, _ := xt.RuleText(r)
					t.Errorf("%s: %s is not what the tool counts", line, text)
				}
			}
		}
	}
	if got != len(want) {
		t.Errorf("%d rules, the tool lists %d", got, len(want))
	}
}

func typical(t *testing.T) *lab.Net {
	t.Helper()
	l, err := lab.New()
	if err != nil {
		lab.LeaveOut(t, err)
	}
	t.Cleanup(func() { l.Close() })
	n, err := l.Typical("s0")
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func countersOf(r *rules.Rule) string {
	for _, s := range r.Statements {
		if c, ok := s.(*rules.Counter); ok {
			return fmt.Sprintf("[%d:%d]", c.Packets, c.Bytes)
		}
	}
	return "none"
}

// hits is what the first rule of nat has counted.
func hits(tables []*rules.Table) uint64 {
	for _, t := range tables {
		if t.Name != "nat" {
			continue
		}
		for _, s := range t.Chain("PREROUTING").Rules[0].Statements {
			if c, ok := s.(*rules.Counter); ok {
				return c.Packets
			}
		}
	}
	return 0
}

func snapshotOf(t *testing.T, h *lab.Host) []*rules.Table {
	t.Helper()
	live, err := capture.Open(h.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	s, err := live.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Missing) > 0 {
		t.Fatalf("missing: %v", s.Missing)
	}
	return s.Rules.Tables
}

// TestLegacyMakesNoTable: asking which tables there are makes none of them.
func TestLegacyMakesNoTable(t *testing.T) {
	n := typical(t)
	names := func() string {
		var out string
		for _, f := range []string{"ip_tables_names", "ip6_tables_names"} {
			err := n.Router.Do(func() error {
				b, err := os.ReadFile("/proc/thread-self/net/" + f)
				out += f + ": " + string(b)
				return err
			})
			if os.IsNotExist(err) {
				lab.LeaveOut(t, err)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		return out
	}
	before := names()
	if tables := snapshotOf(t, n.Router); len(tables) != 0 {
		t.Errorf("%d tables where there is none", len(tables))
	}
	if after := names(); after != before {
		t.Errorf("tables were %q and are %q", before, after)
	}
}
