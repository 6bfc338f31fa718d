package redact

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/bundle"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/xt"
)

// modelTypes are what a bundle holds, and everything that an interface in it
// can be.
var modelTypes = []any{
	bundle.State{}, host.Flow{}, rules.Ruleset{},
	rules.Const{}, rules.Tainted{}, rules.Slice{}, rules.Concat{}, rules.Bitwise{}, rules.Bool2{}, rules.Shift{}, rules.Byteorder{},
	rules.MapLookup{}, rules.Numgen{}, rules.Hash{}, rules.Payload{}, rules.Exthdr{}, rules.Fib{}, rules.Rt{}, rules.Socket{}, rules.Osf{},
	rules.Tunnel{}, rules.Xfrm{}, rules.Inner{}, rules.Meta{}, rules.Ct{}, rules.Step{}, rules.NPT{}, rules.Unrecorded{},
	rules.Match{}, rules.MatchRange{}, rules.InSet{}, rules.Verdict{}, rules.VerdictMap{}, rules.NAT{}, rules.Assign{}, rules.Counter{},
	rules.Limit{}, rules.Quota{}, rules.Connlimit{}, rules.Log{}, rules.Notrack{}, rules.ObjRef{}, rules.Dynset{}, rules.Reject{},
	rules.Load{}, rules.Opaque{}, rules.Dup{}, rules.Fwd{}, rules.Last{}, rules.FlowOffload{}, rules.Queue{}, rules.StripOption{},
	rules.Synproxy{}, rules.TProxy{}, rules.Cluster{}, rules.AllOf{}, rules.AnyOf{}, rules.NotOf{}, rules.Fixed{}, rules.Open{},
	rules.Chance{}, rules.Remark{}, rules.InIPSet{}, rules.FeedIPSet{}, rules.MapIPSet{},
	xt.OfHelper{}, xt.OfCgroup{}, xt.CountedBytes{}, xt.ReversePath{}, xt.U32Condition{},
}

// TestEveryFieldIsTreated: a field that can hold an address, a name or bytes
// says what becomes of it, and no row is of a field that is not there.
func TestEveryFieldIsTreated(t *testing.T) {
	rows := maps.Clone(fieldRows())
	seen := map[reflect.Type]bool{}
	var visit func(reflect.Type)
	visit = func(typ reflect.Type) {
		if seen[typ] || whole[typ] {
			return
		}
		seen[typ] = true
		switch typ.Kind() {
		case reflect.Map:
			visit(typ.Key())
			visit(typ.Elem())
		case reflect.Pointer, reflect.Slice, reflect.Array:
			visit(typ.Elem())
		case reflect.Struct:
			for i := range typ.NumField() {
				f := typ.Field(i)
				if !f.IsExported() {
					continue
				}
				name := fieldName(typ, f)
				if _, has := fieldRows()[name]; !has && holds(f.Type) {
					t.Errorf("%s (%s) has no row: it comes out empty", name, f.Type)
				}
				delete(rows, name)
				visit(f.Type)
			}
		}
	}
	for _, v := range modelTypes {
		visit(reflect.TypeOf(v))
	}
	for name := range rows {
		t.Errorf("there is no field %s", name)
	}
	for typ := range structRows {
		if !seen[typ] {
			t.Errorf("%s is in no bundle", typ)
		}
	}
}

// TestEveryStatementIsKnown: modelTypes has every statement and expression that
// there is.
func TestEveryStatementIsKnown(t *testing.T) {
	listed := map[string]bool{}
	for _, v := range modelTypes {
		listed[reflect.TypeOf(v).Name()] = true
	}
	listed["held"] = true // made while u32 is asked, and in no rule
	for _, dir := range []string{"../../rules", "../../rules/xt"} {
		for name := range statementTypes(t, dir) {
			if !listed[name] {
				t.Errorf("%s: %s is not in the list", dir, name)
			}
		}
	}
}

// statementTypes are the types of a package that a rule is made of: they have
// Eval or Test, or what they cover.
func statementTypes(t *testing.T, dir string) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Recv != nil && (n.Name.Name == "Eval" || n.Name.Name == "Test") {
					out[strings.TrimPrefix(exprName(n.Recv.List[0].Type), "*")] = true
				}
			case *ast.TypeSpec:
				if s, ok := n.Type.(*ast.StructType); ok && slices.ContainsFunc(s.Fields.List, embedsSpan) {
					out[n.Name.Name] = true
				}
			}
			return true
		})
	}
	if len(out) < 5 {
		t.Fatalf("%s: %d statements", dir, len(out))
	}
	return out
}

func exprName(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.StarExpr:
		return "*" + exprName(x.X)
	case *ast.Ident:
		return x.Name
	case *ast.SelectorExpr:
		return exprName(x.X) + "." + x.Sel.Name
	}
	return ""
}

func embedsSpan(f *ast.Field) bool {
	return len(f.Names) == 0 && strings.TrimPrefix(exprName(f.Type), "rules.") == "Span"
}
