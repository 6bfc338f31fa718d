package capture

import (
	"net"
	"net/netip"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// ipsetProbeCase is what is asked of a set: as an element for `ipset test`, and
// as a packet.
type ipsetProbeCase struct {
	ip, ip2    netip.Addr
	proto      uint8
	port       uint16 // type<<8|code for ICMP
	mac, iface string
	mark       uint32
}

// packet is the probe as a packet of which everything is known: the first
// address its source, the second its destination.
func (c *ipsetProbeCase) packet() *rules.Packet {
	p := &rules.Packet{Order: ne, Family: rules.FamilyIPv4, Hook: rules.Forward, Proto: c.proto}
	p.Net.N = 20
	if c.ip.Is6() {
		p.Family, p.Net.N = rules.FamilyIPv6, 40
	}
	p.SetAddr(false, c.ip)
	p.SetAddr(true, c.ip2)
	p.Trans.N = 8
	p.Trans.Set(0, make([]byte, 8), rules.FromEntry)
	p.Trans.Set(2, be.AppendUint16(nil, c.port), rules.FromEntry)
	if c.proto == 1 || c.proto == 58 {
		p.Trans.Set(0, be.AppendUint16(nil, c.port), rules.FromEntry)
	}
	p.Link.N = 14
	mac, _ := net.ParseMAC(c.mac)
	p.Link.Set(6, mac, rules.FromEntry)
	p.Iif = rules.Iface{State: rules.IfaceKnown, Link: rules.Link{Index: 2, Name: c.iface, Type: 1}}
	p.Mark = rules.KnownUint(ne, 4, uint64(c.mark))
	return p
}

// matches asks for all of the set's dimensions: the packet's source first,
// the second address its destination, the port its destination's.
func matches(s *rules.IPSet, returnNomatch bool) *rules.InIPSet {
	m := &rules.InIPSet{IPSetRef: rules.IPSetRef{Set: s, Name: s.Name}, ReturnNomatch: returnNomatch}
	_, fields, _ := strings.Cut(s.Type, ":")
	addrs := 0
	for _, f := range strings.Split(fields, ",") {
		dir := rules.IPSetSrc
		if f == "port" {
			dir = rules.IPSetDst
		} else if f == "ip" || f == "net" {
			if addrs++; addrs == 2 {
				dir = rules.IPSetDst
			}
		}
		m.Dims = append(m.Dims, dir)
	}
	return m
}

func saved(sets []*rules.IPSet) string {
	var b strings.Builder
	for _, s := range sets {
		b.WriteString(s.Save())
	}
	return b.String()
}
