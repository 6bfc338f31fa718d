package jsonform

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

func (f *Form) fillSlice(p *plan, t reflect.Type) {
	if t.Elem().Kind() == reflect.Uint8 {
		p.write = func(w *Writer, v reflect.Value) { w.Bytes(v.Bytes()) }
		p.read = func(r *Reader, v reflect.Value) error {
			b, err := r.Bytes()
			v.SetBytes(b)
			return err
		}
		return
	}
	elem, size := f.plan(t.Elem()), int64(t.Elem().Size())
	p.write = func(w *Writer, v reflect.Value) {
		w.open('[')
		for i := range v.Len() {
			w.next()
			f.writeElement(w, elem, v.Index(i))
		}
		w.close(']')
	}
	p.read = func(r *Reader, v reflect.Value) error {
		v.Set(reflect.MakeSlice(t, 0, 0))
		return r.list(func(i int) error {
			if i == v.Cap() {
				if err := r.spend(size * int64(max(4, i/4))); err != nil {
					return err
				}
				v.Grow(1)
			}
			v.SetLen(i + 1)
			x := v.Index(i)
			x.SetZero()
			return elem.read(r, x)
		})
	}
}

// writeElement writes one of a list, where nothing can be left out.
func (f *Form) writeElement(w *Writer, elem *plan, x reflect.Value) {
	if k := x.Kind(); (k == reflect.Pointer || k == reflect.Interface) && x.IsNil() {
		w.Fail(fmt.Errorf("nothing where a %s has to be", x.Type()))
		return
	}
	elem.write(w, x)
	w.comma = true
}

func (f *Form) fillArray(p *plan, t reflect.Type) {
	n := t.Len()
	if t.Elem().Kind() == reflect.Uint8 {
		p.write = func(w *Writer, v reflect.Value) {
			b := make([]byte, n)
			reflect.Copy(reflect.ValueOf(b), v)
			w.Bytes(b)
		}
		p.read = func(r *Reader, v reflect.Value) error {
			b, err := r.Bytes()
			if err == nil && len(b) != n {
				return fmt.Errorf("%d bytes, wants %d", len(b), n)
			}
			reflect.Copy(v, reflect.ValueOf(b))
			return err
		}
		return
	}
	elem := f.plan(t.Elem())
	p.write = func(w *Writer, v reflect.Value) {
		w.open('[')
		for i := range n {
			w.next()
			f.writeElement(w, elem, v.Index(i))
		}
		w.close(']')
	}
	p.read = func(r *Reader, v reflect.Value) error {
		got := 0
		err := r.list(func(i int) error {
			if got = i + 1; got > n {
				return fmt.Errorf("more than %d", n)
			}
			return elem.read(r, v.Index(i))
		})
		if err == nil && got < n {
			return fmt.Errorf("%d, wants %d", got, n)
		}
		return err
	}
}

func (f *Form) fillMap(p *plan, t reflect.Type) {
	if t.Key().Kind() != reflect.String {
		panic(fmt.Sprintf("jsonform: keys of %s are no strings", t))
	}
	elem, size := f.plan(t.Elem()), int64(t.Elem().Size())+64
	p.write = func(w *Writer, v reflect.Value) {
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		w.open('{')
		for _, k := range keys {
			w.Key(k.String())
			f.writeElement(w, elem, v.MapIndex(k))
		}
		w.close('}')
	}
	p.read = func(r *Reader, v reflect.Value) error {
		v.Set(reflect.MakeMap(t))
		return r.Object(func(key string) error {
			if err := r.spend(size + int64(len(key))); err != nil {
				return err
			}
			k := reflect.New(t.Key()).Elem()
			k.SetString(key)
			if v.MapIndex(k).IsValid() {
				return fmt.Errorf("stands twice")
			}
			x := reflect.New(t.Elem()).Elem()
			if err := elem.read(r, x); err != nil {
				return err
			}
			v.SetMapIndex(k, x)
			return nil
		})
	}
}
