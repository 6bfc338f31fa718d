//go:build linux

package explain_test

import (
	"math/rand/v2"
	"reflect"

	"github.com/ntdiag/ntdiag/diagnose/explain"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/packet"
	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/index"
	"github.com/ntdiag/ntdiag/rules/walk"
)

// indexed says what of an entry is told in another way where the rules have an
// index, however few they are, than where each is looked at; "" for nothing.
func (r *oracleRun) indexed(e *host.Flow) string {
	rs := r.snapshot.Rules
	plain, filtered := walk.NewWith(rs, nil), walk.NewWith(rs, index.New(rs, 1))
	x, y := explain.NewBy(r.snapshot, plain), explain.NewBy(r.snapshot, filtered)
	if !reflect.DeepEqual(x.Explain(e, explain.Options{}), y.Explain(e, explain.Options{})) {
		return "with an index it is explained in another way"
	}
	p := packet.First(r.snapshot, e)
	packet.Locate(r.snapshot, e, &p)
	for h := rules.Prerouting; h <= rules.Postrouting; h++ {
		for seed := range uint64(4) {
			if !reflect.DeepEqual(wayOf(plain, &p, h, seed), wayOf(filtered, &p, h, seed)) {
				return "with an index it goes another way at " + h.String()
			}
		}
	}
	return ""
}

// wayOf is one walk: the first as an entry is explained, the others one way
// each, of a new packet.
func wayOf(w *walk.Walker, p *rules.Packet, h rules.Hook, seed uint64) walk.Result {
	if seed == 0 {
		return w.Hook(p, h, walk.Options{})
	}
	lot := rand.New(rand.NewPCG(seed, 0))
	return w.Hook(p, h, walk.Options{Ahead: true, Choose: func(c *walk.Choice) int { return lot.IntN(len(c.Ways)) }})
}
