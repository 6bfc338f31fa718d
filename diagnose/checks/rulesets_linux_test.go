package checks_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/checks"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/diagnose/order"
	"github.com/ntdiag/ntdiag/report"
	"github.com/ntdiag/ntdiag/rules"
)

// collection is where the rulesets are that real programs wrote.
func collection(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("NTDIAG_RULESETS")
	if dir != "" {
		dir = filepath.Dir(filepath.Clean(dir))
	} else {
		dir = "../../../shared/rulesets"
	}
	if _, err := os.Stat(filepath.Join(dir, "INDEX.tsv")); errors.Is(err, fs.ErrNotExist) {
		t.Skipf("no rulesets in %s; NTDIAG_RULESETS names another folder", dir)
	}
	return dir
}

// kinds is one row a kind of ruleset in the index: what loads it.
var kinds = map[string]struct {
	folder, ext string
	argv        []string
}{
	"nft":       {"nft", ".nft", []string{"nft", "-f", "-"}},
	"iptables":  {"iptables", ".rules", []string{"iptables-nft-restore"}},
	"ip6tables": {"ip6tables", ".rules", []string{"ip6tables-nft-restore"}},
}

// producers is one row a producer, by how its rulesets are named: the owners
// that its rules may be found to have, and how many of 100 of its rules, and of
// its NAT rules, are recognised at least. What is missing stands in chains that
// it shares with everybody, without a mark of its own.
var producers = []struct {
	prefix     string
	owners     []string
	least, nat int
}{
	{"docker-26.1-iptables-embedded", []string{"docker"}, 100, 100},
	{"docker-26.1-iptables-swarm-ingress", []string{"docker"}, 50, 50},
	{"docker-", []string{"docker"}, 60, 50}, // each bridge's masquerade of a container to itself names no bridge
	{"moby-", []string{"docker"}, 40, 0},
	{"kube-proxy-", []string{"kube-proxy"}, 95, 100},
	{"firewalld-", []string{"firewalld"}, 85, 100},
	{"libvirt-", []string{"libvirt"}, 100, 100},
	{"netavark-", []string{"netavark"}, 95, 100},
	{"cni-plugins-", []string{"cni"}, 90, 90},
	{"ufw-", []string{"ufw"}, 75, 0}, // its NAT rules are the administrator's own
	{"openwrt-fw4-", []string{"fw4"}, 100, 100},
	{"openwrt-fw3-", []string{"fw3"}, 90, 50},
	{"tailscale-", []string{"tailscale"}, 60, 10}, // its DNAT rules have nothing of their own
	{"istio-", []string{"istio"}, 70, 100},
	{"shorewall-", []string{"shorewall"}, 70, 90},
	{"flannel-", []string{"flannel"}, 100, 100},
	{"systemd-networkd-", []string{"systemd-networkd"}, 100, 100},
	{"lxc-net-6.0-nft", []string{"lxc"}, 100, 100},
	{"weave-", []string{"weave", "kube-proxy", "docker"}, 80, 80},
	{"edgeos-", []string{"edgeos", "miniupnpd"}, 50, 50},
	{"unifi-", []string{"unifi"}, 90, 90},
	{"wiki-", nil, 0, 0},
	{"nftables-shell-", nil, 0, 0},
	{"lxc-net-6.0-iptables", nil, 0, 0}, // nothing in them tells whose they are
	{"diekmann-", []string{"docker", "shorewall", "rancher"}, 0, 0},
}

// TestRulesets loads every ruleset of the collection, tells whose rules they
// are, and runs every check: programs do not write rules that hide each other.
func TestRulesets(t *testing.T) {
	dir := collection(t)
	index, err := os.ReadFile(filepath.Join(dir, "INDEX.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range strings.Lines(string(index)) {
		col := strings.Split(strings.TrimRight(line, "\n"), "\t")
		k, ok := kinds[col[1]]
		if len(col) < 7 || !ok || col[5] != "OK" {
			continue
		}
		seen++
		t.Run(col[1]+"/"+col[0], func(t *testing.T) {
			if _, err := exec.LookPath(k.argv[0]); err != nil {
				lab.LeaveOut(t, err)
			}
			text, err := os.ReadFile(filepath.Join(dir, k.folder, col[0]+k.ext))
			if err != nil {
				t.Fatal(err)
			}
			s := loaded(t, k.argv, text, needs(col[6], "iface "), needs(col[6], "ipset "))
			checkOwners(t, col[0], s.Rules)
			checkChecks(t, col[0], s)
		})
	}
	if seen < 50 {
		t.Errorf("%d rulesets in the index", seen)
	}
}

// needs are the names that a note of the index says must be there: "iface c0;
// iface s0".
func needs(note, what string) []string {
	var out []string
	for part := range strings.SplitSeq(note, ";") {
		if name, ok := strings.CutPrefix(strings.TrimSpace(part), what); ok {
			out = append(out, name)
		}
	}
	return out
}

// loaded is what the kernel holds of a ruleset, in a namespace of its own.
func loaded(t *testing.T, argv []string, text []byte, devs, ipsets []string) *host.Snapshot {
	t.Helper()
	l, err := lab.New()
	if err != nil {
		lab.LeaveOut(t, err)
	}
	t.Cleanup(func() { l.Close() })
	h, err := l.Host("h")
	if err != nil {
		t.Fatal(err)
	}
	run := func(in []byte, argv ...string) error {
		c := exec.Command(argv[0], argv[1:]...)
		c.Stdin = bytes.NewReader(in)
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", argv[0], err, out)
		}
		return nil
	}
	err = h.Do(func() error {
		for i, d := range devs {
			if err := run(nil, "ip", "link", "add", d, "type", "veth", "peer", "name", fmt.Sprintf("peer%d", i)); err != nil {
				return err
			}
		}
		for _, name := range ipsets {
			if err := run(nil, "ipset", "create", name, "hash:net"); err != nil {
				return err
			}
		}
		return run(text, argv...)
	})
	if why := lab.NotHere(err, string(text)); why != nil {
		lab.LeaveOut(t, why)
	}
	if err != nil {
		t.Fatal(err)
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
	return s
}

// checkOwners holds what is recognised against who wrote the ruleset.
func checkOwners(t *testing.T, name string, rs *rules.Ruleset) {
	t.Helper()
	at := slices.IndexFunc(producers[:], func(p struct {
		prefix     string
		owners     []string
		least, nat int
	}) bool {
		return strings.HasPrefix(name, p.prefix)
	})
	if at < 0 {
		t.Fatalf("%s: nobody is known to have written it", name)
	}
	p := producers[at]
	var known, all, knownNAT, allNAT int
	var missed []string
	for _, tb := range rs.Tables {
		for _, c := range tb.Chains {
			for _, r := range c.Rules {
				by := r.MadeBy()
				if by != "" && !slices.Contains(p.owners, by) {
					t.Errorf("%s %s %s: taken for %s's", tb.Name, c.Name, r.Ref(), by)
				}
				all++
				if by != "" {
					known++
				} else {
					missed = append(missed, fmt.Sprintf("%s %s: %s", tb.Name, c.Name, r.Text))
				}
				if r.NAT() != nil {
					allNAT++
					if by != "" {
						knownNAT++
					}
				}
			}
		}
	}
	t.Logf("%d of %d rules, %d of %d NAT rules are recognised", known, all, knownNAT, allNAT)
	if known*100 < all*p.least || knownNAT*100 < allNAT*p.nat {
		t.Errorf("that is too few; not recognised:\n%s", strings.Join(missed[:min(len(missed), 20)], "\n"))
	}
}

// handWritten rulesets may well be wrong; and in shorewall's example the
// administrator's own two rules for port 80 are.
var handWritten = []string{"diekmann-", "nftables-shell-", "wiki-", "shorewall-"}

// checkChecks runs the checks and prints the listing: of rules that a program
// wrote nothing is worse than worth a note.
func checkChecks(t *testing.T, name string, s *host.Snapshot) {
	t.Helper()
	program := !slices.ContainsFunc(handWritten, func(p string) bool { return strings.HasPrefix(name, p) })
	hooks := order.Of(s.Rules)
	findings := checks.Run(s, hooks)
	for _, f := range findings {
		at := ""
		if f.Rule != nil {
			at = f.Rule.Chain.Table.Name + " " + f.Rule.Chain.Name + " " + f.Rule.Ref() + ": "
		}
		if f.Severity.AtLeast(checks.Warning) && program {
			t.Errorf("%s: %s%s", f.Severity, at, f.Text)
		} else if f.Check != "no-device" {
			t.Logf("%s %s: %s%s", f.Check, f.Severity, at, f.Text)
		}
	}
	for _, all := range []bool{false, true} {
		doc := report.NewRules(&report.RulesInput{Snapshot: s, Hooks: hooks, Findings: findings, AllChains: all})
		for _, name := range report.Formats() {
			f, err := report.FormatByName(name)
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			if err := f.Rules(&b, doc, report.Style{Rows: 40}); err != nil {
				t.Fatal(err)
			}
			if f.Human {
				narrow(t, b.String())
			}
		}
	}
}

// narrow: a line is wider than a terminal only for a name that is.
func narrow(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if n := utf8.RuneCountInString(line); n > 80 && !slices.ContainsFunc(strings.Fields(line), func(w string) bool { return len(w) > 30 }) {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}
