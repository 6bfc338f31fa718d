package nft

import (
	"encoding/hex"
	"fmt"
	"math/big"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// datatype is how constants of one type are printed: nft's datatype.
type datatype struct {
	// name is what nft calls it in set declarations.
	name  string
	width int // bytes in a set's key, 0 when it has none of its own
	// print takes the value in network order.
	print func(b []byte) string
	names []symbol
	// flags: each bit is a constant of its own (bitmask types).
	flags bool
	// prefix: a range that is a prefix is printed as one (DTYPE_F_PREFIX).
	prefix bool
	// text: a device or helper name, padded with zeros.
	text bool
	// quoted: names are printed in quotes.
	quoted bool
	// host: keys of a set of this type are in the host's byte order.
	host bool
}

var (
	typeInteger   = &datatype{name: "integer", print: decimal}
	typeRaw       = &datatype{name: "integer", print: hexadecimal(0)}
	typeBitmask   = &datatype{name: "bitmask", print: hexadecimal(0), flags: true}
	typeString    = &datatype{name: "string", text: true, width: 16}
	typeNfproto   = &datatype{name: "nf_proto", width: 1, print: decimal, names: nfprotoNames}
	typeIPAddr    = &datatype{name: "ipv4_addr", width: 4, print: address, prefix: true}
	typeIP6Addr   = &datatype{name: "ipv6_addr", width: 16, print: address, prefix: true}
	typeEtherAddr = &datatype{name: "ether_addr", width: 6, print: etherAddress}
	typeEthertype = &datatype{name: "ether_type", width: 2, print: hexadecimal(4), names: ethertypeNames}
	typeArpop     = &datatype{name: "arp_op", width: 2, print: decimal, names: arpopNames}
	typeProtocol  = &datatype{name: "inet_proto", width: 1, print: decimal, names: protocolNames}
	typeService   = &datatype{name: "inet_service", width: 2, print: decimal}
	typeICMPType  = &datatype{name: "icmp_type", width: 1, print: decimal, names: icmpTypeNames}
	typeICMPCode  = &datatype{name: "icmp_code", width: 1, print: decimal, names: icmpCodeNames}
	typeICMP6Type = &datatype{name: "icmpv6_type", width: 1, print: decimal, names: icmp6TypeNames}
	typeICMP6Code = &datatype{name: "icmpv6_code", width: 1, print: decimal, names: icmp6CodeNames}
	typeICMPXCode = &datatype{name: "icmpx_code", width: 1, print: decimal, names: icmpxCodeNames}
	typeTCPFlags  = &datatype{name: "tcp_flag", width: 1, print: hexadecimal(0), names: tcpFlagNames, flags: true}
	typeDCCPType  = &datatype{name: "dccp_pkttype", width: 1, print: decimal, names: dccpTypeNames}
	typeMHType    = &datatype{name: "mh_type", width: 1, print: decimal, names: mhTypeNames}
	typeIGMPType  = &datatype{name: "igmp_type", width: 1, print: decimal, names: igmpTypeNames}
	typeTime      = &datatype{name: "time", width: 4, print: milliseconds, host: true}
	typeMark      = &datatype{name: "mark", width: 4, print: hexadecimal(8), prefix: true, host: true}
	typeIfindex   = &datatype{name: "iface_index", width: 4, print: decimal, host: true}
	typeArphrd    = &datatype{name: "iface_type", width: 2, print: decimal, names: arphrdNames, host: true}
	typeRealm     = &datatype{name: "realm", width: 4, print: decimal, names: realmNames, quoted: true, prefix: true, host: true}
	typeClassid   = &datatype{name: "classid", width: 4, print: tcHandle, host: true}
	typeUID       = &datatype{name: "uid", width: 4, print: decimal, host: true}
	typeGID       = &datatype{name: "gid", width: 4, print: decimal, host: true}
	typeCtState   = &datatype{name: "ct_state", width: 4, print: hexadecimal(0), names: ctStateNames, flags: true, host: true}
	typeCtDir     = &datatype{name: "ct_dir", width: 1, print: decimal, names: ctDirNames}
	typeCtStatus  = &datatype{name: "ct_status", width: 4, print: hexadecimal(0), names: ctStatusNames, flags: true, host: true}
	typeCtEvent   = &datatype{name: "ct_event", width: 4, print: hexadecimal(0), names: ctEventNames, flags: true, host: true}
	typeCtLabel   = &datatype{name: "ct_label", width: 16, print: labels, flags: true, host: true}
	typePkttype   = &datatype{name: "pkt_type", width: 1, print: decimal, names: pkttypeNames}
	typeDevgroup  = &datatype{name: "devgroup", width: 4, print: decimal, names: groupNames, quoted: true, prefix: true, host: true}
	typeDSCP      = &datatype{name: "dscp", width: 1, print: hexadecimal(2), names: dscpNames}
	typeECN       = &datatype{name: "ecn", width: 1, print: hexadecimal(1), names: ecnNames}
	typeFib       = &datatype{name: "fib_addrtype", width: 4, print: decimal, names: fibTypeNames, host: true}
	typeBoolean   = &datatype{name: "boolean", width: 1, print: decimal, names: booleanNames}
	typeIfname    = &datatype{name: "ifname", width: 16, text: true}
	typeDate      = &datatype{name: "time", width: 8, print: date, host: true}
	typeHour      = &datatype{name: "hour", width: 4, print: hour, host: true}
	typeDay       = &datatype{name: "day", width: 1, print: decimal, names: dayNames, quoted: true}
	typeCgroup2   = &datatype{name: "cgroupsv2", width: 8, print: decimal, host: true}
	typeVerdict   = &datatype{name: "verdict"}
)

// setTypes is enum datatypes: the numbers in NFTA_SET_KEY_TYPE.
var setTypes = [...]*datatype{
	1: typeVerdict, 2: typeNfproto, 3: typeBitmask, 4: typeInteger, 5: typeString, 7: typeIPAddr, 8: typeIP6Addr,
	9: typeEtherAddr, 10: typeEthertype, 11: typeArpop, 12: typeProtocol, 13: typeService, 14: typeICMPType,
	15: typeTCPFlags, 16: typeDCCPType, 17: typeMHType, 18: typeTime, 19: typeMark, 20: typeIfindex,
	21: typeArphrd, 22: typeRealm, 23: typeClassid, 24: typeUID, 25: typeGID, 26: typeCtState, 27: typeCtDir,
	28: typeCtStatus, 29: typeICMP6Type, 30: typeCtLabel, 31: typePkttype, 32: typeICMPCode, 33: typeICMP6Code,
	34: typeICMPXCode, 35: typeDevgroup, 36: typeDSCP, 37: typeECN, 38: typeFib, 39: typeBoolean, 40: typeCtEvent,
	41: typeIfname, 42: typeIGMPType, 43: typeDate, 44: typeHour, 45: typeDay, 46: typeCgroup2,
}

// format prints one constant, given in network order.
func (t *datatype) format(b []byte) string {
	if t.text {
		return quoteName(b)
	}
	if len(b) <= 8 {
		v := number(b)
		if t.flags && t.names != nil {
			if parts := t.bits(v); parts != nil {
				return strings.Join(parts, " | ")
			}
		}
		if n, ok := nameOf(t.names, v); ok {
			if t.quoted {
				return `"` + n + `"`
			}
			return n
		}
	}
	return t.print(b)
}

// formatNumber prints a constant without names, as in ranges.
func (t *datatype) formatNumber(b []byte) string {
	switch {
	case t.text:
		return quoteName(b)
	case t == typeTime:
		return fmt.Sprintf("%ds", number(b)/1000)
	}
	return t.print(b)
}

// bits names each bit of v, nil when one has no name or none is set.
func (t *datatype) bits(v uint64) []string {
	var out []string
	for bit := uint64(1); bit != 0 && bit <= v; bit <<= 1 {
		if v&bit == 0 {
			continue
		}
		n, ok := nameOf(t.names, bit)
		if !ok {
			n = fmt.Sprintf("0x%x", bit)
		}
		out = append(out, n)
	}
	return out
}

// number reads up to eight bytes in network order.
func number(b []byte) uint64 {
	var v uint64
	for _, x := range b {
		v = v<<8 | uint64(x)
	}
	return v
}

func decimal(b []byte) string { return new(big.Int).SetBytes(b).String() }

func hexadecimal(digits int) func([]byte) string {
	return func(b []byte) string {
		return fmt.Sprintf("0x%0*x", max(digits, 1), new(big.Int).SetBytes(b))
	}
}

func address(b []byte) string {
	a, ok := netip.AddrFromSlice(b)
	if !ok {
		return hexadecimal(0)(b)
	}
	if a.Is4In6() {
		return "::ffff:" + a.Unmap().String()
	}
	if len(b) == 16 && isZero(b[:12]) && !isZero(b[12:14]) {
		// inet_ntop writes an IPv4-compatible address so
		return "::" + netip.AddrFrom4([4]byte(b[12:])).String()
	}
	return a.String()
}

func etherAddress(b []byte) string {
	out := make([]string, len(b))
	for i, x := range b {
		out[i] = hex.EncodeToString([]byte{x})
	}
	return strings.Join(out, ":")
}

// milliseconds prints a time as nft does: 1d2h3m4s5ms.
func milliseconds(b []byte) string { return timeText(number(b)) }

func timeText(ms uint64) string {
	var out strings.Builder
	for _, u := range []struct {
		ms   uint64
		name string
	}{{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}} {
		if n := ms / u.ms; n > 0 {
			fmt.Fprintf(&out, "%d%s", n, u.name)
		}
		ms %= u.ms
	}
	if out.Len() == 0 {
		return "0s"
	}
	return out.String()
}

func tcHandle(b []byte) string {
	switch v := number(b); v {
	case 0xffffffff:
		return "root"
	case 0:
		return "none"
	default:
		return fmt.Sprintf("%x:%x", v>>16, v&0xffff)
	}
}

// date and hour are in UTC: the kernel keeps them so, and a bundle is read in
// another place than it was made.
func date(b []byte) string {
	return `"` + time.Unix(0, int64(number(b))).UTC().Format("2006-01-02 15:04:05") + `"`
}

func hour(b []byte) string {
	s := number(b)
	out := fmt.Sprintf("\"%02d:%02d", s/3600, s/60%60)
	if s%60 != 0 {
		out += fmt.Sprintf(":%02d", s%60)
	}
	return out + `"`
}

// labels are bit numbers, which nft names only by /etc/connlabel.conf.
func labels(b []byte) string {
	v := new(big.Int).SetBytes(b)
	var out []string
	for i := range v.BitLen() {
		if v.Bit(i) == 1 {
			out = append(out, strconv.Itoa(i))
		}
	}
	if len(out) == 0 {
		return "0x0"
	}
	return strings.Join(out, ",")
}

// quoteName prints a name padded with zeros. One that fills its bytes without
// a zero is the beginning of a name.
func quoteName(b []byte) string {
	s := string(b)
	wild := "*"
	if i := strings.IndexByte(s, 0); i >= 0 {
		s, wild = s[:i], ""
	}
	if len(b) >= 16 {
		wild = ""
	}
	return quote(s + wild)
}

// quote makes a string that nft can read: it knows no escapes.
func quote(s string) string {
	return `"` + strings.ReplaceAll(Escape(s), `"`, `'`) + `"`
}
