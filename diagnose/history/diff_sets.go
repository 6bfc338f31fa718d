package history

import (
	"bytes"
	"cmp"

	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/nft"
)

func setWord(s *rules.Set) string {
	if s.Flags&(rules.SetMap|rules.SetObject) != 0 {
		return "map"
	}
	return "set"
}

// set compares a named set. An anonymous one is in the text of its rule.
func (d *differ) set(p Place, before, after *rules.Set) {
	one := cmp.Or(after, before)
	if one.Flags&rules.SetAnonymous != 0 {
		return
	}
	p.Set = one.Name
	d.object(opOf(before, after), p, setWord(one), one.Name, textOf(after, nft.SetText), textOf(before, nft.SetText))
	for _, s := range []*rules.Set{before, after} {
		if s != nil && s.Missing != "" {
			d.out.Unread = append(d.out.Unread, "elements of "+setWord(one)+" "+one.Name+": "+s.Missing)
			return
		}
	}
	empty := &rules.Set{Table: one.Table, Flags: one.Flags, KeyType: one.KeyType, DataType: one.DataType, KeyLen: one.KeyLen, DataLen: one.DataLen, FieldLens: one.FieldLens, UserData: one.UserData, Timeout: one.Timeout}
	before, after = cmp.Or(before, empty), cmp.Or(after, empty)
	c := SetChange{Place: p, What: setWord(one), Volatile: one.Flags&(rules.SetEval|rules.SetTimeout) != 0}
	c.compare(nftElements(before), nftElements(after))
	if len(c.Elements) > 0 {
		d.out.Sets = append(d.out.Sets, c)
	}
}

// elements is a set's elements as compare needs them.
type elements struct {
	n int
	// key is what tells the element from others, data the rest of it.
	key, data func(i int, b []byte) []byte
	text      func(i int) string
	ends      func(i int) (key, to *Range)
}

func nftElements(s *rules.Set) elements {
	text := nft.ElementText(s)
	return elements{
		n: len(s.Elements),
		key: func(i int, b []byte) []byte {
			e := &s.Elements[i]
			if e.Catchall {
				return append(b, '*')
			}
			return append(append(append(b, '='), e.Key...), e.KeyEnd...)
		},
		data: func(i int, b []byte) []byte {
			e := &s.Elements[i]
			b = append(b, e.Data...)
			if e.Verdict != nil {
				b = append(append(b, e.Verdict.Code.String()...), e.Verdict.ChainName...)
			}
			return append(append(b, e.Object...), e.Comment...)
		},
		text: func(i int) string { return text(&s.Elements[i]) },
		ends: func(i int) (key, to *Range) { return keyRange(s, &s.Elements[i]), dataRange(s, &s.Elements[i]) },
	}
}

// compare takes no notice of the order.
func (c *SetChange) compare(before, after elements) {
	var k, v, w []byte
	if before.n == after.n {
		same := 0
		for ; same < after.n; same++ {
			k, v = after.data(same, after.key(same, k[:0])), before.data(same, before.key(same, v[:0]))
			if !bytes.Equal(k, v) {
				break
			}
		}
		if same == after.n {
			return
		}
	}
	places := make(map[string]int, before.n)
	for i := range before.n {
		k = before.key(i, k[:0])
		places[string(k)] = i
	}
	kept := make([]bool, before.n)
	for i := range after.n {
		k = after.key(i, k[:0])
		at, ok := places[string(k)]
		if !ok {
			c.note(Added, func() (e ElementChange) { e.Text = after.text(i); e.Key, e.To = after.ends(i); return e })
			continue
		}
		kept[at] = true
		if v, w = before.data(at, v[:0]), after.data(i, w[:0]); !bytes.Equal(v, w) {
			c.note(Replaced, func() ElementChange {
				e := ElementChange{Text: after.text(i), Was: before.text(at)}
				e.Key, e.To = after.ends(i)
				_, e.WasTo = before.ends(at)
				return e
			})
		}
	}
	for i := range before.n {
		if !kept[i] {
			c.note(Removed, func() (e ElementChange) { e.Text = before.text(i); e.Key, e.To = before.ends(i); return e })
		}
	}
}

// note counts, and lists within the bound.
func (c *SetChange) note(op Op, make func() ElementChange) {
	switch op {
	case Added:
		c.Added++
	case Removed:
		c.Removed++
	default:
		c.Replaced++
	}
	if len(c.Elements) < maxElements {
		e := make()
		e.Op = op
		c.Elements = append(c.Elements, e)
	}
}

// backendIPSet stands where a rule would name its backend.
const backendIPSet rules.Backend = "ipset"

func (d *differ) ipsets(before, after *rules.Ruleset) {
	pairs(before.IPSets, after.IPSets, func(s *rules.IPSet) string { return s.Name }, d.ipset)
}

func (d *differ) ipset(before, after *rules.IPSet) {
	if before == after {
		return
	}
	one := cmp.Or(after, before)
	p := Place{Backend: backendIPSet, Family: one.Family.String(), Set: one.Name}
	text := func(s *rules.IPSet) string { return s.Type }
	d.object(opOf(before, after), p, "ipset", one.Name, textOf(after, text), textOf(before, text))
	for _, s := range []*rules.IPSet{before, after} {
		if s != nil && s.Missing != "" {
			d.out.Unread = append(d.out.Unread, "ipset "+one.Name+": "+s.Missing)
			return
		}
	}
	empty := &rules.IPSet{Type: one.Type, Family: one.Family}
	c := SetChange{Place: p, What: "ipset", Volatile: one.Fed || one.HasTimeout}
	c.compare(ipsetElements(cmp.Or(before, empty)), ipsetElements(cmp.Or(after, empty)))
	if len(c.Elements) > 0 {
		d.out.Sets = append(d.out.Sets, c)
	}
}

func ipsetElements(s *rules.IPSet) elements {
	return elements{
		n:   len(s.Elements),
		key: func(i int, b []byte) []byte { return s.AppendElement(b, &s.Elements[i]) },
		data: func(i int, b []byte) []byte {
			e := &s.Elements[i]
			if e.Nomatch {
				b = append(b, " nomatch"...)
			}
			return append(b, e.Comment...)
		},
		text: func(i int) string {
			text := string(s.AppendElement(nil, &s.Elements[i]))
			if s.Elements[i].Nomatch {
				text += " nomatch"
			}
			return text
		},
		ends: func(i int) (key, to *Range) {
			e := &s.Elements[i]
			if !e.IP.IsValid() {
				return nil, nil
			}
			key = &Range{Addr: e.IP.Masked().Addr(), AddrMax: lastOf(e.IP)}
			if e.Port != 0 {
				key.Port = &e.Port
			}
			return key.narrow(), nil
		},
	}
}
