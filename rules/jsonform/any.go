package jsonform

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
)

// Tree is a document, or a part of one, of which the form is not known: a
// string, a json.Number, a bool, nil, a []any or a map[string]any of them.
// Strings are as they are written, those of bytes too.
type Tree = map[string]any

// ReadTree takes the members behind an object's first, and its brace.
func (r *Reader) ReadTree() (Tree, error) {
	out := Tree{}
	for {
		more, err := r.more('}', false)
		if err != nil || !more {
			return out, err
		}
		if err := r.treeMember(out); err != nil {
			return nil, err
		}
	}
}

// partSize is about what one value of a Tree takes.
const partSize = 64

func (r *Reader) treeMember(out Tree) error {
	b, err := r.text()
	if err != nil {
		return err
	}
	key := string(b)
	if _, twice := out[key]; twice {
		return r.in(errors.New("stands twice"), key)
	}
	if err := r.want(':'); err != nil {
		return r.in(err, key)
	}
	out[key], err = r.tree()
	return r.in(err, key)
}

func (r *Reader) tree() (any, error) {
	c, err := r.peek()
	if err == nil {
		err = r.spend(partSize)
	}
	if err != nil {
		return nil, err
	}
	switch {
	case c == '{':
		if err := r.enter('{'); err != nil {
			return nil, err
		}
		out := Tree{}
		for first := true; ; first = false {
			more, err := r.more('}', first)
			if err != nil || !more {
				return out, err
			}
			if err := r.treeMember(out); err != nil {
				return nil, err
			}
		}
	case c == '[':
		out := []any{}
		err := r.list(func(int) error {
			x, err := r.tree()
			out = append(out, x)
			return err
		})
		return out, err
	case c == '"':
		b, err := r.text()
		return string(b), errors.Join(err, r.spend(int64(len(b))))
	case c == '-' || c >= '0' && c <= '9':
		b, err := r.number()
		return json.Number(b), err
	}
	switch w, err := r.word(); w {
	case "true":
		return true, err
	case "false":
		return false, err
	default:
		return nil, err
	}
}

// first are the members that have to come first.
var firstMembers = []string{"type", "ruleset"}

// WriteTree writes an object whose first member is a version.
func (w *Writer) WriteTree(name string, version uint64, t Tree) {
	w.Object(func() {
		w.Member(name, func() { w.Uint(version) })
		w.treeMembers(t)
	})
}

func (w *Writer) treeMembers(t Tree) {
	for _, key := range firstMembers {
		if x, ok := t[key]; ok {
			w.treeMember(key, x)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(t)) {
		if !slices.Contains(firstMembers, key) {
			w.treeMember(key, t[key])
		}
	}
}

func (w *Writer) treeMember(key string, x any) {
	w.next()
	w.plain(key)
	w.b = append(w.b, ':')
	w.tree(x)
	w.comma = true
}

func (w *Writer) tree(x any) {
	switch x := x.(type) {
	case Tree:
		w.Object(func() { w.treeMembers(x) })
	case []any:
		w.List(len(x), func(i int) { w.tree(x[i]) })
	case string:
		w.plain(x)
	case json.Number:
		w.b = append(w.b, x...)
	case bool:
		w.Bool(x)
	case nil:
		w.b = append(w.b, "null"...)
	default:
		w.Fail(errors.New("a value that is none of JSON's"))
	}
}

// plain writes a string as it is.
func (w *Writer) plain(s string) {
	w.b = append(w.b, '"')
	w.escape(s)
}
