package nft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/ntdiag/ntdiag/rules"
)

// Builder gathers the NFT_MSG_NEW* messages of one dump into a ruleset. They
// come in the order tables, chains, sets, objects, flowtables, elements, rules.
// Each Add takes the payload of one message, beginning with its nfgenmsg, and
// keeps a copy. It returns an error only when the message does not say what
// it is about; anything else that is odd is noted in Table.Incomplete.
type Builder struct {
	order  binary.ByteOrder
	rs     *rules.Ruleset
	tables map[tableKey]*tableParts
}

type tableKey struct {
	family rules.Family
	name   string
}

// tableParts is a table with its parts by name, and what waits for Finish.
type tableParts struct {
	*rules.Table
	chains map[string]*rules.Chain
	sets   map[string]*setParts
}

// NewBuilder makes a Builder for messages of a machine of the given byte order.
func NewBuilder(order binary.ByteOrder) *Builder {
	return &Builder{order: order, rs: &rules.Ruleset{Order: order}, tables: map[tableKey]*tableParts{}}
}

// SetIPSets gives the ipsets that xtables matches refer to; before Finish.
func (b *Builder) SetIPSets(sets []*rules.IPSet) {
	b.rs.IPSets = sets
	b.rs.PrepareIPSets()
}

var errShort = errors.New("message is shorter than its header")

// open splits a message into its family and attributes.
func (b *Builder) open(payload []byte) (rules.Family, *attrs, error) {
	if len(payload) < nfgenmsgLen {
		return 0, nil, errShort
	}
	return rules.Family(payload[0]), parseAttrs(b.order, slices.Clone(payload[nfgenmsgLen:])), nil
}

// openIn is open for what belongs to the table named by attribute n. A table
// that was not listed is made, and says so.
func (b *Builder) openIn(what string, payload []byte, table, name int) (*tableParts, string, *attrs, error) {
	family, a, err := b.open(payload)
	if err != nil {
		return nil, "", nil, fmt.Errorf("%s: %w", what, err)
	}
	t, n := a.str(table), a.str(name)
	switch {
	case t == "":
		return nil, "", nil, fmt.Errorf("%s: message names no table", what)
	case n == "":
		return nil, "", nil, fmt.Errorf("%s in table %q: message names none", what, t)
	}
	parts := b.tables[tableKey{family, t}]
	if parts == nil {
		parts = b.newTable(family, t)
		parts.note("the table itself was not listed")
	}
	if a.err != nil {
		parts.note("%s %q: %v", what, n, a.err)
	}
	return parts, n, a, nil
}

func (b *Builder) newTable(family rules.Family, name string) *tableParts {
	t := &tableParts{
		Table:  &rules.Table{Backend: rules.BackendNft, Family: family, Name: name},
		chains: map[string]*rules.Chain{},
		sets:   map[string]*setParts{},
	}
	b.tables[tableKey{family, name}] = t
	b.rs.Tables = append(b.rs.Tables, t.Table)
	return t
}

// maxNotes bounds Table.Incomplete: one kind of damage can hit every rule.
const maxNotes = 32

// note records that something of the table is not as it should be.
func (t *tableParts) note(format string, args ...any) {
	switch n := len(t.Incomplete); {
	case n < maxNotes:
		t.Incomplete = append(t.Incomplete, fmt.Sprintf(format, args...))
	case n == maxNotes:
		t.Incomplete = append(t.Incomplete, "more of the kind")
	}
}

// NFTA_TABLE_*; the user data holds NFTNL_UDATA_TABLE_COMMENT.
const (
	attrTableName     = 1
	attrTableFlags    = 2
	attrTableHandle   = 4
	attrTableUserdata = 6
	attrTableOwner    = 7
	udataComment      = 0 // of tables, chains, objects and elements
)

// AddTable takes a NFT_MSG_NEWTABLE (nf_tables_fill_table_info).
func (b *Builder) AddTable(payload []byte) error {
	family, a, err := b.open(payload)
	if err != nil {
		return fmt.Errorf("table: %w", err)
	}
	name := a.str(attrTableName)
	if name == "" {
		return errors.New("table: message names none")
	}
	t := b.tables[tableKey{family, name}]
	if t == nil {
		t = b.newTable(family, name)
	}
	t.Flags, t.Handle, t.Owner = a.opt32(attrTableFlags), a.opt64(attrTableHandle), a.opt32(attrTableOwner)
	t.Comment = cstring(userdata(a.val[attrTableUserdata], udataComment))
	if a.err != nil {
		t.note("table: %v", a.err)
	}
	return nil
}

// NFTA_RULE_*.
const (
	attrRuleTable    = 1
	attrRuleChain    = 2
	attrRuleHandle   = 3
	attrRuleExprs    = 4
	attrRuleUserdata = 7
)

// AddRule takes a NFT_MSG_NEWRULE (nf_tables_fill_rule_info).
func (b *Builder) AddRule(payload []byte) error {
	t, name, a, err := b.openIn("rule of chain", payload, attrRuleTable, attrRuleChain)
	if err != nil {
		return err
	}
	c := t.chains[name]
	if c == nil {
		c = t.newChain(name)
		t.note("chain %q was not listed, but has rules", name)
	}
	r := &rules.Rule{Chain: c, Position: len(c.Rules) + 1, UserData: a.val[attrRuleUserdata]}
	broken := a.err != nil
	r.Handle = a.opt64(attrRuleHandle)
	r.Raw, err = rawExprs(b.order, a.val[attrRuleExprs])
	if err != nil || broken {
		// whatever else the rule says, one expression of it is not known
		if err == nil {
			r.Raw = append(r.Raw, rules.RawExpr{})
		}
		t.note("rule handle %d of chain %q: %v", r.Handle, name, errors.Join(err, a.err))
	}
	c.Rules = append(c.Rules, r)
	return nil
}

// SetMissing says why elements of a set are not among the messages.
func (b *Builder) SetMissing(family rules.Family, table, set, why string) {
	t := b.tables[tableKey{family, table}]
	if t == nil {
		return
	}
	if s := t.sets[set]; s != nil {
		s.Missing = why
	}
}

// Finish decodes everything and returns the ruleset. The Builder is not used
// after it.
func (b *Builder) Finish(generation uint32) *rules.Ruleset {
	b.rs.Generation = generation
	for _, table := range b.rs.Tables {
		t := b.tables[tableKey{table.Family, table.Name}]
		s := scope{order: b.order, family: t.Family, names: t.names(b.rs), exprs: exprs}
		for _, set := range t.Sets {
			t.sets[set.Name].finish(t, s)
		}
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				s.rule(r)
			}
		}
		t.Backend = backendOf(t.Table)
		t.Ruleset = b.rs
	}
	return b.rs
}

// names looks up by name without going through every set and chain.
func (t *tableParts) names(rs *rules.Ruleset) names {
	return names{
		ipset: rs.IPSet,
		set: func(name string) *rules.Set {
			if s := t.sets[name]; s != nil {
				return s.Set
			}
			return nil
		},
		chain: func(name string) *rules.Chain { return t.chains[name] },
	}
}
