package xt

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/ntdiag/ntdiag/rules"
)

// native prints a statement of nf_tables in the words of iptables: what an
// entry itself asks for, and what iptables-nft puts into expressions of
// nf_tables rather than into its own extensions (nft.c, nft-shared.c of
// iptables). It is false for anything else.
func (l *line) native(s rules.Statement) bool {
	switch x := s.(type) {
	case *rules.Counter:
		return x.Name == ""
	case *rules.Load, *rules.Remark:
		return true
	case *rules.Verdict:
		return l.verdict(x)
	case *rules.Match:
		return l.match(x)
	case *rules.MatchRange:
		return l.portRange(x.Left, x.Lo, x.Hi, x.Invert)
	case *rules.Limit:
		return l.limit(x)
	case *rules.Log:
		return l.nflog(x)
	case *rules.Assign:
		m, ok := x.Dest.(*rules.Meta)
		c, isConst := x.Value.(*rules.Const)
		if ok && m.Key == rules.MetaNftrace && isConst && len(c.Data) == 1 && c.Data[0] == 1 {
			l.target = "-j TRACE"
			return true
		}
	}
	return false
}

// match prints a comparison. Of the operators only equality and its contrary
// have words, but for ports.
func (l *line) match(m *rules.Match) bool {
	not := m.Op == rules.CmpNeq
	if m.Op > rules.CmpNeq {
		return l.portBound(m)
	}
	x, mask := m.Left, []byte(nil)
	if b, ok := x.(*rules.Bitwise); ok {
		if !zero(b.Xor) {
			return false
		}
		x, mask = b.X, b.Mask
	}
	switch x := x.(type) {
	case *rules.Payload:
		switch x.Base {
		case rules.PayloadNetwork:
			return l.network(x, mask, m.Right, not)
		case rules.PayloadTransport:
			return l.transport(x, mask, m.Right, not)
		}
	case *rules.Meta:
		return l.meta(x.Key, mask, m.Right, not)
	}
	return false
}

// meta prints devices, the protocol and the mark.
func (l *line) meta(key rules.MetaKey, mask, right []byte, not bool) bool {
	var o Options
	switch {
	case key == rules.MetaIifname && mask == nil:
		o.Opt(not, "-i", deviceText(right))
		return put(&l.in, &o)
	case key == rules.MetaOifname && mask == nil:
		o.Opt(not, "-o", deviceText(right))
		return put(&l.out, &o)
	case key == rules.MetaL4proto && mask == nil && len(right) == 1:
		return l.protocol(right[0], not)
	case key == rules.MetaMark && len(right) == 4:
		m := l.begin("mark")
		m.Opt(not, "--mark", hexMasked(l.ctx.Order, right, mask))
		return true
	}
	return false
}

// put sets an option that a rule can have once.
func put(to *string, o *Options) bool {
	if *to != "" {
		return false
	}
	*to = o.String()
	return true
}

func (l *line) protocol(n uint8, not bool) bool {
	if !not {
		l.protoNumber = n
	}
	var o Options
	o.Opt(not, "-p", rules.ProtocolText(n))
	return put(&l.proto, &o)
}

// deviceText is a device's name; one without its NUL is the front of one.
func deviceText(b []byte) string {
	if name := cstring(b); len(name) < len(b) {
		return name
	}
	return string(b) + "+"
}

// hexMasked is 0x1 or 0x1/0xff.
func hexMasked(order binary.ByteOrder, value, mask []byte) string {
	s := fmt.Sprintf("0x%x", order.Uint32(value))
	if mask != nil && order.Uint32(mask) != 0xffffffff {
		s += fmt.Sprintf("/0x%x", order.Uint32(mask))
	}
	return s
}

// network prints the fields of the IP header that an entry asks for.
func (l *line) network(x *rules.Payload, mask, right []byte, not bool) bool {
	lay, ok := layouts[l.ctx.Family]
	if !ok {
		return false
	}
	v4 := lay.family == rules.FamilyIPv4
	var o Options
	switch {
	case x.Off == lay.saddr && len(right) <= lay.addr:
		o.Opt(not, "-s", lay.prefixText(right, mask))
		return put(&l.src, &o)
	case x.Off == lay.daddr && len(right) <= lay.addr:
		o.Opt(not, "-d", lay.prefixText(right, mask))
		return put(&l.dst, &o)
	case mask == nil && len(right) == 1 && (v4 && x.Off == 9 || !v4 && x.Off == 6):
		return l.protocol(right[0], not)
	case v4 && x.Off == 6 && len(right) == 2 && string(mask) == "\x1f\xff" && zero(right):
		// a fragment has an offset: equal to 0 is what -f does not want
		o.Opt(!not, "-f")
		return put(&l.frag, &o)
	}
	return false
}

// prefixText is an address of which the first bytes are compared.
func (l *layout) prefixText(right, mask []byte) string {
	addr, full := make([]byte, l.addr), make([]byte, l.addr)
	copy(addr, right)
	for i := range right {
		full[i] = 0xff
	}
	copy(full, mask)
	return addressText(addr, full)
}

// portProtocols have the ports that iptables-nft compares without an
// extension.
var portProtocols = map[uint8]string{6: "tcp", 17: "udp", 132: "sctp", 33: "dccp", 136: "udplite"}

var portOptions = map[int]string{0: "--sport", 2: "--dport"}

// transport prints ports and TCP flags.
func (l *line) transport(x *rules.Payload, mask, right []byte, not bool) bool {
	switch {
	case mask == nil && x.Len == 2 && len(right) == 2:
		return l.portRange(x, right, right, not)
	case mask == nil && x.Off == 0 && x.Len == 4 && len(right) == 4:
		// two single ports are compared at once; inverted that asks for less
		// than its words say (add_nft_tcpudp)
		return l.portRange(transport(0, 2), right[:2], right[:2], not) && l.portRange(transport(2, 2), right[2:], right[2:], not)
	case l.protoNumber == 6 && x.Off == 13 && len(right) == 1:
		all := uint8(0xff)
		if mask != nil {
			all = mask[0]
		}
		l.part("tcp", "--tcp-flags", not, tcpFlagNames(all), tcpFlagNames(right[0]))
		return true
	}
	return false
}

func (l *line) portRange(x rules.Expr, lo, hi []byte, not bool) bool {
	p, ok := x.(*rules.Payload)
	if !ok || p.Base != rules.PayloadTransport || p.Len != 2 || len(lo) != 2 || len(hi) != 2 {
		return false
	}
	name, option := portProtocols[l.protoNumber], portOptions[p.Off]
	if name == "" || option == "" {
		return false
	}
	l.part(name, option, not, ports{binary.BigEndian.Uint16(lo), binary.BigEndian.Uint16(hi)}.String())
	return true
}

// portBound is a port at or above, at or below a bound.
func (l *line) portBound(m *rules.Match) bool {
	switch m.Op {
	case rules.CmpGte:
		return l.portRange(m.Left, m.Right, []byte{0xff, 0xff}, false)
	case rules.CmpLte:
		return l.portRange(m.Left, []byte{0, 0}, m.Right, false)
	}
	return false
}

// begin starts a match.
func (l *line) begin(name string) *words {
	m := &words{name: name}
	l.matches = append(l.matches, m)
	return m
}

// part adds an option to the match that has room for it, or to a new one.
func (l *line) part(name, option string, not bool, values ...string) {
	var o Options
	o.Opt(not, append([]string{option}, values...)...)
	for _, m := range l.matches {
		if m.name == name && m.options != nil && m.options[option] == "" {
			m.options[option] = o.String()
			return
		}
	}
	l.begin(name).options = map[string]string{option: o.String()}
}

// limit is -m limit, which iptables-nft makes a nft_limit.
func (l *line) limit(x *rules.Limit) bool {
	if x.Bytes || x.Over || x.Rate == 0 {
		return false
	}
	m := l.begin("limit")
	saveLimit(&m.Options, uint32(limitScale*x.Unit/x.Rate), x.Burst)
	return true
}

// nflog is -j NFLOG, which iptables-nft makes a nft_log with a group.
func (l *line) nflog(x *rules.Log) bool {
	if !x.HasGroup {
		return false
	}
	var o Options
	o.Word("-j", "NFLOG")
	if x.Prefix != "" {
		o.Word("--nflog-prefix", quote(x.Prefix))
	}
	if x.Group != 0 {
		o.Word("--nflog-group", strconv.Itoa(int(x.Group)))
	}
	if x.HasSnaplen {
		o.Word("--nflog-size", strconv.Itoa(int(x.Snaplen)))
	}
	if x.Qthreshold != 0 {
		o.Word("--nflog-threshold", strconv.Itoa(int(x.Qthreshold)))
	}
	l.target = o.String()
	return true
}
