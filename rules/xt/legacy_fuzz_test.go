package xt

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/keep"
	"github.com/ntdiag/ntdiag/rules/walk"
)

// recordedTable is a file of testdata/tables: struct ipt_getinfo and the
// entries, of a little-endian machine (TestExtensions -record).
type recordedTable struct {
	family        rules.Family
	info, entries []byte
}

func recordedTables(tb testing.TB) map[string]recordedTable {
	tb.Helper()
	paths, err := filepath.Glob("testdata/tables/*.bin")
	if err != nil || len(paths) == 0 {
		tb.Fatalf("no tables: %v", err)
	}
	out := map[string]recordedTable{}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil || len(b) < InfoSize {
			tb.Fatalf("%s: %v", path, err)
		}
		t := recordedTable{rules.FamilyIPv4, b[:InfoSize], b[InfoSize:]}
		if strings.Contains(path, "rules6") {
			t.family = rules.FamilyIPv6
		}
		out[filepath.Base(path)] = t
	}
	return out
}

// decode reads a table as the machine has it that order is of.
func (t *recordedTable) decode(order binary.ByteOrder) (*rules.Table, error) {
	in, err := ParseInfo(order, t.info)
	if err != nil {
		return nil, err
	}
	return DecodeTable(order, t.family, in, t.entries, func(id uint16) *rules.IPSet {
		return &rules.IPSet{ID: id, Name: "s", Type: "hash:ip", Family: t.family}
	})
}

// TestRecordedTables: every rule of the recorded tables is decoded and printed.
func TestRecordedTables(t *testing.T) {
	for name, rec := range recordedTables(t) {
		table, err := rec.decode(binary.LittleEndian)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		table.Ruleset = &rules.Ruleset{Order: binary.LittleEndian, Tables: []*rules.Table{table}}
		n := 0
		for _, c := range table.Chains {
			for _, r := range c.Rules {
				text, ok := RuleText(r)
				if n++; !ok || !r.Decoded() || strings.Contains(text, "?") {
					t.Errorf("%s: %s rule %d: %q", name, c.Name, r.Position, text)
				}
			}
		}
		if n == 0 || len(table.Incomplete) > 0 {
			t.Errorf("%s: %d rules, %v", name, n, table.Incomplete)
		}
	}
}

// walkAll sends packets of which much is not known past every hook.
func walkAll(t *testing.T, rs *rules.Ruleset) {
	t.Helper()
	w := walk.New(rs)
	for _, t := range rs.Tables {
		for hook := rules.Prerouting; hook <= rules.Postrouting; hook++ {
			for _, proto := range []uint8{6, 0} {
				p := &rules.Packet{Family: t.Family, Order: rs.Order, Host: rules.NoHost{}, Proto: proto, Tracked: rules.Yes}
				p.Net.N, p.Trans.N = 20, 8
				if t.Family == rules.FamilyIPv6 {
					p.Net.N = 40
				}
				p.Net.Open(0, p.Net.N, rules.FromIPHeader)
				p.Trans.Open(0, p.Trans.N, rules.FromTCPHeader)
				p.Mark, p.Priority = rules.UnknownBytes(4, rules.FromMark), rules.UnknownBytes(4, rules.FromPriority)
				p.Ct.Mark, p.Ct.Labels = rules.UnknownBytes(4, rules.FromCtMark), rules.UnknownBytes(16, rules.FromCtLabel)
				w.Hook(p, hook, walk.Options{})
			}
		}
	}
}

// slow is how long a table may take: what takes no bounded time takes far
// longer.
const slow = 20 * time.Second

// FuzzLegacyTable: whatever the bytes of a table are, it is decoded or refused;
// what is decoded can be printed and walked, in bounded time.
func FuzzLegacyTable(f *testing.F) {
	for _, rec := range recordedTables(f) {
		f.Add(rec.family == rules.FamilyIPv6, rec.info, rec.entries)
	}
	for name, bad := range badTables() {
		if name != "twice" { // it takes its time, and TestLegacyBroken has it
			f.Add(false, bad.info, bad.entries)
		}
	}
	f.Fuzz(func(t *testing.T, v6 bool, info, entries []byte) {
		rec := recordedTable{rules.FamilyIPv4, info, entries}
		if v6 {
			rec.family = rules.FamilyIPv6
		}
		begun := time.Now()
		for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
			table, err := rec.decode(order)
			if err != nil {
				continue
			}
			rs := &rules.Ruleset{Order: order, Tables: []*rules.Table{table}}
			table.Ruleset = rs
			for _, c := range table.Chains {
				for i, r := range c.Rules {
					RuleText(r)
					if r.Position != i+1 || r.Chain != c {
						t.Fatalf("rule %d of %s says %d of %s", i+1, c.Name, r.Position, r.Chain.Name)
					}
				}
			}
			TableText(table)
			walkAll(t, rs)
		}
		if d := time.Since(begun); d > slow {
			t.Errorf("took %v", d)
		}
	})
}

// blobs are the matches and targets of a recorded table.
func (t *recordedTable) blobs(tb testing.TB) []Blob {
	tb.Helper()
	d := &legacyDecoder{layout: layouts[t.family], order: binary.LittleEndian, index: map[int]int{}, keep: keep.NewBytes()}
	if err := d.split(t.entries); err != nil {
		tb.Fatal(err)
	}
	var out []Blob
	for _, e := range d.entries {
		out = append(append(out, e.matches...), e.target)
	}
	return out
}

// walkRule walks packets past a rule of these statements, at every hook.
func walkRule(t *testing.T, c *Context, statements []rules.Statement) {
	t.Helper()
	table := &rules.Table{Backend: rules.BackendIptablesNft, Family: c.Family, Name: "mangle"}
	for hook := rules.Prerouting; hook <= rules.Postrouting; hook++ {
		for _, typ := range []rules.ChainType{rules.ChainFilter, rules.ChainNAT} {
			chain := &rules.Chain{Table: table, Name: legacyChains[hook], Base: &rules.BaseChain{Type: typ, Hook: hook, Policy: rules.VerdictAccept}}
			chain.Rules = []*rules.Rule{{Chain: chain, Position: 1, Statements: statements, Raw: []rules.RawExpr{{Name: RawMatch}}}}
			table.Chains = append(table.Chains, chain)
		}
	}
	walkAll(t, &rules.Ruleset{Order: c.Order, Tables: []*rules.Table{table}})
}
