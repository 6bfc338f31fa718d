package rulesjson_test

import (
	"strings"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/rulesjson"
)

// document is a piece within a ruleset of one rule.
type document struct {
	whole, table, rule, statement string // the one that is given
	err                           string // what its error says; "" for a good one
}

func (d document) text() string {
	rule := d.rule
	if d.statement != "" {
		rule = `"statements":[` + d.statement + `]`
	}
	table := d.table
	if rule != "" {
		table = `"sets":[{"name":"s","key_len":4},{"name":"m","key_len":2,"data_len":4,"elements":[{"key":"0050","data":"0a000001"}]}],` +
			`"chains":[{"name":"c","base":{"type":"nat","hook":"prerouting","policy":"accept"},"rules":[{"position":1,` + rule + `}]}]`
	}
	if table != "" {
		return `{"ruleset":1,"order":"little","tables":[{"backend":"nft","family":"ip","name":"t",` + table + `}]}`
	}
	return d.whole
}

const payload = `{"type":"payload","base":"network","off":12,"len":4}`

var brokenDocuments = []document{
	{whole: ``, err: "unexpected EOF"},
	{whole: `[]`, err: `'[' where '{' has to be`},
	{whole: `{"ruleset":1}`},
	{whole: ` { "ruleset" : 1 , "generation" : 7 } `},
	{whole: `{"ruleset":2}`, err: "a newer one is needed"},
	{whole: `{"generation":7}`, err: `"generation" where "ruleset" has to be`},
	{whole: `{"ruleset":1,"generation":4294967296}`, err: "generation, byte 36: number 4294967296 is out of range"},
	{whole: `{"ruleset":1,"generation":-1}`, err: "bad number -1"},
	{whole: `{"ruleset":1,"generation":07}`, err: "begins with 0"},
	{whole: `{"ruleset":1,"generation":1e3}`, err: "bad number 1e3"},
	{whole: `{"ruleset":1,"generation":1,"generation":1}`, err: "stands twice"},
	{whole: `{"ruleset":1,"order":"middle"}`, err: "neither little nor big"},
	{whole: `{"ruleset":1} x`, err: "behind the end"},
	{whole: `{"ruleset":1,"later":{"a":[1,2.5e-3,null,true,"\ud83d\ude00"]}}`},
	{whole: `{"ruleset":1,"later":"\ud83d"}`, err: "half a surrogate pair"},
	{whole: "{\"ruleset\":1,\"later\":\"\xff\"}", err: "not UTF-8"},
	{whole: "{\"ruleset\":1,\"later\":\"a\nb\"}", err: "control character"},
	{whole: `{"ruleset":1,"later":` + strings.Repeat("[", 10000), err: "nested more than 1000 deep"},
	{whole: `{"ruleset":1,"tables":[{"family":"ip","sets":[{"name":"x"},{"name":"x","user_data":"0g"}]}]}`, err: "tables[0].sets[1].user_data"},
	{whole: `{"ruleset":1,"tables":[{"family":"ip","name":"hex:6"}]}`, err: "string as bytes"},
	{whole: `{"ruleset":1,"tables":[{"name":"t"}]}`, err: "family is missing"},
	{whole: `{"ruleset":1,"tables":[{"family":"ipx"}]}`, err: `"ipx" is not known`},
	{whole: `{"ruleset":1,"ipsets":[{"name":"l","family":"unspec","type":"list:set","elements":[{"name":"l"}]}]}`},
	{table: `"chains":[{"name":"c","base":{"hook":"input"}}]`, err: "policy is missing"},
	{table: `"chains":[null]`, err: "'n' where '{' has to be"},
	{table: `"sets":[{"name":"x","key_len":-1}]`, err: "key length -1"},
	{rule: `"raw":[{"name":"a"}],"statements":[{"type":"counter","span":[1]}]`, err: "stands for expression 1, of 1"},
	{statement: `{"type":"match","left":` + payload + `,"op":"==","right":"0a000001"}`},
	{statement: `{"type":"match","op":"==","right":"0a000001"}`, err: "tables[0].chains[0].rules[0].statements[0], byte 364: left is missing"},
	{statement: `{"op":"==","type":"match"}`, err: `"op" where "type" has to be`},
	{statement: `{"type":"in_set","key":` + payload + `,"set":"s"}`},
	{statement: `{"type":"in_set","key":` + payload + `,"set":1}`},
	{statement: `{"type":"in_set","key":` + payload + `,"set":2}`, err: "there is no set number 2 in the table"},
	{statement: `{"type":"in_set","key":` + payload + `,"set":"none"}`, err: `set "none" is not in the table`},
	{statement: `{"type":"verdict","code":"jump","chain":"c","chain_name":"c"}`},
	{statement: `{"type":"verdict","code":"jump","chain":"none"}`, err: `chain "none" is not in the table`},
	{statement: `{"type":"load","expr":{"type":"map_lookup","key":` + payload + `,"set":"s"}}`, err: `map "s" has data of 0 bytes`},
	{statement: `{"type":"load","expr":{"type":"slice","x":` + payload + `,"off":-1,"len":1}}`, err: "offset -1"},
	{statement: `{"type":"load","expr":{"type":"bitwise","x":` + payload + `,"mask":"ff","xor":""}}`, err: "mask of 1 bytes and xor of 0"},
	{statement: `{"type":"load","expr":{"type":"same","id":1}}`, err: "nothing has id 1"},
	{statement: `{"type":"load","expr":{"type":"byteorder","id":1,"x":{"type":"same","id":1}}}`, err: "nothing has id 1"},
	{statement: doubling(20), err: "made of more than 4096 parts"},
	{statement: `{"type":"xt_u32"}`, err: "operators"},
	{statement: `{"type":"xt_connbytes","what":9}`, err: "unknown mode 9"},
	{statement: `{"type":"not_of","part":{"type":"counter"}}`}, // of a later version: a counter that is a condition
}

// doubling is a value that is combined with itself n times.
func doubling(n int) string {
	x := `{"type":"meta","id":1,"key":3}`
	for i := range n {
		x = `{"type":"bool2","id":` + string(rune('0'+(i+2)/10)) + string(rune('0'+(i+2)%10)) + `,"op":"and","x":` + x + `,"y":{"type":"same","id":` + itoa(i+1) + `}}`
	}
	return `{"type":"load","expr":` + strings.ReplaceAll(x, `"id":0`, `"id":`) + `}`
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + itoa(n%10)
}

// TestBrokenDocuments: what is not right is said with its place, and takes no
// time.
func TestBrokenDocuments(t *testing.T) {
	for _, doc := range brokenDocuments {
		in := doc.text()
		begun := time.Now()
		rs, err := rulesjson.Unmarshal([]byte(in))
		switch {
		case doc.err == "" && err != nil:
			t.Errorf("%.300s: %v", in, err)
		case doc.err == "":
			use(rs)
		case err == nil || !strings.Contains(err.Error(), doc.err):
			t.Errorf("%.300s: %v, want %q", in, err, doc.err)
		case rs != nil:
			t.Errorf("%.300s: a ruleset beside an error", in)
		}
		if d := time.Since(begun); d > slow {
			t.Errorf("%.100s: took %v", in, d)
		}
	}
}

// TestLaterVersions: what this program does not know becomes an expression
// that is not understood, at its place; the rest is as it was.
func TestLaterVersions(t *testing.T) {
	const counter = `{"type":"counter","span":[9],"packets":1}`
	for _, tc := range []struct{ name, in, why string }{
		{"a statement", `{"type":"teleport","span":[3,4],"to":{"type":"nowhere","id":5}}`, `type "teleport" of statement "teleport" comes from a later version`},
		{"an expression", `{"type":"match","span":[3,4],"left":{"type":"bitwise","x":{"type":"smell"},"mask":"ff","xor":"00"},"op":"==","right":"00"}`, `type "smell" of statement "match"`},
		{"a field of a statement", `{"type":"reject","span":[3,4],"loudly":true}`, `field "loudly" of statement "reject"`},
		{"a field of an expression", `{"type":"load","span":[3,4],"expr":{"type":"meta","key":3,"of":{"x":[]}}}`, `field "of" of statement "load"`},
		{"a name", `{"type":"open","span":[3,4],"from":"dreams"}`, `name "dreams" of statement "open"`},
		{"a part", `{"type":"all_of","span":[3,4],"parts":[{"type":"fixed"},{"type":"wish"}]}`, `type "wish" of statement "all_of"`},
	} {
		rs, err := rulesjson.Unmarshal([]byte(document{statement: tc.in + "," + counter}.text()))
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		list := rs.Tables[0].Chains[0].Rules[0].Statements
		o, ok := list[0].(*rules.Opaque)
		if !ok || !strings.Contains(o.Why, tc.why) || !o.MayEnd || !o.MayNAT || len(o.Span) != 2 || o.Span[0] != 3 {
			t.Errorf("%s: %#v, want because of %q", tc.name, list[0], tc.why)
		}
		if c, ok := list[1].(*rules.Counter); !ok || c.Packets != 1 {
			t.Errorf("%s: then %#v", tc.name, list[1])
		}
	}
	// what refers to a part of it is not understood either
	rs, err := rulesjson.Unmarshal([]byte(document{statement: `{"type":"load","expr":{"type":"smell","x":{"type":"meta","id":1,"key":3}}},` +
		`{"type":"load","expr":{"type":"same","id":1}}`}.text()))
	if err != nil {
		t.Fatal(err)
	}
	if o, ok := rs.Tables[0].Chains[0].Rules[0].Statements[1].(*rules.Opaque); !ok || !strings.Contains(o.Why, "id 1") {
		t.Errorf("what refers to it: %#v", rs.Tables[0].Chains[0].Rules[0].Statements[1])
	}
}

// TestMemory: a document that asks for more than it may is refused.
func TestMemory(t *testing.T) {
	elements := strings.Repeat(`{},`, 100000) + `{}`
	in := document{table: `"sets":[{"name":"x","elements":[` + elements + `]}]`}.text()
	if _, err := rulesjson.Decode(strings.NewReader(in), rulesjson.Options{Memory: 10 << 20}); err == nil || !strings.Contains(err.Error(), "memory") {
		t.Errorf("%v, want that it takes too much memory", err)
	}
	if _, err := rulesjson.Decode(strings.NewReader(in), rulesjson.Options{Memory: 100 << 20}); err != nil {
		t.Error(err)
	}
}
