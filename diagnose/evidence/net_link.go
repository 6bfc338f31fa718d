package evidence

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/pattern"
)

// linkLine is the first line of a device: "2: eth0@if5: <UP,LOWER_UP> mtu …".
var linkLine = pattern.New(`^\s*(\d+):\s+([^\s:@]+)(?:@([^\s:]+))?:\s+<([^>]*)>(.*)$`)

// addrLine is a line of ip -o addr: "2: eth0    inet 10.0.0.1/24 …".
var addrLine = pattern.New(`^\s*(\d+):\s+([^\s:@]+)(?:@\S+)?\s+(inet6?\s.*)$`)

// linkTypes are ARPHRD_* as ip names them.
var linkTypes = map[string]uint16{
	"ether": 1, "loopback": 772, "none": 65534, "ppp": 512, "ipip": 768, "tunnel6": 769, "sit": 776, "gre": 778, "gre6": 823,
	"infiniband": 32, "netlink": 824, "rawip": 519,
}

// linkKinds are the kinds whose word begins a line of ip -d link.
var linkKinds = []string{
	"bridge", "vlan", "veth", "bond", "vrf", "macvlan", "macvtap", "ipvlan", "ipvtap", "dummy", "tun", "vxlan", "gre", "gretap",
	"ip6gre", "ip6gretap", "ipip", "ip6tnl", "sit", "vti", "vti6", "wireguard", "ifb", "team", "geneve", "nlmon", "netkit", "xfrm", "erspan",
}

// readLinks reads ip link and ip addr, with or without -o, -s and -d.
func readLinks(b *builder, s *section) {
	var at *rules.Link
	links, addrs := false, false
	for i, line := range unfold(s.lines) {
		if m := addrLine.FindStringSubmatch(line); m != nil {
			index := b.link(m[1], m[2])
			addrs = b.address(s, i, index, m[3]) || addrs
			at = nil
			continue
		}
		if m := linkLine.FindStringSubmatch(line); m != nil {
			at = b.device(m)
			links = true
			continue
		}
		w := words(line)
		if len(w) == 0 || at == nil {
			continue
		}
		switch {
		case strings.HasPrefix(w[0], "link/"):
			b.linkType(at, w)
		case w[0] == "inet" || w[0] == "inet6":
			addrs = b.address(s, i, at.Index, strings.Join(w, " ")) || addrs
		case slices.Contains(linkKinds, w[0]):
			b.linkKind(at, w)
		}
	}
	b.has[host.PartLinks] = b.has[host.PartLinks] || links
	b.has[host.PartAddrs] = b.has[host.PartAddrs] || addrs
}

// unfold parts the lines that -o joined with a backslash.
func unfold(lines []string) []string {
	var out []string
	for _, s := range lines {
		out = append(out, strings.Split(s, `\`)...)
	}
	return out
}

// link finds or makes the device of that number.
func (b *builder) link(index, name string) uint32 {
	n, err := strconv.ParseUint(index, 10, 32)
	if err != nil {
		return 0
	}
	if !slices.ContainsFunc(b.snap.Links, func(l rules.Link) bool { return l.Name == name }) {
		// an address is shown of a device that is up
		b.snap.Links = append(b.snap.Links, rules.Link{Index: uint32(n), Name: name, Up: true, Type: typeByName(name)})
	}
	return uint32(n)
}

func typeByName(name string) uint16 {
	if name == "lo" {
		return linkTypes["loopback"]
	}
	return linkTypes["ether"]
}

// device is the line m of linkLine.
func (b *builder) device(m []string) *rules.Link {
	n, _ := strconv.ParseUint(m[1], 10, 32)
	l := rules.Link{Index: uint32(n), Name: m[2], Type: typeByName(m[2])}
	flags := strings.Split(m[4], ",")
	l.Up = slices.Contains(flags, "UP")
	if l.Type != linkTypes["loopback"] && slices.Contains(flags, "LOOPBACK") {
		l.Type = linkTypes["loopback"]
	}
	w := words(m[5])
	for i := 0; i+1 < len(w); i++ {
		switch w[i] {
		case "master":
			b.masters[l.Name] = w[i+1]
		case "group":
			if g, err := strconv.ParseUint(w[i+1], 10, 32); err == nil {
				l.Group = uint32(g)
			}
		}
	}
	if m[3] != "" && !strings.HasPrefix(m[3], "if") {
		b.parents[l.Name] = m[3]
	}
	at := slices.IndexFunc(b.snap.Links, func(o rules.Link) bool { return o.Name == l.Name })
	if at < 0 {
		at = len(b.snap.Links)
		b.snap.Links = append(b.snap.Links, l)
	} else {
		l.Kind, l.CallIP, l.CallIP6 = b.snap.Links[at].Kind, b.snap.Links[at].CallIP, b.snap.Links[at].CallIP6
		b.snap.Links[at] = l
	}
	return &b.snap.Links[at]
}

func (b *builder) linkType(l *rules.Link, w []string) {
	name := strings.TrimPrefix(w[0], "link/")
	if n, ok := linkTypes[name]; ok {
		l.Type = n
	} else if n, err := strconv.ParseUint(strings.Trim(name, "[]"), 10, 16); err == nil {
		l.Type = uint16(n)
	}
	if slices.Contains(w, "promiscuity") {
		b.detailed = true // ip -d, which tells kinds
	}
}

func (b *builder) linkKind(l *rules.Link, w []string) {
	if l.Kind != "" {
		return
	}
	l.Kind = w[0]
	for i := 0; i+1 < len(w); i++ {
		switch {
		case w[i] == "nf_call_iptables":
			l.CallIP = w[i+1] != "0"
		case w[i] == "nf_call_ip6tables":
			l.CallIP6 = w[i+1] != "0"
		}
	}
}

// scopes are RT_SCOPE_* by name.
var scopes = map[string]uint8{"global": 0, "universe": 0, "site": 200, "link": 253, "host": 254, "nowhere": 255}

// addrFlags are IFA_F_* as ip prints them.
var addrFlags = map[string]uint32{
	"secondary": 1, "temporary": 1, "nodad": 2, "optimistic": 4, "dadfailed": 8, "home": 0x10, "deprecated": 0x20,
	"tentative": 0x40, "mngtmpaddr": 0x100, "noprefixroute": 0x200,
}

const addrPermanent = 0x80

// address is "inet 10.0.0.1/24 brd … scope global secondary eth0".
func (b *builder) address(s *section, line int, index uint32, text string) bool {
	w := words(text)
	if len(w) < 2 || index == 0 {
		return false
	}
	local, err := prefixOf(w[1])
	if err != nil {
		b.problem(s, line, "%v", err)
		return false
	}
	a := host.Addr{Index: index, Prefix: local, Flags: addrPermanent}
	var broadcast netip.Addr
	for i := 2; i < len(w); i++ {
		switch {
		case w[i] == "peer" && i+1 < len(w):
			if p, err := prefixOf(w[i+1]); err == nil {
				a.Peer = p
				a.Prefix = netip.PrefixFrom(local.Addr(), p.Bits())
			}
			i++
		case w[i] == "brd" && i+1 < len(w):
			broadcast, _ = netip.ParseAddr(w[i+1])
			i++
		case w[i] == "scope" && i+1 < len(w):
			if n, ok := scopes[w[i+1]]; ok {
				a.Scope = n
			} else if n, err := strconv.ParseUint(w[i+1], 10, 8); err == nil {
				a.Scope = uint8(n)
			}
			i++
		case w[i] == "dynamic":
			a.Flags &^= addrPermanent
		default:
			a.Flags |= addrFlags[w[i]]
		}
	}
	a.Secondary = a.Flags&1 != 0
	if !slices.Contains(b.snap.Addrs, a) {
		b.snap.Addrs = append(b.snap.Addrs, a)
		b.broadcast[a] = broadcast
	}
	return true
}

func prefixOf(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("%q is not an address", s)
	}
	return p, nil
}
