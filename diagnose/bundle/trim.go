package bundle

import (
	"cmp"
	"encoding/binary"
	"math"
	"math/bits"
	"net/netip"
	"slices"
	"strconv"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/query"
	"github.com/ntdiag/ntdiag/rules"
)

// floor is how many flows every stratum keeps at least, while there is room.
const floor = 100

// sampler chooses the flows that stay when not all can. Of each stratum the
// first few are kept, and of the others a share that is chosen by their
// original tuples: a flow that one round keeps, the next keeps as well, if its
// share is not smaller.
type sampler struct {
	expect     uint64 // flows of the dump, 0 when not known
	index      map[string]uint32
	strata     []Stratum
	seen, kept uint64
	floor      uint64
	share      uint64 // of 1<<64; all when whole
	whole      bool
}

func newSampler(expect uint64) *sampler {
	return &sampler{expect: expect, index: map[string]uint32{}, floor: floor, whole: true}
}

// keep counts a flow, and tells whether it stays, and its stratum.
func (s *sampler) keep(f *host.Flow, name []byte) (uint32, bool) {
	name = name[:min(len(name), maxStratum)]
	i, ok := s.index[string(name)]
	if !ok {
		i = s.add(string(name))
	}
	st := &s.strata[i]
	s.seen++
	st.Seen++
	if !s.whole && st.Kept >= s.floor && flowHash(f) >= s.share {
		return i, false
	}
	s.kept++
	st.Kept++
	return i, true
}

func (s *sampler) add(name string) uint32 {
	if len(s.strata) == maxStrata {
		return maxStrata - 1
	}
	if len(s.strata) == maxStrata-1 {
		s.strata = append(s.strata, Stratum{Name: "others"})
		return maxStrata - 1
	}
	i := uint32(len(s.strata))
	s.strata = append(s.strata, Stratum{Name: name})
	s.index[name] = i
	return i
}

// drop takes back that a flow was kept.
func (s *sampler) drop(i uint32) {
	s.kept--
	s.strata[i].Kept--
}

// adapt chooses the share of what is to come: room bytes are left, of which
// kept are for the first flows of strata alone, and the packed flows took used.
func (s *sampler) adapt(room, kept, used int64, packed uint64) {
	if packed == 0 {
		return
	}
	each := float64(used) / float64(packed)
	// what is chosen and not yet packed takes as much
	fit := func(room int64) float64 { return max(0, float64(room)*0.95/each-float64(s.kept-packed)) }
	come := 3 * float64(s.seen)
	switch {
	case s.expect > s.seen:
		come = float64(s.expect - s.seen)
	case s.expect > 0: // there are more than expected
		come = float64(s.seen)
	}
	s.floor = uint64(min(floor, max(1, fit(room)/2/float64(len(s.strata)+1))))
	all := fit(room - kept)
	s.share, s.whole = 0, come <= all || s.expect > s.seen && come <= fit(room)
	if !s.whole {
		s.share = uint64(all/come*math.MaxUint32) << 32
	}
}

// report fills in what was left out.
func (s *sampler) report(r *Round) {
	r.Seen, r.Kept = s.seen, s.kept
	var cut []Stratum
	for _, st := range s.strata {
		if st.Kept < st.Seen {
			cut = append(cut, st)
		}
	}
	slices.SortFunc(cut, func(a, b Stratum) int {
		if c := cmp.Compare(b.Seen-b.Kept, a.Seen-a.Kept); c != 0 {
			return c
		}
		return cmp.Compare(a.Name, b.Name)
	})
	r.Strata = cut[:min(len(cut), maxListed)]
	for _, st := range cut[len(r.Strata):] {
		if r.Further == nil {
			r.Further = &Stratum{}
		}
		r.Further.Seen += st.Seen
		r.Further.Kept += st.Kept
	}
}

// flowHash mixes what stays of a flow as long as it lives.
func flowHash(f *host.Flow) uint64 {
	h := uint64(f.Zone)<<8 | uint64(f.Original.Proto)
	h = mix(h ^ addrBits(f.Original.Src))
	h = mix(h ^ addrBits(f.Original.Dst))
	return mix(h ^ uint64(f.Original.SrcPort)<<16 ^ uint64(f.Original.DstPort))
}

func addrBits(a netip.Addr) uint64 {
	b := a.As16()
	return binary.BigEndian.Uint64(b[:]) ^ bits.RotateLeft64(binary.BigEndian.Uint64(b[8:]), 17)
}

// mix is the finalizer of splitmix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// AppendStratum is the usual stratum of a flow: its protocol and what it is
// rewritten to. Flows of one rule are in few of them, flows of two rules
// seldom in one. It allocates nothing.
func AppendStratum(b []byte, f *host.Flow) []byte {
	b = append(b, query.ProtoName(f.Original.Proto)...)
	if f.Family == rules.FamilyIPv6 {
		b = append(b, " ipv6"...)
	}
	if to := f.Reply.Src; to != f.Original.Dst || f.HasPorts() && f.Reply.SrcPort != f.Original.DstPort {
		b = to.AppendTo(append(b, " dnat "...))
		if f.HasPorts() {
			b = strconv.AppendUint(append(b, ':'), uint64(f.Reply.SrcPort), 10)
		}
	}
	if to := f.Reply.Dst; to != f.Original.Src {
		b = to.AppendTo(append(b, " snat "...))
	}
	return b
}
