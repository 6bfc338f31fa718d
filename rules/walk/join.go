package walk

import "github.com/ntdiag/ntdiag/rules"

// state is one way that the packet may have taken so far.
type state struct {
	p    rules.Packet
	live rules.Answer
}

// dead is a way that is not taken.
var dead = rules.Answer{Truth: rules.No}

// maybe marks a way as taken only if something unknown says so.
func (s *state) maybe(why rules.Answer) {
	s.live.Truth = rules.Unknown
	s.live.Assumed |= why.Assumed
	s.live.Unknown |= why.Unknown
}

// join merges two ways that meet.
func join(a, b state) state {
	a.meet(&b)
	return a
}

// meet has another way join s. Of a dead one nothing but that counts.
func (s *state) meet(o *state) {
	switch {
	case s.live.Truth == rules.No && o.live.Truth == rules.No:
		s.live = o.live
		return
	case s.live.Truth == rules.No:
		*s = *o
		return
	case o.live.Truth == rules.No:
		return
	}
	s.p = joinPackets(&s.p, &o.p)
	s.live.Assumed |= o.live.Assumed
	s.live.Unknown |= o.live.Unknown
	if o.live.Truth == rules.Yes {
		s.live.Truth = rules.Yes
	}
	if s.live.Truth == rules.Yes {
		s.live.Unknown = 0
	}
}

// give has a way join another, and takes it from where it was.
func give(to, from **state) {
	t, f := *to, *from
	switch {
	case f.live.Truth == rules.No:
		t.meet(f)
	case t.live.Truth == rules.No:
		*to, *from = f, t
	default:
		t.meet(f)
	}
	(*from).live = dead
}

// Join is what is known of a packet that is either a or b.
func Join(a, b *rules.Packet) rules.Packet { return joinPackets(a, b) }

func joinPackets(a, b *rules.Packet) rules.Packet {
	out := *a
	out.Mark = rules.Join(a.Mark, b.Mark)
	out.Priority = rules.Join(a.Priority, b.Priority)
	out.Ct.Mark = rules.Join(a.Ct.Mark, b.Ct.Mark)
	out.Ct.Labels = rules.Join(a.Ct.Labels, b.Ct.Labels)
	out.Ct.Zone = rules.Join(a.Ct.Zone, b.Ct.Zone)
	out.Ct.Status = rules.Join(a.Ct.Status, b.Ct.Status)
	out.Net = joinImages(&a.Net, &b.Net)
	out.Trans = joinImages(&a.Trans, &b.Trans)
	out.TProxied = a.TProxied || b.TProxied
	if a.Iif != b.Iif {
		out.Iif = rules.Iface{}
	}
	if a.Template != b.Template {
		out.Template = rules.MaybeTemplate
	}
	if a.Ct.Helper != b.Ct.Helper || a.Ct.HelperKnown != b.Ct.HelperKnown {
		out.Ct.HelperKnown = rules.Unknown
	}
	return out
}

func joinImages(a, b *rules.Image) rules.Image {
	if a.Bits == b.Bits && a.Known == b.Known {
		return *a
	}
	out := *a
	for i := range out.N {
		same := a.Known[i] & b.Known[i] &^ (a.Bits[i] ^ b.Bits[i])
		if same != 0xff && out.From[i] == rules.FromEntry {
			out.From[i] = rules.FromVerdict
		}
		out.Known[i] = same
		out.Bits[i] &= same
	}
	return out
}
