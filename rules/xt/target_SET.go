package xt

import (
	"strconv"

	"github.com/ntdiag/ntdiag/rules"
)

// Flags of the target: IPSET_FLAG_*.
const (
	setExist    = 1 << 0
	setMapMark  = 1 << 8
	setMapPrio  = 1 << 9
	setMapQueue = 1 << 10
)

// setRef is struct xt_set_info; flags has bit 1<<n for the nth direction,
// counted from 1, where it is the source, and bit 0 for inversion.
type setRef struct {
	id    uint16
	dim   uint8
	flags uint8
	named *rules.IPSetRef // of a text, which has names
}

func (r *reader) setRef() setRef {
	s := setRef{id: r.u16(), dim: r.u8(), flags: r.u8()}
	if s.dim > ipsetDims {
		r.fail("%d directions", s.dim)
	}
	return s
}

// setRef0 is struct xt_set_info_v0: a word for each direction, ended by 0.
func (r *reader) setRef0() setRef {
	s := setRef{id: r.u16()}
	r.skip(2)
	ended := false
	for range ipsetDims {
		f := r.u32()
		if ended = ended || f == 0; !ended {
			s.dim++
			s.flags |= uint8(f&ipsetSrc0) << s.dim
		}
	}
	r.skip(4) // what the kernel makes of it for itself
	return s
}

func (s *setRef) none() bool { return s.id == rules.IPSetNoID && s.named == nil }

// resolve looks the set up.
func (s *setRef) resolve(c *Context) rules.IPSetRef {
	if s.named != nil {
		return *s.named
	}
	ref := rules.IPSetRef{ID: s.id}
	if c.IPSet != nil {
		ref.Set = c.IPSet(s.id)
	}
	if ref.Set != nil {
		ref.Name = ref.Set.Name
	}
	for i := range s.dim {
		ref.Dims = append(ref.Dims, ipsetDir(s.flags>>(i+1)&1 != 0))
	}
	return ref
}

// setTarget is struct xt_set_info_target_v3; the elder ones lack the map, then
// flags and timeout.
type setTarget struct {
	add, del, to setRef
	flags        uint32
	timeout      uint32
}

// decodeSET reads revision n.
func decodeSET(n uint8) func(*Context, *reader) Extension {
	return func(_ *Context, r *reader) Extension {
		x := &setTarget{to: setRef{id: rules.IPSetNoID}, timeout: rules.IPSetNoTimeout}
		if n == 0 {
			x.add, x.del = r.setRef0(), r.setRef0()
			return x
		}
		x.add, x.del = r.setRef(), r.setRef()
		if n >= 3 {
			x.to = r.setRef()
		}
		if n >= 2 {
			x.flags, x.timeout = r.u32(), r.u32()
		}
		return x
	}
}

// Statements follows set_target_v3.
func (x *setTarget) Statements(c *Context) []rules.Statement {
	var out []rules.Statement
	feed := func(s *setRef, f *rules.FeedIPSet) {
		if s.none() {
			return
		}
		f.Span, f.IPSetRef = c.Span, s.resolve(c)
		if f.Set != nil {
			f.Set.Feed()
		}
		out = append(out, f)
	}
	feed(&x.add, &rules.FeedIPSet{Exist: x.flags&setExist != 0, Timeout: x.timeout})
	feed(&x.del, &rules.FeedIPSet{Delete: true, Timeout: rules.IPSetNoTimeout})
	if !x.to.none() {
		out = append(out, &rules.MapIPSet{
			Span: c.Span, InIPSet: rules.InIPSet{Span: c.Span, IPSetRef: x.to.resolve(c), Invert: x.to.flags&ipsetInvert != 0},
			Mark: x.flags&setMapMark != 0, Prio: x.flags&setMapPrio != 0, Queue: x.flags&setMapQueue != 0,
		})
	}
	return out
}

func (x *setTarget) Save(c *Context, o *Options) {
	set := func(opt string, s *setRef) bool {
		if s.none() {
			return false
		}
		ref := s.resolve(c)
		o.Word(opt, ref.String())
		return true
	}
	set("--add-set", &x.add)
	if x.flags&setExist != 0 {
		o.Word("--exist")
	}
	if x.timeout != rules.IPSetNoTimeout {
		o.Word("--timeout", strconv.FormatUint(uint64(x.timeout), 10))
	}
	set("--del-set", &x.del)
	set("--map-set", &x.to)
	for _, f := range []struct {
		bit  uint32
		word string
	}{{setMapMark, "--map-mark"}, {setMapPrio, "--map-prio"}, {setMapQueue, "--map-queue"}} {
		if x.flags&f.bit != 0 {
			o.Word(f.word)
		}
	}
}
