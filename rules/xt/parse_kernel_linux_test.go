package xt_test

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/xt"
)

// TestParseKernel: a file of rules, read as a text, is what the kernel has of it
// when a tool has loaded it; and so is what the tool then lists.
func TestParseKernel(t *testing.T) {
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
				parseCase(t, b.prefix[family], sets, in, family, b.want, map[string]int{})
			})
		}
	}
}

// parseCase compares two texts with the kernel: the one that was loaded and the
// one that the tool lists.
func parseCase(t *testing.T, tool string, sets, in []byte, family rules.Family, backend rules.Backend, sum map[string]int) {
	listing, tables := load(t, tool, sets, in)
	byName := map[string]*rules.Table{}
	var named func(string) *rules.IPSet
	for _, tb := range tables {
		if tb.Family == family && tb.Backend == backend {
			byName[tb.Name] = tb
			named = tb.Ruleset.IPSetByName
		}
	}
	for what, text := range map[string]string{"file": string(in), "listing": listing} {
		parsed, problems, err := xt.ParseSave(xt.Text{Family: family, IPSet: named}, strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range problems {
			if what == "file" && strings.HasPrefix(p.Why, "the policy of chain") {
				continue // it adds to what is there
			}
			t.Errorf("%s: %s: %s", what, p, strings.Split(text, "\n")[p.Line-1])
		}
		if what == "listing" && len(parsed) > 0 && parsed[0].Backend != backend {
			t.Errorf("backend %s", parsed[0].Backend)
		}
		for _, tb := range parsed {
			want := byName[tb.Name]
			if want == nil {
				t.Errorf("%s: the kernel has no table %s", what, tb.Name)
				continue
			}
			tb.Ruleset = want.Ruleset
			compareText(t, what, want, tb, sum)
		}
	}
}

// compareText: every rule prints as that of the kernel, and where the kernel has
// it as blobs it is of the same statements.
func compareText(t *testing.T, what string, want, got *rules.Table, sum map[string]int) {
	t.Helper()
	for _, c := range want.Chains {
		o := got.Chain(c.Name)
		if o == nil {
			if len(c.Rules) > 0 {
				t.Errorf("%s: no chain %s", what, c.Name)
			}
			continue
		}
		if len(o.Rules) != len(c.Rules) {
			t.Errorf("%s: chain %s has %d rules of %d", what, c.Name, len(o.Rules), len(c.Rules))
			continue
		}
		for i, r := range c.Rules {
			sum["rules"]++
			a, _ := xt.RuleText(r)
			b, _ := xt.RuleText(o.Rules[i])
			if a == b {
				sum["as printed"]++
			} else if what == "listing" {
				t.Errorf("the kernel's rule prints as\n  %s\nits text as\n  %s", a, b)
			}
			if want.Backend != rules.BackendIptablesLegacy || what == "listing" && a == "-A PREROUTING -p tcp -m tcp" || holes(b) {
				continue // iptables-save leaves out what the one asks for
			}
			if diff := cmp.Diff(uncounted(r), uncounted(o.Rules[i]), sameModel...); diff != "" {
				t.Errorf("%s: %s (-kernel +text):\n%s", what, a, diff)
			} else {
				sum["same statements"]++
			}
		}
	}
}

// holes: of a mask that is no prefix iptables makes that of a host, but for -s
// and -d.
func holes(text string) bool {
	for _, w := range []string{"--ctreplsrc 10.0.0.0/255", "--ctreplsrc fd00::/ffff", "--to 10.0.2.0/255", "--to fd02::/ffff"} {
		if strings.Contains(text, w) {
			return true
		}
	}
	return false
}

func uncounted(r *rules.Rule) []rules.Statement {
	return slices.DeleteFunc(slices.Clone(r.Statements), func(s rules.Statement) bool {
		_, is := s.(*rules.Counter)
		return is
	})
}

// sameModel compares statements: chains and sets are the same by their names.
var sameModel = []cmp.Option{
	cmp.Exporter(func(reflect.Type) bool { return true }),
	cmp.Comparer(func(a, b *rules.Chain) bool { return a == b || a != nil && b != nil && a.Name == b.Name }),
	cmp.Comparer(func(a, b *rules.IPSet) bool { return a == b || a != nil && b != nil && a.Name == b.Name }),
}

// TestParseCollection is TestParseKernel with the rulesets of real software.
func TestParseCollection(t *testing.T) {
	dir := collection(t)
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) {
			sum := map[string]int{}
			for family, sub := range map[rules.Family]string{rules.FamilyIPv4: "iptables", rules.FamilyIPv6: "ip6tables"} {
				paths, _ := filepath.Glob(filepath.Join(dir, sub, "*.rules"))
				for _, path := range paths {
					name := strings.TrimSuffix(filepath.Base(path), ".rules")
					t.Run(sub+"/"+name, func(t *testing.T) {
						in, err := os.ReadFile(path)
						if err != nil {
							t.Fatal(err)
						}
						parseCase(t, b.prefix[family], setsOf(t, dir, name), in, family, b.want, sum)
						same, opaque := listCase(t, b.prefix[family], setsOf(t, dir, name), in, family)
						sum["listed"] += same
						sum["listed, not understood"] += opaque
					})
				}
			}
			t.Log(sum)
		})
	}
}

// TestParseListing: what iptables -L -n -v prints of a table is read as what the
// kernel has; where a rule's words are not understood it says so, and never
// something else.
func TestParseListing(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.rules*")
	if err != nil {
		t.Fatal(err)
	}
	same, opaque := 0, 0
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
				s, o := listCase(t, b.prefix[family], sets, in, family)
				same, opaque = same+s, opaque+o
			})
		}
	}
	t.Logf("%d rules are the kernel's, %d are not understood in full", same, opaque)
}

// listCase loads a file, lists its tables, and compares what is read of that.
func listCase(t *testing.T, tool string, sets, in []byte, family rules.Family) (same, opaque int) {
	listings := map[string]string{}
	_, tables := load(t, tool, sets, in, func(h *lab.Host) {
		for table := range saved(string(in)) {
			table = strings.TrimSpace(table)
			out, err := command(h, nil, tool, "-t", table, "-nvL")
			if err != nil {
				t.Fatal(err)
			}
			listings[table] = string(out)
		}
	})
	for _, tb := range tables {
		text, ok := listings[tb.Name]
		if !ok || tb.Family != family {
			continue
		}
		parsed, _, err := xt.ParseSave(xt.Text{Family: family, IPSet: tb.Ruleset.IPSetByName}, strings.NewReader(text))
		if err != nil || len(parsed) != 1 {
			t.Fatalf("%v %v", parsed, err)
		}
		if parsed[0].Name != tb.Name && tb.Name != "security" {
			t.Errorf("taken for table %s, it is %s", parsed[0].Name, tb.Name)
		}
		s, o := compareListing(t, tb, parsed[0])
		same, opaque = same+s, opaque+o
	}
	return same, opaque
}

// unlisted are rules that ask for what iptables -L does not print.
var unlisted = map[string]bool{
	"-A PREROUTING -p tcp -m tcp": true, "-A PREROUTING -m eui64": true,
	// two matches of one extension, which print as one
	"-A loc-fw -p tcp -m tcp --dport 3128 -m conntrack --ctorigdstport 80 -m conntrack ! --ctorigdst 10.10.10.1 -j ACCEPT": true,
}

func compareListing(t *testing.T, want, got *rules.Table) (same, opaque int) {
	t.Helper()
	for _, c := range want.Chains {
		o := got.Chain(c.Name)
		if o == nil || len(o.Rules) != len(c.Rules) {
			t.Errorf("chain %s: not as many rules", c.Name)
			continue
		}
		for i, r := range c.Rules {
			if !o.Rules[i].Decoded() {
				opaque++
				continue
			}
			a, _ := xt.RuleText(r)
			b, _ := xt.RuleText(o.Rules[i])
			equal := a == b
			if want.Backend == rules.BackendIptablesLegacy {
				equal = cmp.Equal(uncounted(r), uncounted(o.Rules[i]), sameModel...)
			}
			if same++; !equal && !unlisted[a] {
				t.Errorf("the kernel has\n  %s\nthe listing is read as\n  %s", a, b)
			}
		}
	}
	return same, opaque
}
