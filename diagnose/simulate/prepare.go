package simulate

import (
	"fmt"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/packet"
	"github.com/ntdiag/ntdiag/diagnose/query"
	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/nft"
)

// prepare makes the packet and finds where it enters.
func (j *job) prepare() error {
	a := &j.asked
	j.flow = host.Flow{Family: a.Family, Original: a.Tuple, Zone: uint16(a.Zone.N)}
	j.first = packet.First(j.host, &j.flow)
	j.say()
	for _, name := range []string{a.Iif, a.Oif} {
		if name == "" {
			continue
		}
		if _, ok := j.host.LinkByName(name); !ok {
			return &PacketError{a.Text, fmt.Sprintf("this host has no device %q", name)}
		}
	}
	if typ, _ := host.ICMPTypeCode(a.Tuple); j.flow.IsICMP() && !a.Invalid && packet.ICMPError(a.Tuple.Proto, typ) {
		return &PacketError{a.Text, "an ICMP error belongs to the flow of the packet that it quotes; name that"}
	}
	j.res.Entry = rules.Prerouting
	one := start{mark: j.first.Mark}
	switch {
	case a.Iif != "":
		link, _ := j.host.LinkByName(a.Iif)
		one.iif = rules.Iface{State: rules.IfaceKnown, Link: link}
	case j.host.IsLocal(a.Tuple.Src) == rules.Yes:
		j.res.Entry = rules.Output
		one.iif = rules.Iface{State: rules.IfaceNone}
	default:
		p := j.first
		_, j.route = packet.Locate(j.host, &j.flow, &p)
		if p.Iif.State == rules.IfaceUnknown {
			j.starts = j.everyDevice(one)
			return nil
		}
		one.iif = p.Iif
	}
	j.one[0] = one
	j.starts = j.one[:]
	return nil
}

// everyDevice is the packet by each device, where nothing tells which one; with
// too many of them the device stays unknown.
func (j *job) everyDevice(one start) []start {
	var out []start
	for _, l := range j.host.Links {
		if l.Name != "lo" {
			s := one
			s.iif, s.when = rules.Iface{State: rules.IfaceKnown, Link: l}, "it comes in by "+nft.Escape(l.Name)
			out = append(out, s)
		}
	}
	if len(out) == 0 || len(out) > maxDevices {
		return []start{one}
	}
	return out
}

// say writes into the packet what was said of it besides its tuple.
func (j *job) say() {
	p, a := &j.first, &j.asked
	o := packet.Order(j.host)
	if a.Mark.Set {
		p.Mark = rules.KnownUint(o, 4, uint64(a.Mark.N))
	}
	if a.CtMark.Set {
		p.Ct.Mark = rules.KnownUint(o, 4, uint64(a.CtMark.N))
	}
	if a.Priority.Set {
		p.Priority = rules.KnownUint(o, 4, uint64(a.Priority.N))
	}
	for _, n := range []struct {
		opt query.Opt
		to  *rules.Value
	}{{a.UID, &p.UID}, {a.GID, &p.GID}, {a.Length, &p.Length}} {
		if n.opt.Set {
			*n.to = rules.KnownUint(o, 4, uint64(n.opt.N))
		}
	}
	j.sayNetwork()
	j.sayTransport()
}

func (j *job) sayNetwork() {
	p, a := &j.first, &j.asked
	six := a.Family == rules.FamilyIPv6
	if a.TTL.Set {
		off := 8
		if six {
			off = 7
		}
		p.Net.Set(off, []byte{byte(a.TTL.N)}, rules.FromEntry)
	}
	if a.Length.Set {
		off, n := 2, a.Length.N
		if six {
			off, n = 4, n-min(n, 40)
		}
		p.Net.Set(off, []byte{byte(n >> 8), byte(n)}, rules.FromEntry)
	}
	if !a.TOS.Set {
		return
	}
	tos, mask := byte(a.TOS.N), byte(a.TOSMask)
	if !six {
		p.Net.Bits[1], p.Net.Known[1], p.Net.From[1] = tos&mask, mask, rules.FromIPHeader
		return
	}
	p.Net.Bits[0], p.Net.Known[0] = 0x60|tos>>4, 0xf0|mask>>4
	p.Net.Bits[1], p.Net.Known[1] = tos&mask<<4, mask<<4
}

// sayTransport: a TCP flow is begun by a SYN, as asked for where nothing else
// is said. nf_conntrack_tcp_packet takes other packets in, or not.
func (j *job) sayTransport() {
	p, a := &j.first, &j.asked
	switch {
	case a.Tuple.Proto == host.ProtoTCP:
		flags := byte(query.TCPSYN)
		if a.Flags.Set {
			flags = byte(a.Flags.N)
			p.Invalid = !j.begins(flags)
		}
		p.Trans.Set(13, []byte{flags}, rules.FromEntry)
	case j.flow.IsICMP() && a.IDOpen:
		p.Trans.Open(4, 2, rules.FromICMPHeader)
	}
	if j.flow.IsICMP() {
		typ, _ := host.ICMPTypeCode(a.Tuple)
		switch {
		case packet.ICMPUntracked(a.Tuple.Proto, typ):
			p.Untracked = rules.Yes
		default:
			p.Invalid = !packet.ICMPBegins(a.Tuple.Proto, typ)
		}
	}
	if a.SportOpen {
		p.Trans.Open(0, 2, rules.FromPort)
		p.Ct.OriginalOpen, p.Ct.ReplyOpen = true, true
	}
	if a.DportOpen {
		p.Trans.Open(2, 2, rules.FromPort)
	}
	if a.Invalid {
		p.Invalid, p.Untracked = true, rules.No
	}
}

// begins tells whether a TCP packet with these flags makes an entry
// (tcp_conntracks, tcp_new): a SYN does, an ACK where tcp_loose is not 0.
func (j *job) begins(flags byte) bool {
	const fin, syn, rst, ack = 1, 2, 4, 16
	switch {
	case flags&(fin|rst) != 0:
		return false
	case flags&syn != 0:
		return flags&ack == 0
	case flags&ack != 0:
		f := j.host.Sysctls["net.netfilter.nf_conntrack_tcp_loose"]
		return !f.OK || f.Value != "0"
	}
	return false
}
