package xt_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/xt"
)

// backends are the tools by which rules are loaded and listed.
var backends = []struct {
	name   string
	prefix map[rules.Family]string
	want   rules.Backend
}{
	{"nft", map[rules.Family]string{rules.FamilyIPv4: "iptables-nft", rules.FamilyIPv6: "ip6tables-nft"}, rules.BackendIptablesNft},
	{"legacy", map[rules.Family]string{rules.FamilyIPv4: "iptables-legacy", rules.FamilyIPv6: "ip6tables-legacy"}, rules.BackendIptablesLegacy},
}

// load gives a new namespace the ipsets and rules of a file, and returns what
// the tool then lists and what ntdiag reads. also is called with the host.
func load(t *testing.T, tool string, sets, in []byte, also ...func(*lab.Host)) (listing string, tables []*rules.Table) {
	t.Helper()
	l, err := lab.New()
	if err != nil {
		lab.LeaveOut(t, err)
	}
	defer l.Close()
	h, err := l.Host("h")
	if err != nil {
		t.Fatal(err)
	}
	if len(sets) > 0 {
		if out, err := command(h, sets, "ipset", "restore"); errors.Is(err, exec.ErrNotFound) {
			lab.LeaveOut(t, err)
		} else if err != nil {
			t.Fatalf("ipset restore: %v: %s", err, out)
		}
	}
	if out, err := command(h, in, tool+"-restore"); errors.Is(err, exec.ErrNotFound) {
		lab.LeaveOut(t, err)
	} else if why := lab.NotHere(err, string(in)); why != nil {
		lab.LeaveOut(t, why)
	} else if err != nil {
		t.Fatalf("%s-restore: %v: %s", tool, err, out)
	}
	out, err := command(h, nil, tool+"-save")
	if err != nil {
		t.Fatalf("%s-save: %v: %s", tool, err, out)
	}
	live, err := capture.Open(h.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	s, err := live.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range s.Missing {
		t.Errorf("missing: %s: %s", m.What, m.Why)
	}
	for _, f := range also {
		f(h)
	}
	return string(out), s.Rules.Tables
}

func command(h *lab.Host, in []byte, name string, args ...string) (out []byte, err error) {
	err = h.Do(func() error {
		cmd := exec.Command(name, args...)
		cmd.Stdin = bytes.NewReader(in)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err = cmd.Output()
		if err != nil {
			return fmt.Errorf("%w: %s", err, stderr.Bytes())
		}
		return nil
	})
	return out, err
}

// saved splits a listing into tables, each with its rules in order.
func saved(listing string) map[string][]string {
	out := map[string][]string{}
	table := ""
	sc := bufio.NewScanner(strings.NewReader(listing))
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		line := sc.Text()
		switch {
		case strings.HasPrefix(line, "*"):
			table = line[1:]
		case strings.HasPrefix(line, "-A "):
			out[table] = append(out[table], strings.TrimRight(line, " "))
		}
	}
	return out
}

// TestExtensions loads every rule of testdata/*.rules (and, in *.rules6, of
// IPv6) by both tools: each is decoded, and prints as the tool prints it.
func TestExtensions(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.rules*")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no rules: %v", err)
	}
	for _, path := range paths {
		for _, b := range backends {
			t.Run(filepath.Base(path)+"/"+b.name, func(t *testing.T) {
				in, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				sets, _ := os.ReadFile(strings.TrimSuffix(strings.TrimSuffix(path, "6"), ".rules") + ".ipset")
				family := rules.FamilyIPv4
				if strings.HasSuffix(path, "6") {
					family = rules.FamilyIPv6
				}
				listing, tables := load(t, b.prefix[family], sets, in, func(h *lab.Host) {
					if *record && b.want == rules.BackendIptablesLegacy {
						recordTables(t, h, path, in)
					}
				})
				want := saved(listing)
				seen := 0
				for _, tb := range tables {
					if tb.Backend != b.want || tb.Family != family {
						t.Errorf("table %s %s is of backend %s", tb.Family, tb.Name, tb.Backend)
						continue
					}
					seen++
					compareTable(t, tb, want[tb.Name])
				}
				if seen != len(want) {
					t.Errorf("%d tables, %d listed", seen, len(want))
				}
			})
		}
	}
}

func compareTable(t *testing.T, tb *rules.Table, want []string) {
	t.Helper()
	var got []string
	for _, c := range xt.SaveOrder(tb) {
		for _, r := range c.Rules {
			text, ok := xt.RuleText(r)
			if !ok {
				t.Errorf("%s %s rule %d has no text", tb.Name, c.Name, r.Position)
			}
			for _, s := range r.Statements {
				if o, ok := s.(*rules.Opaque); ok {
					t.Errorf("%s: %s: %s", text, o.Name, o.Why)
				}
			}
			got = append(got, text)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("table %s (-listed +printed):\n%s", tb.Name, diff)
	}
}
