package rulesjson

import (
	"fmt"
	"reflect"

	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/jsonform"
	"github.com/ntdiag/ntdiag/rules/xt"
)

const (
	// maxOffset is more than a header can be long.
	maxOffset = 1 << 16
	// maxLength is more than a set's key or data can be long.
	maxLength = 1 << 16
)

// checks are what the evaluator takes for granted of each type, since a
// decoder of the kernel's messages saw to it. A row for each type that could
// mislead it.
var checks = map[reflect.Type]func(*jsonform.Reader, any) error{
	reflect.TypeFor[rules.Slice]():      check(func(x *rules.Slice) error { return all(offset(x.Off), width(x.Len)) }),
	reflect.TypeFor[rules.Payload]():    check(func(x *rules.Payload) error { return all(offset(x.Off), width(x.Len)) }),
	reflect.TypeFor[rules.Exthdr]():     check(func(x *rules.Exthdr) error { return all(offset(x.Off), width(x.Len)) }),
	reflect.TypeFor[rules.Tainted]():    check(func(x *rules.Tainted) error { return width(x.Len) }),
	reflect.TypeFor[rules.Unrecorded](): check(func(x *rules.Unrecorded) error { return width(x.Len) }),
	reflect.TypeFor[rules.Ct]():         check(func(x *rules.Ct) error { return width(x.Len) }),
	reflect.TypeFor[rules.Rt]():         check(func(x *rules.Rt) error { return width(x.Len) }),
	reflect.TypeFor[rules.Socket]():     check(func(x *rules.Socket) error { return width(x.Len) }),
	reflect.TypeFor[rules.Shift]():      check(func(x *rules.Shift) error { return width(x.Len) }),
	reflect.TypeFor[rules.Byteorder]():  check(func(x *rules.Byteorder) error { return all(width(x.Len), width(x.Size)) }),
	reflect.TypeFor[rules.Bitwise](): check(func(x *rules.Bitwise) error {
		if len(x.Mask) != len(x.Xor) {
			return fmt.Errorf("mask of %d bytes and xor of %d", len(x.Mask), len(x.Xor))
		}
		return width(len(x.Mask))
	}),
	reflect.TypeFor[rules.NPT](): check(func(x *rules.NPT) error {
		if x.Bits < 0 || x.Bits > 64 {
			return fmt.Errorf("prefix of %d bits", x.Bits)
		}
		return nil
	}),
	reflect.TypeFor[rules.Hash](): check(func(x *rules.Hash) error {
		if x.X == nil && !x.Symmetric {
			return fmt.Errorf("hash of nothing")
		}
		return nil
	}),
	reflect.TypeFor[rules.Step](): check(func(x *rules.Step) error {
		if x.By < -0xff || x.By > 0xff {
			return fmt.Errorf("step by %d", x.By)
		}
		return nil
	}),
	reflect.TypeFor[rules.MapLookup](): checkLater(func(x *rules.MapLookup) error { return mapped(x.Set) }),
	reflect.TypeFor[rules.ObjRef](): check(func(x *rules.ObjRef) error {
		if x.Key == nil && x.Set != nil {
			return fmt.Errorf("a map without a key")
		}
		return nil
	}),
	reflect.TypeFor[rules.Set]():       check(checkSet),
	reflect.TypeFor[rules.Rule]():      check(checkRule),
	reflect.TypeFor[xt.U32Condition](): check(func(x *xt.U32Condition) error { return x.Valid() }),
	reflect.TypeFor[xt.CountedBytes](): check(func(x *xt.CountedBytes) error {
		if !x.Valid() {
			return fmt.Errorf("unknown mode %d or direction %d", x.What, x.Dir)
		}
		return nil
	}),
}

func check[T any](f func(*T) error) func(*jsonform.Reader, any) error {
	return func(_ *jsonform.Reader, v any) error { return f(v.(*T)) }
}

// checkLater is check when what the value refers to is there.
func checkLater[T any](f func(*T) error) func(*jsonform.Reader, any) error {
	return func(r *jsonform.Reader, v any) error {
		s := r.Ctx.(*scope)
		s.later = append(s.later, later{r.Offset(), func() error { return f(v.(*T)) }})
		return r.Spend(pendingSize)
	}
}

func all(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func width(n int) error { return within("length", n, rules.MaxValue) }

func offset(n int) error { return within("offset", n, maxOffset) }

func within(what string, n, most int) error {
	if n < 0 || n > most {
		return fmt.Errorf("%s %d, at most %d", what, n, most)
	}
	return nil
}

func mapped(s *rules.Set) error {
	if s.DataLen <= 0 || s.DataLen > rules.MaxValue {
		return fmt.Errorf("map %q has data of %d bytes", s.Name, s.DataLen)
	}
	return nil
}

func checkSet(s *rules.Set) error {
	if err := all(within("key length", s.KeyLen, maxLength), within("data length", s.DataLen, maxLength)); err != nil {
		return err
	}
	for _, n := range s.FieldLens {
		if err := within("field length", n, maxLength); err != nil {
			return err
		}
	}
	return nil
}

// checkRule: a statement stands for expressions that there are.
func checkRule(r *rules.Rule) error {
	for i, s := range r.Statements {
		for _, at := range s.Covers() {
			if at < 0 || at >= len(r.Raw) && len(r.Raw) > 0 {
				return fmt.Errorf("statement %d stands for expression %d, of %d", i, at, len(r.Raw))
			}
		}
	}
	return nil
}
