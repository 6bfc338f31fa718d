package rulesjson

import (
	"fmt"
	"reflect"

	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/jsonform"
)

// Write writes a ruleset as a value within another document.
func Write(w *jsonform.Writer, rs *rules.Ruleset) {
	outer := w.Ctx
	s := newScope()
	s.ipsets.index(rs.IPSets)
	w.Ctx = s
	w.Object(func() {
		w.Member("ruleset", func() { w.Uint(Version) })
		w.WriteFields(form, rs)
	})
	w.Ctx = outer
}

// Read reads what Write wrote.
func Read(r *jsonform.Reader) (*rules.Ruleset, error) {
	outer := r.Ctx
	defer func() { r.Ctx = outer }()
	s := newScope()
	r.Ctx = s
	v, err := r.Version("ruleset")
	if err != nil {
		return nil, err
	}
	if v != Version {
		return nil, fmt.Errorf("ruleset of version %d, this program reads version %d: a newer one is needed", v, Version)
	}
	rs := new(rules.Ruleset)
	if err := r.ReadRest(form, rs); err != nil {
		return nil, err
	}
	if err := s.ipsets.resolve(); err != nil {
		return nil, err
	}
	for _, t := range rs.Tables {
		t.Ruleset = rs
	}
	rs.PrepareIPSets()
	return rs, nil
}

// tableCodec opens a scope for each table, and closes it behind.
func tableCodec(f *jsonform.Form) jsonform.Codec {
	return jsonform.Codec{
		Of: reflect.TypeFor[rules.Table](),
		Write: func(w *jsonform.Writer, v reflect.Value) {
			t, s := v.Interface().(*rules.Table), w.Ctx.(*scope)
			s.openTable()
			s.chains.index(t.Chains)
			s.sets.index(t.Sets)
			w.WriteStruct(f, v)
		},
		Read: func(r *jsonform.Reader, v reflect.Value) error {
			t, s := new(rules.Table), r.Ctx.(*scope)
			v.Set(reflect.ValueOf(t))
			s.openTable()
			if err := r.ReadStruct(f, t); err != nil {
				return err
			}
			return s.closeTable(t)
		},
	}
}

// closeTable looks up what the table refers to and makes what is not written.
func (s *scope) closeTable(t *rules.Table) error {
	if err := s.chains.resolve(); err != nil {
		return err
	}
	if err := s.sets.resolve(); err != nil {
		return err
	}
	for _, l := range s.later {
		if err := l.check(); err != nil {
			return &jsonform.Error{Offset: l.at, Err: err}
		}
	}
	s.later = nil
	for _, c := range t.Chains {
		c.Table = t
		for _, r := range c.Rules {
			r.Chain = c
		}
	}
	for _, x := range t.Sets {
		x.Table = t
		x.Prepare()
	}
	for _, o := range t.Objects {
		o.Table = t
	}
	return nil
}
