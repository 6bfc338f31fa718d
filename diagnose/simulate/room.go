package simulate

import (
	"sync"

	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/walk"
)

// room is what one way after the other uses: the packet, and what the walk asks
// of the way that is being gone.
type room struct {
	p    *rules.Packet
	way  *way
	hook rules.Hook
	opt  walk.Options
	// spare is for ways that nobody keeps.
	spare way
}

var rooms = sync.Pool{New: func() any {
	r := &room{p: new(rules.Packet)}
	r.opt = walk.Options{
		Ahead:     true,
		Choose:    func(c *walk.Choice) int { return r.way.script.choose(c) },
		Candidate: func(c *walk.Candidate) { r.way.met = c },
		Rewrite: func(p *rules.Packet, m rules.Manip) {
			w := r.way
			dnat := w.out.DNAT
			w.rewrite(p, m)
			if r.hook == rules.Output && w.out.DNAT != dnat && w.out.DNAT.To.Lo != w.out.DNAT.From.Lo {
				w.changed(p)
			}
		},
		Track: func(p *rules.Packet) { r.way.track(p) },
		Reroute: func(p *rules.Packet) {
			if r.hook == rules.Output {
				r.way.changed(p)
			}
		},
	}
	return r
}}
