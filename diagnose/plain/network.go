package plain

import (
	"fmt"
	"io"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// nameOf is a device by its index, as ip names one that it does not find.
func nameOf(s *host.Snapshot, index uint32) string {
	if l, ok := s.LinkByIndex(index); ok {
		return l.Name
	}
	return fmt.Sprintf("if%d", index)
}

var linkTypes = map[uint16]string{
	1: "ether", 512: "ppp", 768: "ipip", 769: "tunnel6", 772: "loopback", 776: "sit", 778: "gre", 823: "gre6", 65534: "none",
}

// Addresses writes devices and addresses as `ip addr` does; a device's link-layer
// address is not known.
func Addresses(w io.Writer, s *host.Snapshot) error {
	for _, l := range s.Links {
		fmt.Fprintf(w, "%d: %s", l.Index, l.Name)
		if l.Parent != 0 {
			fmt.Fprintf(w, "@%s", nameOf(s, l.Parent))
		}
		fmt.Fprintf(w, ": <%s>", linkFlags(&l))
		if l.Master != 0 {
			fmt.Fprintf(w, " master %s", nameOf(s, l.Master))
		}
		group := "default"
		if l.Group != 0 {
			group = fmt.Sprint(l.Group)
		}
		typ := linkTypes[l.Type]
		if typ == "" {
			typ = fmt.Sprintf("[%d]", l.Type)
		}
		fmt.Fprintf(w, " group %s\n    link/%s\n", group, typ)
		if l.Kind != "" {
			fmt.Fprintf(w, "    %s\n", l.Kind)
		}
		for i := range s.Addrs {
			if s.Addrs[i].Index == l.Index {
				address(w, &s.Addrs[i], l.Name)
			}
		}
	}
	return nil
}

func linkFlags(l *rules.Link) string {
	var f []string
	if l.Type == 772 {
		f = append(f, "LOOPBACK")
	}
	if l.Up {
		f = append(f, "UP")
	}
	return strings.Join(f, ",")
}

var scopeNames = map[uint8]string{0: "global", 200: "site", 253: "link", 254: "host", 255: "nowhere"}

func scope(n uint8) string {
	if s := scopeNames[n]; s != "" {
		return s
	}
	return fmt.Sprint(n)
}

// addrFlags are IFA_F_* in the order in which ip prints them; "dynamic" is said
// of what lacks IFA_F_PERMANENT.
var addrFlags = []struct {
	bit  uint32
	name string
}{
	{0x02, "nodad"}, {0x04, "optimistic"}, {0x08, "dadfailed"}, {0x10, "home"}, {0x20, "deprecated"}, {0x40, "tentative"},
	{0x100, "mngtmpaddr"}, {0x200, "noprefixroute"}, {0x400, "autojoin"}, {0x800, "stable-privacy"},
}

func address(w io.Writer, a *host.Addr, dev string) {
	inet := "inet"
	if a.Prefix.Addr().Is6() {
		inet = "inet6"
	}
	fmt.Fprintf(w, "    %s ", inet)
	if a.Peer.IsValid() {
		fmt.Fprintf(w, "%s peer %s/%d", addr(a.Prefix.Addr()), addr(a.Peer.Addr()), a.Peer.Bits())
	} else {
		fmt.Fprintf(w, "%s/%d", addr(a.Prefix.Addr()), a.Prefix.Bits())
	}
	fmt.Fprintf(w, " scope %s", scope(a.Scope))
	if a.Secondary {
		if inet == "inet6" {
			fmt.Fprint(w, " temporary")
		} else {
			fmt.Fprint(w, " secondary")
		}
	}
	for _, f := range addrFlags {
		if a.Flags&f.bit != 0 {
			fmt.Fprint(w, " ", f.name)
		}
		if f.bit == 0x40 && a.Flags&0x80 == 0 {
			fmt.Fprint(w, " dynamic")
		}
	}
	if inet == "inet" {
		fmt.Fprint(w, " ", dev)
	}
	fmt.Fprintln(w)
}

var neighbourStates = []struct {
	bit  uint16
	name string
}{
	{0x01, "INCOMPLETE"}, {0x02, "REACHABLE"}, {0x04, "STALE"}, {0x08, "DELAY"}, {0x10, "PROBE"}, {0x20, "FAILED"},
	{0x40, "NOARP"}, {0x80, "PERMANENT"},
}

const nudNoARP = 0x40

// Neighbours writes what `ip neigh` prints: without those that need no
// link-layer address.
func Neighbours(w io.Writer, s *host.Snapshot, all []host.Neighbour) error {
	for i := range all {
		n := &all[i]
		if n.State&nudNoARP != 0 {
			continue
		}
		fmt.Fprintf(w, "%s dev %s ", addr(n.Addr), nameOf(s, n.Index))
		if n.HasMAC {
			m := n.MAC
			fmt.Fprintf(w, "lladdr %02x:%02x:%02x:%02x:%02x:%02x ", m[0], m[1], m[2], m[3], m[4], m[5])
		}
		for _, f := range []struct {
			bit  uint8
			name string
		}{{0x80, "router "}, {0x08, "proxy "}, {0x10, "extern_learn "}} {
			if n.Flags&f.bit != 0 {
				fmt.Fprint(w, f.name)
			}
		}
		for _, st := range neighbourStates {
			if n.State&st.bit != 0 {
				fmt.Fprint(w, st.name, " ")
			}
		}
		fmt.Fprintln(w)
	}
	return nil
}
