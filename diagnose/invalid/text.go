package invalid

import (
	"net/netip"
	"strconv"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/query"
)

// String is the packet in the notation of a query: "tcp 10.0.0.10:5536 →
// 10.0.0.1:8080", "icmp 10.0.0.10 → 10.0.0.1 type 3 code 1".
func (p *Packet) String() string {
	if !p.Src.IsValid() {
		return query.ProtoName(p.Proto)
	}
	text := query.ProtoName(p.Proto) + " " + p.end(p.Src, p.SPort) + " → " + p.end(p.Dst, p.DPort)
	switch {
	case p.Has&HasICMPID != 0:
		text += " type " + strconv.Itoa(int(p.ICMPType)) + " id " + strconv.Itoa(int(p.ICMPID))
	case p.Has&HasICMP != 0:
		text += " type " + strconv.Itoa(int(p.ICMPType)) + " code " + strconv.Itoa(int(p.ICMPCode))
	}
	return text
}

func (p *Packet) end(a netip.Addr, port uint16) string {
	if p.Has&HasPorts == 0 {
		return a.String()
	}
	return netip.AddrPortFrom(a, port).String()
}

// indexNames are the packets that tcp_conntracks tells apart (get_conntrack_index).
var indexNames = [...]string{"SYN", "SYN+ACK", "FIN", "ACK", "RST", "packet without flags"}

// String says which packet came from where in which state: "ACK of the
// originator in SYN_SENT".
func (v *Variant) String() string {
	text := "packet"
	if v.Has&ArgIndex != 0 && int(v.Index) < len(indexNames) {
		text = indexNames[v.Index]
	}
	if v.Has&ArgDir != 0 {
		text += [...]string{" of the originator", " of the far end"}[v.Dir&1]
	}
	if v.Has&ArgHelper != 0 {
		return "helper " + v.State
	}
	if v.Has&ArgState != 0 {
		text += " in " + v.State
	}
	return text
}

// tcpFlagText is the flags that are set, SYN+ACK; "no flags" for none.
func tcpFlagText(flags uint8) string {
	text := ""
	for i, name := range [...]string{"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"} {
		if flags&(1<<i) != 0 {
			if text != "" {
				text += "+"
			}
			text += name
		}
	}
	if text == "" {
		return "no flags"
	}
	return text
}

// sysctl is a setting of the host, "" where it is not known.
func sysctl(s *host.Snapshot, key string) string {
	if s == nil {
		return ""
	}
	return s.Sysctls[key].Value
}
