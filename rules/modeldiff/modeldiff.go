// Package modeldiff tells tests in what two models differ.
package modeldiff

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// First names the first difference of two values by its path, "" where there
// is none. nil and empty lists differ; so do two pointers to one thing from
// pointers to two that are alike. Functions are not compared, nor fields that
// are not exported: they are indexes that are made of the rest.
func First(want, got any) string {
	d := &differ{there: map[pair]bool{}, partner: map[pointer]pointer{}}
	d.compare(reflect.ValueOf(want), reflect.ValueOf(got))
	return d.text
}

type pointer struct {
	typ reflect.Type
	at  uintptr
}

type pair struct{ a, b pointer }

type differ struct {
	path    []string
	text    string
	there   map[pair]bool       // compared, or about to be
	partner map[pointer]pointer // what a thing of the first model is in the second
}

func (d *differ) differs(a, b any) {
	if d.text == "" {
		d.text = fmt.Sprintf("%s: %#v, then %#v", strings.Join(d.path, ""), a, b)
	}
}

// at compares parts, under their name.
func (d *differ) at(part string, a, b reflect.Value) {
	d.path = append(d.path, part)
	d.compare(a, b)
	d.path = d.path[:len(d.path)-1]
}

func (d *differ) compare(a, b reflect.Value) {
	switch {
	case d.text != "":
	case !a.IsValid() || !b.IsValid():
		if a.IsValid() != b.IsValid() {
			d.differs(a.IsValid(), b.IsValid())
		}
	case sameOrder(a, b):
	case a.Type() != b.Type():
		d.differs(a.Type().String(), b.Type().String())
	case !d.whole(a, b):
		d.kind(a, b)
	}
}

// sameOrder tells whether both are one byte order, of which the machine's own
// is a type by itself.
func sameOrder(a, b reflect.Value) bool {
	if a.Kind() != reflect.Struct || !a.CanInterface() || !b.CanInterface() {
		return false
	}
	x, ok := a.Interface().(binary.ByteOrder)
	y, ok2 := b.Interface().(binary.ByteOrder)
	return ok && ok2 && x.Uint16([]byte{0, 1}) == y.Uint16([]byte{0, 1})
}

// whole compares what is known by its value, whatever is inside.
func (d *differ) whole(a, b reflect.Value) bool {
	if !a.CanInterface() {
		return false
	}
	switch x := a.Interface().(type) {
	case time.Time:
		if y := b.Interface().(time.Time); !x.Equal(y) || x.Format(time.RFC3339Nano) != y.Format(time.RFC3339Nano) {
			d.differs(x, y)
		}
	case netip.Addr, netip.Prefix:
		if x != b.Interface() {
			d.differs(fmt.Sprint(x), fmt.Sprint(b.Interface()))
		}
	default:
		return false
	}
	return true
}

func (d *differ) kind(a, b reflect.Value) {
	switch a.Kind() {
	case reflect.Pointer:
		d.pointers(a, b)
	case reflect.Interface:
		d.compare(a.Elem(), b.Elem())
	case reflect.Struct:
		for i := range a.NumField() {
			if f := a.Type().Field(i); f.IsExported() {
				d.at("."+f.Name, a.Field(i), b.Field(i))
			}
		}
	case reflect.Slice, reflect.Array:
		d.lists(a, b)
	case reflect.Map:
		d.maps(a, b)
	case reflect.Func:
	default:
		if !a.Equal(b) {
			d.differs(a.Interface(), b.Interface())
		}
	}
}

func (d *differ) pointers(a, b reflect.Value) {
	if a.IsNil() || b.IsNil() {
		if a.IsNil() != b.IsNil() {
			d.differs(a.IsNil(), b.IsNil())
		}
		return
	}
	p := pair{pointer{a.Type(), a.Pointer()}, pointer{b.Type(), b.Pointer()}}
	if d.there[p] {
		return
	}
	d.there[p] = true
	if a.Type().Elem().Size() > 0 {
		if other, met := d.partner[p.a]; met && other != p.b {
			d.differs("the same as before", "another")
			return
		}
		d.partner[p.a] = p.b
	}
	d.compare(a.Elem(), b.Elem())
}

func (d *differ) lists(a, b reflect.Value) {
	if a.Kind() == reflect.Slice && a.IsNil() != b.IsNil() {
		d.differs(a.IsNil(), b.IsNil())
		return
	}
	if a.Len() != b.Len() {
		d.differs(a.Len(), b.Len())
		return
	}
	for i := range a.Len() {
		d.at("["+strconv.Itoa(i)+"]", a.Index(i), b.Index(i))
	}
}

func (d *differ) maps(a, b reflect.Value) {
	if a.IsNil() != b.IsNil() || a.Len() != b.Len() {
		d.differs(a.Len(), b.Len())
		return
	}
	keys := a.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	for _, k := range keys {
		d.at(fmt.Sprintf("[%v]", k), a.MapIndex(k), b.MapIndex(k))
	}
}
