package invalid_test

import (
	"slices"

	"github.com/ntdiag/ntdiag/diagnose/lab"
)

// kernelCase is one packet, and what the kernel makes of it.
type kernelCase struct {
	name    string
	v6      bool
	sysctls []string // of the router
	nat     nat
	rules   string // beside baseRules, loaded last
	before  []sent
	send    sent

	log    []line   // what is logged of it, in order
	mark   uint32   // of the packet that is logged
	as     string   // the packet that is logged, where it is not as it was sent
	silent []string // kernel functions that count without a word
	moves  string   // counters, "drop=1 invalid=1"
	state  string   // what `ct state` says of it; "" when no rule is asked, for conntrack took it
	leaves string   // as the other side sees it: "tcp 10.0.1.10:4000 > 203.0.113.80:80", * for a port by chance
}

// line is a message: the name of its reason, and its words.
type line struct{ reason, text string }

const (
	same    = "as sent"
	nothing = ""
)

// nat is what the router translates: nothing, what leaves by s0, or what comes
// for port 80 of vip, which goes to port 8080 of the server.
type nat string

const (
	noNAT      nat = ""
	masquerade nat = `table inet nat { chain postrouting { type nat hook postrouting priority srcnat; oifname "s0" masquerade; }; }`
	dnat       nat = `table inet nat { chain prerouting { type nat hook prerouting priority dstnat;
		ip daddr 198.51.100.1 tcp dport 80 dnat ip to 203.0.113.80:8080
		ip6 daddr 2001:db8:100::1 tcp dport 80 dnat ip6 to [2001:db8:113::80]:8080; }; }`
)

// sent is a packet and who sends it. Addresses and ports that are left out are
// those of one connection, from the client's port 4000 to port 80, as its sender
// sees it.
type sent struct {
	from place
	lab.Packet
	quotes *sent // by an ICMP error, as its sender saw it
	cut    int   // how many bytes of that, 0 for all
}

func client(l4 lab.Transport) sent { return sent{from: atClient, Packet: lab.Packet{L4: l4}} }
func server(l4 lab.Transport) sent { return sent{from: atServer, Packet: lab.Packet{L4: l4}} }
func router(l4 lab.Transport) sent { return sent{from: atRouter, Packet: lab.Packet{L4: l4}} }

// with changes what the network header says.
func (s sent) with(change func(*lab.Packet)) sent {
	change(&s.Packet)
	return s
}

// short sends n bytes of the transport only.
func (s sent) short(n int) sent { return s.with(func(p *lab.Packet) { p.Short = n }) }

// to sends it to another address.
func (s sent) to(dst string) sent { return s.with(func(p *lab.Packet) { p.Dst = addr(dst) }) }

// as sends it from another address.
func (s sent) as(src string) sent { return s.with(func(p *lab.Packet) { p.Src = addr(src) }) }

// about makes an ICMP error quote q.
func (s sent) about(q sent) sent {
	s.quotes = &q
	return s
}

// seg is a TCP segment.
func seg(flags uint8, seq, ack uint32, data ...string) lab.TCP {
	t := lab.TCP{Flags: flags, Seq: seq, Ack: ack}
	for _, d := range data {
		t.Payload = append(t.Payload, d...)
	}
	return t
}

const (
	fin, syn, rst = lab.FIN, lab.SYN, lab.RST
	psh, ack, urg = lab.PSH, lab.ACK, lab.URG
)

// wire is s with everything filled in: the addresses as its sender sees them
// under n.
func (s sent) wire(e ends, n nat) lab.Packet {
	p := s.Packet
	src, dst, sport, dport := e.client, e.server, uint16(4000), uint16(80)
	if n == dnat {
		dst = e.vip
	}
	switch s.from {
	case atServer:
		src, dst, sport, dport = e.server, e.client, 80, 4000
		if n == dnat {
			sport = 8080
		}
		if n == masquerade {
			dst = e.outside
		}
	case atRouter:
		src = e.outside
	}
	if !p.Src.IsValid() {
		p.Src = src
	}
	if !p.Dst.IsValid() {
		p.Dst = dst
	}
	p.L4 = withPorts(p.L4, sport, dport)
	if s.quotes != nil {
		m := p.L4.(lab.ICMP)
		m.Payload = s.quotes.arrived(e, n).Bytes()
		if s.cut > 0 {
			m.Payload = m.Payload[:s.cut]
		}
		p.L4 = m
	}
	return p
}

// arrived is s, which the router has let through and translated, as the other
// side sees it.
func (s sent) arrived(e ends, n nat) lab.Packet {
	p := s.wire(e, n)
	switch {
	case n == masquerade && p.Src == e.client:
		p.Src = e.outside
	case n == dnat && p.Dst == e.vip:
		p.Dst = e.server
		p.L4 = withPorts(s.L4, 4000, 8080)
	}
	return p
}

func withPorts(l4 lab.Transport, sport, dport uint16) lab.Transport {
	set := func(s, d *uint16) {
		if *s == 0 && *d == 0 {
			*s, *d = sport, dport
		}
	}
	switch l := l4.(type) {
	case lab.TCP:
		set(&l.SPort, &l.DPort)
		return l
	case lab.UDP:
		set(&l.SPort, &l.DPort)
		return l
	case lab.UDPLite:
		set(&l.SPort, &l.DPort)
		return l
	case lab.SCTP:
		set(&l.SPort, &l.DPort)
		return l
	}
	return l4
}

// kernelCases are all of them.
var kernelCases = slices.Concat(tcpHeaderCases, tcpStateCases, tcpWindowCases, tcpNATCases,
	udpCases, icmpCases, icmpv6Cases, sctpCases, otherCases, helperCases, entryCases)
