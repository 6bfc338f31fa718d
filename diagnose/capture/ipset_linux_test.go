package capture

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ntdiag/ntdiag/rules"
)

func TestIPSetsAreSavedAsIpsetDoes(t *testing.T) {
	newNetns(t)
	g := &ipsetGen{Rand: rand.New(rand.NewPCG(1, 2))}
	made := makeIPSets(t, g, 20)
	// timeouts count down: what is read between two equal listings is compared
	for range 20 {
		before := run(t, "", "ipset", "save")
		rs := readIPSets(t)
		if before != run(t, "", "ipset", "save") {
			continue
		}
		if len(rs.IPSets) != len(made) {
			t.Errorf("%d sets read, %d made", len(rs.IPSets), len(made))
		}
		if d := cmp.Diff(before, saved(rs.IPSets)); d != "" {
			t.Errorf("ipset save differs (-ipset +ours):\n%s", d)
		}
		parsed := rules.ParseIPSets(strings.Split(before, "\n"), func(line int, why string) { t.Errorf("line %d: %s", line, why) })
		if d := cmp.Diff(before, saved(parsed)); d != "" {
			t.Errorf("what ipset saves is read otherwise (-ipset +ours):\n%s", d)
		}
		return
	}
	t.Error("never two equal listings")
}

// TestIPSetMembershipIsTheKernels asks `ipset test` and InIPSet the same.
func TestIPSetMembershipIsTheKernels(t *testing.T) {
	newNetns(t)
	const seed = 7
	g := &ipsetGen{Rand: rand.New(rand.NewPCG(seed, 1))}
	made := makeIPSets(t, g, 25)
	rs := readIPSets(t)
	type question struct {
		line   string
		answer rules.Answer
	}
	var asked []question
	for _, v := range made {
		s := rs.IPSetByName(v.name)
		if v.typ == "list:set" {
			continue // for its members alone it cannot be asked by element
		}
		for range 120 {
			g.v6 = v.family == rules.FamilyIPv6
			c := g.probe()
			if v.typ == "bitmap:port" {
				c.proto, c.port = 6, ipsetPorts[g.IntN(len(ipsetPorts))]
			}
			nomatch := strings.Contains(v.typ, "net") && g.IntN(4) == 0
			line := fmt.Sprintf("test %s %s", v.name, c.text(v.typ))
			if nomatch {
				line += " nomatch"
			}
			asked = append(asked, question{line, matches(s, nomatch).Test(c.packet())})
		}
	}
	var in strings.Builder
	for _, q := range asked {
		in.WriteString(q.line + "\n")
	}
	cmd := exec.Command("ipset", "-")
	cmd.Stdin = strings.NewReader(in.String())
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, said.String())
	}
	lines := strings.Split(strings.TrimSpace(said.String()), "\n")
	if len(lines) != len(asked) {
		t.Fatalf("%d answers to %d questions: %s", len(lines), len(asked), said.String())
	}
	var hits, unknown int
	for i, q := range asked {
		want := rules.TruthOf(strings.Contains(lines[i], " is in set"))
		if !strings.Contains(lines[i], "in set") && !strings.Contains(lines[i], "out of the range") {
			t.Fatalf("%s: %s", q.line, lines[i])
		}
		switch {
		case q.answer.Truth == rules.Unknown:
			unknown++
			if !q.answer.Unknown.Has(rules.FromSet) && !q.answer.Unknown.Has(rules.FromHash) {
				t.Errorf("%s: unknown because of %v", q.line, q.answer.Unknown.List())
			}
		case q.answer.Truth != want:
			t.Errorf("%s: %v, the kernel says %v (%s)", q.line, q.answer, want, lines[i])
		case want == rules.Yes:
			hits++
		}
		if s := rs.IPSetByName(strings.Fields(q.line)[1]); q.answer.Truth == rules.Unknown && !s.HasTimeout && s.Type != "hash:net,iface" {
			t.Errorf("%s: unknown, though nothing of it is", q.line)
		}
	}
	t.Logf("seed %d: %d questions, %d in the set, %d unknown", seed, len(asked), hits, unknown)
	if hits < len(asked)/20 {
		t.Errorf("only %d of %d are in the set", hits, len(asked))
	}
}

// TestIPSetsOfAnOlderProtocol: without indexes in the listing, they are asked
// for as iptables does.
func TestIPSetsOfAnOlderProtocol(t *testing.T) {
	newNetns(t)
	makeIPSets(t, &ipsetGen{Rand: rand.New(rand.NewPCG(3, 4))}, 2)
	l := openHere(t, "")
	now, missing := l.ipsets(context.Background())
	old, missingOld := l.ipsetsAs(context.Background(), ipsetProtocolOld)
	if len(missing)+len(missingOld) > 0 {
		t.Fatal(missing, missingOld)
	}
	if len(now) == 0 || len(now) != len(old) {
		t.Fatalf("%d sets, %d by the old protocol", len(now), len(old))
	}
	for i := range now {
		if now[i].ID == rules.IPSetNoID || now[i].ID != old[i].ID || now[i].Name != old[i].Name {
			t.Errorf("%s %d, by the old protocol %s %d", now[i].Name, now[i].ID, old[i].Name, old[i].ID)
		}
	}
}
