package capture

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// Attributes of an ipset message (include/uapi/linux/netfilter/ipset/ip_set.h):
// IPSET_ATTR_* at command level, then those of a header and of an element.
const (
	ipsetProtocol    = 1
	ipsetSetname     = 2
	ipsetTypename    = 3
	ipsetRevision    = 4
	ipsetFamily      = 5
	ipsetData        = 7
	ipsetADT         = 8
	ipsetProtocolMin = 10
	ipsetIndex       = 11

	ipsetIP        = 1
	ipsetIPTo      = 2
	ipsetCIDR      = 3
	ipsetPort      = 4
	ipsetPortTo    = 5
	ipsetTimeout   = 6
	ipsetProto     = 7
	ipsetCADTFlags = 8
	ipsetMark      = 10
	ipsetMarkmask  = 11
	ipsetBitmask   = 12

	ipsetInitval    = 17
	ipsetHashsize   = 18
	ipsetMaxelem    = 19
	ipsetNetmask    = 20
	ipsetBucketsize = 21
	ipsetSize       = 23
	ipsetElements   = 24
	ipsetReferences = 25
	ipsetMemsize    = 26

	ipsetEther    = 17
	ipsetName     = 18
	ipsetIP2      = 20
	ipsetCIDR2    = 21
	ipsetIface    = 23
	ipsetBytes    = 24
	ipsetPackets  = 25
	ipsetComment  = 26
	ipsetSkbmark  = 27
	ipsetSkbprio  = 28
	ipsetSkbqueue = 29
)

// Bits of IPSET_ATTR_CADT_FLAGS.
const (
	ipsetFlagPhysdev  = 1 << 1
	ipsetFlagNomatch  = 1 << 2
	ipsetFlagCounters = 1 << 3
	ipsetFlagComment  = 1 << 4
	ipsetFlagForceadd = 1 << 5
	ipsetFlagSkbinfo  = 1 << 6
	ipsetFlagWildcard = 1 << 7
)

// IPSetParser gathers the messages of one IPSET_CMD_LIST dump. A set whose
// elements fill several messages comes in them one after the other
// (ip_set_dump_do): the first has the header.
type IPSetParser struct {
	Sets []*rules.IPSet
	now  *rules.IPSet // the set that the last message was about
}

// Add takes what follows the nfgenmsg of one message. An error says what could
// not be read; the set is kept, and says so as well in Missing.
func (p *IPSetParser) Add(payload []byte) error {
	m, err := ipsetMessage(payload)
	if err != nil {
		return err
	}
	if m.typename != "" {
		p.now = &rules.IPSet{ID: m.index, Name: m.setname, Type: m.typename, Revision: m.revision, Family: rules.Family(m.family)}
		p.Sets = append(p.Sets, p.now)
		err = ipsetHeader(p.now, m.data)
	}
	s := p.now
	if s == nil || s.Name != m.setname {
		p.now = nil
		return fmt.Errorf("ipset %q: elements without a header", m.setname)
	}
	if err == nil {
		err = ipsetAddElements(s, m.adt)
	}
	switch {
	case err != nil:
		err = fmt.Errorf("ipset %q: %w", s.Name, err)
		s.Missing = err.Error()
	case !s.Known():
		s.Missing = "set type " + s.Type + " is not known"
	}
	return err
}

// ipsetParts is a message by its attributes.
type ipsetParts struct {
	setname, typename string
	index             uint16
	family, revision  uint8
	data, adt         []byte
}

func ipsetMessage(b []byte) (ipsetParts, error) {
	m := ipsetParts{index: rules.IPSetNoID}
	a := attrs{b: b}
	for a.next() {
		ok := true
		switch a.typ {
		case ipsetSetname:
			m.setname = string(cstr(a.val))
		case ipsetTypename:
			m.typename = string(cstr(a.val))
		case ipsetRevision:
			m.revision, ok = u8(a.val)
		case ipsetFamily:
			m.family, ok = u8(a.val)
		case ipsetIndex:
			m.index, ok = a.u16()
		case ipsetData:
			m.data = a.val
		case ipsetADT:
			m.adt = a.val
		}
		if !ok {
			return m, badAttr(fmt.Sprintf("ipset message: attribute %d", a.typ))
		}
	}
	switch {
	case a.bad:
		return m, badAttr("ipset message")
	case m.setname == "":
		return m, badAttr("ipset message: no name")
	}
	return m, nil
}

// ipsetHeaders is one row an attribute of the header (mtype_head).
var ipsetHeaders = [...]func(*rules.IPSet, *attrs) bool{
	ipsetIP:         func(s *rules.IPSet, a *attrs) bool { return a.addr(&s.From) },
	ipsetIPTo:       func(s *rules.IPSet, a *attrs) bool { return a.addr(&s.To) },
	ipsetPort:       func(s *rules.IPSet, a *attrs) bool { return a.set16(&s.FirstPort) },
	ipsetPortTo:     func(s *rules.IPSet, a *attrs) bool { return a.set16(&s.LastPort) },
	ipsetTimeout:    func(s *rules.IPSet, a *attrs) bool { s.HasTimeout = true; return a.set32(&s.Timeout) },
	ipsetCADTFlags:  ipsetHeaderFlags,
	ipsetMarkmask:   func(s *rules.IPSet, a *attrs) bool { return a.set32(&s.Markmask) },
	ipsetBitmask:    func(s *rules.IPSet, a *attrs) bool { return a.addr(&s.Bitmask) },
	ipsetInitval:    func(s *rules.IPSet, a *attrs) bool { return a.set32(&s.InitVal) },
	ipsetHashsize:   func(s *rules.IPSet, a *attrs) bool { return a.set32(&s.HashSize) },
	ipsetMaxelem:    func(s *rules.IPSet, a *attrs) bool { return a.set32(&s.MaxElem) },
	ipsetNetmask:    func(s *rules.IPSet, a *attrs) bool { return a.set8(&s.Netmask) },
	ipsetBucketsize: func(s *rules.IPSet, a *attrs) bool { return a.set8(&s.BucketSize) },
	ipsetSize:       func(s *rules.IPSet, a *attrs) bool { return a.set32(&s.Size) },
	ipsetElements:   func(s *rules.IPSet, a *attrs) bool { return a.set32(&s.NumElements) },
	ipsetReferences: func(s *rules.IPSet, a *attrs) bool { return a.set32(&s.References) },
	ipsetMemsize:    func(s *rules.IPSet, a *attrs) bool { return a.set32(&s.MemSize) },
}

func ipsetHeader(s *rules.IPSet, b []byte) error {
	a := attrs{b: b}
	for a.next() {
		if int(a.typ) < len(ipsetHeaders) && ipsetHeaders[a.typ] != nil && !ipsetHeaders[a.typ](s, &a) {
			return badAttr(fmt.Sprintf("header: attribute %d", a.typ))
		}
	}
	length := map[rules.Family]int{rules.FamilyIPv4: 32, rules.FamilyIPv6: 128}[s.Family]
	switch {
	case a.bad:
		return badAttr("header")
	case s.From.IsValid() != s.To.IsValid(), int(s.Netmask) > length,
		s.From.IsValid() && (s.From.BitLen() != length || s.To.BitLen() != length),
		s.Bitmask.IsValid() && s.Bitmask.BitLen() != length:
		return badAttr("header: addresses do not fit the family")
	}
	return nil
}

func ipsetHeaderFlags(s *rules.IPSet, a *attrs) bool {
	f, ok := a.u32()
	s.Counters = f&ipsetFlagCounters != 0
	s.Comments = f&ipsetFlagComment != 0
	s.Forceadd = f&ipsetFlagForceadd != 0
	s.Skbinfo = f&ipsetFlagSkbinfo != 0
	return ok
}

// ipsetRaw is an element before its addresses have their prefix lengths, and
// where its attributes are read.
type ipsetRaw struct {
	*rules.IPSetElement
	attrs       attrs
	ip, ip2     netip.Addr
	cidr, cidr2 uint8
	seen        uint64 // bit 1<<type for each attribute
}

// ipsetElems is one row an attribute of an element (mtype_list).
var ipsetElems = [...]func(*ipsetRaw, *attrs) bool{
	ipsetIP:        func(e *ipsetRaw, a *attrs) bool { return a.addr(&e.ip) },
	ipsetCIDR:      func(e *ipsetRaw, a *attrs) bool { return a.set8(&e.cidr) },
	ipsetPort:      func(e *ipsetRaw, a *attrs) bool { return a.set16(&e.Port) },
	ipsetTimeout:   func(e *ipsetRaw, a *attrs) bool { return a.set32(&e.Timeout) },
	ipsetProto:     func(e *ipsetRaw, a *attrs) bool { return a.set8(&e.Proto) },
	ipsetCADTFlags: ipsetElemFlags,
	ipsetMark:      func(e *ipsetRaw, a *attrs) bool { return a.set32(&e.Mark) },
	ipsetEther: func(e *ipsetRaw, a *attrs) bool {
		e.HasMAC = true
		return copy(e.MAC[:], a.val) == 6 && len(a.val) == 6
	},
	ipsetName:  func(e *ipsetRaw, a *attrs) bool { e.Name = string(cstr(a.val)); return true },
	ipsetIP2:   func(e *ipsetRaw, a *attrs) bool { return a.addr(&e.ip2) },
	ipsetCIDR2: func(e *ipsetRaw, a *attrs) bool { return a.set8(&e.cidr2) },
	ipsetIface: func(e *ipsetRaw, a *attrs) bool {
		e.Iface = string(cstr(a.val))
		return e.Iface != "" && len(e.Iface) < 16
	},
	ipsetBytes:    func(e *ipsetRaw, a *attrs) bool { return a.set64(&e.Bytes) },
	ipsetPackets:  func(e *ipsetRaw, a *attrs) bool { return a.set64(&e.Packets) },
	ipsetComment:  func(e *ipsetRaw, a *attrs) bool { e.Comment = string(cstr(a.val)); return true },
	ipsetSkbmark:  ipsetElemSkbmark,
	ipsetSkbprio:  func(e *ipsetRaw, a *attrs) bool { return a.set32(&e.SkbPrio) },
	ipsetSkbqueue: func(e *ipsetRaw, a *attrs) bool { return a.set16(&e.SkbQueue) },
}

func ipsetElemFlags(e *ipsetRaw, a *attrs) bool {
	f, ok := a.u32()
	e.Physdev = f&ipsetFlagPhysdev != 0
	e.Nomatch = f&ipsetFlagNomatch != 0
	e.Wildcard = f&ipsetFlagWildcard != 0
	return ok
}

// ipsetElemSkbmark: the mark, then its mask.
func ipsetElemSkbmark(e *ipsetRaw, a *attrs) bool {
	v, ok := a.u64()
	e.SkbMark, e.SkbMask = uint32(v>>32), uint32(v)
	return ok
}

// ipsetAddElements reads what IPSET_ATTR_ADT holds: one IPSET_ATTR_DATA an
// element. The first that cannot be read ends it.
func ipsetAddElements(s *rules.IPSet, b []byte) error {
	need := ipsetNeeds(s)
	e := &ipsetRaw{}
	a := attrs{b: b}
	for a.next() {
		if a.typ != ipsetData {
			continue
		}
		ipsetRoom(s, len(b))
		s.Elements = append(s.Elements, rules.IPSetElement{})
		*e = ipsetRaw{IPSetElement: &s.Elements[len(s.Elements)-1], attrs: attrs{b: a.val}}
		if err := e.read(s, need); err != nil {
			s.Elements = s.Elements[:len(s.Elements)-1]
			return err
		}
	}
	if a.bad {
		return badAttr("elements")
	}
	return nil
}

// ipsetRoom makes room for all elements that the kernel counted, as far as
// what came already bears that out.
func ipsetRoom(s *rules.IPSet, message int) {
	n := len(s.Elements)
	if n == cap(s.Elements) && int(s.NumElements) > n {
		s.Elements = slices.Grow(s.Elements, min(int(s.NumElements)-n, max(7*n, message/16)))
	}
}

// ipsetNeeds are the attributes that an element of the type must have, by
// bit: those after the colon of its name.
func ipsetNeeds(s *rules.IPSet) (need uint64) {
	if !s.Known() {
		return 0
	}
	kind, fields, _ := strings.Cut(s.Type, ":")
	for field := range strings.SplitSeq(fields, ",") {
		switch field {
		case "ip", "net":
			if need&(1<<ipsetIP) != 0 {
				need |= 1 << ipsetIP2
			}
			need |= 1 << ipsetIP
		case "port":
			need |= 1 << ipsetPort
			if kind == "hash" {
				need |= 1 << ipsetProto
			}
		case "mac":
			if kind == "hash" {
				need |= 1 << ipsetEther
			}
		case "mark":
			need |= 1 << ipsetMark
		case "iface":
			need |= 1 << ipsetIface
		case "set":
			need |= 1 << ipsetName
		}
	}
	return need
}

func (e *ipsetRaw) read(s *rules.IPSet, need uint64) error {
	a := &e.attrs
	for a.next() {
		if int(a.typ) >= len(ipsetElems) || ipsetElems[a.typ] == nil {
			continue
		}
		if !ipsetElems[a.typ](e, a) {
			return badAttr(fmt.Sprintf("element: attribute %d", a.typ))
		}
		e.seen |= 1 << a.typ
	}
	if a.bad || e.seen&need != need {
		return badAttr("element")
	}
	if !e.prefix(s, &e.IP, e.ip, e.cidr, ipsetCIDR) || !e.prefix(s, &e.IP2, e.ip2, e.cidr2, ipsetCIDR2) {
		return badAttr("element: an address that does not fit the set's family")
	}
	return nil
}

// prefix joins an address with its length: all of it when none is given.
func (e *ipsetRaw) prefix(s *rules.IPSet, p *netip.Prefix, addr netip.Addr, cidr uint8, typ int) bool {
	if !addr.IsValid() {
		return true
	}
	bits := addr.BitLen()
	if e.seen&(1<<typ) != 0 {
		bits = int(cidr)
	}
	*p = netip.PrefixFrom(addr, bits)
	return p.IsValid() && (!s.Known() || addr.Is4() == (s.Family == rules.FamilyIPv4))
}
