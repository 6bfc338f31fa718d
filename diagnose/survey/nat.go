package survey

import (
	"cmp"
	"net/netip"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

// PortRange are the ports from Lo to Hi, both counted in.
type PortRange struct{ Lo, Hi uint16 }

// Size is how many there are.
func (r PortRange) Size() uint64 { return uint64(r.Hi) - uint64(r.Lo) + 1 }

// FreeRange is the range out of which the kernel takes a source port where no
// rule gives one, by the port it was (nf_nat_l4proto_unique_tuple): ports below
// 512, below 1024, and others each stay among themselves. Ids of ICMP are free.
func FreeRange(proto uint8, port uint16) PortRange {
	switch {
	case proto == host.ProtoICMP || proto == host.ProtoICMPv6:
		return PortRange{0, 65535}
	case port < 512:
		return PortRange{1, 511}
	case port < 1024:
		return PortRange{600, 1023}
	}
	return PortRange{1024, 65535}
}

// PortsKey is what shares source ports: flows of one protocol from one address
// to one destination, as the far end sees them. No two can have the same port.
type PortsKey struct {
	Addr  netip.Addr // after SNAT
	Dst   netip.Addr // after DNAT
	Port  uint16     // of Dst; 0 for ICMP
	Proto uint8
	Zone  uint16
	// Free is the range that the kernel chose from where no rule gave one.
	Free PortRange
}

func (k PortsKey) compare(o PortsKey) int {
	return cmp.Or(k.Addr.Compare(o.Addr), k.Dst.Compare(o.Dst), cmp.Compare(k.Port, o.Port),
		cmp.Compare(k.Proto, o.Proto), cmp.Compare(k.Zone, o.Zone), cmp.Compare(k.Free.Lo, o.Free.Lo))
}

// PortUse is how many source ports a PortsKey uses: at least Used, at most
// Used + Error. Kept of them are the ports that the flows came with.
type PortUse struct {
	PortsKey
	Used, Error, Kept uint64
	Flow              host.Flow // one of them
}

// nat counts the source port of a flow whose source is rewritten: the reply
// tuple is what the far end sees.
func (s *Survey) nat(f *host.Flow) {
	r := &f.Reply
	k := PortsKey{Addr: r.Dst, Dst: r.Src, Port: r.SrcPort, Proto: r.Proto, Zone: f.Zone}
	was, now, t := f.Original.SrcPort, r.DstPort, s.free
	switch {
	case f.IsICMP():
		k.Port, was, now = 0, f.IDAfterDNAT(), r.SrcPort
		k.Free = FreeRange(k.Proto, now)
	case !f.HasPorts():
		return
	default:
		s.SNAT++
		if was == now {
			s.Kept++
		}
		if s.inRange[now/64]&(1<<(now%64)) != 0 {
			t = s.ranged
		} else {
			k.Free = FreeRange(k.Proto, now)
		}
	}
	if t.full() && t.get(k) == nil {
		s.release(t)
	}
	c, fresh := t.add(k)
	if fresh {
		c.flow = s.sample(f)
	}
	if was == now {
		c.kept++
	}
}

// release purges t, and takes back the examples of what is given up.
func (s *Survey) release(t *top[PortsKey]) {
	held := make(map[int]bool, len(t.m))
	for _, i := range t.m {
		held[t.cells[i].flow] = true
	}
	t.purge()
	for _, i := range t.m {
		delete(held, t.cells[i].flow)
	}
	for i := range held {
		s.unused = append(s.unused, i)
	}
}

// PortsInUse are the n that use most source ports: of those within a range of a
// rule (ranged), or of others.
func (s *Survey) PortsInUse(n int, ranged bool) []PortUse {
	t := s.free
	if ranged {
		t = s.ranged
	}
	var out []PortUse
	for _, c := range t.largest(n, PortsKey.compare) {
		cell := t.get(c.Key)
		out = append(out, PortUse{PortsKey: c.Key, Used: c.N, Error: c.Error, Kept: min(cell.kept, c.N), Flow: s.samples[cell.flow]})
	}
	return out
}
