package jsonform

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// basic are the types of the standard library that have a text.
var basic = map[reflect.Type]Codec{
	reflect.TypeFor[time.Time](): {
		Write: func(w *Writer, v reflect.Value) { w.String(v.Interface().(time.Time).Format(time.RFC3339Nano)) },
		Read: readText(func(s string) (time.Time, error) {
			t, err := time.Parse(time.RFC3339Nano, s)
			if err != nil {
				return t, fmt.Errorf("bad time %q", s)
			}
			return t, nil
		}),
		Zero: func(v reflect.Value) bool { return v.Interface().(time.Time).IsZero() },
	},
	reflect.TypeFor[netip.Addr](): {
		Write: func(w *Writer, v reflect.Value) { w.addr(v.Interface().(netip.Addr)) },
		Read:  readText(parseAddr),
	},
	reflect.TypeFor[netip.Prefix](): {
		Write: func(w *Writer, v reflect.Value) { w.prefix(v.Interface().(netip.Prefix)) },
		Read:  readText(parsePrefix),
	},
	reflect.TypeFor[binary.ByteOrder](): {
		Write: func(w *Writer, v reflect.Value) { w.order(v.Interface().(binary.ByteOrder)) },
		Read: func(r *Reader, v reflect.Value) error {
			s, err := r.String()
			if err != nil {
				return err
			}
			switch s {
			case "little":
				v.Set(reflect.ValueOf(binary.LittleEndian))
			case "big":
				v.Set(reflect.ValueOf(binary.BigEndian))
			default:
				return fmt.Errorf("byte order %q is neither little nor big", s)
			}
			return nil
		},
	},
}

func readText[T any](parse func(string) (T, error)) func(*Reader, reflect.Value) error {
	return func(r *Reader, v reflect.Value) error {
		s, err := r.String()
		if err != nil {
			return err
		}
		x, err := parse(s)
		if err == nil {
			v.Set(reflect.ValueOf(x))
		}
		return err
	}
}

func parseAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return a, fmt.Errorf("bad address %q", s)
	}
	return a, nil
}

// parsePrefix takes a length of -1 as well: netip.PrefixFrom makes that of one
// that does not fit.
func parsePrefix(s string) (netip.Prefix, error) {
	at := strings.LastIndexByte(s, '/')
	if at < 0 {
		return netip.Prefix{}, fmt.Errorf("bad prefix %q", s)
	}
	a, err := netip.ParseAddr(s[:at])
	n, err2 := strconv.Atoi(s[at+1:])
	if err != nil || err2 != nil || n < -1 || n > a.BitLen() || a.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("bad prefix %q", s)
	}
	return netip.PrefixFrom(a, n), nil
}

func (w *Writer) addr(a netip.Addr) {
	if a.Zone() != "" {
		w.String(a.String()) // whatever the zone is called
		return
	}
	w.b = append(w.b, '"')
	w.b = append(a.AppendTo(w.b), '"')
}

func (w *Writer) prefix(p netip.Prefix) {
	w.b = append(w.b, '"')
	w.b = append(p.Addr().AppendTo(w.b), '/')
	w.b = append(strconv.AppendInt(w.b, int64(p.Bits()), 10), '"')
}

func (w *Writer) order(o binary.ByteOrder) {
	if o.Uint16([]byte{0, 1}) == 1 {
		w.String("big")
	} else {
		w.String("little")
	}
}

func readBool(r *Reader, v reflect.Value) error {
	b, err := r.Bool()
	v.SetBool(b)
	return err
}

func readInt(r *Reader, v reflect.Value) error {
	n, err := r.Int()
	if err == nil && v.OverflowInt(n) {
		err = fmt.Errorf("number %d is out of range", n)
	}
	v.SetInt(n)
	return err
}

func readUint(r *Reader, v reflect.Value) error {
	n, err := r.Uint()
	if err == nil && v.OverflowUint(n) {
		err = fmt.Errorf("number %d is out of range", n)
	}
	v.SetUint(n)
	return err
}

func readString(r *Reader, v reflect.Value) error {
	s, err := r.String()
	v.SetString(s)
	return err
}
