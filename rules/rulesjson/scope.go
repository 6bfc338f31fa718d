package rulesjson

import (
	"fmt"
	"reflect"

	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/jsonform"
)

// scope is what references are looked up in: the ipsets of the ruleset, chains
// and sets of the present table. It is Ctx of Writer and Reader.
type scope struct {
	ipsets names[rules.IPSet]
	chains names[rules.Chain]
	sets   names[rules.Set]
	// later are checks that need what is referred to.
	later []later
}

type later struct {
	at    int64
	check func() error
}

// names are the things of one kind that can be referred to.
type names[T any] struct {
	what, where string
	nameOf      func(*T) string
	list        []*T
	byName      map[string]int // the first of each name
	places      map[*T]int
	pending     []pending[T]
}

// pending is a reference that was read and not yet looked up.
type pending[T any] struct {
	to    **T
	name  string
	place int // when byPlace
	at    int64

	byPlace bool
}

func newScope() *scope {
	s := &scope{}
	s.ipsets = names[rules.IPSet]{what: "ipset", where: "ruleset", nameOf: func(s *rules.IPSet) string { return s.Name }}
	s.openTable()
	return s
}

func (s *scope) openTable() {
	s.chains = names[rules.Chain]{what: "chain", where: "table", nameOf: func(c *rules.Chain) string { return c.Name }}
	s.sets = names[rules.Set]{what: "set", where: "table", nameOf: func(s *rules.Set) string { return s.Name }}
}

func (n *names[T]) index(list []*T) {
	n.list, n.byName, n.places = list, make(map[string]int, len(list)), make(map[*T]int, len(list))
	for i, x := range list {
		if x == nil {
			continue
		}
		n.places[x] = i
		if _, there := n.byName[n.nameOf(x)]; !there {
			n.byName[n.nameOf(x)] = i
		}
	}
}

func (n *names[T]) write(w *jsonform.Writer, x *T) {
	place, ok := n.places[x]
	switch name := n.nameOf(x); {
	case !ok:
		w.Fail(fmt.Errorf("%s %q is referred to and not in the %s", n.what, name, n.where))
	case n.byName[name] == place:
		w.String(name)
	default:
		w.Uint(uint64(place))
	}
}

func (n *names[T]) resolve() error {
	for _, p := range n.pending {
		if !p.byPlace {
			i, ok := n.byName[p.name]
			if !ok {
				return &jsonform.Error{Offset: p.at, Err: fmt.Errorf("%s %q is not in the %s", n.what, p.name, n.where)}
			}
			p.place = i
		}
		if p.place >= len(n.list) {
			return &jsonform.Error{Offset: p.at, Err: fmt.Errorf("there is no %s number %d in the %s", n.what, p.place, n.where)}
		}
		*p.to = n.list[p.place]
	}
	n.pending = nil
	return nil
}

// pendingSize is about what a reference takes until it is looked up.
const pendingSize = 64

// reference is how a pointer to something that has its place elsewhere is
// written.
func reference[T any](of func(*scope) *names[T]) jsonform.Codec {
	return jsonform.Codec{
		Required: true,
		Write: func(w *jsonform.Writer, v reflect.Value) {
			of(w.Ctx.(*scope)).write(w, v.Interface().(*T))
		},
		Read: func(r *jsonform.Reader, v reflect.Value) error {
			n := of(r.Ctx.(*scope))
			p := pending[T]{to: v.Addr().Interface().(**T), at: r.Offset()}
			var err error
			if p.name, p.place, p.byPlace, err = nameOrPlace(r); err != nil {
				return err
			}
			n.pending = append(n.pending, p)
			return r.Spend(pendingSize)
		},
	}
}

func nameOrPlace(r *jsonform.Reader) (name string, place int, byPlace bool, err error) {
	c, err := r.Peek()
	if err != nil {
		return "", 0, false, err
	}
	if c == '"' {
		name, err = r.String()
		return name, 0, false, err
	}
	n, err := r.Uint()
	if err == nil && n > 1<<30 {
		err = fmt.Errorf("number %d is out of range", n)
	}
	return "", int(n), true, err
}

// definitions is how the things themselves are written.
func definitions[T any](f *jsonform.Form, of func(*scope) *names[T]) jsonform.Codec {
	return jsonform.Codec{
		Of: reflect.TypeFor[T](),
		Write: func(w *jsonform.Writer, v reflect.Value) {
			w.List(v.Len(), func(i int) {
				if v.Index(i).IsNil() {
					w.Fail(fmt.Errorf("%s number %d is not there", of(w.Ctx.(*scope)).what, i))
					return
				}
				w.WriteStruct(f, v.Index(i))
			})
		},
		Read: func(r *jsonform.Reader, v reflect.Value) error {
			list := []*T{}
			err := r.List(func(int) error {
				x := new(T)
				if err := r.Spend(int64(reflect.TypeFor[T]().Size()) + pendingSize); err != nil {
					return err
				}
				list = append(list, x)
				return r.ReadStruct(f, x)
			})
			of(r.Ctx.(*scope)).index(list)
			v.Set(reflect.ValueOf(list))
			return err
		},
	}
}
