package nft

import (
	"encoding/binary"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ntdiag/ntdiag/rules"
)

// raw makes an expression of its attributes.
func raw(name string, parts ...[]byte) rules.RawExpr {
	var data []byte
	for _, p := range parts {
		data = append(data, p...)
	}
	return rules.RawExpr{Name: name, Data: data}
}

// The expressions that the cases below are made of.
func saddr(reg uint32) rules.RawExpr {
	return raw("payload", n32(1, reg), n32(2, 1), n32(3, 12), n32(4, 4))
}
func dport(reg uint32) rules.RawExpr {
	return raw("payload", n32(1, reg), n32(2, 2), n32(3, 2), n32(4, 2))
}
func markLoad(reg uint32) rules.RawExpr { return raw("meta", n32(2, 3), n32(1, reg)) }
func equals(reg uint32, v ...byte) rules.RawExpr {
	return raw("cmp", n32(1, reg), n32(2, 0), value(3, v...))
}
func lookup(set string, reg uint32, more ...[]byte) rules.RawExpr {
	return raw("lookup", append([][]byte{text(1, set), n32(2, reg)}, more...)...)
}

// decodeCases is one row a thing that recorded rules do not show.
var decodeCases = []struct {
	name string
	raw  []rules.RawExpr
	want string
}{
	{"nothing", nil, ""},
	{"load that nothing reads", []rules.RawExpr{saddr(1)},
		"[0] Load{Expr=Payload{Base=1 Off=12 Len=4}}"},
	{"unread load is placed in order", []rules.RawExpr{dport(1), equals(1, 0, 80), saddr(1), raw("notrack")},
		"[0 1] Match{Left=Payload{Base=2 Off=2 Len=2} Right=0050}; [2] Load{Expr=Payload{Base=1 Off=12 Len=4}}; [3] Notrack{}"},
	{"unread computed load stands for its loads", []rules.RawExpr{
		markLoad(1), raw("bitwise", n32(1, 1), n32(2, 1), n32(3, 4), value(4, 1, 0, 0, 0), value(5, 0, 0, 0, 0))},
		"[0 1] Load{Expr=Bitwise{X=Meta{Key=3} Mask=01000000 Xor=00000000}}"},
	{"load read twice is in both spans", []rules.RawExpr{dport(1), equals(1, 0, 80), equals(1, 0, 81)},
		"[0 1] Match{Left=Payload{Base=2 Off=2 Len=2} Right=0050}; [0 2] Match{Left=Payload{Base=2 Off=2 Len=2} Right=0051}"},
	{"16-byte and 4-byte names are one file", []rules.RawExpr{saddr(2), equals(12, 10, 0, 0, 1)},
		"[0 1] Match{Left=Payload{Base=1 Off=12 Len=4} Right=0a000001}"},
	{"part of a load", []rules.RawExpr{saddr(1), equals(1, 10, 0)},
		"[0 1] Match{Left=Slice{X=Payload{Base=1 Off=12 Len=4} Len=2} Right=0a00}"},
	{"second word of a load", []rules.RawExpr{
		raw("payload", n32(1, 8), n32(2, 1), n32(3, 8), n32(4, 16)), equals(9, 1, 2, 3, 4)},
		"[0 1] Match{Left=Slice{X=Payload{Base=1 Off=8 Len=16} Off=4 Len=4} Right=01020304}"},
	{"overwritten middle", []rules.RawExpr{
		raw("payload", n32(1, 8), n32(2, 1), n32(3, 8), n32(4, 12)), markLoad(9),
		equals(8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)},
		"[0 1 2] Match{Left=Concat{Parts=[Slice{X=Payload{Base=1 Off=8 Len=12} Len=4}, Meta{Key=3}, Slice{X=Payload{Base=1 Off=8 Len=12} Off=8 Len=4}]} Right=0102030405060708090a0b0c}"},
	{"name compared with its NUL", []rules.RawExpr{raw("meta", n32(2, 6), n32(1, 1)), equals(1, 'l', 'o', 0)},
		"[0 1] Match{Left=Meta{Key=6} Right=6c6f00}"},
	{"register's padding compared", []rules.RawExpr{dport(1), equals(1, 0, 80, 0, 0)},
		"[0 1] Match{Left=Payload{Base=2 Off=2 Len=2} Right=0050}"},
	{"register's padding compared with more", []rules.RawExpr{dport(1), equals(1, 0, 80, 0, 1)},
		"[0 1] Match{Left=Concat{Parts=[Payload{Base=2 Off=2 Len=2}]} Right=00500001}"},
	{"register that nothing wrote", []rules.RawExpr{equals(1, 1)},
		`[0] Match{Left=Tainted{Len=1 Why="nothing wrote this register"} Right=01}`},
	{"or of two registers", []rules.RawExpr{markLoad(1), saddr(2),
		raw("bitwise", n32(1, 1), n32(8, 2), n32(2, 1), n32(3, 4), n32(6, 4)), equals(1, 1, 2, 3, 4)},
		"[0 1 2 3] Match{Left=Bool2{Op=1 X=Meta{Key=3} Y=Payload{Base=1 Off=12 Len=4}} Right=01020304}"},
	{"and with a constant", []rules.RawExpr{markLoad(1),
		raw("bitwise", n32(1, 1), n32(2, 1), n32(3, 4), n32(6, 3), value(7, 1, 0, 0, 0)), equals(1, 1, 0, 0, 0)},
		"[0 1 2] Match{Left=Bool2{X=Meta{Key=3} Y=Const{Data=01000000}} Right=01000000}"},
	{"right shift", []rules.RawExpr{markLoad(1),
		raw("bitwise", n32(1, 1), n32(2, 1), n32(3, 4), n32(6, 2), value(7, 8, 0, 0, 0)), equals(1, 1, 0, 0, 0)},
		"[0 1 2] Match{Left=Shift{X=Meta{Key=3} By=8 Len=4} Right=01000000}"},
	{"inverted lookup", []rules.RawExpr{dport(1), lookup("ports", 1, n32(5, 1))},
		"[0 1] InSet{Key=Payload{Base=2 Off=2 Len=2} Set=@ports Invert=true}"},
	{"xtables match", []rules.RawExpr{raw("match", text(1, "recent"), n32(2, 0), tlv(3, []byte{1}))},
		`[0] Opaque{Name="match recent" Raw=0b000100726563656e74000008000200000000000500030001000000 Why="xtables extension of family inet"}`},
}

func TestDecodeRule(t *testing.T) {
	for _, tc := range decodeCases {
		t.Run(tc.name, func(t *testing.T) {
			r := &rules.Rule{Raw: tc.raw}
			DecodeRule(binary.LittleEndian, fuzzTable(), r)
			checkSpans(t, tc.name, r.Statements, len(r.Raw))
			var got []string
			for _, st := range r.Statements {
				got = append(got, fmt.Sprintf("%v %s", st.Covers(), show(st)))
			}
			if diff := cmp.Diff(tc.want, strings.Join(got, "; ")); diff != "" {
				t.Errorf("decoded differently (-want +got):\n%s", diff)
			}
		})
	}
}

// TestOpaque: what is not understood is kept, says why, and what it may do.
func TestOpaque(t *testing.T) {
	for _, tc := range []struct {
		name      string
		raw       rules.RawExpr
		why       string // in Why
		end, nat  bool
		taintsAll bool
	}{
		{"unknown name", raw("novel", n32(1, 1)), "not known", true, false, true},
		{"no name", raw(""), "not known", true, false, true},
		{"last of another size", raw("last", n32(2, 1)), "4 bytes, not 8", false, false, false},
		{"osf flags", raw("osf", n32(1, 1), n32(3, 2)), "flags 0x2", false, false, true},
		{"osf ttl", raw("osf", n32(1, 1), tlv(2, []byte{3})), "ttl 3", false, false, true},
		{"xfrm key", raw("xfrm", n32(1, 1), n32(2, 7), tlv(3, []byte{0})), "key 7", false, false, true},
		{"xfrm direction", raw("xfrm", n32(1, 1), n32(2, 5), tlv(3, []byte{2})), "direction 2", false, false, true},
		{"tunnel key", raw("tunnel", n32(1, 2), n32(2, 1)), "key 2", false, false, true},
		{"tunnel mode", raw("tunnel", n32(1, 0), n32(2, 1), n32(3, 3)), "mode 3", false, false, true},
		{"inner of another expression", inner(raw("ct", n32(1, 1), n32(2, 0))), "expression ct", false, false, true},
		{"inner that writes", inner(raw("meta", n32(3, 1), n32(2, 3))), "loads nothing", false, false, true},
		{"inner that is malformed", inner(raw("meta", n32(1, 1))), "inner meta: attribute 2 is missing", false, false, true},
		{"inner of nothing", raw("inner", n32(2, 1), n32(3, 1), n32(4, 8)), "attribute 5 is missing", false, false, true},
		{"inner flags", raw("inner", n32(2, 1), n32(3, 16), n32(4, 8), tlv(5)), "flags 0x10", false, false, true},
		{"queue of both", raw("queue", n16(1, 1), n32(4, 1)), "either a number or a register", true, false, false},
		{"queue flags", raw("queue", n16(1, 1), n16(3, 4)), "flags 0x4", true, false, false},
		{"queue of too many", raw("queue", n16(1, 0xffff), n16(2, 2)), "queue of 2 from 65535", true, false, false},
		{"synproxy flags", raw("synproxy", n32(3, 32)), "flags 0x20", true, false, false},
		{"tproxy to nowhere", raw("tproxy", n32(1, 2)), "neither address nor port", false, false, false},
		{"tproxy of no family", raw("tproxy", n32(1, 0), n32(2, 1)), "no family", false, false, false},
		{"tproxy family", raw("tproxy", n32(1, 7), n32(3, 1)), "family 7", false, false, false},
		{"dup to nowhere", raw("dup"), "neither address nor device", false, false, false},
		{"dup of another family", raw("dup", n32(1, 1)), "has an address", false, false, false},
		{"fwd to nowhere", raw("fwd", n32(2, 1), n32(3, 2)), "no device", true, false, false},
		{"fwd family", raw("fwd", n32(1, 1), n32(2, 1), n32(3, 3)), "family 3", true, false, false},
		{"flowtable without a name", raw("flow_offload", text(1, "")), "empty name", false, false, false},
		{"unknown attribute", raw("meta", n32(1, 1), n32(2, 3), n32(9, 0)), "attribute 9", false, false, true},
		{"attribute given twice", raw("meta", n32(1, 1), n32(1, 2), n32(2, 3)), "twice", false, false, true},
		{"attribute missing", raw("meta", n32(1, 1)), "attribute 2 is missing", false, false, true},
		{"attribute of another size", raw("meta", tlv(1, []byte{0, 1}), n32(2, 3)), "2 bytes, not 4", false, false, true},
		{"cut short", rules.RawExpr{Name: "meta", Data: n32(1, 1)[:6]}, "cut short", false, false, true},
		{"unknown key", raw("meta", n32(1, 1), n32(2, 999)), "key 999", false, false, true},
		{"neither read nor written", raw("ct", n32(2, 0)), "must be given", false, false, true},
		{"no such register", raw("meta", n32(1, 5), n32(2, 3)), "register 5", false, false, true},
		{"load into the verdict", raw("meta", n32(1, 0), n32(2, 3)), "verdict register", false, false, true},
		{"load beyond the file", raw("payload", n32(1, 23), n32(2, 1), n32(3, 0), n32(4, 16)), "has no 16 bytes", false, false, true},
		{"malformed condition writes nothing", raw("cmp", n32(1, 1), n32(2, 77), value(3, 1)), "operation 77", false, false, false},
		{"malformed nat", raw("nat", n32(1, 9), n32(2, 2)), "type 9", true, true, false},
		{"malformed masquerade", raw("masq", n32(1, 1<<20)), "flags", true, true, false},
		{"set that is not there", lookup("nowhere", 1), "not in the table", true, false, true},
		{"data from a verdict map", lookup("verdicts", 1, n32(3, 2)), "does not fit", true, false, true},
		{"data of a plain set", lookup("ports", 1, n32(3, 2)), "not a map", true, false, true},
		{"jump to nowhere", raw("immediate", n32(1, 0), tlv(2, tlv(2, n32(1, 0xfffffffd)))), "no chain", true, false, true},
		{"shift by too much", raw("bitwise", n32(1, 1), n32(2, 1), n32(3, 4), n32(6, 1), value(7, 32, 0, 0, 0)), "0 to 31", false, false, true},
		{"mask of another length", raw("bitwise", n32(1, 1), n32(2, 1), n32(3, 4), value(4, 1), value(5, 0)), "not 4", false, false, true},
		{"payload of another header", raw("payload", n32(1, 1), n32(2, 4), n32(3, 0), n32(4, 4)), "base 4", false, false, true},
		{"payload of no length", raw("payload", n32(1, 1), n32(2, 1), n32(3, 0), n32(4, 0)), "length is 0", false, false, true},
		{"payload beyond any packet", raw("payload", n32(1, 1), n32(2, 1), n32(3, 1<<31), n32(4, 4)), "beyond any packet", false, false, true},
		{"stripping a header", raw("exthdr", tlv(2, []byte{5}), n32(6, 0)), "stripping", false, false, true},
		{"exthdr flags", raw("exthdr", n32(1, 1), tlv(2, []byte{5}), n32(3, 0), n32(4, 1), n32(5, 2)), "flags 0x2", false, false, true},
		{"ct direction", raw("ct", n32(1, 1), n32(2, 8), tlv(3, []byte{2})), "direction 2", false, false, true},
		{"fib result", raw("fib", n32(1, 1), n32(2, 4), n32(3, 2)), "result 4", false, false, true},
		{"fib flags", raw("fib", n32(1, 1), n32(2, 1), n32(3, 64)), "flags 0x40", false, false, true},
		{"rt key", raw("rt", n32(1, 1), n32(2, 5)), "key 5", false, false, true},
		{"socket key", raw("socket", n32(1, 4), n32(2, 1)), "key 4", false, false, true},
		{"numgen without modulus", raw("numgen", n32(1, 1), n32(2, 0), n32(3, 0)), "modulus is 0", false, false, true},
		{"hash type", raw("hash", n32(2, 1), n32(4, 2), n32(7, 2)), "type 2", false, false, true},
		{"byteorder size", raw("byteorder", n32(1, 1), n32(2, 1), n32(3, 1), n32(4, 4), n32(5, 3)), "size is 3", false, false, true},
		{"bitwise operation", raw("bitwise", n32(1, 1), n32(2, 1), n32(3, 4), n32(6, 6)), "operation 6", false, false, true},
		{"or of nothing", raw("bitwise", n32(1, 1), n32(2, 1), n32(3, 4), n32(6, 4)), "one second operand", false, false, true},
		{"range of two lengths", raw("range", n32(1, 1), n32(2, 0), value(3, 1), value(4, 1, 2)), "1 to 2 bytes", false, false, false},
		{"limit flags", raw("limit", n64(1, 1), n64(2, 1), n32(5, 2)), "flags 0x2", false, false, false},
		{"quota flags", raw("quota", n64(1, 1), n32(2, 4)), "flags 0x4", false, false, false},
		{"connlimit flags", raw("connlimit", n32(1, 1), n32(2, 2)), "flags 0x2", false, false, false},
		{"reject without a code", raw("reject", n32(1, 0)), "attribute 2 is missing", true, false, false},
		{"notrack with something", raw("notrack", n32(1, 0)), "attribute 1", false, false, false},
		{"counter of another size", raw("counter", n32(1, 0)), "4 bytes, not 8", false, false, false},
		{"log group of another size", raw("log", n32(1, 0)), "4 bytes, not 2", false, false, false},
		{"object of a set without any", raw("objref", n32(3, 1), text(4, "ports")), "does not hold objects", true, false, false},
		{"nat of a family without addresses", raw("nat", n32(1, 0), n32(2, 1), n32(3, 1)), "has an address", true, true, false},
		{"nat from no register", raw("nat", n32(1, 0), n32(2, 2), n32(3, 0)), "verdict register", true, true, false},
		{"queue number in a verdict", raw("immediate", n32(1, 0), tlv(2, tlv(2, n32(1, 5<<16|3)))), "not known", true, false, true},
		{"set with a senseless key", lookup("broken", 1), "key of 65535", true, false, true},
		{"inverted map", lookup("backends", 1, n32(3, 1), n32(5, 1)), "inverted", true, false, true},
		{"dynset operation", raw("dynset", text(1, "ports"), n32(3, 3), n32(4, 1)), "operation 3", false, false, false},
		{"nat target", raw("target", text(1, "NETMAP")), "xtables", true, true, false},
		{"other target", raw("target", text(1, "MARK")), "xtables", true, false, false},
		{"nameless target", raw("target", n32(2, 0)), "without a name", true, true, false},
		{"element statement not understood", raw("dynset", text(1, "ports"), n32(3, 0), n32(4, 1),
			tlv(7, text(1, "novel"))), "not known", false, false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := &rules.Rule{Raw: []rules.RawExpr{markLoad(1), tc.raw, equals(1, 1, 0, 0, 0)}}
			DecodeRule(binary.LittleEndian, fuzzTable(), r)
			checkSpans(t, tc.name, r.Statements, len(r.Raw))
			var o *rules.Opaque
			var m *rules.Match
			for _, st := range r.Statements {
				switch st := st.(type) {
				case *rules.Opaque:
					o = st
				case *rules.Match:
					m = st
				}
			}
			switch {
			case o == nil || m == nil:
				t.Fatalf("no opaque statement or no match in %s", show(r.Statements))
			case !strings.Contains(o.Why, tc.why):
				t.Errorf("why is %q, want %q in it", o.Why, tc.why)
			case o.MayEnd != tc.end || o.MayNAT != tc.nat:
				t.Errorf("may end %v, may nat %v; want %v, %v", o.MayEnd, o.MayNAT, tc.end, tc.nat)
			}
			if _, tainted := m.Left.(*rules.Tainted); tainted != tc.taintsAll {
				t.Errorf("the load before it reads as %s, tainted should be %v", show(m.Left), tc.taintsAll)
			}
		})
	}
}

// TestWeight: a register combined with itself again and again is given up
// before evaluating it takes for ever.
func TestWeight(t *testing.T) {
	r := &rules.Rule{Raw: []rules.RawExpr{markLoad(1)}}
	for range 100 {
		r.Raw = append(r.Raw, raw("bitwise", n32(1, 1), n32(8, 1), n32(2, 1), n32(3, 4), n32(6, 5)))
	}
	r.Raw = append(r.Raw, equals(1, 0, 0, 0, 0))
	DecodeRule(binary.LittleEndian, fuzzTable(), r)
	checkSpans(t, "rule", r.Statements, len(r.Raw))
	checkUse(r.Statements)
	if r.Decoded() {
		t.Error("nothing is opaque")
	}
}

// TestEveryFileHasARow: each expr_*.go declares decode functions, and each is
// used in the table; so no expression is written and then forgotten.
func TestEveryFileHasARow(t *testing.T) {
	fset := token.NewFileSet()
	table, err := parser.ParseFile(fset, "decode_table.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	ast.Inspect(table, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			used[id.Name] = true
		}
		return true
	})
	paths, err := filepath.Glob("expr_*.go")
	if err != nil || len(paths) < 20 {
		t.Fatalf("%d files: %v", len(paths), err)
	}
	for _, path := range paths {
		f, err := parser.ParseFile(fset, path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		rows := 0
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if ok && fn.Recv == nil && used[fn.Name.Name] {
				rows++
			}
		}
		if rows == 0 {
			t.Errorf("%s: no function of it has a row in exprs", path)
		}
	}
}
