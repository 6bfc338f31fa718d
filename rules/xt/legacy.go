package xt

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/keep"
)

// Info is what IPT_SO_GET_INFO says of a table (struct ipt_getinfo).
type Info struct {
	Name       string
	ValidHooks uint32
	HookEntry  [5]uint32 // offset of each hook's first rule
	Underflow  [5]uint32 // offset of its policy
	Entries    uint32
	Size       uint32 // of all entries, in bytes
}

// InfoSize is the size of struct ipt_getinfo.
const InfoSize = 32 + 4 + 5*4 + 5*4 + 4 + 4

// ParseInfo reads a struct ipt_getinfo.
func ParseInfo(order binary.ByteOrder, b []byte) (Info, error) {
	if len(b) < InfoSize {
		return Info{}, errors.New("table info is cut short")
	}
	r := &reader{order: order, b: b}
	in := Info{Name: r.str(32), ValidHooks: r.u32()}
	for i := range in.HookEntry {
		in.HookEntry[i] = r.u32()
	}
	for i := range in.Underflow {
		in.Underflow[i] = r.u32()
	}
	in.Entries, in.Size = r.u32(), r.u32()
	return in, nil
}

// legacyHooks are the tables of iptables-legacy: where each hangs, and at which
// priority (iptable_*.c, ip6table_*.c).
var legacyTables = map[string]struct {
	typ      rules.ChainType
	priority func(rules.Hook) int32
}{
	"raw":      {rules.ChainFilter, at(-300)},
	"mangle":   {rules.ChainFilter, at(-150)},
	"nat":      {rules.ChainNAT, rules.NATPriority},
	"filter":   {rules.ChainFilter, at(0)},
	"security": {rules.ChainFilter, at(50)},
}

func at(p int32) func(rules.Hook) int32 { return func(rules.Hook) int32 { return p } }

// baseChain is how a table of iptables hangs at a hook.
func baseChain(table string, hook rules.Hook) *rules.BaseChain {
	props, known := legacyTables[table]
	if !known {
		props.typ, props.priority = rules.ChainFilter, at(0)
	}
	b := &rules.BaseChain{Type: props.typ, Hook: hook, Priority: props.priority(hook), Policy: rules.VerdictAccept}
	if table == "mangle" && hook == rules.Output {
		b.Type = rules.ChainRoute // ipt_mangle_out routes anew
	}
	return b
}

// legacyChains are the names of the chains that a table begins with.
var legacyChains = [5]string{"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}

// entry is one rule as it stands in the blob of a table.
type entry struct {
	at, next  int // offsets in the table
	fixed     []byte
	matches   []Blob
	rawMatch  [][]byte
	target    Blob
	rawTarget []byte
	packets   uint64
	bytes     uint64
	isGoto    bool
}

// The standard target's verdicts: -NF_x - 1, XT_RETURN; an offset otherwise.
const (
	stdDrop   = -1
	stdAccept = -2
	stdQueue  = -4
	stdReturn = -5
)

const errorTarget = "ERROR"

// DecodeTable reads the entries of a table (IPT_SO_GET_ENTRIES). IPSet finds
// sets by their index; it may be nil. What is wrong with single rules is noted
// in Table.Incomplete; an error means that there is no table to be had.
func DecodeTable(order binary.ByteOrder, family rules.Family, in Info, b []byte, ipset func(uint16) *rules.IPSet) (*rules.Table, error) {
	l, ok := layouts[family]
	if !ok {
		return nil, fmt.Errorf("legacy table of family %s", family)
	}
	d := &legacyDecoder{
		layout: l, info: in, ipset: ipset, order: order,
		table: &rules.Table{Backend: rules.BackendIptablesLegacy, Family: family, Name: in.Name},
		heads: map[int]*rules.Chain{}, index: map[int]int{}, keep: keep.NewBytes(),
	}
	if err := d.split(b); err != nil {
		return nil, fmt.Errorf("legacy table %q: %w", in.Name, err)
	}
	if err := d.chains(); err != nil {
		return nil, fmt.Errorf("legacy table %q: %w", in.Name, err)
	}
	d.fill()
	cutLoops(d.table)
	return d.table, nil
}

type legacyDecoder struct {
	layout
	order   binary.ByteOrder
	info    Info
	ipset   func(uint16) *rules.IPSet
	table   *rules.Table
	entries []entry
	index   map[int]int          // offset -> entry
	heads   map[int]*rules.Chain // offset of the first rule -> chain
	spans   []chainSpan
	keep    *keep.Bytes // what outlives the blob
	made    keep.Slab[rules.Rule]
	raw     keep.Slab[rules.RawExpr]
}

// chainSpan is the entries [from, to) that are a chain's rules; to is its
// policy, or the return that ends a chain of one's own.
type chainSpan struct {
	chain    *rules.Chain
	from, to int
}

// split cuts the blob into entries.
func (d *legacyDecoder) split(b []byte) error {
	d.entries = make([]entry, 0, min(int(d.info.Entries), len(b)/d.size+1))
	for at := 0; at < len(b); {
		e, err := d.entry(b, at)
		if err != nil {
			return fmt.Errorf("entry at offset %d: %w", at, err)
		}
		d.index[at] = len(d.entries)
		d.entries = append(d.entries, e)
		at = e.next
	}
	return nil
}

func (d *legacyDecoder) entry(b []byte, at int) (entry, error) {
	b = b[at:]
	if len(b) < d.size {
		return entry{}, errors.New("cut short")
	}
	target, next := int(d.order.Uint16(b[d.offsets:])), int(d.order.Uint16(b[d.offsets+2:]))
	if target < d.size || target > next || next > len(b) {
		return entry{}, fmt.Errorf("target at %d, next at %d, of %d bytes", target, next, len(b))
	}
	e := entry{at: at, next: at + next, fixed: d.keep.Share(b[:d.size]), isGoto: b[d.flags]&d.gotoFlag != 0}
	e.packets, e.bytes = d.order.Uint64(b[d.counters:]), d.order.Uint64(b[d.counters+8:])
	for pos := d.size; pos < target; {
		m, n, err := splitBlob(d.order, b[pos:target])
		if err != nil {
			return entry{}, fmt.Errorf("match: %w", err)
		}
		raw := d.keep.Share(b[pos : pos+n])
		m.Info = raw[blobHeader:]
		e.matches, e.rawMatch = append(e.matches, m), append(e.rawMatch, raw)
		pos += n
	}
	var n int
	var err error
	if e.target, n, err = splitBlob(d.order, b[target:next]); err != nil {
		return entry{}, fmt.Errorf("target: %w", err)
	}
	e.rawTarget = d.keep.Share(b[target : target+n])
	e.target.Info = e.rawTarget[blobHeader:]
	return e, nil
}

// chains finds where each chain begins and ends: those of the hooks by the
// table's info, the others behind an entry whose target ERROR names them.
func (d *legacyDecoder) chains() error {
	if _, known := legacyTables[d.info.Name]; !known {
		d.table.Incomplete = append(d.table.Incomplete, "a table of this name is not known: its priority is not either")
	}
	for h := range legacyChains {
		if d.info.ValidHooks&(1<<h) == 0 {
			continue
		}
		from, ok1 := d.index[int(d.info.HookEntry[h])]
		to, ok2 := d.index[int(d.info.Underflow[h])]
		if !ok1 || !ok2 || to < from {
			return fmt.Errorf("chain %s begins at %d and ends at %d, where no entry does", legacyChains[h], d.info.HookEntry[h], d.info.Underflow[h])
		}
		hook := rules.Hook(h)
		policy := d.entries[to]
		base := baseChain(d.info.Name, hook)
		base.HasCounter, base.Packets, base.Bytes = true, policy.packets, policy.bytes
		if d.verdict(&policy) == stdDrop {
			base.Policy = rules.VerdictDrop
		}
		d.addChain(&rules.Chain{Name: legacyChains[h], Base: base}, from, to)
	}
	return d.ownChains()
}

func (d *legacyDecoder) addChain(c *rules.Chain, from, to int) {
	c.Table = d.table
	d.table.Chains = append(d.table.Chains, c)
	d.spans = append(d.spans, chainSpan{c, from, to})
	d.heads[d.entries[from].at] = c
}

// ownChains are those that users made. The last ERROR ends the table.
func (d *legacyDecoder) ownChains() error {
	for i := 0; i < len(d.entries); i++ {
		if d.entries[i].target.Name != errorTarget || i == len(d.entries)-1 {
			continue
		}
		end := i + 1
		for end < len(d.entries) && d.entries[end].target.Name != errorTarget {
			end++
		}
		// a chain ends with a return that no rule of the user is
		if end == len(d.entries) || end-1 < i+1 {
			return fmt.Errorf("chain %q has no end", cstring(d.entries[i].target.Info))
		}
		d.addChain(&rules.Chain{Name: cstring(d.entries[i].target.Info)}, i+1, end-1)
	}
	return nil
}

// verdict is the number of the standard target.
func (d *legacyDecoder) verdict(e *entry) int {
	if e.target.Name != "" || len(e.target.Info) < 4 {
		return stdReturn
	}
	return int(int32(d.order.Uint32(e.target.Info)))
}

// fill decodes the rules of every chain.
func (d *legacyDecoder) fill() {
	for _, s := range d.spans {
		rs := make([]*rules.Rule, 0, s.to-s.from)
		for i := s.from; i < s.to; i++ {
			rs = append(rs, d.rule(s.chain, &d.entries[i], len(rs)+1))
		}
		s.chain.Rules = rs
	}
}

func (d *legacyDecoder) rule(c *rules.Chain, e *entry, position int) *rules.Rule {
	r := d.made.One(rules.Rule{Chain: c, Position: position})
	r.Raw = d.raw.List(2 + len(e.matches))[:0]
	r.Raw = append(r.Raw, rules.RawExpr{Name: RawEntry, Data: e.fixed})
	for _, m := range e.rawMatch {
		r.Raw = append(r.Raw, rules.RawExpr{Name: RawMatch, Data: m})
	}
	r.Raw = append(r.Raw, rules.RawExpr{Name: RawTarget, Data: e.rawTarget})
	ctx := &Context{Order: d.order, Family: d.family, IPSet: d.ipset, Span: rules.Span{0}}
	out := d.header(ctx, e.fixed)
	for i := range e.matches {
		ctx.Span = rules.Span{i + 1}
		out = append(out, Match(ctx, &e.matches[i])...)
	}
	// the kernel counts a rule whose matches all hold, before its target
	out = append(out, &rules.Counter{Span: rules.Span{0}, Packets: e.packets, Bytes: e.bytes})
	ctx.Span = rules.Span{len(e.matches) + 1}
	r.Statements = append(out, d.targetOf(ctx, e)...)
	r.Comment = rules.CommentIn(r.Statements)
	return r
}

// targetOf is ipt_do_table's treatment of a rule's target.
func (d *legacyDecoder) targetOf(c *Context, e *entry) []rules.Statement {
	if e.target.Name != "" {
		return Target(c, &e.target)
	}
	v := &rules.Verdict{Span: c.Span}
	switch n := d.verdict(e); n {
	case stdDrop:
		v.Code = rules.VerdictDrop
	case stdAccept:
		v.Code = rules.VerdictAccept
	case stdQueue:
		v.Code = rules.VerdictQueue
	case stdReturn:
		v.Code = rules.VerdictReturn
	default:
		if n == e.next {
			// a rule without target: on with the next
			v.Code = rules.VerdictContinue
			break
		}
		v.Code = rules.VerdictJump
		if e.isGoto {
			v.Code = rules.VerdictGoto
		}
		if v.Chain = d.heads[n]; v.Chain != nil {
			v.ChainName = v.Chain.Name
			break
		}
		return []rules.Statement{&rules.Opaque{
			Span: c.Span, Name: "target", Raw: e.rawTarget, Why: fmt.Sprintf("verdict %d leads to no chain", n), MayEnd: true, MayNAT: true,
		}}
	}
	return []rules.Statement{v}
}

// cutLoops takes the target off jumps that lead back to a chain on the way: the
// kernel refuses such a table (mark_source_chains), but a file may hold one.
func cutLoops(t *rules.Table) {
	const open, done = 1, 2
	state := map[*rules.Chain]int{}
	var visit func(c *rules.Chain)
	visit = func(c *rules.Chain) {
		state[c] = open
		for _, r := range c.Rules {
			for _, s := range r.Statements {
				v, ok := s.(*rules.Verdict)
				if !ok || v.Chain == nil {
					continue
				}
				if state[v.Chain] == open {
					t.Incomplete = append(t.Incomplete, fmt.Sprintf("rule %d of chain %q jumps back to chain %q", r.Position, c.Name, v.ChainName))
					v.Chain = nil
					continue
				}
				if state[v.Chain] != done {
					visit(v.Chain)
				}
			}
		}
		state[c] = done
	}
	for _, c := range t.Chains {
		if state[c] == 0 {
			visit(c)
		}
	}
}
