// Package survey counts what a conntrack table is made of, while it is dumped
// once: in memory that does not grow with the table.
package survey

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

// Survey is fed flow by flow. New makes one.
type Survey struct {
	Flows int
	// Unreplied have seen no packet of the reply direction; Assured are not
	// thrown out when the table is full; Offloaded are forwarded past the hooks
	// by a flowtable.
	Unreplied, Assured, Offloaded int
	// SeqAdjusted are TCP flows whose sequence numbers a helper shifts.
	SeqAdjusted int
	// ZoneOfOne are flows with a zone in one direction only.
	ZoneOfOne int
	// SNAT are flows with ports whose source is rewritten; Kept of them kept
	// their port.
	SNAT, Kept int
	DNS        DNS

	dnat     host.Flow // one that is sent on to another destination
	dnatted  bool
	groups   [256][16]Group
	src, dst *top[netip.Addr]
	dports   [2]*[1 << 16]uint32 // TCP, UDP
	free     *top[PortsKey]      // source ports that the kernel chose freely
	ranged   *top[PortsKey]      // those within a range of a rule
	inRange  [1 << 16 / 64]uint64
	samples  []host.Flow // examples that cells refer to
	unused   []int       // places in it
	helpers  [1 << 16]uint8
	watched  [len(Helpers)]struct{ flows, with int }
}

// Group is the flows of one protocol and state.
type Group struct {
	Proto                     uint8
	State                     string // "" for protocols without one
	Flows, Unreplied, Assured int
	Timeouts                  [len(Bounds) + 1]int
}

// Bounds are the ends of the classes of timeouts, in seconds: up to each, and
// above the last.
var Bounds = [...]uint32{10, 30, 120, 600, 3600, 86400}

// How many keys are kept.
const (
	keepAddrs = 1024
	keepPorts = 1024
)

// New begins a survey; ranges are the port ranges that rules give to source
// NAT, which are watched apart from all other ports.
func New(ranges []PortRange) *Survey {
	s := &Survey{
		src: newTop[netip.Addr](keepAddrs), dst: newTop[netip.Addr](keepAddrs),
		free: newTop[PortsKey](keepPorts), ranged: newTop[PortsKey](keepPorts),
		dports: [2]*[1 << 16]uint32{{}, {}},
	}
	for _, r := range ranges {
		for p := int(r.Lo); p <= int(r.Hi); p++ {
			s.inRange[p/64] |= 1 << (p % 64)
		}
	}
	for i, h := range Helpers {
		s.helpers[h.Port] = uint8(i + 1)
	}
	return s
}

// Add takes one flow, which may be used again after the call.
func (s *Survey) Add(f *host.Flow) {
	s.Flows++
	replied := f.Status.Has(host.StatusSeenReply)
	s.group(f, replied)
	s.rare(f)
	s.src.add(f.Original.Src)
	s.dst.add(f.Original.Dst)
	switch f.Original.Proto {
	case host.ProtoTCP:
		s.dports[0][f.Original.DstPort]++
	case host.ProtoUDP:
		s.dports[1][f.Original.DstPort]++
		s.dns(f, replied)
	}
	if w := s.helpers[f.Original.DstPort]; w != 0 {
		s.helper(f, int(w-1))
	}
	if f.SourceRewritten() {
		s.nat(f)
	}
	if f.Original.Dst != f.Reply.Src && (!s.dnatted || f.Original.Proto == host.ProtoTCP && s.dnat.Original.Proto != host.ProtoTCP) {
		s.dnat, s.dnatted = *f, true
	}
}

// DNAT is one of the flows whose destination address is rewritten, of TCP where
// there is one; false where there is none.
func (s *Survey) DNAT() (host.Flow, bool) { return s.dnat, s.dnatted }

func (s *Survey) group(f *host.Flow, replied bool) {
	state := f.TCPState
	if f.Has&host.HasSCTPState != 0 {
		state = f.L4State
	}
	g := &s.groups[f.Original.Proto][state&15]
	if g.Flows++; g.Flows == 1 {
		g.Proto, g.State = f.Original.Proto, f.State()
	}
	if !replied {
		g.Unreplied++
		s.Unreplied++
	}
	if f.Status.Has(host.StatusAssured) {
		g.Assured++
		s.Assured++
	}
	if f.Has&host.HasTimeout != 0 {
		class := 0
		for class < len(Bounds) && f.Timeout > Bounds[class] {
			class++
		}
		g.Timeouts[class]++
	}
}

// rare counts what few flows have.
func (s *Survey) rare(f *host.Flow) {
	if f.Status&(host.StatusOffload|host.StatusHWOffload) != 0 {
		s.Offloaded++
	}
	if f.Status.Has(host.StatusSeqAdjust) {
		s.SeqAdjusted++
	}
	if f.Has&(host.HasZoneOrig|host.HasZoneReply) != 0 {
		s.ZoneOfOne++
	}
}

// sample keeps a copy of f and returns its place.
func (s *Survey) sample(f *host.Flow) int {
	if n := len(s.unused); n > 0 {
		i := s.unused[n-1]
		s.unused, s.samples[i] = s.unused[:n-1], *f
		return i
	}
	s.samples = append(s.samples, *f)
	return len(s.samples) - 1
}

// Groups are the protocols and states, those with most flows first.
func (s *Survey) Groups() []Group {
	var out []Group
	for p := range s.groups {
		for st := range s.groups[p] {
			if s.groups[p][st].Flows > 0 {
				out = append(out, s.groups[p][st])
			}
		}
	}
	slices.SortFunc(out, func(a, b Group) int {
		return cmp.Or(-cmp.Compare(a.Flows, b.Flows), cmp.Compare(a.Proto, b.Proto), cmp.Compare(a.State, b.State))
	})
	return out
}

// Sources are the n original sources that have most flows.
func (s *Survey) Sources(n int) []Counted[netip.Addr] { return s.src.largest(n, netip.Addr.Compare) }

// Destinations are the n original destinations that have most.
func (s *Survey) Destinations(n int) []Counted[netip.Addr] {
	return s.dst.largest(n, netip.Addr.Compare)
}

// Port is a destination port of the original direction.
type Port struct {
	Proto uint8
	Port  uint16
}

// Ports are the n destination ports of TCP and UDP that have most flows: exact.
func (s *Survey) Ports(n int) []Counted[Port] {
	var out []Counted[Port]
	for i, proto := range []uint8{host.ProtoTCP, host.ProtoUDP} {
		for p, c := range s.dports[i] {
			if c > 0 {
				out = append(out, Counted[Port]{Key: Port{proto, uint16(p)}, N: uint64(c)})
			}
		}
	}
	slices.SortFunc(out, func(a, b Counted[Port]) int {
		return cmp.Or(-cmp.Compare(a.N, b.N), cmp.Compare(a.Key.Proto, b.Key.Proto), cmp.Compare(a.Key.Port, b.Key.Port))
	})
	return out[:min(n, len(out))]
}
