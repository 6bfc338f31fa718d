package nft

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ntdiag/ntdiag/rules"
)

// textRulesets are the folders of rulesets for the round trip: those of this
// repository, and a collection beside it.
func textRulesets(t *testing.T) (paths []string, index map[string]indexRow) {
	t.Helper()
	own, err := filepath.Glob("../../testdata/rulesets/*.nft")
	if err != nil || len(own) == 0 {
		t.Fatalf("no rulesets in testdata/rulesets: %v", err)
	}
	dir := os.Getenv("NTDIAG_RULESETS")
	if dir == "" {
		dir = "../../../shared/rulesets/nft"
	}
	more, _ := filepath.Glob(filepath.Join(dir, "*.nft"))
	if len(more) == 0 {
		t.Logf("only the rulesets of this repository: none in %s; NTDIAG_RULESETS names another folder", dir)
		return own, map[string]indexRow{}
	}
	return append(own, more...), readIndex(t, filepath.Join(dir, "..", "INDEX.tsv"))
}

// devicesIn reads the line "# devices NAME NAME" that a ruleset can begin with:
// the devices that must be there before it loads.
func devicesIn(ruleset []byte) []string {
	first, _, _ := strings.Cut(string(ruleset), "\n")
	if names, ok := strings.CutPrefix(first, "# devices "); ok {
		return strings.Fields(names)
	}
	return nil
}

// textTotals counts over all rulesets; lines are those of rules and base
// chains, declared the others.
type textTotals struct {
	rules, opaque, same, asNft int
	lines, equal               int
	declared, declaredEqual    int
}

// TestTextRoundTrip loads each ruleset, renders what the kernel then has,
// loads that text elsewhere and compares expression by expression.
func TestTextRoundTrip(t *testing.T) {
	paths, index := textRulesets(t)
	var sum textTotals
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".nft")
		t.Run(name, func(t *testing.T) {
			row := index[name]
			in, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if row.fails && refused(t, in, row.devices) {
				return
			}
			roundTrip(t, &sum, in, append(row.devices, devicesIn(in)...))
		})
	}
	t.Logf("rules %d, not fully decoded %d, back as they were %d, back as nft's own listing comes back %d; rule lines %d, as nft prints them %d; other lines %d, as nft prints them %d",
		sum.rules, sum.opaque, sum.same, sum.asNft, sum.lines, sum.equal, sum.declared, sum.declaredEqual)
}

func roundTrip(t *testing.T, sum *textTotals, in []byte, devices []string) {
	for _, tool := range []string{"nft", "ip"} { // asked for by the shell, whose error does not tell
		_, err := exec.LookPath(tool)
		leaveOut(t, []string{tool}, err)
	}
	listing := filepath.Join(t.TempDir(), "listing")
	load := []string{"sh", "-c", "nft -f - && nft -s list ruleset >" + listing + " && ip -o link >" + listing + ".links"}
	before := build(t, binary.NativeEndian, dumpWith(t, load, in, devices...))
	out, err := os.ReadFile(listing)
	if err != nil {
		t.Fatal(err)
	}
	before.DeviceName = readLinks(t, listing+".links")
	text := RulesetText(before)
	if t.Failed() {
		return
	}
	if dir := os.Getenv("NTDIAG_TEXT_KEEP"); dir != "" {
		base := filepath.Join(dir, filepath.Base(t.Name()))
		if err := os.WriteFile(base+".ours", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(base+".theirs", out, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	compareLines(t, sum, text, string(out))
	after := build(t, binary.NativeEndian, dumpWith(t, tools["ruleset.nft"], []byte(text), devices...))
	// what nft's own listing comes back as, where ours does not
	var relisted *rules.Ruleset
	for i, bt := range before.Tables {
		if i >= len(after.Tables) {
			t.Fatalf("table %s %s did not come back", bt.Family, bt.Name)
		}
		at := after.Tables[i]
		compareSets(t, bt, at)
		for _, bc := range bt.Chains {
			if bc.Binding {
				continue
			}
			ac := at.Chain(bc.Name)
			if ac == nil {
				t.Errorf("chain %s did not come back", bc.Name)
				continue
			}
			ai := 0
			for ri, r := range bc.Rules {
				sum.rules++
				if !r.Decoded() {
					sum.opaque++
					continue
				}
				if ai >= len(ac.Rules) {
					t.Errorf("rule %q did not come back", RuleText(r))
					continue
				}
				want, got := shape(r), shape(ac.Rules[ai])
				ai++
				if want == got {
					sum.same++
					continue
				}
				if relisted == nil {
					relisted = build(t, binary.NativeEndian, dumpWith(t, tools["ruleset.nft"], out, devices...))
				}
				if theirs := ruleAt(relisted, i, bc.Name, ri); theirs != nil && shape(theirs) == got {
					sum.asNft++
					t.Logf("comes back as nft's own listing does: %q", RuleText(r))
					continue
				}
				t.Errorf("rule %q\n was %s\n  is %s", RuleText(r), want, got)
			}
		}
	}
}

// readLinks reads `ip -o link`: "3: name@peer: <…".
func readLinks(t *testing.T, path string) func(uint32) (string, bool) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	names := map[uint32]string{}
	for line := range strings.Lines(string(b)) {
		col := strings.SplitN(line, ": ", 3)
		n, err := strconv.ParseUint(col[0], 10, 32)
		if err != nil || len(col) < 3 {
			t.Fatalf("link %q: %v", line, err)
		}
		names[uint32(n)], _, _ = strings.Cut(col[1], "@")
	}
	return func(index uint32) (string, bool) {
		name, ok := names[index]
		return name, ok
	}
}

func ruleAt(rs *rules.Ruleset, table int, chain string, n int) *rules.Rule {
	if table >= len(rs.Tables) {
		return nil
	}
	c := rs.Tables[table].Chain(chain)
	if c == nil || n >= len(c.Rules) {
		return nil
	}
	return c.Rules[n]
}

// shape is what the kernel has of a rule, without what differs from one
// loading to the next: counts, and the names of sets and chains without one.
func shape(r *rules.Rule) string {
	var b strings.Builder
	for _, s := range r.Statements {
		switch x := s.(type) {
		case *rules.Counter:
			fmt.Fprintf(&b, "counter %q; ", x.Name)
		case *rules.Quota:
			fmt.Fprintf(&b, "quota %d %v; ", x.Bytes, x.Over)
		case *rules.InSet:
			fmt.Fprintf(&b, "in %s %s %v; ", exprShape(x.Key), setShape(x.Set), x.Invert)
		case *rules.VerdictMap:
			fmt.Fprintf(&b, "vmap %s %s; ", exprShape(x.Key), setShape(x.Set))
		case *rules.Verdict:
			fmt.Fprintf(&b, "%s; ", verdictShape(x))
		case *rules.NAT:
			fmt.Fprintf(&b, "%s %s %s-%s %s-%s %x; ", x.Kind, x.Family, exprShape(x.AddrMin), exprShape(x.AddrMax),
				exprShape(x.PortMin), exprShape(x.PortMax), x.Flags)
		case *rules.Assign:
			fmt.Fprintf(&b, "set %s = %s; ", exprShape(x.Dest), exprShape(x.Value))
		case *rules.Dynset:
			fmt.Fprintf(&b, "%d @%s %s %s %d %s; ", x.Op, x.Set.Name, exprShape(x.Key), exprShape(x.Data), x.Timeout, show(x.Exprs))
		case *rules.ObjRef:
			fmt.Fprintf(&b, "object %d %s %s %s; ", x.Type, x.Name, exprShape(x.Key), setShape(x.Set))
		case *rules.Match:
			fmt.Fprintf(&b, "%s %d %x; ", exprShape(x.Left), x.Op, x.Right)
		case *rules.MatchRange:
			fmt.Fprintf(&b, "%s %v %x-%x; ", exprShape(x.Left), x.Invert, x.Lo, x.Hi)
		default:
			v := show(s)
			if i := strings.Index(v, "]"); i > 0 && strings.Contains(v[:i], "Span") {
				v = v[i:]
			}
			fmt.Fprintf(&b, "%s; ", v)
		}
	}
	return b.String() + r.Comment
}

func exprShape(e rules.Expr) string {
	switch x := e.(type) {
	case nil:
		return ""
	case *rules.MapLookup:
		return "map(" + exprShape(x.Key) + ")" + setShape(x.Set)
	case *rules.Slice:
		return fmt.Sprintf("%s[%d:%d]", exprShape(x.X), x.Off, x.Len)
	case *rules.Bitwise:
		return fmt.Sprintf("(%s & %x ^ %x)", exprShape(x.X), x.Mask, x.Xor)
	case *rules.Byteorder:
		return fmt.Sprintf("order(%s,%v)", exprShape(x.X), x.ToNetwork)
	case *rules.Shift:
		return fmt.Sprintf("shift(%s,%v,%d)", exprShape(x.X), x.Left, x.By)
	case *rules.Hash:
		return fmt.Sprintf("hash(%v %d %d %d)", x.Symmetric, x.Modulus, x.Seed, x.Offset)
	case *rules.Concat:
		var out []string
		for _, part := range x.Parts {
			out = append(out, exprShape(part))
		}
		return strings.Join(out, " . ")
	}
	return show(e)
}

func setShape(s *rules.Set) string {
	if s == nil {
		return ""
	}
	if s.Flags&rules.SetAnonymous == 0 {
		return "@" + s.Name
	}
	return fmt.Sprintf("{%x %x %x %s}", uint32(s.Flags), s.KeyType, s.DataType, strings.Join(elementShapes(s), ","))
}

func elementShapes(s *rules.Set) []string {
	var out []string
	for i := range s.Elements {
		e := &s.Elements[i]
		v := fmt.Sprintf("%x-%x*%v:%x %s %q %d %q %d", e.Key, e.KeyEnd, e.Catchall, e.Data, verdictShape(e.Verdict),
			e.Object, e.Timeout, e.Comment, len(e.Exprs))
		out = append(out, v)
	}
	slices.Sort(out)
	return out
}

func verdictShape(v *rules.Verdict) string {
	switch {
	case v == nil:
		return ""
	case v.Chain != nil && v.Chain.Binding:
		var out []string
		for _, r := range v.Chain.Rules {
			out = append(out, shape(r))
		}
		return v.Code.String() + "{" + strings.Join(out, "|") + "}"
	}
	return v.Code.String() + " " + v.ChainName
}

func compareSets(t *testing.T, before, after *rules.Table) {
	t.Helper()
	for _, s := range before.Sets {
		if s.Flags&rules.SetAnonymous != 0 {
			continue
		}
		got := after.Set(s.Name)
		if got == nil {
			t.Errorf("set %s did not come back", s.Name)
			continue
		}
		head := func(s *rules.Set) string {
			return fmt.Sprintf("flags %x key %x/%d data %x/%d fields %v timeout %d size %d obj %d comment %q",
				uint32(s.Flags), s.KeyType, s.KeyLen, s.DataType, s.DataLen, s.FieldLens, s.Timeout, s.Size, s.ObjType, s.Comment)
		}
		if a, b := head(s), head(got); a != b {
			t.Errorf("set %s\n was %s\n  is %s", s.Name, a, b)
		}
		if a, b := elementShapes(s), elementShapes(got); !slices.Equal(a, b) {
			t.Errorf("elements of set %s\n were %q\n  are %q", s.Name, a, b)
		}
	}
}

// compareLines counts the lines of ours that nft's listing has.
func compareLines(t *testing.T, sum *textTotals, ours, theirs string) {
	t.Helper()
	have := map[string]int{}
	for line := range strings.Lines(theirs) {
		have[line]++
	}
	inChain := false
	for line := range strings.Lines(ours) {
		if strings.HasPrefix(line, "\tchain ") {
			inChain = true
		}
		if line == "\t}\n" {
			inChain = false
		}
		all, equal := &sum.declared, &sum.declaredEqual
		if inChain {
			all, equal = &sum.lines, &sum.equal
		}
		*all++
		if have[line] > 0 {
			have[line]--
			*equal++
			continue
		}
		t.Logf("not as nft prints it: %s", strings.TrimSpace(line))
	}
}
