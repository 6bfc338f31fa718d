package rulesjson

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// inNoRule are types that look like parts of a rule and never are one.
var inNoRule = map[string]string{
	"xt.setMatch": "an extension: its InIPSet alone stands in the rule",
	"xt.held":     "a value that is loaded already, made while a packet is asked",
}

// decls are the declarations of all packages of the module, by package name and
// type: what a type embeds, and its methods.
type decls struct {
	embeds  map[string][]string
	methods map[string]map[string]bool
}

func readModule(t *testing.T) *decls {
	t.Helper()
	d := &decls{map[string][]string{}, map[string]map[string]bool{}}
	fset := token.NewFileSet()
	err := filepath.WalkDir("../..", func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && (e.Name() == "testdata" || e.Name() == ".git"):
			return filepath.SkipDir
		case e.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		f, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
		if err == nil {
			d.add(f)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *decls) add(f *ast.File) {
	pkg := f.Name.Name
	for _, decl := range f.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			if decl.Recv != nil {
				name := typeName(pkg, decl.Recv.List[0].Type)
				if d.methods[name] == nil {
					d.methods[name] = map[string]bool{}
				}
				d.methods[name][decl.Name.Name] = true
			}
		case *ast.GenDecl:
			for _, s := range decl.Specs {
				if ts, ok := s.(*ast.TypeSpec); ok {
					d.typeSpec(pkg, ts)
				}
			}
		}
	}
}

func (d *decls) typeSpec(pkg string, ts *ast.TypeSpec) {
	name := pkg + "." + ts.Name.Name
	d.embeds[name] = nil
	st, ok := ts.Type.(*ast.StructType)
	if !ok {
		return
	}
	for _, f := range st.Fields.List {
		if len(f.Names) == 0 {
			d.embeds[name] = append(d.embeds[name], typeName(pkg, f.Type))
		}
	}
}

func typeName(pkg string, e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return typeName(pkg, e.X)
	case *ast.IndexExpr:
		return typeName(pkg, e.X)
	case *ast.SelectorExpr:
		return typeName(e.X.(*ast.Ident).Name, e.Sel)
	case *ast.Ident:
		return pkg + "." + e.Name
	}
	return "?"
}

// has tells whether a type has a method, of its own or by what it embeds.
func (d *decls) has(name, method string) bool {
	return d.methods[name][method] || slices.ContainsFunc(d.embeds[name], func(e string) bool { return d.has(e, method) })
}

// TestEveryTypeHasARow: a type that can be part of a rule is in the tables.
func TestEveryTypeHasARow(t *testing.T) {
	rows := map[string]bool{}
	for _, row := range slices.Concat(expressions, conditions, effects) {
		rows[reflect.TypeOf(row.Type).Elem().String()] = true
	}
	d := readModule(t)
	for _, name := range slices.Sorted(maps.Keys(d.embeds)) {
		expr := d.has(name, "Width") && d.has(name, "Eval")
		statement := d.has(name, "Covers") && name != "rules.Span"
		if (expr || statement) && !rows[name] && inNoRule[name] == "" {
			t.Errorf("%s can be part of a rule and has no row", name)
		}
		if rows[name] && !expr && !statement {
			t.Errorf("%s has a row and is no part of a rule", name)
		}
		delete(rows, name)
	}
	if len(rows) > 0 {
		t.Errorf("rows of no type: %v", rows)
	}
}

// TestEveryNumberHasAName: the numbers of this program's own, and of the kernel
// where some are named, are all in the tables of names.
func TestEveryNumberHasAName(t *testing.T) {
	counts := map[string]int{}
	fset := token.NewFileSet()
	paths, err := filepath.Glob("../*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		f, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range f.Decls {
			if g, ok := decl.(*ast.GenDecl); ok && g.Tok == token.CONST {
				countConsts(g, counts)
			}
		}
	}
	for typ, e := range enums {
		if want := counts[typ.Name()]; want == 0 || len(e.Names) < want {
			t.Errorf("%s: %d numbers, %d names", typ, want, len(e.Names))
		}
	}
}

// countConsts counts the exported constants of each type, those too that have
// theirs from the line above.
func countConsts(g *ast.GenDecl, counts map[string]int) {
	typ := ""
	for _, s := range g.Specs {
		vs := s.(*ast.ValueSpec)
		if id, ok := vs.Type.(*ast.Ident); ok {
			typ = id.Name
		} else if len(vs.Values) > 0 {
			typ = ""
		}
		for _, n := range vs.Names {
			if n.IsExported() {
				counts[typ]++
			}
		}
	}
}
