package bundle

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/explain"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/modeldiff"
	"github.com/ntdiag/ntdiag/rules/nft"
	"github.com/ntdiag/ntdiag/rules/xt"
)

// loadable is a file of rules, and what loads it.
type loadable struct {
	path string
	tool []string
}

// loadables are the rulesets of this repository, those of iptables by both
// backends.
func loadables(t *testing.T) []loadable {
	t.Helper()
	var out []loadable
	add := func(pattern string, tool ...string) {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: no rulesets: %v", pattern, err)
		}
		for _, path := range paths {
			out = append(out, loadable{path, tool})
		}
	}
	add("../../testdata/rulesets/*.nft", "nft", "-f", "-")
	for _, backend := range []string{"nft", "legacy"} {
		add("../../rules/xt/testdata/*.rules", "iptables-"+backend+"-restore")
		add("../../rules/xt/testdata/*.rules6", "ip6tables-"+backend+"-restore")
	}
	return out
}

// load gives h what the ruleset needs, and the ruleset.
func (l loadable) load(t *testing.T, h *lab.Host) {
	t.Helper()
	in, err := os.ReadFile(l.path)
	if err != nil {
		t.Fatal(err)
	}
	run := func(input, name string, args ...string) {
		t.Helper()
		if _, err := exec.LookPath(name); err != nil {
			lab.LeaveOut(t, err)
		}
		if out, err := h.Run(input, name, args...); err != nil {
			if why := lab.NotHere(err, input); why != nil {
				lab.LeaveOut(t, why)
			}
			t.Fatalf("%s: %v: %s", name, err, out)
		}
	}
	first, _, _ := strings.Cut(string(in), "\n")
	if names, ok := strings.CutPrefix(first, "# devices "); ok {
		for i, name := range strings.Fields(names) {
			run("", "ip", "link", "add", name, "type", "veth", "peer", "name", fmt.Sprintf("peer%d", i))
		}
	}
	base := strings.TrimSuffix(strings.TrimSuffix(l.path, "6"), ".rules")
	if sets, err := os.ReadFile(base + ".ipset"); err == nil {
		run(string(sets), "ipset", "restore")
	}
	run(string(in), l.tool[0], l.tool[1:]...)
}

// stateOf is what a namespace has, as far as it can be read here.
func stateOf(t *testing.T, live *capture.Live) *State {
	t.Helper()
	s, err := live.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	id, err := live.Identity()
	if err != nil {
		t.Fatal(err)
	}
	stats, err := live.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return &State{
		Snapshot: s, Place: live.Place(), ID: host.Known(id), Generation: host.Absent[uint32]("not asked for"),
		Loggers: live.Loggers(), Readings: []Reading{{time.Now(), stats}}, Enter: live.Enter(),
	}
}

// reread is the state after it was written and read.
func reread(t *testing.T, s *State) *State {
	t.Helper()
	var b bytes.Buffer
	if err := EncodeState(&b, s); err != nil {
		t.Fatal(err)
	}
	got, err := DecodeState(&b)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestStateOfKernel: what the kernel has of each ruleset is the same after it
// was written and read, and prints the same.
func TestStateOfKernel(t *testing.T) {
	seen := 0
	for _, file := range loadables(t) {
		t.Run(filepath.Base(file.path)+"/"+file.tool[0], func(t *testing.T) {
			l, err := lab.New()
			if err != nil {
				lab.LeaveOut(t, err)
			}
			t.Cleanup(func() { l.Close() })
			h, err := l.Host("h")
			if err != nil {
				t.Fatal(err)
			}
			file.load(t, h)
			live, err := capture.Open(h.Path())
			if err != nil {
				t.Fatal(err)
			}
			defer live.Close()
			want := stateOf(t, live)
			got := reread(t, want)
			if d := modeldiff.First(want, got); d != "" {
				t.Error(d)
			}
			sameText(t, want.Snapshot.Rules, got.Snapshot.Rules)
			seen += len(want.Snapshot.Rules.Tables)
		})
	}
	if seen == 0 && !t.Failed() {
		t.Log("no ruleset could be loaded")
	}
}

func sameText(t *testing.T, want, got *rules.Ruleset) {
	t.Helper()
	if a, b := nft.RulesetText(want), nft.RulesetText(got); a != b {
		t.Errorf("nft prints it in another way:\n%s\n%s", a, b)
	}
	if len(want.Tables) == 0 || len(want.Tables) != len(got.Tables) {
		t.Fatalf("%d tables, then %d", len(want.Tables), len(got.Tables))
	}
	for i, a := range want.Tables {
		if a, b := xt.TableText(a), xt.TableText(got.Tables[i]); a != b {
			t.Errorf("iptables prints it in another way:\n%s\n%s", a, b)
		}
	}
	for i, a := range want.IPSets {
		if a, b := a.Save(), got.IPSets[i].Save(); a != b {
			t.Errorf("ipset prints it in another way:\n%s\n%s", a, b)
		}
	}
}

// explainedRules give flows whose cause rests on each part of a state: sets,
// maps, marks, devices by name and number, addresses, routes.
const explainedRules = `
table ip nat {
 set lan { type ipv4_addr; flags interval; elements = { 10.0.0.0/24, 10.0.7.0/24 } }
 map web { type inet_service : ipv4_addr . inet_service; elements = { 80 : 192.168.1.80 . 8080, 81 : 192.168.1.80 . 8081 } }
 map way { type inet_service : verdict; elements = { 82 : jump more, 83 : goto more, 84 : accept } }
 chain more {
  meta l4proto tcp dnat to 192.168.1.80:9000 comment "more"
 }
 chain before { type nat hook prerouting priority dstnat;
  iif "c0" dnat ip to tcp dport map @web
  tcp dport vmap @way
  tcp dport 85 dnat to numgen random mod 2 map { 0 : 192.168.1.80, 1 : 192.168.1.81 }
 }
 chain marks { type filter hook forward priority mangle; tcp dport 9000 meta mark set 0x7; }
 chain after { type nat hook postrouting priority srcnat;
  meta mark & 0x3 == 0x3 meta l4proto tcp snat to 192.168.1.2:40000-41000
  oifname "s*" ip saddr @lan fib daddr type unicast masquerade random
 }
}`

// TestStateExplains: each flow has the same cause by the state that was read.
func TestStateExplains(t *testing.T) {
	if _, err := exec.LookPath("nft"); err != nil {
		lab.LeaveOut(t, err)
	}
	n := explained(t)
	live, err := capture.Open(n.Router.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	want := stateOf(t, live)
	got := reread(t, want)
	if d := modeldiff.First(want, got); d != "" {
		t.Fatal(d)
	}
	before, after := explain.New(want.Snapshot), explain.New(got.Snapshot)
	rewrites := 0
	_, err = live.Flows(t.Context(), capture.Filter{}, func(f *host.Flow) error {
		a, b := before.Explain(f, explain.Options{}), after.Explain(f, explain.Options{})
		if d := modeldiff.First(a, b); d != "" {
			t.Errorf("%v: %s", f.Original, d)
		}
		rewrites += len(a.Rewrites)
		return nil
	})
	if err != nil || rewrites < 8 {
		t.Errorf("%d rewrites explained: %v", rewrites, err)
	}
}

func explained(t *testing.T) *lab.Net {
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
	if out, err := n.Router.Run(explainedRules, "nft", "-f", "-"); err != nil {
		t.Fatal(err, out)
	}
	for port := uint16(80); port < 87; port++ {
		if _, err := n.Client.TCP(netip.AddrPortFrom(lab.ClientAddr4, 0), netip.AddrPortFrom(lab.RouterIn4, port)); err != nil && port < 84 {
			t.Fatalf("port %d: %v", port, err)
		}
	}
	return n
}
