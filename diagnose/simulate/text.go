package simulate

import (
	"net/netip"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// Text is the end as nft writes a target: 10.0.0.5:80, [fd00::5]:80,
// 10.0.0.1-10.0.0.9:4000-4010. A port that is not told, or that was not
// rewritten by the rule, is left out where it is kept as it was.
func (t To) Text(withPort bool) string {
	addr := t.Addrs()
	if addr == "" {
		addr = "an address that is not known"
	}
	if !withPort || t.Ports() == "" {
		return addr
	}
	if t.Lo.IsValid() && t.Lo == t.Hi && t.PortLo == t.PortHi {
		return netip.AddrPortFrom(t.Lo, t.PortLo).String()
	}
	if t.Lo.Is6() {
		addr = "[" + strings.ReplaceAll(addr, "-", "]-[") + "]"
	}
	return addr + ":" + t.Ports()
}

// Text is what becomes of the end: "192.168.1.80:80", "192.168.1.2
// (masquerade, port kept unless taken)". icmp says port of an id.
func (n *NAT) Text(icmp bool) string {
	port := "port"
	if icmp {
		port = "id"
	}
	var notes []string
	if n.Kind != n.Manip.String() {
		notes = append(notes, n.Kind)
	}
	withPort := !icmp
	switch n.To.Port {
	case PortKept:
		withPort = false
		notes = append(notes, port+" "+string(PortKept))
	case PortRange:
		switch {
		case !n.From.HasPort:
			notes = append(notes, port+" kept where it is in the range and free")
		case n.To.PortLo <= n.From.PortLo && n.From.PortLo <= n.To.PortHi:
			notes = append(notes, port+" kept unless taken")
		case n.Manip == rules.ManipSrc:
			notes = append(notes, "a free "+port)
		default:
			notes = append(notes, "the first free "+port)
		}
	case PortRandom:
		notes = append(notes, "random "+port)
	case PortAny:
		notes = append(notes, port+" not known")
	case PortOffset:
		notes = append(notes, port+" by its distance from the base")
	}
	if icmp && n.To.Port == PortFixed {
		notes = append(notes, "id "+n.To.Ports())
	}
	text := n.To.Text(withPort)
	if len(notes) > 0 {
		text += " (" + strings.Join(notes, ", ") + ")"
	}
	return text
}
