package xt

import "github.com/ntdiag/ntdiag/rules"

// cgroup is struct xt_cgroup_info_v0 to _v2.
type cgroup struct {
	hasPath, hasClassID       bool
	invertPath, invertClassID bool
	path                      string
	classID                   uint32
}

func decodeCgroup0(_ *Context, r *reader) Extension {
	return &cgroup{hasClassID: true, classID: r.u32(), invertClassID: r.u32() != 0}
}

// decodeCgroup1 has room for PATH_MAX bytes of path.
func decodeCgroup1(_ *Context, r *reader) Extension {
	x := cgroupHead(r)
	x.path, x.classID = r.str(4096), r.u32()
	return x
}

// decodeCgroup2 has the path and the number in one place.
func decodeCgroup2(_ *Context, r *reader) Extension {
	x := cgroupHead(r)
	b := r.bytes(512)
	if x.hasPath {
		x.path = cstring(b)
	} else {
		x.classID = r.order.Uint32(b)
	}
	return x
}

func cgroupHead(r *reader) *cgroup {
	x := &cgroup{hasPath: r.u8() != 0, hasClassID: r.u8() != 0, invertPath: r.u8() != 0, invertClassID: r.u8() != 0}
	if x.hasPath == x.hasClassID {
		r.fail("a path or a class id, one of the two")
	}
	return x
}

func (x *cgroup) Statements(c *Context) []rules.Statement {
	return []rules.Statement{&OfCgroup{c.Span}}
}

func (x *cgroup) Save(_ *Context, o *Options) {
	if x.hasPath {
		o.Opt(x.invertPath, "--path", quote(x.path))
	}
	if x.hasClassID {
		o.Opt(x.invertClassID, "--cgroup", utoa(x.classID))
	}
}

// OfCgroup asks for the cgroup of the packet's socket. Inverted or not, it does
// not hold of a packet without one.
type OfCgroup struct{ rules.Span }

func (*OfCgroup) String() string { return "cgroup" }

// Test follows cgroup_mt_v2: a packet that was received has no socket but
// where it is delivered, by early demultiplexing.
func (*OfCgroup) Test(p *rules.Packet) rules.Answer {
	if p.Hook == rules.Forward || p.Hook == rules.Postrouting || p.Hook == rules.Prerouting {
		switch p.Iif.State {
		case rules.IfaceKnown:
			return rules.Decided(false)
		case rules.IfaceAssumed:
			return rules.Answer{Truth: rules.No, Assumed: rules.Of(rules.FromIif)}
		}
	}
	return rules.Answer{Unknown: rules.Of(rules.FromCgroup)}
}
