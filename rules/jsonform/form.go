package jsonform

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// Form is how the types of one model are written. It is not changed once it is
// in use; it may be used from several goroutines.
type Form struct {
	// Custom types have functions of their own.
	Custom map[reflect.Type]Codec
	// Unions are the interfaces, with what can stand behind each.
	Unions map[reflect.Type]*Union
	// Enums are numbers with names.
	Enums map[reflect.Type]*Enum
	// Skip are the fields that are not written, by type. Every unexported field
	// has to be there: what it holds is made again, or lost.
	Skip map[reflect.Type][]string
	// Optional are the interfaces and Custom types among the fields that may be
	// missing; all others have to be there.
	Optional map[reflect.Type][]string
	// Scopes are the types within which things behind Shared interfaces can be
	// one and the same.
	Scopes map[reflect.Type]bool
	// After is called with a pointer to what was read, to complete and to check it.
	After map[reflect.Type]func(r *Reader, v any) error

	mu    sync.Mutex
	plans map[reflect.Type]*plan
}

// Codec is how one type is written and read. Write is not called for a zero
// value in a struct.
type Codec struct {
	Write func(w *Writer, v reflect.Value)
	Read  func(r *Reader, v reflect.Value) error
	// Required: its fields have to be there, unless Optional.
	Required bool
	// Of is the struct whose form it is, for Describe; nil for none.
	Of reflect.Type
	// Zero tells what is left out, where that is not the zero value of Go.
	Zero func(v reflect.Value) bool
}

// Row is one type behind an interface: its name, and a nil pointer to it.
type Row struct {
	Name string
	Type any
}

// Union is the types behind an interface.
type Union struct {
	Rows []Row
	// Unknown makes a value of what is not understood, because of why: a type, a
	// field or a name that the tables do not have. Name is the type's name, got
	// what could be read of it, nil for a type that is not known. Without
	// Unknown, what this is a part of is not understood either.
	Unknown func(name string, got any, span []int, why string) any
	// Shared, when not 0: a thing that stands at several places within its scope
	// is written once and is one again. As a tree, with all repetitions, it has at
	// most so many parts.
	Shared int
}

// union is a Union within a form.
type union struct {
	*Union
	typ    reflect.Type // the interface
	byName map[string]*member
	byType map[reflect.Type]*member
}

type member struct {
	name string
	typ  reflect.Type // the struct
	plan *plan
}

func (f *Form) union(t reflect.Type, u *Union) *union {
	out := &union{Union: u, typ: t, byName: map[string]*member{}, byType: map[reflect.Type]*member{}}
	for _, row := range u.Rows {
		ptr := reflect.TypeOf(row.Type)
		if out.byName[row.Name] != nil || out.byType[ptr] != nil || !ptr.Implements(t) {
			panic(fmt.Sprintf("jsonform: %s, %s: the second of its kind, or not of %s", row.Name, ptr, t))
		}
		if _, own := ptr.Elem().FieldByName("ID"); own && u.Shared > 0 {
			panic(fmt.Sprintf("jsonform: %s can be shared and has an id of its own", ptr))
		}
		m := &member{row.Name, ptr.Elem(), f.plan(ptr.Elem())}
		out.byName[row.Name], out.byType[ptr] = m, m
	}
	return out
}

// Enum is the names of numbers.
type Enum struct {
	Names map[uint64]string // by the number as it is in 64 bits, signed ones extended
	// Closed: there are no other numbers.
	Closed bool
	// Bits: each name is one bit; a value is the list of its bits, the rest a
	// number at its end.
	Bits bool
	// ZeroLeftOut: 0 says nothing. Otherwise a number with names is always
	// written, and has to be there.
	ZeroLeftOut bool

	once   sync.Once
	byName map[string]uint64
	order  []uint64
}

func (e *Enum) index() {
	e.once.Do(func() {
		e.byName = make(map[string]uint64, len(e.Names))
		for n, name := range e.Names {
			if _, twice := e.byName[name]; twice {
				panic("two numbers are called " + name)
			}
			e.byName[name] = n
			e.order = append(e.order, n)
		}
		slices.Sort(e.order)
	})
}

// plan is how one type is written and read.
type plan struct {
	write    func(w *Writer, v reflect.Value)
	read     func(r *Reader, v reflect.Value) error
	zero     func(v reflect.Value) bool
	required bool
	fields   []field // of a struct
	byName   map[string]int
	after    func(r *Reader, v any) error
}

type field struct {
	name     string
	key      []byte // with quotes and colon
	index    int
	plan     *plan
	required bool
}

// planOf finds or makes the plan of a type.
func (f *Form) planOf(t reflect.Type) *plan {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.plan(t)
}

func (f *Form) plan(t reflect.Type) *plan {
	if p := f.plans[t]; p != nil {
		return p
	}
	if f.plans == nil {
		f.plans = map[reflect.Type]*plan{}
	}
	p := &plan{zero: reflect.Value.IsZero}
	f.plans[t] = p // before it is whole: types refer to themselves
	f.fill(p, t)
	return p
}

func (f *Form) fill(p *plan, t reflect.Type) {
	if c, ok := f.Custom[t]; ok {
		f.custom(p, c)
		return
	}
	if c, ok := basic[t]; ok {
		f.custom(p, c)
		return
	}
	if u := f.Unions[t]; u != nil {
		p.required = true
		in := f.union(t, u)
		p.write, p.read = in.write, in.read
		return
	}
	if e := f.Enums[t]; e != nil {
		e.index()
		p.write, p.read = e.write, e.read
		if !e.Bits && !e.ZeroLeftOut {
			p.required, p.zero = true, func(reflect.Value) bool { return false }
		}
		return
	}
	f.fillKind(p, t)
}

func (f *Form) custom(p *plan, c Codec) {
	p.write, p.read, p.required = c.Write, c.Read, c.Required
	if c.Zero != nil {
		p.zero = c.Zero
	}
}

func (f *Form) fillKind(p *plan, t reflect.Type) {
	switch t.Kind() {
	case reflect.Bool:
		p.write = func(w *Writer, v reflect.Value) { w.Bool(v.Bool()) }
		p.read = readBool
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		p.write = func(w *Writer, v reflect.Value) { w.Int(v.Int()) }
		p.read = readInt
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		p.write = func(w *Writer, v reflect.Value) { w.Uint(v.Uint()) }
		p.read = readUint
	case reflect.String:
		p.write = func(w *Writer, v reflect.Value) { w.String(v.String()) }
		p.read = readString
	case reflect.Slice:
		f.fillSlice(p, t)
	case reflect.Array:
		f.fillArray(p, t)
	case reflect.Map:
		f.fillMap(p, t)
	case reflect.Pointer:
		elem := f.plan(t.Elem())
		p.write = func(w *Writer, v reflect.Value) { elem.write(w, v.Elem()) }
		p.read = func(r *Reader, v reflect.Value) error {
			if err := r.spend(int64(t.Elem().Size())); err != nil {
				return err
			}
			v.Set(reflect.New(t.Elem()))
			return elem.read(r, v.Elem())
		}
	case reflect.Struct:
		f.fillStruct(p, t)
	default:
		panic(fmt.Sprintf("jsonform: no way to write %s", t))
	}
}

func (f *Form) fillStruct(p *plan, t reflect.Type) {
	skip, optional := f.Skip[t], f.Optional[t]
	p.byName = map[string]int{}
	for i := range t.NumField() {
		sf := t.Field(i)
		if slices.Contains(skip, sf.Name) {
			continue
		}
		if !sf.IsExported() {
			panic(fmt.Sprintf("jsonform: field %s of %s is not exported, and not in the table of those that are not written", sf.Name, t))
		}
		name, _, _ := strings.Cut(sf.Tag.Get("json"), ",")
		if name == "" {
			name = snake(sf.Name)
		}
		if _, twice := p.byName[name]; twice {
			panic(fmt.Sprintf("jsonform: two fields %s in %s", name, t))
		}
		fp := f.plan(sf.Type)
		p.byName[name] = len(p.fields)
		p.fields = append(p.fields, field{
			name: name, key: []byte(`"` + name + `":`), index: i, plan: fp,
			required: fp.required && !slices.Contains(optional, sf.Name),
		})
	}
	if len(p.fields) > 64 {
		panic(fmt.Sprintf("jsonform: %s has more than 64 fields", t))
	}
	for _, name := range slices.Concat(skip, optional) {
		if _, ok := t.FieldByName(name); !ok {
			panic(fmt.Sprintf("jsonform: %s has no field %s", t, name))
		}
	}
	p.after = f.After[t]
	scope := f.Scopes[t]
	p.write = func(w *Writer, v reflect.Value) {
		if scope {
			outer := w.shared
			w.shared = &sharedOut{}
			defer func() { w.shared = outer }()
		}
		w.open('{')
		p.writeFields(w, v)
		w.close('}')
	}
	p.read = func(r *Reader, v reflect.Value) error {
		if err := r.enter('{'); err != nil {
			return err
		}
		if scope {
			outer := r.shared
			r.shared = &sharedIn{}
			defer func() { r.shared = outer }()
		}
		return p.readFields(r, v)
	}
}

var wholeWords = strings.NewReplacer("IPSet", "Ipset", "IPv", "Ipv", "CPUs", "Cpus")

// snake is a Go name in lower case, its words apart: "NATTuple" is nat_tuple.
func snake(name string) string {
	s := wholeWords.Replace(name)
	upper := func(i int) bool { return i < len(s) && s[i] >= 'A' && s[i] <= 'Z' }
	lower := func(i int) bool { return i < len(s) && s[i] >= 'a' && s[i] <= 'z' }
	var b strings.Builder
	for i := range len(s) {
		if i > 0 && upper(i) && (!upper(i-1) || lower(i+1)) {
			b.WriteByte('_')
		}
		b.WriteString(strings.ToLower(s[i : i+1]))
	}
	return b.String()
}
