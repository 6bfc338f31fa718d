package query

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// protos names the protocols; the first name of a number is the one printed.
var protos = []struct {
	name string
	num  uint8
}{
	{"tcp", host.ProtoTCP},
	{"udp", host.ProtoUDP},
	{"icmp", host.ProtoICMP},
	{"icmpv6", host.ProtoICMPv6},
	{"icmp6", host.ProtoICMPv6},
	{"ipv6-icmp", host.ProtoICMPv6},
	{"sctp", host.ProtoSCTP},
	{"dccp", host.ProtoDCCP},
	{"udplite", host.ProtoUDPLite},
	{"gre", host.ProtoGRE},
	{"esp", 50},
	{"ah", 51},
	{"igmp", 2},
	{"ipip", 4},
	{"ipv6-encap", 41},
	{"ospf", 89},
	{"vrrp", 112},
}

// ProtoName is the name of an IP protocol, or its number in digits.
func ProtoName(n uint8) string {
	for _, p := range protos {
		if p.num == n {
			return p.name
		}
	}
	return strconv.Itoa(int(n))
}

func protoByName(s string) (uint8, bool) {
	for _, p := range protos {
		if strings.EqualFold(p.name, s) {
			return p.num, true
		}
	}
	return 0, false
}

// ParseProto reads a protocol's name or number.
func ParseProto(s string) (uint8, error) {
	if n, ok := protoByName(s); ok {
		return n, nil
	}
	n, err := strconv.ParseUint(s, 10, 8)
	if err != nil {
		return 0, fmt.Errorf("unknown protocol %q", s)
	}
	return uint8(n), nil
}

// services are the port names that tcpdump and ss print without -n for the
// ports met most; the rest must be given as numbers.
var services = map[string]uint16{
	"ftp-data": 20, "ftp": 21, "ssh": 22, "telnet": 23, "smtp": 25, "domain": 53,
	"bootps": 67, "bootpc": 68, "tftp": 69, "http": 80, "kerberos": 88, "pop3": 110,
	"sunrpc": 111, "ntp": 123, "imap2": 143, "snmp": 161, "bgp": 179, "ldap": 389,
	"https": 443, "submission": 587, "ldaps": 636, "imaps": 993, "openvpn": 1194,
	"mysql": 3306, "sip": 5060, "postgresql": 5432, "http-alt": 8080,
}

// ParsePort reads a port number, or the name of a well-known one.
func ParsePort(s string) (uint16, error) {
	if n, ok := services[strings.ToLower(s)]; ok {
		return n, nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil && !digits(s) {
		return 0, fmt.Errorf("bad port %q", s)
	}
	if err != nil || n > math.MaxUint16 {
		return 0, fmt.Errorf("port %s is not within 0-65535", s)
	}
	return uint16(n), nil
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// number reads a number in decimal or with 0x, of at most bits.
func number(what, s string, bits int) (uint32, error) {
	n, err := strconv.ParseUint(s, 0, bits)
	if err != nil {
		if digits(s) {
			return 0, fmt.Errorf("%s %s is not within 0-%d", what, s, uint64(1)<<bits-1)
		}
		return 0, fmt.Errorf("bad %s %q", what, s)
	}
	return uint32(n), nil
}

// ParseMark reads a mark as V or V/MASK.
func ParseMark(s string) (mark, mask uint32, err error) {
	v, m, has := strings.Cut(s, "/")
	mask = math.MaxUint32
	if mark, err = number("mark", v, 32); err == nil && has {
		mask, err = number("mark mask", m, 32)
	}
	return mark, mask, err
}

// ParsePrefix reads an address, with or without brackets, or a prefix. Bits
// beyond its length are an error: they are most often a mistyped length.
func ParsePrefix(s string) (netip.Prefix, error) {
	text := strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")
	if !strings.Contains(text, "/") {
		a, err := parseAddr(text)
		if err != nil {
			return netip.Prefix{}, err
		}
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	addr, length, _ := strings.Cut(text, "/")
	a, err := parseAddr(strings.TrimSuffix(addr, "]"))
	if err != nil {
		return netip.Prefix{}, err
	}
	n, err := strconv.Atoi(length)
	if err != nil || n < 0 || n > a.BitLen() {
		return netip.Prefix{}, fmt.Errorf("bad prefix length %q in %q", length, s)
	}
	p := netip.PrefixFrom(a, n)
	if p.Masked() != p {
		return netip.Prefix{}, fmt.Errorf("prefix %q has bits beyond its length; the network is %s", s, p.Masked())
	}
	return p, nil
}

// parseAddr reads an address; an interface after % is dropped, IPv4 mapped
// into IPv6 is IPv4.
func parseAddr(s string) (netip.Addr, error) {
	bare, _, _ := strings.Cut(s, "%")
	a, err := netip.ParseAddr(bare)
	if err == nil {
		return a.Unmap(), nil
	}
	if looksLikeName(bare) {
		return a, fmt.Errorf("bad address %q (names are not looked up)", s)
	}
	return a, fmt.Errorf("bad address %q", s)
}

func looksLikeName(s string) bool {
	return !strings.Contains(s, ":") && strings.ContainsAny(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz")
}

func familyOf(a netip.Addr) rules.Family {
	if a.Is4() {
		return rules.FamilyIPv4
	}
	return rules.FamilyIPv6
}

func familyName(f rules.Family) string {
	if f == rules.FamilyIPv4 {
		return "IPv4"
	}
	return "IPv6"
}

// states are the names that other tools print for a state of host.TCPStates.
var states = map[string]string{
	"ESTAB": "ESTABLISHED", "FIN_WAIT_1": "FIN_WAIT", "FIN_WAIT_2": "FIN_WAIT",
	"FIN_WAIT1": "FIN_WAIT", "FIN_WAIT2": "FIN_WAIT", "SYN_RCVD": "SYN_RECV", "CLOSED": "CLOSE",
}

// ParseState reads a state of a TCP or SCTP entry in any case, with - or _.
func ParseState(s string) (string, error) {
	name := strings.ReplaceAll(strings.ToUpper(s), "-", "_")
	for _, known := range append(host.TCPStates[:], host.SCTPStates[:]...) {
		if name == known {
			return name, nil
		}
	}
	if alias, ok := states[name]; ok {
		return alias, nil
	}
	return "", fmt.Errorf("unknown state %q (known: %s)", s, strings.Join(host.TCPStates[1:], ", "))
}

// ParseEnd reads one end: an address or prefix, a port, or both.
func ParseEnd(s string) (End, error) { return parseEnd(s) }

// parseEnd reads one end: 10.0.0.1, 10.0.0.0/8, 10.0.0.1:80, [fd00::1]:80,
// fd00::1, :80, *:80, and tcpdump's 10.0.0.1.80 and fd00::1.80.
func parseEnd(s string) (End, error) {
	addr, port, hasPort := splitEnd(s)
	var e End
	var err error
	if hasPort && port != "*" {
		e.HasPort = true
		if addr != "" && addr != "*" {
			// the address first: of two wrong parts name the left one
			if e.Addr, err = ParsePrefix(addr); err != nil {
				return e, err
			}
		}
		e.Port, err = ParsePort(port)
		return e, err
	}
	if addr == "*" || addr == "" {
		return e, nil
	}
	e.Addr, err = ParsePrefix(addr)
	return e, err
}

// splitEnd parts the address from the port.
func splitEnd(s string) (addr, port string, hasPort bool) {
	if strings.HasPrefix(s, "[") {
		if i := strings.LastIndex(s, "]"); i >= 0 {
			rest := s[i+1:]
			// ss writes [fe80::1]%eth0:546
			if j := strings.Index(rest, ":"); j >= 0 {
				return s[1:i], rest[j+1:], true
			}
			if strings.HasPrefix(rest, ".") {
				return s[1:i], rest[1:], true
			}
			return s, "", false
		}
	}
	colons, dots := strings.Count(s, ":"), strings.Count(s, ".")
	switch {
	case colons == 1:
		i := strings.Index(s, ":")
		return s[:i], s[i+1:], true
	case colons == 0 && dots == 4, colons >= 2 && (dots == 1 || dots == 4):
		i := strings.LastIndex(s, ".")
		return s[:i], s[i+1:], true
	}
	return s, "", false
}
