package capture

import (
	"net/netip"

	"github.com/ntdiag/ntdiag/rules"
)

// Expectation is one expected connection (struct nf_conntrack_expect).
type Expectation struct {
	Family rules.Family
	ID     uint32
	// Tuple is what the first packet has to have. Of its source only the bits
	// count that are set in Mask; its destination counts as a whole.
	Tuple, Mask rules.Tuple
	Master      rules.Tuple // original tuple of the connection that expects it
	Zone        uint16
	Timeout     uint32 // seconds left, 0 for one without an end
	Flags       uint32 // NF_CT_EXPECT_*
	Class       uint32
	Helper      string
	Function    string // that sets up its NAT, "" for none
	// NAT tells that its connection will be rewritten: the source of NATTuple is
	// the address and port that the helper replaced in what direction NATDir of
	// the master said (saved_addr, saved_proto); most helpers keep the port alone.
	NAT      bool
	NATDir   Direction
	NATTuple rules.Tuple
}

// expectFlags are the names of NF_CT_EXPECT_*.
var expectFlags = [...]string{"PERMANENT", "INACTIVE", "USERSPACE"}

// FlagNames lists the flags that are set.
func (x *Expectation) FlagNames() []string {
	out := []string{}
	for i, n := range expectFlags {
		if x.Flags&(1<<i) != 0 {
			out = append(out, n)
		}
	}
	return out
}

// AnySource and AnyPort tell what of the source does not count.
func (x *Expectation) AnySource() bool { return !x.Mask.Src.IsValid() || x.Mask.Src.IsUnspecified() }
func (x *Expectation) AnyPort() bool   { return x.Mask.SrcPort == 0 }

// Message types: the subsystem NFNL_SUBSYS_CTNETLINK_EXP, then IPCTNL_MSG_EXP_*.
const (
	expSubsys = 2 << 8
	expNew    = expSubsys
	expGet    = expSubsys | 1
	expDelete = expSubsys | 2
)

// expectAttrs is one row an attribute (CTA_EXPECT_*), with its name.
var expectAttrs = [...]struct {
	name string
	read func(x *Expectation, val []byte) bool
}{
	1:  {"master", func(x *Expectation, v []byte) bool { _, _, ok := parseTuple(v, &x.Master); return ok }},
	2:  {"tuple", func(x *Expectation, v []byte) bool { _, _, ok := parseTuple(v, &x.Tuple); return ok }},
	3:  {"mask", func(x *Expectation, v []byte) bool { _, _, ok := parseTuple(v, &x.Mask); return ok }},
	4:  {"timeout", func(x *Expectation, v []byte) bool { return set32(&x.Timeout, v) }},
	5:  {"id", func(x *Expectation, v []byte) bool { return set32(&x.ID, v) }},
	6:  {"helper", func(x *Expectation, v []byte) bool { x.Helper = string(cstr(v)); return true }},
	7:  {"zone", func(x *Expectation, v []byte) (ok bool) { x.Zone, ok = beU16(v); return ok }},
	8:  {"flags", func(x *Expectation, v []byte) bool { return set32(&x.Flags, v) }},
	9:  {"class", func(x *Expectation, v []byte) bool { return set32(&x.Class, v) }},
	10: {"NAT", expectNAT},
	11: {"function", func(x *Expectation, v []byte) bool { x.Function = string(cstr(v)); return true }},
}

// expectNAT reads CTA_EXPECT_NAT_DIR 1 and _TUPLE 2.
func expectNAT(x *Expectation, b []byte) bool {
	x.NAT = true
	a := attrs{b: b}
	for a.next() {
		switch a.typ {
		case 1:
			dir, ok := beU32(a.val)
			if !ok || dir > uint32(Reply) {
				return false
			}
			x.NATDir = Direction(dir)
		case 2:
			if _, _, ok := parseTuple(a.val, &x.NATTuple); !ok {
				return false
			}
		}
	}
	return !a.bad
}

// parseExpect reads the attributes of one message, what follows its nfgenmsg
// (ctnetlink_exp_dump_expect).
func parseExpect(payload []byte, x *Expectation) error {
	*x = Expectation{}
	a := attrs{b: payload}
	for a.next() {
		if int(a.typ) >= len(expectAttrs) || expectAttrs[a.typ].read == nil {
			continue
		}
		if row := expectAttrs[a.typ]; !row.read(x, a.val) {
			return badAttr("expectation: " + row.name)
		}
	}
	if a.bad {
		return badAttr("expectation")
	}
	for _, t := range [...]struct {
		what string
		addr netip.Addr
	}{{"tuple", x.Tuple.Dst}, {"master", x.Master.Dst}} {
		if !t.addr.IsValid() {
			return badAttr("expectation: no " + t.what)
		}
	}
	x.Family = rules.FamilyIPv6
	if x.Tuple.Dst.Is4() {
		x.Family = rules.FamilyIPv4
	}
	return nil
}
