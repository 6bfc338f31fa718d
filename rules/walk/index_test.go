package walk

import (
	"math/rand/v2"
	"net/netip"
	"os"
	"reflect"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/index"
)

// TestIndex holds walks with an index against walks without, over random
// rulesets, packets and options. NTDIAG_INDEX_N is how many rulesets.
func TestIndex(t *testing.T) {
	n := 1500
	if s := os.Getenv("NTDIAG_INDEX_N"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	for seed := range n {
		g := &gen{Rand: rand.New(rand.NewPCG(uint64(seed), 7))}
		rs := g.ruleset()
		plain, filtered := NewWith(rs, nil), NewWith(rs, index.New(rs, 1+g.IntN(4)))
		if g.odds(5) {
			plain.steps = 20 + g.IntN(400)
			filtered.steps = plain.steps
		}
		for range 6 {
			p, o, choices := g.packet(), g.options(rs), g.Uint64()
			h := rules.Hook(g.IntN(5))
			want := walked(plain, p, h, o, choices)
			got := walked(filtered, p, h, o, choices)
			if !reflect.DeepEqual(want, got) {
				t.Fatalf("seed %d, hook %s: with an index it is another way (-plain +index):\n%s", seed, h, cmp.Diff(want, got, short...))
			}
		}
	}
}

// short leaves out of what is printed what leads back to the whole ruleset.
var short = cmp.Options{
	cmp.Comparer(func(a, b *rules.Rule) bool { return a == b }),
	cmp.Comparer(func(a, b *rules.Chain) bool { return a == b }),
	cmp.Comparer(func(a, b rules.Statement) bool { return reflect.DeepEqual(a, b) }),
	cmpopts.EquateComparable(netip.Addr{}),
}

// told is all that one walk says.
type told struct {
	Res     Result
	Asked   []Choice
	Met     []Candidate
	Tracked int
}

// walked is one walk; where it has choices to make, those that a seed makes.
func walked(w *Walker, p *rules.Packet, h rules.Hook, o Options, choices uint64) told {
	var out told
	lot := rand.New(rand.NewPCG(choices, 1))
	if choices%2 == 0 {
		o.Choose = func(c *Choice) int {
			out.Asked = append(out.Asked, *c)
			return lot.IntN(len(c.Ways))
		}
	}
	o.Candidate = func(c *Candidate) { out.Met = append(out.Met, *c) }
	o.Track = func(*rules.Packet) { out.Tracked++ }
	out.Res = w.Hook(p, h, o)
	return out
}
