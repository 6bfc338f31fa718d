package history

import (
	"slices"
	"sort"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// alignment is which rules of two runs are the same: pairs of positions that
// rise in both.
type alignment struct {
	pairs  [][2]int
	na, nb int
}

type span struct{ from, to int }

// gaps calls between with what lies between two pairs, and on with each pair.
func (al alignment) gaps(between func(a, b span), on func(i, j int)) {
	a, b := 0, 0
	for _, p := range append(al.pairs, [2]int{al.na, al.nb}) {
		if a < p[0] || b < p[1] {
			between(span{a, p[0]}, span{b, p[1]})
		}
		if on != nil && p[0] < al.na {
			on(p[0], p[1])
		}
		a, b = p[0]+1, p[1]+1
	}
}

// align finds the longest run of rules with the same key in both orders, the
// n-th of a key in one for the n-th in the other.
func align[K comparable](before, after []*rules.Rule, key func(*rules.Rule) K) alignment {
	a, b := keys(before, key), keys(after, key)
	out := alignment{na: len(a), nb: len(b)}
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		out.pairs = append(out.pairs, [2]int{head, head})
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	places := map[K][]int{}
	for i := head; i < len(a)-tail; i++ {
		places[a[i]] = append(places[a[i]], i)
	}
	var common [][2]int // rising in b
	for j := head; j < len(b)-tail; j++ {
		if at := places[b[j]]; len(at) > 0 {
			common = append(common, [2]int{at[0], j})
			places[b[j]] = at[1:]
		}
	}
	out.pairs = append(out.pairs, rising(common)...)
	for n := tail; n > 0; n-- {
		out.pairs = append(out.pairs, [2]int{len(a) - n, len(b) - n})
	}
	return out
}

func keys[K comparable](rs []*rules.Rule, key func(*rules.Rule) K) []K {
	out := make([]K, len(rs))
	for i, r := range rs {
		out[i] = key(r)
	}
	return out
}

// rising is the longest subsequence of pairs whose first numbers rise.
func rising(pairs [][2]int) [][2]int {
	var ends []int // ends[n] is the pair that ends the best run of n+1
	before := make([]int, len(pairs))
	for i, p := range pairs {
		n := sort.Search(len(ends), func(n int) bool { return pairs[ends[n]][0] >= p[0] })
		before[i] = -1
		if n > 0 {
			before[i] = ends[n-1]
		}
		if n == len(ends) {
			ends = append(ends, i)
		} else {
			ends[n] = i
		}
	}
	if len(ends) == 0 {
		return nil
	}
	out := make([][2]int, 0, len(ends))
	for i := ends[len(ends)-1]; i >= 0; i = before[i] {
		out = append(out, pairs[i])
	}
	slices.Reverse(out)
	return out
}

const (
	// alike is from where on two rules of one gap are one that was replaced,
	// of 1; lone is the same where each is the only one of its gap.
	alike = 0.5
	lone  = 0.25
	// maxCells bounds the comparisons inside one gap.
	maxCells = 40000
)

// likest pairs rules that are alike, in order, so that the sum of their
// likeness is the greatest. A gap too large for that is paired line by line.
func likest(before, after []*rules.Rule) (out [][2]int) {
	n, m := len(before), len(after)
	if n == 0 || m == 0 {
		return nil
	}
	least := alike
	if n == 1 && m == 1 {
		least = lone
	}
	a, b := words(before), words(after)
	like := func(i, j int) float64 {
		s := likeness(a[i], b[j])
		if before[i].Comment != "" && before[i].Comment == after[j].Comment {
			s += alike
		}
		if s < least {
			return 0
		}
		return s
	}
	if n*m > maxCells {
		for i := range min(n, m) {
			if like(i, i) > 0 {
				out = append(out, [2]int{i, i})
			}
		}
		return out
	}
	best := make([]float64, (n+1)*(m+1)) // of the rests from i and j on
	score := make([]float64, n*m)
	for i := n - 1; i >= 0; i-- {
		for j := m - 1; j >= 0; j-- {
			s := like(i, j)
			score[i*m+j] = s
			v := max(best[(i+1)*(m+1)+j], best[i*(m+1)+j+1])
			if s > 0 {
				v = max(v, s+best[(i+1)*(m+1)+j+1])
			}
			best[i*(m+1)+j] = v
		}
	}
	for i, j := 0, 0; i < n && j < m; {
		s := score[i*m+j]
		switch {
		case s > 0 && best[i*(m+1)+j] == s+best[(i+1)*(m+1)+j+1]:
			out = append(out, [2]int{i, j})
			i, j = i+1, j+1
		case best[i*(m+1)+j] == best[(i+1)*(m+1)+j]:
			i++
		default:
			j++
		}
	}
	return out
}

func words(rs []*rules.Rule) [][]string {
	out := make([][]string, len(rs))
	for i, r := range rs {
		out[i] = strings.Fields(ruleText(r))
		slices.Sort(out[i])
	}
	return out
}

// likeness is the share of words that two sorted lists have in common.
func likeness(a, b []string) float64 {
	if len(a)+len(b) == 0 {
		return 1
	}
	common := 0
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch c := strings.Compare(a[i], b[j]); {
		case c == 0:
			common, i, j = common+1, i+1, j+1
		case c < 0:
			i++
		default:
			j++
		}
	}
	return 2 * float64(common) / float64(len(a)+len(b))
}
