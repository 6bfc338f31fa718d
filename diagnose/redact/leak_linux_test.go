package redact_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/counters"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/kernlog"
	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/diagnose/redact"
	"github.com/ntdiag/ntdiag/diagnose/redact/seeded"
	"github.com/ntdiag/ntdiag/rules/nft"
	"github.com/ntdiag/ntdiag/rules/xt"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m.Run)) }

// TestNothingLeaks seeds addresses and names wherever they can stand, and finds
// none of them in what is redacted, in no form.
func TestNothingLeaks(t *testing.T) {
	ctx := context.Background()
	src := seeded.New(t)
	key := redact.Key{7, 7, 7}
	hidden, err := redact.Wrap(ctx, src, key, redact.Options{})
	if err != nil {
		t.Fatal(err)
	}
	before, after := everything(t, src), everything(t, hidden)
	lowerBefore, lower := strings.ToLower(before), strings.ToLower(after)
	for _, f := range seeded.Forms() {
		if f.Seeded && f.In(before, lowerBefore) < 0 {
			t.Errorf("%s: %q is not in the original", f.What, f.Text)
		}
		if at := f.In(after, lower); at >= 0 {
			t.Errorf("%s: %q is in what is redacted: %q", f.What, f.Text, after[max(0, at-60):min(len(after), at+60)])
		}
	}
	if len(hidden.Differs()) == 0 {
		t.Error("nothing is said of jhash and of u32")
	}
}

// everything is all that a source gives, as its fields and as its texts.
func everything(t *testing.T, src capture.Whole) string {
	t.Helper()
	ctx := context.Background()
	d := &dump{seen: map[uintptr]bool{}}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	s, err := src.Snapshot(ctx)
	must(err)
	d.add(s)
	h, err := src.History()
	must(err)
	d.add(h)
	x, err := src.Expectations(ctx)
	must(err)
	d.add(x)
	n, err := src.Neighbours(ctx)
	must(err)
	d.add(n)
	p, err := src.XfrmPolicies(ctx)
	must(err)
	d.add(p)
	info, err := src.Flows(ctx, capture.Filter{}, func(f *host.Flow) error { d.add(*f); return nil })
	must(err)
	d.add(info)
	_, err = src.Log(ctx, func(r *kernlog.Record) error { d.add(string(r.Text)); return nil })
	must(err)
	d.add(src.Loggers())
	d.add(src.Enter())
	var st *counters.Stats
	st, err = src.Stats(ctx)
	must(err)
	d.add(st)
	d.add(nft.RulesetText(s.Rules))
	for _, table := range s.Rules.Tables {
		for _, c := range table.Chains {
			for _, r := range c.Rules {
				d.add(nft.RuleText(r))
				d.add(nft.RuleTextFull(r))
				if text, ok := xt.RuleText(r); ok {
					d.add(text)
				}
			}
		}
	}
	for _, set := range s.Rules.IPSets {
		d.add(set.Save())
	}
	return d.b.String()
}

// dump writes every string, address and run of bytes that a value reaches.
type dump struct {
	b    strings.Builder
	seen map[uintptr]bool
}

func (d *dump) add(v any) { d.value(reflect.ValueOf(v)) }

func (d *dump) value(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		fmt.Fprintln(&d.b, v.String())
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() || v.Kind() == reflect.Pointer && d.seen[v.Pointer()] {
			return
		}
		if v.Kind() == reflect.Pointer {
			d.seen[v.Pointer()] = true
		}
		d.value(v.Elem())
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			for i := range v.Len() {
				d.b.WriteByte(byte(v.Index(i).Uint()))
			}
			d.b.WriteByte('\n')
			return
		}
		for i := range v.Len() {
			d.value(v.Index(i))
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			d.value(it.Key())
			d.value(it.Value())
		}
	case reflect.Struct:
		if s, ok := stringer(v); ok {
			fmt.Fprintln(&d.b, s)
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				d.value(v.Field(i))
			}
		}
	}
}

func stringer(v reflect.Value) (string, bool) {
	switch x := v.Interface().(type) {
	case netip.Addr:
		return x.String() + " " + string(x.AsSlice()), true
	case netip.Prefix:
		return x.String() + " " + string(x.Addr().AsSlice()), true
	case time.Time:
		return "", true
	}
	return "", false
}
