package simulate

import (
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/packet"
	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/walk"
)

// way is one way of the packet through the host.
type way struct {
	*Simulator
	*room
	flow    *host.Flow // the tuple as asked for
	script  *script
	orders  map[rules.Hook]int
	met     *walk.Candidate // the NAT rule met at this hook
	tuple   [2]To           // of the entry, in the original direction, by manip
	asked   [2]bool         // NAT is set up, by manip
	tracked bool            // conntrack has taken it in
	told    bool            // reasons are kept
	oif     string          // as the user said, "" when not
	reload  *rules.Packet   // as it was when last routed anew at output
	steps   []walk.Step
	used    rules.Sources
	notes   []string // what could not be known of routing
	// unknown are the sources that left points of the way open.
	unknown rules.Sources
	out     Outcome
}

// run takes the packet from where it enters to its end.
func (w *way) run(entry rules.Hook) {
	if entry == rules.Output {
		w.send()
	} else {
		w.receive()
	}
	w.out.Src, w.out.Dst = w.end(w.p, false), w.end(w.p, true)
	if w.out.Verdict == "" {
		w.out.Verdict = VerdictAccept
		w.used |= w.clashes()
	}
	w.out.Untracked, w.out.Invalid = !w.tracked, !w.tracked && w.p.Invalid
}

// receive is ip_rcv and ip_rcv_finish, or their IPv6 twins.
func (w *way) receive() {
	w.out.In = w.p.Iif.Link.Name
	w.p.Oif = rules.Iface{State: rules.IfaceNone}
	if !w.arrives() || !w.hook(rules.Prerouting) {
		return
	}
	switch w.routeIn() {
	case toHost:
		w.deliver()
	case toOther:
		w.forward()
	}
}

// deliver is ip_local_deliver.
func (w *way) deliver() {
	w.p.Oif = rules.Iface{State: rules.IfaceNone}
	if w.hook(rules.Input) {
		w.out.Local = true
	}
}

// forward is ip_forward and ip_output.
func (w *way) forward() {
	if !w.lives() {
		return
	}
	if w.hook(rules.Forward) {
		w.postroute()
	}
}

func (w *way) postroute() {
	if w.hook(rules.Postrouting) {
		w.out.Out = w.p.Oif.Link.Name
	}
}

// send is ip_local_out: the route is found before the hook, and anew where a
// chain has changed what it depends on.
func (w *way) send() {
	w.p.Iif = rules.Iface{State: rules.IfaceNone}
	local, ok := w.routeOut(w.p)
	if !ok {
		return
	}
	w.reload = nil
	if !w.hook(rules.Output) {
		return
	}
	if w.reload != nil {
		if local, ok = w.routeOut(w.reload); !ok {
			return
		}
		w.p.Oif = w.reload.Oif
	}
	if !w.hook(rules.Postrouting) {
		return
	}
	w.out.Out = w.p.Oif.Link.Name
	if local {
		w.loop()
	}
}

// loop is loopback_xmit: what is sent to this host comes in again, with its
// entry, which postrouting has confirmed, and its route, and without its
// socket.
func (w *way) loop() {
	if w.p.Tracked == rules.Yes {
		w.status(w.p, host.StatusConfirmed, rules.Yes)
	}
	w.p.Iif, w.p.Oif = w.p.Oif, rules.Iface{State: rules.IfaceNone}
	if w.hook(rules.Prerouting) {
		w.deliver()
	}
}

// hook walks the chains of one hook, and tells whether the packet goes on.
func (w *way) hook(h rules.Hook) bool {
	w.met = nil
	w.room.way, w.room.hook = w, h
	o := w.room.opt
	o.Order = w.orders[h]
	if w.told {
		o.Trace = func(s walk.Step) { w.steps = append(w.steps, s) }
	}
	res := w.walker.Hook(w.p, h, o)
	w.used |= res.Used
	if w.out.Verdict != "" { // a rewrite that could not be made
		return false
	}
	if res.Alive.Truth == rules.No {
		w.ended(res.Ends)
		return false
	}
	*w.p = res.Packet
	return true
}

// changed is ip_route_me_harder: it routes by what the packet is at that point
// of the hook.
func (w *way) changed(p *rules.Packet) {
	c := *p
	w.reload = &c
}

// ended says what ended the way inside a hook.
func (w *way) ended(ends []walk.End) {
	if len(ends) == 0 {
		w.stop(VerdictDrop, nil, nil, "")
		return
	}
	e := ends[len(ends)-1]
	switch s := e.Statement.(type) {
	case nil:
		w.stop(VerdictDrop, nil, e.Chain, "policy drop")
	case *rules.Reject:
		w.stop(VerdictReject, e.Rule, nil, "")
	case *rules.Queue:
		w.stop(VerdictQueue, e.Rule, nil, "")
	case *rules.Fwd:
		w.stop(VerdictStolen, e.Rule, nil, "sent out by another device")
	case *rules.Synproxy:
		w.stop(VerdictStolen, e.Rule, nil, "answered in the server's place")
	case *rules.Verdict:
		v := VerdictDrop
		if s.Code == rules.VerdictStolen {
			v = VerdictStolen
		}
		w.stop(v, e.Rule, nil, "")
	default:
		w.stop(VerdictDrop, e.Rule, nil, "by what is not understood of the rule")
	}
}

func (w *way) stop(v Verdict, by *rules.Rule, c *rules.Chain, why string) {
	w.out.Verdict, w.out.By, w.out.Chain, w.out.Why, w.out.Out = v, by, c, why, ""
}

// result is the way as an outcome.
func (w *way) result() Outcome {
	o := w.out
	o.Probability, o.Stated = w.script.odds()
	if !w.told {
		return o
	}
	for i := range w.script.points {
		if t := w.script.points[i].say(packet.Order(w.host)); t != "" {
			o.When = append(o.When, t)
		}
	}
	return o
}
