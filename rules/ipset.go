package rules

import (
	"net/netip"
	"strings"
	"sync"
)

// IPSet is one set of the ipset subsystem as it was when it was read: the
// header that IPSET_CMD_LIST gives (mtype_head of its type) and its elements.
// Rules refer to it by ID (xt_set); `ipset swap` can put another set of the
// same features and family under that id, whatever rules there are.
type IPSet struct {
	ID       uint16 // IPSET_ATTR_INDEX; IPSetNoID when the kernel did not tell
	Name     string
	Type     string // as the kernel names it: "hash:ip,port"
	Revision uint8  // of the type, as userspace asked for it
	// Family is FamilyIPv4, FamilyIPv6, or FamilyUnspec for types that see
	// both: bitmap:port, hash:mac, list:set.
	Family Family

	// From and To bound a bitmap of addresses, FirstPort and LastPort a
	// bitmap:port; both ends included.
	From, To            netip.Addr
	FirstPort, LastPort uint16
	Netmask             uint8      // prefix length applied to addresses; 0 for none
	Bitmask             netip.Addr // mask applied to addresses (6.3); invalid for none
	Markmask            uint32     // of hash:ip,mark

	// Timeout is the default life of an element in seconds, 0 for elements
	// that stay; HasTimeout tells whether elements can have one at all.
	Timeout    uint32
	HasTimeout bool
	// Extensions that elements carry (IPSET_FLAG_WITH_*), and forceadd: a full
	// set throws an element out for a new one.
	Counters, Comments, Skbinfo, Forceadd bool

	HashSize, MaxElem uint32 // of hash types; HashSize is the present one
	BucketSize        uint8  // 0 where the revision does not tell (5.11)
	InitVal           uint32 // of the hash function, told along with BucketSize
	Size              uint32 // of list:set, of no effect

	References uint32 // rules and lists that refer to it
	MemSize    uint32 // bytes
	// NumElements is what the kernel counted; without timeouts, and with none
	// Missing, as many as Elements.
	NumElements uint32

	// Elements in listing order: order of a hash type's buckets, of a bitmap's
	// ids, of a list's members.
	Elements []IPSetElement
	// Members are the sets that a list:set names, one for each element; nil
	// where that set could not be read. Ruleset.PrepareIPSets fills it.
	Members []*IPSet

	// Fed sets are added to or deleted from by a rule (xt_SET): elements come
	// and go with the traffic. Whoever decodes such a rule calls Feed.
	Fed bool
	// Missing says why elements are not here, or what of the set is not
	// understood; empty when all is well.
	Missing string

	once  sync.Once
	index *ipsetIndex
}

// IPSetNoID is IPSET_INVALID_ID.
const IPSetNoID = 65535

// IPSetElement is one element. Only the fields that the set's type has are
// filled: the fields after the colon of "hash:net,port,net", in order, are
// IP, Proto and Port, IP2.
type IPSetElement struct {
	// IP and IP2 are addresses with their prefix length: the whole length for
	// types that store no networks.
	IP, IP2 netip.Prefix
	Mark    uint32
	Port    uint16 // host number; type<<8|code for ICMP, 0 for protocols without ports
	Proto   uint8
	HasMAC  bool // always in hash:mac and hash:ip,mac; bitmap:ip,mac fills it later
	MAC     [6]byte
	// Nomatch excludes what it covers; Wildcard compares only as many bytes of
	// the device's name as Iface has; Physdev means the bridge port.
	Nomatch, Wildcard, Physdev bool
	Iface                      string
	Name                       string // of list:set: the member's name

	Timeout        uint32 // seconds left; 0 for an element that stays
	Packets, Bytes uint64
	Comment        string
	// Skbinfo: what a SET rule with --map-set gives the packet.
	SkbMark, SkbMask, SkbPrio uint32
	SkbQueue                  uint16
}

// IPSetDir says which side of the packet a dimension of the set takes.
type IPSetDir uint8

const (
	IPSetDst IPSetDir = iota // destination; output device
	IPSetSrc                 // source; input device
)

var ipsetDirNames = [...]string{"dst", "src"}

func (d IPSetDir) String() string { return ipsetDirNames[d&1] }

// IPSetRef is how a match or a target refers to a set (struct xt_set_info).
type IPSetRef struct {
	ID   uint16
	Name string // as it was when it was read; "" when the set is not known
	Set  *IPSet // nil when it could not be read
	// Dims has the direction of each dimension, as the rule gives them: more
	// than the type has do no harm, with fewer nothing ever matches.
	Dims []IPSetDir
}

// IPSetRef makes a reference to the set that has this id.
func (rs *Ruleset) IPSetRef(id uint16, dims ...IPSetDir) IPSetRef {
	ref := IPSetRef{ID: id, Dims: dims, Set: rs.IPSet(id)}
	if ref.Set != nil {
		ref.Name = ref.Set.Name
	}
	return ref
}

// String is the set's name and the directions as iptables-save prints them:
// "NAME src,dst"; "#3 src" for a set whose name is not known.
func (r *IPSetRef) String() string {
	var b strings.Builder
	if r.Name != "" {
		b.WriteString(r.Name)
	} else {
		b.WriteString("#" + itoa(int(r.ID)))
	}
	for i, d := range r.Dims {
		b.WriteByte(" ,"[min(i, 1)])
		b.WriteString(d.String())
	}
	return b.String()
}

// IPSet finds a set by its id, nil when there is none.
func (rs *Ruleset) IPSet(id uint16) *IPSet {
	if rs.ipsetID != nil {
		return rs.ipsetID[id]
	}
	for _, s := range rs.IPSets {
		if s.ID == id && id != IPSetNoID {
			return s
		}
	}
	return nil
}

// IPSetByName finds a set by its name, nil when there is none.
func (rs *Ruleset) IPSetByName(name string) *IPSet {
	for _, s := range rs.IPSets {
		if s.Name == name {
			return s
		}
	}
	return nil
}
