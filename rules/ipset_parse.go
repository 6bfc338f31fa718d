package rules

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// ParseIPSets reads what `ipset save` prints, or `ipset list`. A text tells no
// numbers: each set's ID is IPSetNoID. problem is called with what was not
// understood, and the line that it stands in, from 1; of a set that lacks an
// element for it Missing says so.
func ParseIPSets(lines []string, problem func(line int, why string)) []*IPSet {
	p := &ipsetParser{}
	for i, line := range lines {
		if err := p.line(strings.TrimSpace(line)); err != nil {
			if p.at != nil && p.at.Missing == "" {
				p.at.Missing = fmt.Sprintf("line %d of its listing: %v", i+1, err)
			}
			problem(i+1, err.Error())
		}
	}
	for _, s := range p.sets {
		s.NumElements = uint32(len(s.Elements))
	}
	return p.sets
}

type ipsetParser struct {
	sets    []*IPSet
	at      *IPSet
	members bool // of ipset list: what follows are elements
}

func (p *ipsetParser) line(s string) error {
	s, comment := cutComment(s)
	w := strings.Fields(s)
	key, value, named := strings.Cut(s, ": ")
	switch {
	case len(w) == 0 || s[0] == '#':
		p.members = p.members && len(w) == 0
	case w[0] == "create" && len(w) > 2:
		return p.create(w[1], w[2], w[3:])
	case w[0] == "add" && len(w) > 2:
		i := slices.IndexFunc(p.sets, func(o *IPSet) bool { return o.Name == w[1] })
		if i < 0 {
			p.at = nil
			return fmt.Errorf("set %s was not created", w[1])
		}
		p.at = p.sets[i]
		return p.at.parseElement(w[2:], comment)
	case key == "Name" && named:
		p.members = false
		return p.create(value, "", nil)
	case p.members && p.at != nil:
		return p.at.parseElement(w, comment)
	case s == "Members:":
		p.members = true
	case p.at != nil && key == "Type":
		p.at.Type = value
		return p.at.checkType()
	case p.at != nil && key == "Revision":
		n, err := strconv.ParseUint(value, 10, 8)
		p.at.Revision = uint8(n)
		return err
	case p.at != nil && key == "Header":
		return p.at.parseOptions(strings.Fields(value))
	case p.at != nil && (key == "Size in memory" || key == "References" || key == "Number of entries" || strings.HasSuffix(s, ":")):
	default:
		return fmt.Errorf("not a line of ipset: %.60q", s)
	}
	return nil
}

// cutComment takes an element's comment off its line: it may hold anything but
// a quotation mark.
func cutComment(s string) (rest, comment string) {
	before, after, ok := strings.Cut(s, ` comment "`)
	text, after, closed := strings.Cut(after, `"`)
	if !ok || !closed {
		return s, ""
	}
	return before + after, text
}

func (p *ipsetParser) create(name, typ string, options []string) error {
	p.at = &IPSet{ID: IPSetNoID, Name: name, Type: typ, Family: FamilyUnspec}
	p.sets = append(p.sets, p.at)
	if typ == "" {
		return nil
	}
	if err := p.at.checkType(); err != nil {
		return err
	}
	return p.at.parseOptions(options)
}

func (s *IPSet) checkType() error {
	t := s.row()
	switch {
	case t == nil:
		return fmt.Errorf("type %s of set %s is not known", s.Type, s.Name)
	case s.bitmap() && !t.has(ipsetPort):
		s.Family = FamilyIPv4
	case t.has(ipsetIP) || t.has(ipsetNet):
		s.Family = FamilyIPv4 // but for what the options say
	}
	return nil
}

// parseOptions reads what follows the type.
func (s *IPSet) parseOptions(w []string) error {
	for i := 0; i < len(w); i++ {
		value := ""
		if i+1 < len(w) {
			value = w[i+1]
		}
		number := func(to *uint32) error {
			n, err := strconv.ParseUint(value, 0, 32)
			*to = uint32(n)
			i++
			return err
		}
		var small uint32
		var err error
		switch w[i] {
		case "family":
			if s.Family = FamilyIPv4; value == "inet6" {
				s.Family = FamilyIPv6
			}
			i++
		case "range":
			err = s.parseRange(value)
			i++
		case "netmask":
			err = number(&small)
			s.Netmask = uint8(small)
		case "bitmask":
			s.Bitmask, err = netip.ParseAddr(value)
			i++
		case "markmask":
			err = number(&s.Markmask)
		case "hashsize":
			err = number(&s.HashSize)
		case "maxelem":
			err = number(&s.MaxElem)
		case "size":
			err = number(&s.Size)
		case "bucketsize":
			err = number(&small)
			s.BucketSize = uint8(small)
		case "initval":
			err = number(&s.InitVal)
		case "timeout":
			err = number(&s.Timeout)
			s.HasTimeout = true
		case "counters":
			s.Counters = true
		case "comment":
			s.Comments = true
		case "skbinfo":
			s.Skbinfo = true
		case "forceadd":
			s.Forceadd = true
		default:
			err = fmt.Errorf("option %q of set %s is not known", w[i], s.Name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *IPSet) parseRange(v string) error {
	lo, hi, two := strings.Cut(v, "-")
	if s.Type == "bitmap:port" {
		a, err1 := strconv.ParseUint(lo, 10, 16)
		b, err2 := strconv.ParseUint(hi, 10, 16)
		s.FirstPort, s.LastPort = uint16(a), uint16(b)
		return errors.Join(err1, err2)
	}
	if !two {
		p, err := netip.ParsePrefix(v)
		if err != nil {
			return err
		}
		s.From, s.To = p.Masked().Addr(), lastOf(p)
		return nil
	}
	var err1, err2 error
	s.From, err1 = netip.ParseAddr(lo)
	s.To, err2 = netip.ParseAddr(hi)
	return errors.Join(err1, err2)
}

// lastOf is the last address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// parseElement reads an element and what it carries.
func (s *IPSet) parseElement(w []string, comment string) error {
	t := s.row()
	if t == nil {
		return fmt.Errorf("set %s has no type that is known", s.Name)
	}
	e := IPSetElement{Comment: comment}
	if err := s.parseFields(t, w[0], &e); err != nil {
		return fmt.Errorf("element %.60q of set %s: %w", w[0], s.Name, err)
	}
	for i := 1; i < len(w); i++ {
		value := ""
		if i+1 < len(w) {
			value = w[i+1]
		}
		switch w[i] {
		case "timeout":
			n, err := strconv.ParseUint(value, 10, 32)
			if err != nil {
				return err
			}
			e.Timeout = uint32(n)
			i++
		case "packets", "bytes":
			n, err := strconv.ParseUint(value, 10, 64)
			if err != nil {
				return err
			}
			if w[i] == "packets" {
				e.Packets = n
			} else {
				e.Bytes = n
			}
			i++
		case "nomatch":
			e.Nomatch = true
		case "wildcard":
			e.Wildcard = true
		case "skbmark", "skbprio", "skbqueue":
			if err := e.parseSkb(w[i], value); err != nil {
				return err
			}
			i++
		default:
			return fmt.Errorf("%q of set %s is not known", w[i], s.Name)
		}
	}
	s.Elements = append(s.Elements, e)
	return nil
}

// parseSkb reads what --map-set gives a packet: V or V/MASK, MAJOR:MINOR in
// hexadecimal, a number.
func (e *IPSetElement) parseSkb(key, value string) error {
	switch key {
	case "skbmark":
		v, m, masked := strings.Cut(value, "/")
		mark, err := strconv.ParseUint(v, 0, 32)
		mask := uint64(0xffffffff)
		if masked && err == nil {
			mask, err = strconv.ParseUint(m, 0, 32)
		}
		e.SkbMark, e.SkbMask = uint32(mark), uint32(mask)
		return err
	case "skbprio":
		major, minor, _ := strings.Cut(value, ":")
		a, err1 := strconv.ParseUint(major, 16, 16)
		b, err2 := strconv.ParseUint(minor, 16, 16)
		e.SkbPrio = uint32(a<<16 | b)
		return errors.Join(err1, err2)
	}
	n, err := strconv.ParseUint(value, 10, 16)
	e.SkbQueue = uint16(n)
	return err
}

func (s *IPSet) parseFields(t *ipsetType, text string, e *IPSetElement) error {
	parts := strings.Split(text, ",")
	if len(parts) > len(t.fields) || len(parts) < len(t.fields) && s.Type != "bitmap:ip,mac" {
		return fmt.Errorf("%d parts, of %d", len(parts), len(t.fields))
	}
	first := true
	for i, v := range parts {
		var err error
		switch t.fields[i] {
		case ipsetIP, ipsetNet:
			to := &e.IP2
			if first {
				to, first = &e.IP, false
			}
			*to, err = ipsetPrefix(v)
			if err == nil && s.Family != FamilyUnspec && to.Addr().Is4() != (s.Family == FamilyIPv4) {
				err = errors.New("an address of the other family")
			}
		case ipsetPort:
			err = s.parsePort(v, e)
		case ipsetMAC:
			var hw net.HardwareAddr
			if hw, err = net.ParseMAC(v); err == nil && len(hw) == 6 {
				e.MAC, e.HasMAC = [6]byte(hw), true
			}
		case ipsetMark:
			var n uint64
			n, err = strconv.ParseUint(v, 0, 32)
			e.Mark = uint32(n)
		case ipsetIface:
			e.Iface, e.Physdev = strings.CutPrefix(v, "physdev:")
		case ipsetList:
			e.Name = v
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func ipsetPrefix(v string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(v); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	return netip.ParsePrefix(v)
}

// parsePort reads PROTO:PORT, or the number alone of a bitmap.
func (s *IPSet) parsePort(v string, e *IPSetElement) error {
	proto, port, two := strings.Cut(v, ":")
	if !two {
		proto, port = "", v
		if !s.bitmap() {
			e.Proto = protoTCP // what ipset takes it for
		}
	}
	if proto != "" {
		n, err := protoByName(proto)
		if err != nil {
			return err
		}
		e.Proto = n
	}
	if names, ok := ipsetICMPNames[e.Proto]; ok && two {
		for code, name := range names {
			if name == port {
				e.Port = code
				return nil
			}
		}
		typ, code, _ := strings.Cut(port, "/")
		a, err1 := strconv.ParseUint(typ, 10, 8)
		b, err2 := strconv.ParseUint(code, 10, 8)
		e.Port = uint16(a)<<8 | uint16(b)
		return errors.Join(err1, err2)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	e.Port = uint16(n)
	return err
}

func protoByName(s string) (uint8, error) {
	if n, err := strconv.ParseUint(s, 10, 8); err == nil {
		return uint8(n), nil
	}
	for n, name := range protocols {
		if name != "" && name == s {
			return uint8(n), nil
		}
	}
	if s == "icmpv6" {
		return protoICMPv6, nil
	}
	return 0, fmt.Errorf("protocol %q is not known", s)
}
