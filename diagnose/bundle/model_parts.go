package bundle

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/ntdiag/ntdiag/diagnose/counters"
	"github.com/ntdiag/ntdiag/diagnose/history"
	"github.com/ntdiag/ntdiag/rules/jsonform"
)

// writeCPU writes the counters of one CPU by name: their places in the table
// are this program's own. "unsent" are those that the kernel did not send, and
// that are not 0 all the same.
func writeCPU(w *jsonform.Writer, v reflect.Value) {
	c := v.Interface().(counters.CPU)
	write := func(key string, has bool) {
		any := false
		for i := range c.Values {
			any = any || c.Has[i] == has && (has || c.Values[i] != 0)
		}
		if !any {
			return
		}
		w.Member(key, func() {
			w.Object(func() {
				for i := range c.Values {
					if c.Has[i] == has && (has || c.Values[i] != 0) {
						w.Member(counters.Table[i].Name, func() { w.Uint(c.Values[i]) })
					}
				}
			})
		})
	}
	w.Object(func() {
		w.Member("cpu", func() { w.Int(int64(c.CPU)) })
		write("counted", true)
		write("unsent", false)
	})
}

// places is where a counter stands in the table.
var places = func() map[string]int {
	out := make(map[string]int, counters.Count)
	for i, c := range counters.Table {
		out[c.Name] = i
	}
	return out
}()

func readCPU(r *jsonform.Reader, v reflect.Value) error {
	var c counters.CPU
	err := r.Object(func(key string) error {
		if key == "cpu" {
			n, err := r.Int()
			c.CPU = int(n)
			return err
		}
		if key != "counted" && key != "unsent" {
			return r.Skip()
		}
		return r.Object(func(name string) error {
			n, err := r.Uint()
			if i, ok := places[name]; ok && err == nil {
				c.Values[i], c.Has[i] = n, key == "counted"
			}
			return err
		})
	})
	v.Set(reflect.ValueOf(c))
	return err
}

// writeChanges writes the records of a history as its store keeps them.
func writeChanges(w *jsonform.Writer, v reflect.Value) {
	all := v.Interface().([]*history.Change)
	w.List(len(all), func(i int) {
		b, err := json.Marshal(all[i])
		if err != nil {
			w.Fail(err)
			return
		}
		w.Raw(b)
	})
}

// readChanges refuses records of another version, as the store does.
func readChanges(r *jsonform.Reader, v reflect.Value) error {
	all := []*history.Change{}
	err := r.List(func(int) error {
		b, err := r.Raw()
		if err != nil {
			return err
		}
		c := new(history.Change)
		if err := json.Unmarshal(b, c); err != nil {
			return err
		}
		if c.V != history.Version {
			return fmt.Errorf("record of version %d, this program reads version %d", c.V, history.Version)
		}
		all = append(all, c)
		return nil
	})
	v.Set(reflect.ValueOf(all))
	return err
}
