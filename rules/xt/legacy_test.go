package xt

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/ntdiag/ntdiag/rules"
)

// tableBuilder lays out an IPv4 table of a little-endian machine: chains with
// jumps to other chains, as a program that means no good might.
type tableBuilder struct {
	b     []byte
	heads map[string]int
	fixes []func()
}

// entry adds a rule with the standard target.
func (t *tableBuilder) entry(verdict int32) (at int) {
	at = len(t.b)
	t.b = append(t.b, make([]byte, 112+40)...)
	e := t.b[at:]
	binary.LittleEndian.PutUint16(e[88:], 112)
	binary.LittleEndian.PutUint16(e[90:], 152)
	binary.LittleEndian.PutUint16(e[112:], 40)
	binary.LittleEndian.PutUint32(e[144:], uint32(verdict))
	return at
}

// named adds an entry whose target is ERROR.
func (t *tableBuilder) named(name string) {
	at := len(t.b)
	t.b = append(t.b, make([]byte, 112+64)...)
	e := t.b[at:]
	binary.LittleEndian.PutUint16(e[88:], 112)
	binary.LittleEndian.PutUint16(e[90:], 176)
	binary.LittleEndian.PutUint16(e[112:], 64)
	copy(e[114:], errorTarget)
	copy(e[144:], name)
}

// chain adds one of the user's, with jumps.
func (t *tableBuilder) chain(name string, jumps ...string) {
	t.named(name)
	t.heads[name] = len(t.b)
	t.jumps(jumps)
	t.entry(stdReturn)
}

func (t *tableBuilder) jumps(to []string) {
	for _, name := range to {
		at := t.entry(0)
		// a device that is not known: the rule may match
		copy(t.b[at+16:], "eth0")
		copy(t.b[at+48:], "\xff\xff\xff\xff\xff")
		t.fixes = append(t.fixes, func() {
			head, ok := t.heads[name]
			if !ok {
				head = 5 // inside a rule
			}
			binary.LittleEndian.PutUint32(t.b[at+144:], uint32(head))
		})
	}
}

// table is a filter table whose INPUT has the jumps.
func buildTable(jumps []string, chains func(*tableBuilder)) recordedTable {
	t := &tableBuilder{heads: map[string]int{}}
	t.jumps(jumps)
	underflow := t.entry(stdAccept)
	chains(t)
	t.named(errorTarget)
	for _, fix := range t.fixes {
		fix()
	}
	info := make([]byte, InfoSize)
	copy(info, "filter")
	binary.LittleEndian.PutUint32(info[32:], 1<<rules.Input)
	binary.LittleEndian.PutUint32(info[36+20+4*int(rules.Input):], uint32(underflow))
	binary.LittleEndian.PutUint32(info[80:], uint32(len(t.b)))
	return recordedTable{rules.FamilyIPv4, info, t.b}
}

// badTables are tables that a kernel does not hand out.
func badTables() map[string]recordedTable {
	out := map[string]recordedTable{}
	out["loop"] = buildTable([]string{"a"}, func(t *tableBuilder) { t.chain("a", "b"); t.chain("b", "a") })
	out["itself"] = buildTable([]string{"a"}, func(t *tableBuilder) { t.chain("a", "a") })
	out["nowhere"] = buildTable([]string{"a"}, func(t *tableBuilder) { t.chain("b") })
	out["twice"] = buildTable([]string{"c00", "c00"}, func(t *tableBuilder) {
		for i := range 40 {
			next := "c" + string(rune('0'+(i+1)/10)) + string(rune('0'+(i+1)%10))
			t.chain("c"+string(rune('0'+i/10))+string(rune('0'+i%10)), next, next)
		}
		t.chain("c40")
	})
	out["many"] = buildTable([]string{"n0"}, func(t *tableBuilder) {
		for i := range 400 {
			t.chain("n"+utoa(uint32(i)), "n"+utoa(uint32(i+1)))
		}
		t.chain("n400")
	})
	cut := out["loop"]
	cut.entries = cut.entries[:len(cut.entries)-1]
	out["cut"] = cut
	still := out["itself"]
	still.entries = append([]byte(nil), still.entries...)
	binary.LittleEndian.PutUint16(still.entries[90:], 0)
	out["stands still"] = still
	past := out["itself"]
	past.info = append([]byte(nil), past.info...)
	binary.LittleEndian.PutUint32(past.info[60:], 77)
	out["policy between entries"] = past
	return out
}

// TestLegacyBroken: a table that leads nowhere, back, or too far.
func TestLegacyBroken(t *testing.T) {
	for name, want := range map[string]string{
		"loop":                   `incomplete: rule 1 of chain "b" jumps back to chain "a"`,
		"itself":                 `incomplete: rule 1 of chain "a" jumps back to chain "a"`,
		"nowhere":                `opaque: verdict 5 leads`,
		"twice":                  "",
		"many":                   "",
		"cut":                    "error: legacy table \"filter\": entry at offset",
		"stands still":           "error: legacy table \"filter\": entry at offset 0",
		"policy between entries": "error: legacy table \"filter\": chain INPUT begins at 0 and ends at 77",
	} {
		t.Run(name, func(t *testing.T) {
			rec := badTables()[name]
			table, err := rec.decode(binary.LittleEndian)
			got := ""
			if err != nil {
				got = "error: " + err.Error()
			} else {
				for _, s := range table.Incomplete {
					got = "incomplete: " + s
				}
				for _, c := range table.Chains {
					for _, r := range c.Rules {
						for _, s := range r.Statements {
							if o, ok := s.(*rules.Opaque); ok {
								got = "opaque: " + o.Why
							}
						}
					}
				}
				table.Ruleset = &rules.Ruleset{Order: binary.LittleEndian, Tables: []*rules.Table{table}}
				walkAll(t, table.Ruleset)
			}
			if !strings.HasPrefix(got, want) || want == "" && got != "" {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}
