package capture

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

func snapshot(t *testing.T) *host.Snapshot {
	t.Helper()
	s, err := openHere(t, "").Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range s.Missing {
		t.Errorf("missing %s: %s", m.What, m.Why)
	}
	return s
}

const ruleset = `
table inet nat {
	comment "seed"
	counter hits { }
	set lan { type ipv4_addr; flags interval; elements = { 10.0.0.0/24, 10.1.0.0/16 } }
	map ports { type inet_service : ipv4_addr; elements = { 80 : 192.168.1.80, 443 : 192.168.1.81 } }
	chain prerouting {
		type nat hook prerouting priority dstnat; policy accept;
		tcp dport 8080 dnat ip to 192.168.1.80:80 comment "web"
		dnat ip to tcp dport map @ports
		tcp dport { 1000-2000, 3000 } counter name hits redirect to :22
	}
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr @lan oifname "s0" masquerade comment "wan"
		jump more
	}
	chain more { }
}
table ip6 filter {
	chain forward { type filter hook forward priority filter; policy drop; ct state established accept; }
}
`

// listed is what nft lists: rules with their handles, by table and chain.
var handleRE = regexp.MustCompile(`# handle (\d+)$`)

func listed(t *testing.T) (out []string) {
	var family, table, chain string
	for _, line := range strings.Split(run(t, "", "nft", "-a", "list", "ruleset"), "\n") {
		words := strings.Fields(line)
		m := handleRE.FindStringSubmatch(strings.TrimSpace(line))
		switch {
		case m == nil:
		case words[0] == "table":
			family, table = words[1], words[2]
			out = append(out, fmt.Sprintf("%s %s handle %s", family, table, m[1]))
		case words[0] == "chain":
			chain = words[1]
			out = append(out, fmt.Sprintf("%s %s chain %s handle %s", family, table, chain, m[1]))
		case words[0] == "set" || words[0] == "map" || words[0] == "counter":
			out = append(out, fmt.Sprintf("%s %s named %s handle %s", family, table, words[1], m[1]))
		default:
			out = append(out, fmt.Sprintf("%s %s %s rule %s", family, table, chain, m[1]))
		}
	}
	slices.Sort(out)
	return out
}

func held(rs *rules.Ruleset) (out []string) {
	for _, t := range rs.Tables {
		name := t.Family.String() + " " + t.Name
		out = append(out, fmt.Sprintf("%s handle %d", name, t.Handle))
		for _, s := range t.Sets {
			if s.Flags&rules.SetAnonymous == 0 {
				out = append(out, fmt.Sprintf("%s named %s handle %d", name, s.Name, s.Handle))
			}
		}
		for _, o := range t.Objects {
			out = append(out, fmt.Sprintf("%s named %s handle %d", name, o.Name, o.Handle))
		}
		for _, c := range t.Chains {
			out = append(out, fmt.Sprintf("%s chain %s handle %d", name, c.Name, c.Handle))
			for _, r := range c.Rules {
				out = append(out, fmt.Sprintf("%s %s rule %d", name, c.Name, r.Handle))
			}
		}
	}
	slices.Sort(out)
	return out
}

func TestSnapshotHoldsTheRuleset(t *testing.T) {
	newNetns(t)
	run(t, ruleset, "nft", "-f", "-")
	s := snapshot(t)
	if got, want := held(s.Rules), listed(t); !slices.Equal(got, want) {
		t.Errorf("held:\n%s\nnft lists:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if s.Rules.Generation == 0 {
		t.Error("no generation")
	}
	elements := map[string]int{}
	for _, tb := range s.Rules.Tables {
		if len(tb.Incomplete) > 0 {
			t.Errorf("table %s incomplete: %v", tb.Name, tb.Incomplete)
		}
		for _, set := range tb.Sets {
			if set.Missing != "" {
				t.Errorf("set %s: %s", set.Name, set.Missing)
			}
			elements[set.Name] = len(set.Elements)
		}
	}
	if elements["lan"] != 2 || elements["ports"] != 2 || elements["__set0"] != 2 {
		t.Errorf("elements %v", elements)
	}
	if f := s.Sysctls["net.ipv4.conf.lo.rp_filter"]; !f.OK {
		t.Errorf("rp_filter of lo: %+v", f)
	}
	if s.Hostname == "" || s.Kernel == "" || s.Order == nil {
		t.Errorf("incomplete: %q %q %v", s.Hostname, s.Kernel, s.Order)
	}
}

// TestGeneration counts the transactions after a snapshot.
func TestGeneration(t *testing.T) {
	newNetns(t)
	run(t, ruleset, "nft", "-f", "-")
	before := snapshot(t).Rules.Generation
	l := openHere(t, "")
	for i, change := range []string{"", "add table ip more\n"} {
		if change != "" {
			run(t, change, "nft", "-f", "-")
		}
		got, err := l.Generation(t.Context())
		if err != nil || got != before+uint32(i) {
			t.Errorf("after %d changes: generation %d, %v; the snapshot has %d", i, got, err, before)
		}
	}
}

func TestSnapshotOfManyElements(t *testing.T) {
	newNetns(t)
	run(t, "table ip big { set s { type ipv4_addr . inet_service; }\n}\n", "nft", "-f", "-")
	const pieces, n = 8, 1000 // without root a socket takes no longer message
	for p := range pieces {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "10.%d.%d.%d . %d, ", p, i>>8&0xff, i&0xff, 1+i)
		}
		run(t, "add element ip big s { "+b.String()+" }\n", "nft", "-f", "-")
	}
	s := snapshot(t)
	if got := len(s.Rules.Tables[0].Set("s").Elements); got != pieces*n {
		t.Errorf("%d elements, want %d", got, pieces*n)
	}
}

// TestSnapshotOfOneGeneration changes two chains together, again and again: a
// snapshot in which they differ must say that it is no consistent one.
func TestSnapshotOfOneGeneration(t *testing.T) {
	newNetns(t)
	l := openHere(t, "")
	load := func(n int) {
		var b strings.Builder
		b.WriteString("table ip t\ndelete table ip t\ntable ip t {\n")
		for _, c := range []string{"a", "b"} {
			fmt.Fprintf(&b, "chain %s {\n%s}\n", c, strings.Repeat("tcp dport { 80, 443 } counter\n", n))
		}
		b.WriteString("}\n")
		run(t, b.String(), "nft", "-f", "-")
	}
	load(1)
	quit, done := make(chan struct{}), make(chan int)
	go func() {
		taken := 0
		defer func() { done <- taken }()
		for {
			select {
			case <-quit:
				return
			default:
			}
			s, err := l.Snapshot(context.Background())
			if err != nil {
				t.Error(err)
				return
			}
			taken++
			checkTogether(t, s)
		}
	}()
	// on one processor the two keep each other waiting: fewer changes do then
	for i, end := 0, time.Now().Add(3*time.Second); i < 30 && time.Now().Before(end); i++ {
		load(1 + i%7*20)
	}
	close(quit)
	if taken := <-done; taken == 0 {
		t.Error("no snapshot was taken meanwhile")
	}
}

func checkTogether(t *testing.T, s *host.Snapshot) {
	if len(s.Missing) > 0 {
		return // it says so
	}
	if len(s.Rules.Tables) != 1 || len(s.Rules.Tables[0].Chains) != 2 {
		t.Errorf("%d tables", len(s.Rules.Tables))
		return
	}
	tb := s.Rules.Tables[0]
	a, b := len(tb.Chains[0].Rules), len(tb.Chains[1].Rules)
	if a != b || a == 0 || len(tb.Sets) != 2*a {
		t.Errorf("%d and %d rules, %d sets", a, b, len(tb.Sets))
	}
	for _, set := range tb.Sets {
		if len(set.Elements) != 2 || set.Missing != "" {
			t.Errorf("set %s: %d elements (%s)", set.Name, len(set.Elements), set.Missing)
		}
	}
}
