package jsonform

import (
	"fmt"
	"io"
	"reflect"
	"strconv"
	"unicode/utf8"
)

// flushAt is how much is gathered before it is written.
const flushAt = 64 << 10

// Writer writes JSON. Its error is kept; what follows it is not written.
type Writer struct {
	// Ctx is for the functions of a Form.
	Ctx any

	to    io.Writer
	b     []byte
	comma bool // something stands before, in this object or list
	depth int
	err   error
	// shared is of the present scope, which is held in b until its end.
	shared *sharedOut
}

// NewWriter makes a Writer that ends with Flush.
func NewWriter(to io.Writer) *Writer { return &Writer{to: to, b: make([]byte, 0, flushAt+4096)} }

// Flush writes what is left, and tells what went wrong.
func (w *Writer) Flush() error {
	if w.err == nil && len(w.b) > 0 {
		_, w.err = w.to.Write(w.b)
	}
	w.b = w.b[:0]
	return w.err
}

// Fail ends the writing with err.
func (w *Writer) Fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

func (w *Writer) open(c byte) {
	w.b = append(w.b, c)
	w.comma = false
	if w.depth++; w.depth > MaxDepth {
		w.Fail(fmt.Errorf("nested more than %d deep", MaxDepth))
	}
}

func (w *Writer) close(c byte) {
	w.b = append(w.b, c)
	w.comma = true
	w.depth--
	if len(w.b) >= flushAt && w.shared == nil {
		_ = w.Flush()
	}
}

// next goes on to the next member or element.
func (w *Writer) next() {
	if w.comma {
		w.b = append(w.b, ',')
	}
	w.comma = true
}

// Object writes an object; f writes its members.
func (w *Writer) Object(f func()) { w.open('{'); f(); w.close('}') }

// Key begins a member.
func (w *Writer) Key(s string) {
	w.next()
	w.String(s)
	w.b = append(w.b, ':')
}

// Member writes a member; f writes its value.
func (w *Writer) Member(key string, f func()) { w.Key(key); f(); w.comma = true }

// Raw writes what is JSON already.
func (w *Writer) Raw(b []byte) { w.b = append(w.b, b...) }

func (w *Writer) Bool(v bool)   { w.b = strconv.AppendBool(w.b, v) }
func (w *Writer) Int(n int64)   { w.b = strconv.AppendInt(w.b, n, 10) }
func (w *Writer) Uint(n uint64) { w.b = strconv.AppendUint(w.b, n, 10) }

const hexDigits = "0123456789abcdef"

// Bytes writes bytes as hexadecimal digits.
func (w *Writer) Bytes(b []byte) { w.b = appendHex(append(w.b, '"'), b) }

func appendHex(to, b []byte) []byte {
	for _, c := range b {
		to = append(to, hexDigits[c>>4], hexDigits[c&15])
	}
	return append(to, '"')
}

// hexPrefix begins a string that is given as bytes.
const hexPrefix = "hex:"

// String writes a string.
func (w *Writer) String(s string) {
	plain := len(s) < len(hexPrefix) || s[:len(hexPrefix)] != hexPrefix
	simple := plain
	for i := 0; simple && i < len(s); i++ {
		c := s[i]
		simple = c >= 0x20 && c != '"' && c != '\\' && c < 0x7f
	}
	w.b = append(w.b, '"')
	switch {
	case simple:
		w.b = append(append(w.b, s...), '"')
	case !plain || !utf8.ValidString(s):
		w.b = appendHex(append(w.b, hexPrefix...), []byte(s))
	default:
		w.escape(s)
	}
}

func (w *Writer) escape(s string) {
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			w.b = append(w.b, '\\', byte(r))
		case r < 0x20 || r == 0x7f:
			w.b = append(w.b, '\\', 'u', '0', '0', hexDigits[r>>4], hexDigits[r&15])
		default:
			w.b = utf8.AppendRune(w.b, r)
		}
	}
	w.b = append(w.b, '"')
}

// Write writes v, which is not nil, in the given form.
func (w *Writer) Write(f *Form, v any) {
	x := reflect.ValueOf(v)
	f.planOf(x.Type()).write(w, x)
}

// WriteStruct writes the struct that v points to, whatever Custom says of
// pointers to it.
func (w *Writer) WriteStruct(f *Form, v reflect.Value) { f.planOf(v.Type().Elem()).write(w, v.Elem()) }

// WriteFields writes the members of the struct that v points to.
func (w *Writer) WriteFields(f *Form, v any) {
	x := reflect.ValueOf(v).Elem()
	f.planOf(x.Type()).writeFields(w, x)
}

// List writes a list of n; f writes the i-th.
func (w *Writer) List(n int, f func(i int)) {
	w.open('[')
	for i := range n {
		w.next()
		f(i)
		w.comma = true
	}
	w.close(']')
}

func (p *plan) writeFields(w *Writer, v reflect.Value) {
	for i := range p.fields {
		fd := &p.fields[i]
		x := v.Field(fd.index)
		if fd.plan.zero(x) {
			continue
		}
		w.next()
		w.b = append(w.b, fd.key...)
		fd.plan.write(w, x)
		w.comma = true
	}
}

func (u *union) write(w *Writer, v reflect.Value) {
	x := v.Elem()
	m := u.byType[x.Type()]
	if m == nil || x.IsNil() {
		w.Fail(fmt.Errorf("no name for %s among %s", x.Type(), u.typ))
		return
	}
	if u.Shared > 0 && w.shared.again(w, x.UnsafePointer()) {
		return
	}
	w.open('{')
	w.Member("type", func() { w.String(m.name) })
	if u.Shared > 0 {
		w.shared.add(w, x.UnsafePointer())
	}
	m.plan.writeFields(w, x.Elem())
	w.close('}')
}

func (e *Enum) write(w *Writer, v reflect.Value) {
	n := numberOf(v)
	if e.Bits {
		e.writeBits(w, n)
		return
	}
	if name, ok := e.Names[n]; ok {
		w.String(name)
		return
	}
	switch {
	case e.Closed:
		w.Fail(fmt.Errorf("%s has no name for %d", v.Type(), n))
	case v.CanInt():
		w.Int(int64(n))
	default:
		w.Uint(n)
	}
}

func (e *Enum) writeBits(w *Writer, n uint64) {
	w.open('[')
	for _, bit := range e.order {
		if n&bit != 0 {
			w.next()
			w.String(e.Names[bit])
			n &^= bit
		}
	}
	if n != 0 {
		w.next()
		w.Uint(n)
	}
	w.close(']')
}

func numberOf(v reflect.Value) uint64 {
	if v.CanInt() {
		return uint64(v.Int())
	}
	return v.Uint()
}
