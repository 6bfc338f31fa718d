package jsonform

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/ntdiag/ntdiag/rules/modeldiff"
)

type shape interface{ area() int }

type (
	square struct{ Side int }
	pile   struct{ On, Under shape }
	colour uint8
	marks  uint16
)

func (*square) area() int { return 0 }
func (*pile) area() int   { return 0 }

type leaf struct {
	Bytes, Empty []byte
	MAC          [6]byte
	Text         string
	ManyIPSets   []uint64
	Addr         netip.Addr
	Net          netip.Prefix
	Named        map[string]int64
	Colour       colour
	Marks        marks
	Tagged       bool `json:"is_tagged,omitempty"`
	hidden       int
}

type whole struct {
	Leaf   *leaf
	Leaves []leaf
	Shapes []shape
	Maybe  shape
}

func testForm() *Form {
	return &Form{
		Unions: map[reflect.Type]*Union{reflect.TypeFor[shape](): {
			Rows: []Row{{"square", (*square)(nil)}, {"pile", (*pile)(nil)}}, Shared: 50,
		}},
		Enums: map[reflect.Type]*Enum{
			reflect.TypeFor[colour](): {Names: map[uint64]string{0: "red", 1: "green"}},
			reflect.TypeFor[marks]():  {Bits: true, Names: map[uint64]string{1: "one", 4: "four"}},
		},
		Skip:     map[reflect.Type][]string{reflect.TypeFor[leaf](): {"hidden"}},
		Optional: map[reflect.Type][]string{reflect.TypeFor[whole](): {"Maybe"}},
		Scopes:   map[reflect.Type]bool{reflect.TypeFor[whole](): true},
	}
}

func written(t *testing.T, f *Form, v any) string {
	t.Helper()
	var b bytes.Buffer
	w := NewWriter(&b)
	w.Write(f, v)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestForm: what it looks like is a promise.
func TestForm(t *testing.T) {
	f := testForm()
	one := &square{3}
	in := &whole{
		Leaf: &leaf{
			Bytes: []byte{0, 0xfe}, Empty: []byte{}, MAC: [6]byte{5: 1}, Text: "a\"\x00\\é\u2028", ManyIPSets: []uint64{math.MaxUint64, 0},
			Addr: netip.MustParseAddr("::ffff:1.2.3.4"), Net: netip.PrefixFrom(netip.MustParseAddr("10.0.0.1"), -1),
			Named: map[string]int64{"b": math.MinInt64, "\xff": 1, "hex:": 2}, Colour: 7, Marks: 0x25, Tagged: true,
		},
		Leaves: []leaf{{hidden: 1}, {Text: "\xff\"", Colour: 1}},
		Shapes: []shape{one, &pile{On: &square{}, Under: one}, one},
	}
	const want = `{"leaf":{"bytes":"00fe","empty":"","mac":"000000000001","text":"a\"\u0000\\é` + "\u2028" + `","many_ipsets":[18446744073709551615,0],` +
		`"addr":"::ffff:1.2.3.4","net":"10.0.0.1/-1","named":{"b":-9223372036854775808,"hex:6865783a":2,"hex:ff":1},"colour":7,"marks":["one","four",32],"is_tagged":true},` +
		`"leaves":[{"colour":"red"},{"text":"hex:ff22","colour":"green"}],` +
		`"shapes":[{"type":"square","id":1,"side":3},{"type":"pile","on":{"type":"square"},"under":{"type":"same","id":1}},{"type":"same","id":1}]}`
	got := written(t, f, in)
	if got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if !json.Valid([]byte(got)) {
		t.Error("that is no JSON")
	}
	for _, text := range []string{got, indented(t, got)} {
		for name, reader := range map[string]*Reader{
			"at once": NewReader(strings.NewReader(text), 0), "byte by byte": NewReader(iotest.OneByteReader(strings.NewReader(text)), 0),
			"to the end": NewReader(iotest.DataErrReader(strings.NewReader(text)), 0),
		} {
			out := new(whole)
			if err := reader.Read(f, out); err != nil {
				t.Errorf("%s: %v", name, err)
			} else if d := modeldiff.First(in, out); d != "" {
				t.Errorf("%s: %s", name, d)
			}
		}
	}
}

func indented(t *testing.T, s string) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Indent(&b, []byte(s), "\t", "  "); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestLongStrings: longer than what is read at once, with an escape at any
// place.
func TestLongStrings(t *testing.T) {
	f := testForm()
	for n := range 40 {
		in := &leaf{Text: strings.Repeat("é", chunkSize/2+n-20) + "\n" + strings.Repeat("x", 3*chunkSize), Bytes: bytes.Repeat([]byte{7}, chunkSize)}
		out := new(leaf)
		if err := NewReader(strings.NewReader(written(t, f, in)), 0).Read(f, out); err != nil {
			t.Fatal(err)
		}
		if d := modeldiff.First(in, out); d != "" {
			t.Fatalf("%.200s", d)
		}
	}
}

// TestRaw: a value as it stands there, also where more than one reading holds
// it.
func TestRaw(t *testing.T) {
	for _, n := range []int{1, chunkSize - 12, chunkSize, 5 * chunkSize} {
		want := `{"a":["` + strings.Repeat("y", n) + `\"",1.5,null]}`
		for _, before := range []int{0, 1000, chunkSize} {
			r := NewReader(strings.NewReader(`["`+strings.Repeat("x", before)+`", `+want+`,7]`), 0)
			err := r.List(func(i int) error {
				switch i {
				case 0:
					return r.Skip()
				case 1:
					b, err := r.Raw()
					if string(b) != want {
						t.Errorf("%d behind %d: %.50q, want %.50q", n, before, b, want)
					}
					return err
				}
				_, err := r.Uint()
				return err
			})
			if err == nil {
				err = r.End()
			}
			if err != nil {
				t.Error(err)
			}
		}
	}
}

// TestSharedMoves: the id goes to its place also where others have moved it.
func TestSharedMoves(t *testing.T) {
	f := testForm()
	var in whole
	var parts []shape
	for i := range 12 {
		parts = append(parts, &square{i})
	}
	in.Shapes = append(in.Shapes, parts...)
	for i := range parts {
		in.Shapes = append(in.Shapes, &pile{parts[(i*7)%12], parts[(i*5)%12]})
	}
	text := written(t, f, &in)
	out := new(whole)
	if err := NewReader(strings.NewReader(text), 0).Read(f, out); err != nil {
		t.Fatal(err, text)
	}
	if d := modeldiff.First(&in, out); d != "" {
		t.Errorf("%s\n%s", d, text)
	}
}

// TestRefused: what is not in the tables is refused by name.
func TestRefused(t *testing.T) {
	f := testForm()
	for _, tc := range []struct{ in, err string }{
		{`{"shapes":[{"type":"circle"}]}`, `shapes[0], byte 27: type "circle" is not known`},
		{`{"shapes":[{"type":"pile","on":{"type":"square"}}]}`, "shapes[0], byte 49: under is missing"},
		{`{"leaf":{"colour":"blue"}}`, `leaf.colour, byte 24: "blue" is not known`},
		{`{"leaf":{}}`, "leaf, byte 10: colour is missing"},
		{`{"leaf":{"mac":"00"}}`, "leaf.mac, byte 19: 1 bytes, wants 6"},
		{`{"leaf":{"net":"10.0.0.1/33"}}`, `bad prefix "10.0.0.1/33"`},
		{`{"leaf":{"addr":"x"}}`, `bad address "x"`},
		{`{"leaf":{"named":{"a":1,"a":2}}}`, "leaf.named.a, byte 28: stands twice"},
		{`{"leaf":{"text":"a"`, "unexpected EOF"},
		{`{"leaf":{"text":nul}}`, `'n' where '"' has to be`},
		{`{"leaves":[{"colour":"red"},]}`, `']' where '{' has to be`},
		{`{"leaves":[{"colour":"red"} {}]}`, `'{' where ',' has to be`},
		{`{"leaves" []}`, `'[' where ':' has to be`},
		{`{"shapes":[{"type":"square","id":1},{"type":"square","id":1}]}`, "id 1 stands twice"},
		{`{"shapes":[{"type":"square","id":0}]}`, "id, byte 34: is 0"},
		{`{"shapes":[{"type":"same"}]}`, "nothing has id 0"},
	} {
		err := NewReader(strings.NewReader(tc.in), 0).Read(f, new(whole))
		if err == nil || !strings.Contains(err.Error(), tc.err) {
			t.Errorf("%s: %v, want %q", tc.in, err, tc.err)
		}
	}
	w := NewWriter(&bytes.Buffer{})
	w.Write(f, &whole{Shapes: []shape{nil}})
	if err := w.Flush(); err == nil {
		t.Error("a list with nothing in it was written")
	}
}

// TestTrees: a tree is written as it was read, but for the order of members.
func TestTrees(t *testing.T) {
	const in = `{"v":3,"b":{"type":"x","a":[1,-2.5e7,true,false,null,"\u0000\"é"]},"a":"hex:ff"}`
	r := NewReader(strings.NewReader(in), 0)
	v, err := r.Version("v")
	if err != nil || v != 3 {
		t.Fatal(v, err)
	}
	tree, err := r.ReadTree()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := NewWriter(&b)
	w.WriteTree("v", 4, tree)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	want := `{"v":4,"a":"hex:ff","b":{"type":"x","a":[1,-2.5e7,true,false,null,"\u0000\"é"]}}`
	if b.String() != want {
		t.Errorf("%s, want %s", b.String(), want)
	}
}

// TestUnlistedField: a field that is not exported does not get lost unnoticed.
func TestUnlistedField(t *testing.T) {
	defer func() {
		if r := recover(); r == nil || !strings.Contains(fmt.Sprint(r), "field hidden of jsonform.leaf") {
			t.Errorf("%v", r)
		}
	}()
	f := testForm()
	f.Skip = nil
	_ = f.planOf(reflect.TypeFor[leaf]())
}
