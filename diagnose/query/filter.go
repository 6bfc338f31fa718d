package query

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// NATWant is what a filter asks of the rewrites.
type NATWant uint8

const (
	NATOpen NATWant = iota
	NATSrc          // the source is rewritten
	NATDst          // the destination is rewritten
	NATBoth         // both are
	NATAny          // one is
	NATNone         // none is
)

// Filter is what the flags of `flows` ask for. Prefixes that are not valid,
// and numbers that are not set, are open.
type Filter struct {
	Family rules.Family
	Proto  Opt
	// Src, Dst, Sport and Dport are of the original tuple, those of Reply of the
	// reply tuple; Addr and Port are found at any end of either tuple.
	Src, Dst, Addr         netip.Prefix
	ReplySrc, ReplyDst     netip.Prefix
	Sport, Dport, Port     Opt
	ReplySport, ReplyDport Opt
	State                  string
	Zone, Mark             Opt
	MarkMask               uint32
	// Status holds the bits that are to be as in Status where StatusMask is 1.
	Status, StatusMask host.Status
	NAT                NATWant
	Helper             string
	// Label is a bit of the labels, 0 to 127.
	Label Opt
}

// Match tells whether f passes. It allocates nothing.
func (x *Filter) Match(f *host.Flow) bool {
	o, r := &f.Original, &f.Reply
	switch {
	case x.Family != 0 && f.Family != x.Family,
		!x.Proto.open(uint32(o.Proto)),
		!x.Zone.open(uint32(f.Zone)),
		x.Mark.Set && f.Mark&x.MarkMask != x.Mark.N&x.MarkMask,
		f.Status&x.StatusMask != x.Status&x.StatusMask,
		x.State != "" && f.State() != x.State,
		x.Src.IsValid() && !x.Src.Contains(o.Src),
		x.Dst.IsValid() && !x.Dst.Contains(o.Dst),
		x.ReplySrc.IsValid() && !x.ReplySrc.Contains(r.Src),
		x.ReplyDst.IsValid() && !x.ReplyDst.Contains(r.Dst),
		x.Helper != "" && f.Helper != x.Helper,
		x.Label.Set && !f.HasLabel(int(x.Label.N)):
		return false
	}
	if x.Addr.IsValid() && !x.Addr.Contains(o.Src) && !x.Addr.Contains(o.Dst) &&
		!x.Addr.Contains(r.Src) && !x.Addr.Contains(r.Dst) {
		return false
	}
	return x.matchPorts(f) && x.matchNAT(f)
}

func (x *Filter) matchPorts(f *host.Flow) bool {
	if !x.Sport.Set && !x.Dport.Set && !x.Port.Set && !x.ReplySport.Set && !x.ReplyDport.Set {
		return true
	}
	o, r := &f.Original, &f.Reply
	if !f.HasPorts() || !x.Sport.open(uint32(o.SrcPort)) || !x.Dport.open(uint32(o.DstPort)) ||
		!x.ReplySport.open(uint32(r.SrcPort)) || !x.ReplyDport.open(uint32(r.DstPort)) {
		return false
	}
	p := x.Port
	return p.open(uint32(o.SrcPort)) || p.open(uint32(o.DstPort)) ||
		p.open(uint32(r.SrcPort)) || p.open(uint32(r.DstPort))
}

func (x *Filter) matchNAT(f *host.Flow) bool {
	if x.NAT == NATOpen {
		return true
	}
	src, dst := Rewritten(f)
	switch x.NAT {
	case NATSrc:
		return src
	case NATDst:
		return dst
	case NATBoth:
		return src && dst
	case NATAny:
		return src || dst
	}
	return !src && !dst
}

// Rewritten tells which ends of f are rewritten: host.Flow.Rewrites without
// its list.
func Rewritten(f *host.Flow) (src, dst bool) {
	o, r := &f.Original, &f.Reply
	if f.IsICMP() {
		return o.Src != r.Dst || o.SrcPort != r.SrcPort, o.Dst != r.Src
	}
	return o.Src != r.Dst || o.SrcPort != r.DstPort, o.Dst != r.Src || o.DstPort != r.SrcPort
}

// statusWords are names beside those of host.Status, as conntrack prints them.
var statusWords = map[string]struct{ value, mask host.Status }{
	"UNREPLIED": {0, host.StatusSeenReply},
	"REPLIED":   {host.StatusSeenReply, host.StatusSeenReply},
}

// ParseStatus reads names of status bits, parted by commas; ! before a name
// asks for it to be clear. Case, - and _ do not matter.
func ParseStatus(s string) (value, mask host.Status, err error) {
	for _, word := range strings.Split(s, ",") {
		name, clear := strings.CutPrefix(strings.TrimSpace(word), "!")
		v, m, ok := statusBit(strings.ReplaceAll(strings.ToUpper(name), "-", "_"))
		if !ok {
			return 0, 0, fmt.Errorf("unknown status %q (known: unreplied, %s)", word, strings.ToLower(strings.Join(host.Status(0xffff).Names(), ", ")))
		}
		if clear {
			v ^= m
		}
		if mask&m != 0 && (value^v)&m != 0 {
			return 0, 0, fmt.Errorf("status %q contradicts the words before it", word)
		}
		value, mask = value|v, mask|m
	}
	return value, mask, nil
}

func statusBit(name string) (value, mask host.Status, ok bool) {
	if w, ok := statusWords[name]; ok {
		return w.value, w.mask, true
	}
	for i, n := range host.Status(0xffff).Names() {
		if n == name {
			return 1 << i, 1 << i, true
		}
	}
	return 0, 0, false
}

// Check tells what of the filter contradicts itself.
func (x *Filter) Check() error {
	for _, p := range []netip.Prefix{x.Src, x.Dst, x.ReplySrc, x.ReplyDst, x.Addr} {
		if !p.IsValid() {
			continue
		}
		f := familyOf(p.Addr())
		if x.Family == 0 {
			x.Family = f
		}
		if x.Family != f {
			return fmt.Errorf("mixed families: %s is %s", p, familyName(f))
		}
	}
	return nil
}

// ParseZone reads a conntrack zone.
func ParseZone(s string) (uint16, error) {
	n, err := number("zone", s, 16)
	return uint16(n), err
}

// ParseLabel reads the number of a label, a bit of 128.
func ParseLabel(s string) (uint8, error) {
	n, err := number("label", s, 8)
	if err == nil && n > 127 {
		err = fmt.Errorf("label %d is out of range (0 to 127)", n)
	}
	return uint8(n), err
}

// ParseFamily reads ipv4 or ipv6, or what nft and ip call them.
func ParseFamily(s string) (rules.Family, error) {
	if f, ok := families[strings.ToLower(s)]; ok {
		return f, nil
	}
	return 0, fmt.Errorf("unknown family %q (known: ipv4, ipv6)", s)
}
