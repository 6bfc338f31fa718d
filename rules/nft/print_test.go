package nft

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/ntdiag/ntdiag/rules"
)

// printRuleset is the whole model in lines of text, for golden files.
func printRuleset(rs *rules.Ruleset) string {
	var b strings.Builder
	for _, t := range rs.Tables {
		fmt.Fprintf(&b, "table %s %s backend=%s flags=%d comment=%q flowtables=%q incomplete=%q\n",
			t.Family, t.Name, t.Backend, t.Flags, t.Comment, flowtableNames(t), t.Incomplete)
		for _, o := range t.Objects {
			fmt.Fprintf(&b, "  object %s type=%d detail=%q comment=%q\n", o.Name, o.Type, o.Detail, o.Comment)
		}
		for _, s := range t.Sets {
			printSet(&b, s)
		}
		for _, c := range t.Chains {
			printChain(&b, c)
		}
	}
	return b.String()
}

func flowtableNames(t *rules.Table) (out []string) {
	for _, f := range t.Flowtables {
		out = append(out, f.Name)
	}
	return out
}

func printSet(b *strings.Builder, s *rules.Set) {
	fmt.Fprintf(b, "  set %s flags=%#x keytype=%#x key=%d data=%d fields=%v size=%d timeout=%d obj=%d comment=%q missing=%q exprs=%s\n",
		s.Name, uint32(s.Flags), s.KeyType, s.KeyLen, s.DataLen, s.FieldLens, s.Size, s.Timeout, s.ObjType, s.Comment, s.Missing, show(s.Exprs))
	for _, e := range s.Elements {
		e.Expires = min(e.Expires, 1) // time goes on while recording
		fmt.Fprintf(b, "    %s\n", show(e))
	}
}

func printChain(b *strings.Builder, c *rules.Chain) {
	fmt.Fprintf(b, "  chain %s binding=%v comment=%q base=%s\n", c.Name, c.Binding, c.Comment, show(c.Base))
	for _, r := range c.Rules {
		fmt.Fprintf(b, "    %d: comment=%q\n", r.Position, r.Comment)
		for _, st := range r.Statements {
			fmt.Fprintf(b, "      %v %s\n", st.Covers(), show(st))
		}
	}
}

// show prints a value of the model: type and fields, without those that are
// zero; bytes in hex; sets and chains by name.
func show(v any) string { return showValue(reflect.ValueOf(v)) }

func showValue(v reflect.Value) string {
	if !v.IsValid() {
		return "nil"
	}
	switch x := v.Interface().(type) {
	case *rules.Set:
		if x == nil {
			return "nil"
		}
		return "@" + x.Name
	case *rules.Chain:
		if x == nil {
			return "nil"
		}
		return x.Name
	case []byte:
		return fmt.Sprintf("%x", x)
	case fmt.Stringer:
		return x.String()
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return showValue(v.Elem())
	case reflect.Slice:
		parts := []string{}
		for i := range v.Len() {
			parts = append(parts, showValue(v.Index(i)))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case reflect.Struct:
		parts := []string{}
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if f.Name == "Span" || !f.IsExported() || v.Field(i).IsZero() {
				continue
			}
			parts = append(parts, f.Name+"="+showValue(v.Field(i)))
		}
		return v.Type().Name() + "{" + strings.Join(parts, " ") + "}"
	case reflect.String:
		return fmt.Sprintf("%q", v.String())
	}
	return fmt.Sprint(v.Interface())
}

// checkSpans fails when the spans of the statements do not cover each of n
// expressions, or name one that is not there.
func checkSpans(t *testing.T, what string, sts []rules.Statement, n int) {
	t.Helper()
	seen := make([]bool, n)
	for _, st := range sts {
		if len(st.Covers()) == 0 {
			t.Errorf("%s: %s covers nothing", what, show(st))
		}
		for _, i := range st.Covers() {
			if i < 0 || i >= n {
				t.Fatalf("%s: %s covers expression %d of %d", what, show(st), i, n)
			}
			seen[i] = true
		}
	}
	for i, ok := range seen {
		if !ok {
			t.Errorf("%s: expression %d is in no statement", what, i)
		}
	}
}

// checkRuleset checks the spans of every rule, and that positions count.
func checkRuleset(t *testing.T, rs *rules.Ruleset) {
	t.Helper()
	for _, table := range rs.Tables {
		for _, c := range table.Chains {
			for i, r := range c.Rules {
				checkSpans(t, fmt.Sprintf("%s %s rule %d", table.Name, c.Name, i+1), r.Statements, len(r.Raw))
				if r.Position != i+1 || r.Chain != c {
					t.Errorf("%s %s: rule %d is at position %d", table.Name, c.Name, i+1, r.Position)
				}
			}
		}
	}
}
