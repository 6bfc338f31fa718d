package nft

import (
	"encoding/binary"
	"path/filepath"
	"testing"

	"github.com/ntdiag/ntdiag/rules"
	"github.com/rogpeppe/go-internal/txtar"
)

// seedMessages are the messages of every fixture.
func seedMessages(f *testing.F) [][]recorded {
	f.Helper()
	paths, err := filepath.Glob("testdata/nft/*.txtar")
	if err != nil || len(paths) == 0 {
		f.Fatalf("no fixtures: %v", err)
	}
	var out [][]recorded
	for _, path := range paths {
		ar, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		out = append(out, parseMessages(f, fileOf(ar, fileMessages)))
	}
	return out
}

// fuzzTable has a set of each sort for expressions to name.
func fuzzTable() *rules.Table {
	t := &rules.Table{Family: rules.FamilyInet, Name: "t"}
	for _, s := range []*rules.Set{
		{Name: "ports", KeyLen: 2},
		{Name: "pairs", KeyLen: 8, FieldLens: []int{4, 2}},
		{Name: "backends", KeyLen: 8, DataLen: 8, Flags: rules.SetMap},
		{Name: "verdicts", KeyLen: 2, DataLen: 16, DataType: rules.DataTypeVerdict, Flags: rules.SetMap},
		{Name: "objs", KeyLen: 4, Flags: rules.SetObject},
		{Name: "wide", KeyLen: 64, DataLen: 64, Flags: rules.SetMap},
		{Name: "broken", KeyLen: maxLen, DataLen: maxLen, Flags: rules.SetMap},
	} {
		s.Table = t
		t.Sets = append(t.Sets, s)
	}
	t.Chains = []*rules.Chain{{Table: t, Name: "ssh"}}
	return t
}

// FuzzDecodeRule: whatever the expressions are, each is in a statement, and
// every statement can be printed and tested.
func FuzzDecodeRule(f *testing.F) {
	for _, msgs := range seedMessages(f) {
		for _, m := range msgs {
			if m.kind == "rule" {
				a := parseAttrs(binary.LittleEndian, m.payload[nfgenmsgLen:])
				f.Add(a.val[attrRuleExprs], []byte("\x00\x04web\x00"), uint8(1))
			}
		}
	}
	f.Add([]byte{}, []byte{}, uint8(2))
	f.Fuzz(func(t *testing.T, exprs, user []byte, family uint8) {
		table := fuzzTable()
		table.Family = rules.Family(family)
		for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
			r := &rules.Rule{UserData: user}
			r.Raw, _ = rawExprs(order, exprs)
			DecodeRule(order, table, r)
			checkSpans(t, "rule", r.Statements, len(r.Raw))
			checkUse(r.Statements)
		}
	})
}

// checkUse prints the statements and asks each condition about a packet of
// which nothing is known; either may panic on a statement that makes no sense.
func checkUse(sts []rules.Statement) {
	_ = show(sts)
	p := &rules.Packet{Family: rules.FamilyIPv4, Order: binary.LittleEndian}
	for _, st := range sts {
		if c, ok := st.(rules.Condition); ok {
			c.Test(p)
		}
	}
}

// FuzzBuilder: whatever the messages are, a ruleset comes out in which every
// expression of every rule is in a statement.
func FuzzBuilder(f *testing.F) {
	kinds := []string{"table", "chain", "set", "object", "flowtable", "elements", "rule"}
	for _, msgs := range seedMessages(f) {
		var in []byte
		for _, m := range msgs {
			for k, kind := range kinds {
				if kind == m.kind && len(in) < 16<<10 {
					in = append(in, byte(k), byte(len(m.payload)), byte(len(m.payload)>>8))
					in = append(in, m.payload...)
				}
			}
		}
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		b := NewBuilder(binary.LittleEndian)
		for len(in) >= 3 {
			kind, n := kinds[int(in[0])%len(kinds)], int(in[1])|int(in[2])<<8
			n = min(n, len(in)-3)
			_ = adders[kind](b, in[3:3+n])
			in = in[3+n:]
		}
		b.SetMissing(rules.FamilyInet, "filter", "addrs", "too many")
		rs := b.Finish(7)
		checkRuleset(t, rs)
		_ = printRuleset(rs)
		for _, table := range rs.Tables {
			for _, s := range table.Sets {
				v := rules.UnknownBytes(s.KeyLen, rules.FromMark)
				s.Find(&v)
				s.Load(&v)
			}
			for _, c := range table.Chains {
				for _, r := range c.Rules {
					checkUse(r.Statements)
				}
			}
		}
	})
}
