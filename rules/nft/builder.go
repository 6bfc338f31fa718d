package nft

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/keep"
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

	attrs    attrs   // of the present message
	element  attrs   // of the present element
	decoder  decoder // of the present rule
	keeper   *keep.Bytes
	ready    bool // the sets are: rules come
	made     keep.Slab[rules.Rule]
	raw      keep.Slab[rules.RawExpr]
	verdicts keep.Slab[rules.Verdict]
	// loose lead to chains that were not there yet.
	loose []looseVerdict
}

// looseVerdict is one that leads to a chain which was not listed before it.
type looseVerdict struct {
	in *tableParts
	v  *rules.Verdict
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
	scope  scope
}

// NewBuilder makes a Builder for messages of a machine of the given byte order.
func NewBuilder(order binary.ByteOrder) *Builder {
	return &Builder{
		order: order, rs: &rules.Ruleset{Order: order}, tables: map[tableKey]*tableParts{}, keeper: keep.NewBytes(),
	}
}

// SetIPSets gives the ipsets that xtables matches refer to; before the rules.
func (b *Builder) SetIPSets(sets []*rules.IPSet) {
	b.rs.IPSets = sets
	b.rs.PrepareIPSets()
}

var errShort = errors.New("message is shorter than its header")

// open splits a message into its family and attributes, which are good until
// the next one.
func (b *Builder) open(payload []byte) (rules.Family, *attrs, error) {
	if len(payload) < nfgenmsgLen {
		return 0, nil, errShort
	}
	b.attrs.parse(b.order, payload[nfgenmsgLen:])
	return rules.Family(payload[0]), &b.attrs, nil
}

// openIn is open for what belongs to the table named by attribute table, and
// is itself named by attribute name. A table that was not listed is made, and
// says so.
func (b *Builder) openIn(what string, payload []byte, table, name int) (*tableParts, []byte, *attrs, error) {
	family, a, err := b.open(payload)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("%s: %w", what, err)
	}
	t, n := cbytes(a.get(table)), cbytes(a.get(name))
	switch {
	case len(t) == 0:
		return nil, nil, nil, fmt.Errorf("%s: message names no table", what)
	case len(n) == 0:
		return nil, nil, nil, fmt.Errorf("%s in table %q: message names none", what, t)
	}
	parts := b.tables[tableKey{family, string(t)}]
	if parts == nil {
		parts = b.newTable(family, string(t))
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
	t.scope = scope{order: b.order, family: family, names: t.names(b.rs), exprs: exprs}
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
	t.Comment = cstring(userdata(a.get(attrTableUserdata), udataComment))
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
	b.finishSets()
	t, name, a, err := b.openIn("rule of chain", payload, attrRuleTable, attrRuleChain)
	if err != nil {
		return err
	}
	c := t.chains[string(name)]
	if c == nil {
		c = t.newChain(string(name))
		t.note("chain %q was not listed, but has rules", name)
	}
	r := b.made.One(rules.Rule{Chain: c, Position: len(c.Rules) + 1, UserData: b.keeper.Share(a.get(attrRuleUserdata))})
	broken := a.err != nil
	r.Handle = a.opt64(attrRuleHandle)
	r.Raw, err = b.rawExprs(a.get(attrRuleExprs))
	if err != nil || broken {
		// whatever else the rule says, one expression of it is not known
		if err == nil {
			r.Raw = append(r.Raw, rules.RawExpr{})
		}
		t.note("rule handle %d of chain %q: %v", r.Handle, name, errors.Join(err, a.err))
	}
	c.Rules = append(c.Rules, r)
	b.decode(t, r)
	return nil
}

// rawExprs is the list of expressions with bytes that stay.
func (b *Builder) rawExprs(list []byte) ([]rules.RawExpr, error) {
	return readExprs(b.order, list, b.raw.List, b.keeper.Share)
}

// decode makes the statements of a rule.
func (b *Builder) decode(t *tableParts, r *rules.Rule) {
	b.decoder.scope = t.scope
	b.decoder.rule(r)
	for _, st := range r.Statements {
		if v, ok := st.(*rules.Verdict); ok {
			b.lead(t, v)
		}
	}
}

// lead remembers a verdict that leads to no chain that is known yet.
func (b *Builder) lead(t *tableParts, v *rules.Verdict) {
	if v.Chain == nil && v.ChainName != "" {
		b.loose = append(b.loose, looseVerdict{t, v})
	}
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

// finishSets ends the reading of sets: none is given after it.
func (b *Builder) finishSets() {
	if b.ready {
		return
	}
	b.ready = true
	for _, table := range b.rs.Tables {
		t := b.tables[tableKey{table.Family, table.Name}]
		for _, set := range t.Sets {
			t.sets[set.Name].finish(t)
		}
	}
}

// Finish returns the ruleset. The Builder is not used after it.
func (b *Builder) Finish(generation uint32) *rules.Ruleset {
	b.finishSets()
	b.rs.Generation = generation
	for _, l := range b.loose {
		l.v.Chain = l.in.chains[l.v.ChainName]
	}
	for _, t := range b.rs.Tables {
		t.Backend = backendOf(t)
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
		chain: func(name []byte) *rules.Chain { return t.chains[string(name)] },
	}
}
