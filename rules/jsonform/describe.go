package jsonform

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Describe is the form of a type and of all that it is made of, a line a
// struct: what a change of the Go types would change.
func (f *Form) Describe(t reflect.Type) string {
	lines := map[string]string{}
	f.describe(t, lines)
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(lines)) {
		fmt.Fprintf(&b, "%s: %s\n", name, lines[name])
	}
	return b.String()
}

func (f *Form) describe(t reflect.Type, lines map[string]string) {
	if c, ok := f.Custom[t]; ok {
		if c.Of != nil {
			f.describe(c.Of, lines)
		}
		return
	}
	if _, text := basic[t]; text {
		return
	}
	name := t.String()
	if lines[name] != "" {
		return
	}
	if u := f.Unions[t]; u != nil {
		lines[name] = "one of"
		for _, row := range u.Rows {
			lines[name] += " " + row.Name
			f.describe(reflect.TypeOf(row.Type).Elem(), lines)
		}
		return
	}
	if e := f.Enums[t]; e != nil {
		lines[name] = e.describe()
		return
	}
	switch t.Kind() {
	case reflect.Slice, reflect.Array, reflect.Pointer, reflect.Map:
		f.describe(t.Elem(), lines)
	case reflect.Struct:
		lines[name] = "-"
		var parts []string
		for _, fd := range f.planOf(t).fields {
			ft := t.Field(fd.index).Type
			part := fd.name + " " + ft.String()
			if fd.required {
				part += "!"
			}
			parts = append(parts, part)
			f.describe(ft, lines)
		}
		lines[name] = strings.Join(parts, ", ")
	}
}

// describe tells the numbers only where a document can hold others.
func (e *Enum) describe() string {
	e.index()
	if e.Closed {
		return "named " + strings.Join(slices.Sorted(maps.Keys(e.byName)), " ")
	}
	words := "named"
	if e.Bits {
		words = "bits"
	}
	for _, n := range e.order {
		words += fmt.Sprintf(" %d=%s", int64(n), e.Names[n])
	}
	return words
}
