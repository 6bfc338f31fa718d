// Package modeldiff tells tests in what two models differ.
package modeldiff

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// First names the first difference of two values by its path, "" where there
// is none. Functions are not compared, nor what is not exported: indexes that
// are made of the rest. Pointers that lead back are followed once.
func First(want, got any) string {
	f := &first{}
	ignored := cmp.FilterPath(func(p cmp.Path) bool {
		step, ok := p.Last().(cmp.StructField)
		return ok && !unicodeUpper(step.Name()) || p.Last().Type() != nil && p.Last().Type().Kind() == reflect.Func
	}, cmp.Ignore())
	sameTime := cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) })
	cmp.Equal(want, got, ignored, sameTime, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}), cmp.Reporter(f))
	return f.text
}

func unicodeUpper(name string) bool {
	return name != "" && strings.ToUpper(name[:1]) == name[:1] && name[0] != '_'
}

// first is a cmp.Reporter that keeps one difference.
type first struct {
	path cmp.Path
	text string
}

func (f *first) PushStep(s cmp.PathStep) { f.path = append(f.path, s) }
func (f *first) PopStep()                { f.path = f.path[:len(f.path)-1] }

func (f *first) Report(r cmp.Result) {
	if r.Equal() || f.text != "" {
		return
	}
	a, b := f.path.Last().Values()
	f.text = fmt.Sprintf("%#v: %s, then %s", f.path, show(a), show(b))
}

func show(v reflect.Value) string {
	if !v.IsValid() {
		return "nothing"
	}
	return fmt.Sprintf("%#v", v)
}
