package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/explain"
	"github.com/ntdiag/ntdiag/diagnose/lab/scale"
	"github.com/ntdiag/ntdiag/diagnose/stale"
	"github.com/ntdiag/ntdiag/rules"
)

// built is what a table was made of.
type built struct {
	shape   *scale.Shape
	cluster scale.Cluster
	flows   int
	// flow is the one that FLOW stands for, of that kind.
	flow scale.Flow
	kind *scale.Kind
	// changing: there are others beside these flows, all UDP.
	changing bool
}

// answer holds an output against what was built. It reads all of it.
type answer func(b *built, out io.Reader) error

// answerFlows wants each entry once.
func answerFlows(b *built, out io.Reader) error {
	seed := maphash.MakeSeed()
	seen := make(map[uint64]bool, b.flows)
	ours, twice := 0, 0
	lines := bufio.NewReaderSize(out, 1<<20)
	var entry struct {
		ID       uint32
		Proto    string
		Original json.RawMessage
	}
	for {
		text, err := lines.ReadSlice('\n')
		if errors.Is(err, io.EOF) && len(text) == 0 {
			break
		}
		if err == nil {
			err = json.Unmarshal(text, &entry)
		}
		if err != nil {
			return err
		}
		var h maphash.Hash
		h.SetSeed(seed)
		fmt.Fprint(&h, entry.ID)
		h.Write(entry.Original)
		if key := h.Sum64(); seen[key] {
			twice++
		} else {
			seen[key] = true
			if entry.Proto == "tcp" {
				ours++
			}
		}
	}
	others := len(seen) - ours
	switch {
	case twice > 0:
		return fmt.Errorf("%d flows are reported twice", twice)
	case ours != b.flows:
		return fmt.Errorf("%d flows that were there all the time, want %d", ours, b.flows)
	case !b.changing && others > 0:
		return fmt.Errorf("%d flows that were not made", others)
	}
	return nil
}

// answerRead wants their number.
func answerRead(b *built, out io.Reader) error {
	var n int
	if _, err := fmt.Fscan(out, &n); err != nil {
		return err
	}
	if n != b.flows {
		return fmt.Errorf("%d entries, want %d", n, b.flows)
	}
	return nil
}

// truth is flows by what is to be said of them.
type truth struct {
	// Fates: "fresh", "undecided", or class and confidence of those that are
	// stale.
	Fates map[string]int
	// Grades of rewrites.
	Grades map[explain.Grade]int
}

func newTruth() truth { return truth{map[string]int{}, map[explain.Grade]int{}} }

const fresh, undecided = "fresh", "undecided"

func staleAs(c stale.Class, sure stale.Confidence) string { return fmt.Sprintf("%s, %s", c, sure) }

func (t *truth) add(f stale.Fate, c stale.Class, sure stale.Confidence) {
	switch f {
	case stale.Fresh:
		t.Fates[fresh]++
	case stale.Stale:
		t.Fates[staleAs(c, sure)]++
	default:
		t.Fates[undecided]++
	}
}

// truth of what was built.
func (b *built) truth() truth {
	t := newTruth()
	for i := range b.flows {
		f, k := scale.At(b.cluster, i)
		t.add(k.Fate, k.Class, stale.Certain)
		for _, g := range k.Grades(b.shape, &f) {
			if g != "" {
				t.Grades[g]++
			}
		}
	}
	return t
}

// differ says where got is not want, nothing where it is.
func differ[K ~string](what string, got, want map[K]int) error {
	keys := map[K]bool{}
	for _, m := range []map[K]int{got, want} {
		for k := range m {
			keys[k] = true
		}
	}
	var out []string
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		if got[k] != want[k] {
			out = append(out, fmt.Sprintf("%s %s: %d, want %d", what, k, got[k], want[k]))
		}
	}
	if out == nil {
		return nil
	}
	return errors.New(strings.Join(out, "; "))
}

// answerStale wants the flows of each class, all certain, and none that could
// not be decided.
func answerStale(b *built, out io.Reader) error {
	got := map[string]int{}
	checked := 0
	err := members(out, map[string]func(*json.Decoder) error{
		"stale": each(func(d *json.Decoder) error {
			var f struct {
				Class      stale.Class
				Confidence stale.Confidence
			}
			err := d.Decode(&f)
			got[staleAs(f.Class, f.Confidence)]++
			return err
		}),
		"checked":   func(d *json.Decoder) error { return d.Decode(&checked) },
		"fresh":     number(got, fresh),
		"undecided": number(got, undecided),
	})
	if err != nil {
		return err
	}
	if checked != b.flows {
		return fmt.Errorf("%d flows checked, want %d", checked, b.flows)
	}
	return differ("flows", got, b.truth().Fates)
}

// answerRules wants as many rewrites of each grade.
func answerRules(b *built, out io.Reader) error {
	var attributed json.RawMessage
	if err := members(out, map[string]func(*json.Decoder) error{
		"attributed": func(d *json.Decoder) error { return d.Decode(&attributed) },
	}); err != nil {
		return err
	}
	got := map[explain.Grade]int{}
	if err := json.Unmarshal(attributed, &got); err != nil {
		return fmt.Errorf("attributed: %w", err)
	}
	delete(got, "flows")
	return differ("rewrites", got, b.truth().Grades)
}

// answerReady wants what is true of every flow.
func answerReady(b *built, out io.Reader) error {
	var got truth
	if err := json.NewDecoder(out).Decode(&got); err != nil {
		return err
	}
	want := b.truth()
	return errors.Join(differ("flows", got.Fates, want.Fates), differ("rewrites", got.Grades, want.Grades))
}

// answerExplain wants the grade of each rewrite of the one flow.
func answerExplain(b *built, out io.Reader) error {
	var doc struct {
		Flows []struct {
			Rewrites []struct {
				Kind  string
				Grade explain.Grade
			}
		}
	}
	if err := json.NewDecoder(out).Decode(&doc); err != nil {
		return err
	}
	if len(doc.Flows) != 1 {
		return fmt.Errorf("%d flows, want one", len(doc.Flows))
	}
	got, want := map[string]int{}, map[string]int{}
	for _, rw := range doc.Flows[0].Rewrites {
		got[rw.Kind+" "+string(rw.Grade)]++
	}
	for m, g := range b.kind.Grades(b.shape, &b.flow) {
		if g != "" {
			want[rules.Manip(m).String()+" "+string(g)]++
		}
	}
	return differ("rewrites", got, want)
}

// members reads one object, the members of known names by their functions.
func members(r io.Reader, known map[string]func(*json.Decoder) error) error {
	d := json.NewDecoder(bufio.NewReaderSize(r, 1<<20))
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		key, _ := name.(string)
		read := known[key]
		if read == nil {
			read = func(d *json.Decoder) error { return d.Decode(new(json.RawMessage)) }
		}
		if err := read(d); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return nil
}

// each reads an array, element by element.
func each(read func(*json.Decoder) error) func(*json.Decoder) error {
	return func(d *json.Decoder) error {
		if _, err := d.Token(); err != nil {
			return err
		}
		for d.More() {
			if err := read(d); err != nil {
				return err
			}
		}
		_, err := d.Token()
		return err
	}
}

// number reads one into a map, where it is not 0.
func number(to map[string]int, name string) func(*json.Decoder) error {
	return func(d *json.Decoder) error {
		var n int
		err := d.Decode(&n)
		if n != 0 {
			to[name] = n
		}
		return err
	}
}
