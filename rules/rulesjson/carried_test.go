package rulesjson

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"

	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/jsonform"
	"github.com/ntdiag/ntdiag/rules/modeldiff"
	"github.com/ntdiag/ntdiag/rules/xt"
)

// maker makes values of the types that rules are made of, each field another.
type maker struct {
	rnd   *rand.Rand
	table *rules.Table
	depth int
}

func (m *maker) any(rows []jsonform.Row) reflect.Value {
	x := reflect.New(reflect.TypeOf(rows[m.rnd.IntN(len(rows))].Type).Elem())
	m.fill(x.Elem())
	return x
}

func (m *maker) fill(v reflect.Value) {
	switch x := v.Addr().Interface().(type) {
	case *rules.Expr:
		if m.depth++; m.depth > 3 {
			v.Set(reflect.ValueOf(&rules.Meta{Key: 3}))
		} else {
			v.Set(m.any(expressions))
		}
		m.depth--
		return
	case *rules.Statement, *rules.Condition:
		if m.depth++; m.depth > 3 {
			v.Set(reflect.ValueOf(&rules.Fixed{Holds: true}))
		} else {
			v.Set(m.any(conditions))
		}
		m.depth--
		return
	case **rules.Set:
		*x = m.table.Sets[m.rnd.IntN(len(m.table.Sets))]
		return
	case **rules.Chain:
		*x = m.table.Chains[m.rnd.IntN(len(m.table.Chains))]
		return
	case **rules.IPSet:
		*x = m.table.Ruleset.IPSets[m.rnd.IntN(len(m.table.Ruleset.IPSets))]
		return
	case *netip.Addr:
		*x = netip.AddrFrom4([4]byte{10, 0, 0, byte(m.rnd.Uint32())})
		return
	case *netip.Prefix:
		*x = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(m.rnd.Uint32())}), m.rnd.IntN(33))
		return
	case *xt.U32Test:
		*x = xt.U32Test{Steps: []xt.U32Step{{Number: m.rnd.Uint32()}, {Number: 3, Op: 2}}, Ranges: [][2]uint32{{m.rnd.Uint32(), 7}}}
		return
	case *rules.Span:
		*x = rules.Span{m.rnd.IntN(3)}
		return
	}
	if e := enums[v.Type()]; e != nil {
		m.number(v, e)
		return
	}
	m.kind(v)
}

// number is one that has a name or, where there may be others, one of these.
func (m *maker) number(v reflect.Value, e *jsonform.Enum) {
	var all []uint64
	for n := range e.Names {
		all = append(all, n)
	}
	if !e.Closed {
		all = append(all, 77)
	}
	n := all[m.rnd.IntN(len(all))]
	if v.CanInt() {
		v.SetInt(int64(n))
	} else {
		v.SetUint(n)
	}
}

func (m *maker) kind(v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(m.rnd.IntN(2) == 0)
	case reflect.Int:
		v.SetInt(int64(m.rnd.IntN(9)))
	case reflect.Uint8:
		v.SetUint(m.rnd.Uint64N(3))
	case reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(m.rnd.Uint64() >> (64 - v.Type().Bits()))
	case reflect.String:
		v.SetString([]string{"", "a", "\xff", "ä\n", "hex:"}[m.rnd.IntN(5)])
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		m.fill(v.Elem())
	case reflect.Slice:
		n := 4 // of bytes: the two of Bitwise are of one length
		if v.Type().Elem().Kind() != reflect.Uint8 {
			n = m.rnd.IntN(3)
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			m.fill(v.Index(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			m.fill(v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			m.fill(v.Field(i))
		}
	default:
		panic(fmt.Sprintf("no value for %s", v.Type()))
	}
}

// TestEveryTypeIsCarried: all that is in the tables, whatever its fields hold.
func TestEveryTypeIsCarried(t *testing.T) {
	for seed := range uint64(40) {
		rs := &rules.Ruleset{Order: binary.BigEndian}
		m := &maker{rnd: rand.New(rand.NewPCG(seed, 3)), table: &rules.Table{Ruleset: rs, Family: rules.FamilyInet, Name: "\xfe"}}
		rs.Tables = []*rules.Table{m.table}
		for _, name := range []string{"a", "a", "\xff", ""} { // two have one name
			rs.IPSets = append(rs.IPSets, &rules.IPSet{Name: name, Type: "hash:ip"})
			m.table.Sets = append(m.table.Sets, &rules.Set{Table: m.table, Name: name, KeyLen: 4, DataLen: 4})
			m.table.Chains = append(m.table.Chains, &rules.Chain{Table: m.table, Name: name})
		}
		rs.PrepareIPSets()
		for _, row := range append(append([]jsonform.Row(nil), conditions...), effects...) {
			x := reflect.New(reflect.TypeOf(row.Type).Elem())
			m.fill(x.Elem())
			m.rule(x.Interface().(rules.Statement))
		}
		for _, row := range expressions {
			x := reflect.New(reflect.TypeOf(row.Type).Elem())
			m.fill(x.Elem())
			m.rule(&rules.Load{Expr: x.Interface().(rules.Expr)})
		}
		b, err := Marshal(rs)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Unmarshal(b)
		if err != nil {
			t.Fatalf("%v\n%s", err, b)
		}
		if d := modeldiff.First(rs, got); d != "" {
			t.Fatalf("%s\n%s", d, b)
		}
	}
}

func (m *maker) rule(s rules.Statement) {
	c := m.table.Chains[0]
	c.Rules = append(c.Rules, &rules.Rule{Chain: c, Position: len(c.Rules) + 1, Statements: []rules.Statement{s}})
}
