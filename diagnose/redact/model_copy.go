package redact

import (
	"encoding/binary"
	"net/netip"
	"reflect"
	"strings"
	"time"
)

// copier makes a deep copy of a model, and maps each field as its row in the
// table of fields says. A field that can hold an address or a name and has no
// row comes out empty.
type copier struct {
	r    *model
	seen map[pointer]reflect.Value
}

type pointer struct {
	at reflect.Type
	p  uintptr
}

// redacted is a redacted copy of v.
func redacted[T any](r *model, v T) T {
	c := &copier{r: r, seen: map[pointer]reflect.Value{}}
	var out T
	c.copy(reflect.ValueOf(&out).Elem(), reflect.ValueOf(&v).Elem())
	return out
}

var (
	byteOrder = reflect.TypeFor[binary.ByteOrder]()
	// whole are structs that are copied as they are.
	whole = map[reflect.Type]bool{
		reflect.TypeFor[time.Time](): true, reflect.TypeFor[netip.Addr](): true, reflect.TypeFor[netip.Prefix](): true,
	}
)

func (c *copier) copy(dst, src reflect.Value) {
	switch src.Kind() {
	case reflect.Pointer:
		c.pointer(dst, src)
	case reflect.Interface:
		if src.IsNil() {
			return
		}
		if src.Type() == byteOrder {
			dst.Set(src)
			return
		}
		v := reflect.New(src.Elem().Type()).Elem()
		c.copy(v, src.Elem())
		dst.Set(v)
	case reflect.Struct:
		if whole[src.Type()] {
			dst.Set(src)
			return
		}
		c.fields(dst, src)
	case reflect.Slice:
		if src.IsNil() {
			return
		}
		dst.Set(reflect.MakeSlice(src.Type(), src.Len(), src.Len()))
		c.elements(dst, src)
	case reflect.Array:
		c.elements(dst, src)
	case reflect.Map:
		if src.IsNil() {
			return
		}
		dst.Set(reflect.MakeMapWithSize(src.Type(), src.Len()))
		for it := src.MapRange(); it.Next(); {
			v := reflect.New(src.Type().Elem()).Elem()
			c.copy(v, it.Value())
			dst.SetMapIndex(it.Key(), v)
		}
	case reflect.Func, reflect.Chan, reflect.UnsafePointer:
	default:
		dst.Set(src)
	}
}

func (c *copier) elements(dst, src reflect.Value) {
	if scalar(src.Type().Elem()) {
		reflect.Copy(dst, src)
		return
	}
	for i := range src.Len() {
		c.copy(dst.Index(i), src.Index(i))
	}
}

func scalar(t reflect.Type) bool { return t.Kind() <= reflect.Complex128 || t.Kind() == reflect.String }

// pointer copies what is pointed to once.
func (c *copier) pointer(dst, src reflect.Value) {
	if src.IsNil() {
		return
	}
	key := pointer{src.Type(), src.Pointer()}
	if v, has := c.seen[key]; has {
		dst.Set(v)
		return
	}
	v := reflect.New(src.Type().Elem())
	c.seen[key] = v
	dst.Set(v)
	c.copy(v.Elem(), src.Elem())
}

// fields copies what is exported: the rest is made anew from it.
func (c *copier) fields(dst, src reflect.Value) {
	t := src.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() {
			continue
		}
		do, has := fieldRows()[fieldName(t, f)]
		if !has && holds(f.Type) {
			continue
		}
		c.copy(dst.Field(i), src.Field(i))
		if do != nil {
			do(c.r, dst.Field(i))
		}
	}
	if do := structRows[t]; do != nil {
		do(c.r, dst.Addr().Interface(), src)
	}
}

// fieldName is how the table names a field: package, type and field.
func fieldName(t reflect.Type, f reflect.StructField) string {
	pkg := t.PkgPath()[strings.LastIndex(t.PkgPath(), "/")+1:]
	name, _, _ := strings.Cut(t.Name(), "[")
	return pkg + "." + name + "." + f.Name
}

// holds tells whether a field of the type can itself hold an address, a name or
// bytes: it has to have a row. What structs hold is said of their fields.
func holds(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.String:
		return true
	case reflect.Slice, reflect.Array:
		return t.Elem().Kind() == reflect.Uint8 || holds(t.Elem())
	case reflect.Map:
		return holds(t.Key()) || holds(t.Elem())
	case reflect.Pointer:
		return t.Elem().Kind() != reflect.Struct && holds(t.Elem())
	case reflect.Struct:
		if strings.HasPrefix(t.Name(), "Fact[") {
			v, _ := t.FieldByName("Value")
			return holds(v.Type)
		}
		return t == reflect.TypeFor[netip.Addr]() || t == reflect.TypeFor[netip.Prefix]()
	}
	return false
}
