package jsonform

import (
	"errors"
	"fmt"
	"reflect"
)

// Read reads into v, a pointer, what Write wrote of what it points to. It is
// to be zero.
func (r *Reader) Read(f *Form, v any) error {
	x := reflect.ValueOf(v).Elem()
	return r.in(f.planOf(x.Type()).read(r, x), "")
}

// ReadStruct reads into the struct that v points to, whatever Custom says of
// pointers to it.
func (r *Reader) ReadStruct(f *Form, v any) error {
	x := reflect.ValueOf(v).Elem()
	return f.planOf(x.Type()).read(r, x)
}

// Version takes an object's brace and its first member, a whole number that
// has to have this name. ReadRest reads what follows.
func (r *Reader) Version(name string) (uint64, error) {
	if err := r.first(name); err != nil {
		return 0, err
	}
	n, err := r.Uint()
	return n, r.in(err, name)
}

// ReadRest reads into the struct that v points to the members behind the
// first.
func (r *Reader) ReadRest(f *Form, v any) error {
	x := reflect.ValueOf(v).Elem()
	p := f.planOf(x.Type())
	seen, err := p.members(r, x, false, nil)
	if err == nil {
		err = p.complete(r, x, seen)
	}
	return err
}

// first takes an object's brace and the name of its first member.
func (r *Reader) first(name string) error {
	if err := r.enter('{'); err != nil {
		return err
	}
	key, err := r.text()
	if err != nil {
		return err
	}
	if string(key) != name {
		return fmt.Errorf("%q where %q has to be", key, name)
	}
	return r.want(':')
}

// readFields reads the members of an object, the brace behind it.
func (p *plan) readFields(r *Reader, v reflect.Value) error {
	seen, err := p.members(r, v, true, nil)
	if err != nil {
		return err
	}
	return p.complete(r, v, seen)
}

// members reads them into the fields and tells which have come. Something
// stands before them unless first. An "id" goes to id, where that is not nil.
func (p *plan) members(r *Reader, v reflect.Value, first bool, id *uint64) (seen uint64, err error) {
	for ; ; first = false {
		more, err := r.more('}', first)
		if err != nil || !more {
			return seen, err
		}
		key, err := r.text()
		if err != nil {
			return seen, err
		}
		i, known := p.byName[string(key)]
		if !known && id != nil && string(key) == "id" {
			if err := r.readID(id); err != nil {
				return seen, r.in(err, "id")
			}
			continue
		}
		if !known {
			if err := r.foreign(string(key)); err != nil {
				return seen, err
			}
			continue
		}
		fd := &p.fields[i]
		if seen&(1<<i) != 0 {
			return seen, r.in(errors.New("stands twice"), fd.name)
		}
		seen |= 1 << i
		if err := r.want(':'); err != nil {
			return seen, r.in(err, fd.name)
		}
		if err := fd.plan.read(r, v.Field(fd.index)); err != nil {
			return seen, r.in(err, fd.name)
		}
	}
}

func (r *Reader) readID(id *uint64) error {
	if *id != 0 {
		return errors.New("stands twice")
	}
	err := r.want(':')
	if err == nil {
		*id, err = r.Uint()
	}
	if err == nil && *id == 0 {
		err = errors.New("is 0")
	}
	return err
}

// foreign passes over a member that the tables do not have.
func (r *Reader) foreign(key string) error {
	r.note("field %q", key)
	if err := r.want(':'); err != nil {
		return r.in(err, key)
	}
	return r.in(r.Skip(), key)
}

// note keeps the first thing that is not understood.
func (r *Reader) note(format string, args ...any) {
	if r.tolerant && r.unknown == "" {
		r.unknown = fmt.Sprintf(format, args...)
	}
}

// complete checks what was read.
func (p *plan) complete(r *Reader, v reflect.Value, seen uint64) error {
	for i := range p.fields {
		if fd := &p.fields[i]; fd.required && seen&(1<<i) == 0 {
			return fmt.Errorf("%s is missing", fd.name)
		}
	}
	if p.after == nil || r.tolerant && r.unknown != "" {
		return nil
	}
	return p.after(r, v.Addr().Interface())
}

// stub passes over the members of a type that the tables do not have, but for
// the span that every statement has.
func (r *Reader) stub() (span []int, err error) {
	for {
		more, err := r.more('}', false)
		if err != nil || !more {
			return span, err
		}
		key, err := r.String()
		if err == nil {
			err = r.want(':')
		}
		switch {
		case err != nil:
		case key == "span":
			err = r.list(func(int) error {
				n, err := r.Int()
				span = append(span, int(n))
				return errors.Join(err, r.spend(16))
			})
		default:
			err = r.Skip()
		}
		if err != nil {
			return span, r.in(err, key)
		}
	}
}

// read reads an object whose first member is "type". Where the union has
// values for what is not understood, one of these takes its place.
func (u *union) read(r *Reader, v reflect.Value) error {
	if u.Unknown == nil {
		_, _, _, err := u.object(r, v)
		return err
	}
	tolerant, before := r.tolerant, r.unknown
	r.tolerant, r.unknown = true, ""
	name, got, span, err := u.object(r, v)
	why := r.unknown
	r.tolerant, r.unknown = tolerant, before
	if err == nil && why != "" {
		v.Set(reflect.ValueOf(u.Unknown(name, got, span, why)))
	}
	return err
}

func (u *union) object(r *Reader, v reflect.Value) (name string, got any, span []int, err error) {
	if name, err = r.typeName(); err != nil {
		return name, nil, nil, err
	}
	if name == typeSame && u.Shared > 0 {
		return name, nil, nil, u.same(r, v)
	}
	m := u.byName[name]
	if m == nil {
		if !r.tolerant {
			return name, nil, nil, fmt.Errorf("type %q is not known", name)
		}
		r.note("type %q", name)
		r.shared.lose()
		span, err = r.stub()
		return name, nil, span, err
	}
	if err := r.spend(int64(m.typ.Size())); err != nil {
		return name, nil, nil, err
	}
	x := reflect.New(m.typ)
	var id *uint64
	weight := 0
	if u.Shared > 0 {
		id, weight = new(uint64), r.shared.begin()
	}
	seen, err := m.plan.members(r, x.Elem(), false, id)
	if err == nil {
		err = m.plan.complete(r, x.Elem(), seen)
	}
	if err == nil && u.Shared > 0 {
		err = r.shared.end(*id, x, r.unknown == "", weight, u.Shared)
	}
	if err != nil {
		return name, nil, nil, err
	}
	v.Set(x)
	return name, x.Interface(), nil, nil
}

// typeName takes an object's brace and its first member.
func (r *Reader) typeName() (string, error) {
	if err := r.first("type"); err != nil {
		return "", err
	}
	return r.String()
}

func (e *Enum) read(r *Reader, v reflect.Value) error {
	if !e.Bits {
		n, err := e.number(r, v)
		if err == nil {
			err = setNumber(v, n)
		}
		return err
	}
	var all uint64
	err := r.list(func(int) error {
		n, err := e.number(r, v)
		all |= n
		return err
	})
	if err != nil {
		return err
	}
	return setNumber(v, all)
}

// number takes a name, or a number where there are others.
func (e *Enum) number(r *Reader, v reflect.Value) (uint64, error) {
	c, err := r.peek()
	if err != nil {
		return 0, err
	}
	if c != '"' && !e.Closed {
		if v.CanInt() {
			n, err := r.Int()
			return uint64(n), err
		}
		return r.Uint()
	}
	s, err := r.String()
	if err != nil {
		return 0, err
	}
	n, ok := e.byName[s]
	if !ok {
		if !r.tolerant {
			return 0, fmt.Errorf("%q is not known", s)
		}
		r.note("name %q", s)
	}
	return n, nil
}

func setNumber(v reflect.Value, n uint64) error {
	if v.CanInt() {
		if v.OverflowInt(int64(n)) {
			return fmt.Errorf("number %d is out of range", int64(n))
		}
		v.SetInt(int64(n))
		return nil
	}
	if v.OverflowUint(n) {
		return fmt.Errorf("number %d is out of range", n)
	}
	v.SetUint(n)
	return nil
}
