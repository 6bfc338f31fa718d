package simulate

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/nft"
	"github.com/ntdiag/ntdiag/rules/walk"
)

// facts are what the choices of one way have said of things that are not known
// but stay as they are: a later condition on the same thing can leave fewer
// ways. Chance, limits and sets are asked anew each time.
type facts struct {
	epoch int // grows when the packet itself is changed by the kernel
	known map[string][]fact
}

// fact is one condition on a thing that was chosen to hold, or not to.
type fact struct {
	holds  func(*rules.Value) rules.Truth
	bounds [][]byte // where its answer can change
	text   string
}

// fleeting sources are not the same when they are asked again.
const fleeting = rules.Sources(1<<rules.FromRandom | 1<<rules.FromLimit | 1<<rules.FromQuota | 1<<rules.FromSet |
	1<<rules.FromOpaque | 1<<rules.FromVerdict | 1<<rules.FromCtCounters | 1<<rules.FromChainOrder)

// maxElements bounds the sets whose borders are looked at.
const maxElements = 256

// possible are the ways that what is known leaves open.
func (f *facts) possible(c *walk.Choice) []int {
	var all []int
	for i := range c.Ways {
		if c.Ways[i].Share > 0 || !anyShare(c.Ways) {
			all = append(all, i)
		}
	}
	key, ok := f.key(c)
	if !ok {
		return all
	}
	before := f.known[key]
	if len(before) == 0 {
		return all
	}
	var left []int
	tests := make([]*fact, len(c.Ways))
	var bounds [][]byte
	for _, i := range all {
		if tests[i] = asFact(c, i); tests[i] == nil {
			return all
		}
		bounds = append(bounds, tests[i].bounds...)
	}
	for _, b := range before {
		bounds = append(bounds, b.bounds...)
		for _, i := range all {
			if tests[i].text == b.text {
				return []int{i} // asked before, in the same words
			}
		}
	}
	witnesses, whole := witnessesOf(&c.Got, bounds)
	if !whole {
		return all
	}
	for _, i := range all {
		if slices.ContainsFunc(witnesses, func(w rules.Value) bool {
			return tests[i].holds(&w) != rules.No && !slices.ContainsFunc(before, func(b fact) bool { return b.holds(&w) == rules.No })
		}) {
			left = append(left, i)
		}
	}
	if len(left) == 0 {
		return all
	}
	return left
}

func anyShare(ways []walk.Way) bool {
	return slices.ContainsFunc(ways, func(w walk.Way) bool { return w.Share > 0 })
}

// learn keeps the way taken.
func (f *facts) learn(c *walk.Choice, way int) {
	key, ok := f.key(c)
	if !ok {
		return
	}
	if x := asFact(c, way); x != nil {
		if f.known == nil {
			f.known = map[string][]fact{}
		}
		f.known[key] = append(f.known[key], *x)
	}
}

// key names the thing that is asked about, false when it does not last.
func (f *facts) key(c *walk.Choice) (string, bool) {
	_, unknown := c.Got.Sources()
	if c.Got.N == 0 || unknown == 0 || (unknown|c.Answer.Unknown)&fleeting != 0 || c.Got.Absent == rules.Unknown {
		return "", false
	}
	x := subject(c.Statement)
	if x == nil {
		return "", false
	}
	text := nft.ExprText(x, rules.FamilyUnspec)
	if unknown.Has(rules.FromHash) && strings.Contains(text, "mark") {
		return "", false // of a mark that may have been another
	}
	return text + "#" + strconv.Itoa(f.epoch) + "#" + strconv.Itoa(c.Writes), true
}

// subject is what a statement looks at.
func subject(s rules.Statement) rules.Expr {
	if a, ok := s.(*rules.Assign); ok {
		return a.Value
	}
	return rules.Subject(s)
}

// asFact is the way as a condition on the value, nil where it is none.
func asFact(c *walk.Choice, way int) *fact {
	w := &c.Ways[way]
	out := &fact{text: strconv.Itoa(int(w.Kind)) + " " + nft.ConditionText(c.Statement)}
	switch w.Kind {
	case walk.Is:
		v := w.Value
		out.holds = func(x *rules.Value) rules.Truth { return x.Equal(v.Bytes()).Truth }
		out.bounds = [][]byte{v.Bytes()}
		out.text += " " + string(v.Bytes())
		return out
	case walk.Takes:
		set := setOf(c.Statement)
		if !plain(set) {
			return nil
		}
		el := w.Element
		out.holds = func(x *rules.Value) rules.Truth {
			_, m := set.Find(x)
			return rules.TruthOf(len(m) == 1 && m[0] == el)
		}
		out.bounds = boundsOf(set)
		out.text = fmt.Sprintf("element %p", el)
		return out
	case walk.Holds, walk.Fails:
	default:
		return nil
	}
	ask, bounds := condition(c.Statement)
	if ask == nil {
		return nil
	}
	out.bounds = bounds
	out.holds = ask
	if set := setOf(c.Statement); set != nil {
		out.text += fmt.Sprintf(" %p", set)
	}
	if w.Kind == walk.Fails {
		out.holds = func(x *rules.Value) rules.Truth { return ask(x).Not() }
	}
	return out
}

func setOf(s rules.Statement) *rules.Set {
	switch s := s.(type) {
	case *rules.InSet:
		return s.Set
	case *rules.VerdictMap:
		return s.Set
	}
	return nil
}

// condition is the statement as a question about a value.
func condition(s rules.Statement) (ask func(*rules.Value) rules.Truth, bounds [][]byte) {
	switch s := s.(type) {
	case *rules.Match:
		return func(v *rules.Value) rules.Truth { return v.Compare(s.Op, s.Right).Truth }, [][]byte{s.Right}
	case *rules.MatchRange:
		return func(v *rules.Value) rules.Truth { return flip(v.Within(s.Lo, s.Hi).Truth, s.Invert) }, [][]byte{s.Lo, s.Hi}
	}
	set, not := setOf(s), false
	if in, ok := s.(*rules.InSet); ok {
		not = in.Invert
	}
	if !plain(set) {
		return nil, nil
	}
	return func(v *rules.Value) rules.Truth {
		a, _ := set.Find(v)
		return flip(a.Truth, not)
	}, boundsOf(set)
}

// plain sets are few keys in one dimension.
func plain(s *rules.Set) bool {
	return s != nil && len(s.Elements) <= maxElements && len(s.FieldLens) < 2
}

func flip(t rules.Truth, not bool) rules.Truth {
	if not {
		return t.Not()
	}
	return t
}

func boundsOf(s *rules.Set) (out [][]byte) {
	for i := range s.Elements {
		e := &s.Elements[i]
		if e.Key != nil {
			out = append(out, e.Key)
		}
		if e.KeyEnd != nil {
			out = append(out, e.KeyEnd)
		}
	}
	return out
}

// witnessesOf are values that v can be, one at least of every interval that
// the bounds cut its range into. Where there are too many kinds of them, or the
// bits that are known do not leave whole intervals, it is not whole.
func witnessesOf(v *rules.Value, bounds [][]byte) (out []rules.Value, whole bool) {
	if len(v.OneOf) > 0 {
		return v.OneOf, true
	}
	var open []int // bit positions
	for i := range v.N {
		for b := range 8 {
			if v.Known[i]&(0x80>>b) == 0 {
				open = append(open, i*8+b)
			}
		}
	}
	if len(open) <= 8 {
		for n := range 1 << len(open) {
			out = append(out, with(v, open, n))
		}
		return out, true
	}
	if len(open) != v.N*8 {
		return nil, false
	}
	lo, hi := make([]byte, v.N), slices.Repeat([]byte{0xff}, v.N)
	out = append(out, rules.KnownBytes(lo), rules.KnownBytes(hi))
	for _, b := range bounds {
		b = append(append([]byte(nil), b...), lo...)[:v.N]
		out = append(out, rules.KnownBytes(b), rules.KnownBytes(step(b, 1)), rules.KnownBytes(step(b, 0xff)))
	}
	return out, true
}

// with is v with its open bits as in n.
func with(v *rules.Value, open []int, n int) rules.Value {
	w := rules.KnownBytes(v.Bytes())
	for i, at := range open {
		if n>>i&1 != 0 {
			w.Bits[at/8] |= 0x80 >> (at % 8)
		}
	}
	return w
}

// step is b plus 1, or minus 1 for 0xff, as a big-endian number that wraps.
func step(b []byte, by byte) []byte {
	out := slices.Clone(b)
	carry := byte(1)
	for i := len(out) - 1; i >= 0 && carry != 0; i-- {
		was := out[i]
		out[i] += by
		carry = 0
		if by == 1 && was == 0xff || by == 0xff && was == 0 {
			carry = 1
		}
	}
	return out
}
