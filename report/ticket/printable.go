package ticket

import (
	"fmt"
	"reflect"
	"unicode/utf8"

	"github.com/ntdiag/ntdiag/rules/nft"
)

// maxText is how long a text may be that a page shows: names and comments come
// from outside.
const maxText = 1500

// printable is a copy of v in which every string is made printable and of
// bounded length. What is not exported is not copied.
func printable[T any](v T) T {
	out := reflect.New(reflect.TypeFor[T]()).Elem()
	copyPrintable(out, reflect.ValueOf(v))
	return out.Interface().(T)
}

func copyPrintable(to, from reflect.Value) {
	switch from.Kind() {
	case reflect.String:
		to.SetString(printableText(from.String()))
	case reflect.Struct:
		for i := range from.NumField() {
			if to.Field(i).CanSet() {
				copyPrintable(to.Field(i), from.Field(i))
			}
		}
	case reflect.Slice:
		if from.IsNil() {
			return
		}
		to.Set(reflect.MakeSlice(from.Type(), from.Len(), from.Len()))
		for i := range from.Len() {
			copyPrintable(to.Index(i), from.Index(i))
		}
	case reflect.Pointer:
		if !from.IsNil() {
			to.Set(reflect.New(from.Type().Elem()))
			copyPrintable(to.Elem(), from.Elem())
		}
	default:
		to.Set(from)
	}
}

func printableText(s string) string {
	if len(s) > 4*maxText { // escaping would only make it longer
		s = s[:4*maxText] + "…"
	}
	s = nft.Escape(s)
	if n := utf8.RuneCountInString(s); n > maxText {
		s = fmt.Sprintf("%s… (%d more characters)", string([]rune(s)[:maxText]), n-maxText)
	}
	return s
}
