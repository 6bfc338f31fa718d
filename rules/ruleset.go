package rules

import (
	"encoding/binary"
	"sort"
	"strconv"
	"strings"
)

// Family is a protocol family as nf_tables numbers it (NFPROTO_*).
type Family uint8

const (
	FamilyUnspec Family = 0
	FamilyInet   Family = 1
	FamilyIPv4   Family = 2
	FamilyARP    Family = 3
	FamilyNetdev Family = 5
	FamilyBridge Family = 7
	FamilyIPv6   Family = 10
)

var familyNames = map[Family]string{
	FamilyUnspec: "unspec", FamilyInet: "inet", FamilyIPv4: "ip", FamilyARP: "arp",
	FamilyNetdev: "netdev", FamilyBridge: "bridge", FamilyIPv6: "ip6",
}

// String is the name that nft uses: ip, ip6, inet, arp, bridge, netdev.
func (f Family) String() string {
	if n, ok := familyNames[f]; ok {
		return n
	}
	return "family" + itoa(int(f))
}

// Sees tells whether a table of family f sees packets of family p, which is
// FamilyIPv4 or FamilyIPv6: inet tables see both.
func (f Family) Sees(p Family) bool { return f == p || f == FamilyInet }

// Hook is a netfilter hook as numbered for the IP families (NF_INET_*).
type Hook uint8

const (
	Prerouting  Hook = 0
	Input       Hook = 1
	Forward     Hook = 2
	Output      Hook = 3
	Postrouting Hook = 4
	Ingress     Hook = 5
)

var hookNames = [...]string{"prerouting", "input", "forward", "output", "postrouting", "ingress"}

func (h Hook) String() string {
	if int(h) < len(hookNames) {
		return hookNames[h]
	}
	return "hook" + itoa(int(h))
}

// Backend says which tool's rules these are.
type Backend string

const (
	BackendNft            Backend = "nft"
	BackendIptablesNft    Backend = "iptables-nft"
	BackendIptablesLegacy Backend = "iptables-legacy"
)

// Iptables tells whether the rules are iptables' own, in either form.
func (b Backend) Iptables() bool {
	return b == BackendIptablesNft || b == BackendIptablesLegacy
}

// ChainType is the type of a base chain as nf_tables names it.
type ChainType string

const (
	ChainFilter ChainType = "filter"
	ChainNAT    ChainType = "nat"
	ChainRoute  ChainType = "route"
)

// Ruleset is every table of one network namespace at one generation.
type Ruleset struct {
	// Generation is NFTA_GEN_ID at the time of reading; 0 when unknown.
	Generation uint32
	// Order is the byte order of the machine that the ruleset comes from.
	// Meta and ct values in rules and sets are kept in it.
	Order  binary.ByteOrder
	Tables []*Table
	// IPSets are the sets of the ipset subsystem, which xtables rules refer to
	// by id; lists last, otherwise by id, as the kernel lists them.
	IPSets  []*IPSet
	ipsetID map[uint16]*IPSet // made by PrepareIPSets
	// DeviceName finds the name of a device that a rule knows by its index
	// (iif, oif); nil when nobody can tell.
	DeviceName func(index uint32) (name string, ok bool)
}

// Table is one table, nf_tables or legacy.
type Table struct {
	Ruleset *Ruleset // that it belongs to; nil for a table by itself
	Backend Backend
	Family  Family
	Name    string
	// Handle grows with the order in which tables were made.
	Handle  uint64
	Flags   uint32 // NFT_TABLE_F_*: 1 dormant, 2 owner, 4 persist
	Owner   uint32 // netlink port id of the owner, when flag owner is set
	Comment string
	// Chains is in the kernel's listing order: the order of their creation.
	Chains     []*Chain
	Sets       []*Set
	Objects    []*Object
	Flowtables []*Flowtable
	// Incomplete says what of this table could not be read.
	Incomplete []string
}

// TableDormant is NFT_TABLE_F_DORMANT: its base chains are not registered.
const TableDormant = 1

// Dormant tables have chains that no packet meets.
func (t *Table) Dormant() bool { return t.Flags&TableDormant != 0 }

// Chain finds a chain of t by name, nil when there is none.
func (t *Table) Chain(name string) *Chain {
	for _, c := range t.Chains {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// Set finds a set or map of t by name, nil when there is none.
func (t *Table) Set(name string) *Set {
	for _, s := range t.Sets {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// Chain is a base chain (Base != nil) or one that is jumped to.
type Chain struct {
	Table  *Table
	Name   string
	Handle uint64 // grows with the order of creation inside its table
	Base   *BaseChain
	// Binding chains (NFT_CHAIN_BINDING) are the anonymous blocks `jump { … }`.
	Binding bool
	Flags   uint32
	Comment string
	Rules   []*Rule
}

// BaseChain is where and how a chain hangs in the packet's way.
type BaseChain struct {
	Type     ChainType
	Hook     Hook
	Priority int32
	Policy   VerdictCode // VerdictAccept or VerdictDrop
	// Devices that it hangs at, of a chain at ingress or egress.
	Devices []Device
	// Packets and Bytes are the policy counters, when HasCounter.
	HasCounter     bool
	Packets, Bytes uint64
}

// Device is a device that a chain or a flowtable hangs at, or every one whose
// name begins so (NFTA_DEVICE_PREFIX, since 6.17).
type Device struct {
	Name   string
	Prefix bool
}

// String ends a prefix in an asterisk, as nft writes it.
func (d Device) String() string {
	if d.Prefix {
		return d.Name + "*"
	}
	return d.Name
}

// Is tells whether a device of that name is meant.
func (d Device) Is(name string) bool {
	return d.Name == name || d.Prefix && strings.HasPrefix(name, d.Name)
}

// Rule is one rule: its expressions, decoded once into statements.
type Rule struct {
	Chain    *Chain
	Handle   uint64 // 0 for legacy rules
	Position int    // 1-based in its chain
	Comment  string
	// Raw is every expression as the kernel sent it, in order.
	Raw        []RawExpr
	Statements []Statement
	UserData   []byte
	// Text is the rule as its own tool prints it, without counters and handle.
	Text string
}

// ForgetRaw lets go of the expressions of rules in nft's own tables, a third of
// what a large ruleset takes. Walking and printing them asks for statements
// alone; what stores a ruleset, or compares it with another, needs the rest.
func (rs *Ruleset) ForgetRaw() {
	for _, t := range rs.Tables {
		if t.Backend != BackendNft {
			continue
		}
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				r.Raw = nil
			}
		}
	}
}

// RawExpr is one nf_tables expression as received: its name and the bytes of
// NFTA_EXPR_DATA (netlink attributes).
type RawExpr struct {
	Name string
	Data []byte
	// Text is what its tool prints for it, where the bytes are not at hand:
	// the rule was read from a text, or its bytes are hidden.
	Text string
}

// Ref names the rule inside its chain as its tool does: "handle 7", or for
// iptables "rule 3" (iptables -L --line-numbers), with the handle where there
// is one: "rule 3 (handle 7)".
func (r *Rule) Ref() string {
	if r.Chain == nil || r.Chain.Table == nil {
		return RuleRef(BackendNft, r.Handle, r.Position)
	}
	return RuleRef(r.Chain.Table.Backend, r.Handle, r.Position)
}

// RuleRef is Rule.Ref of a rule that is known by its parts.
func RuleRef(b Backend, handle uint64, position int) string {
	switch h := strconv.FormatUint(handle, 10); {
	case handle == 0:
		return "rule " + itoa(position)
	case b == BackendIptablesNft:
		return "rule " + itoa(position) + " (handle " + h + ")"
	default:
		return "handle " + h
	}
}

// Decoded tells whether no expression of the rule is opaque.
func (r *Rule) Decoded() bool {
	for _, s := range r.Statements {
		if _, ok := s.(*Opaque); ok {
			return false
		}
	}
	return true
}

// NAT returns the rule's NAT statement, nil when it has none.
func (r *Rule) NAT() *NAT {
	for _, s := range r.Statements {
		if n, ok := s.(*NAT); ok {
			return n
		}
	}
	return nil
}

// Hit tells whether the rule's counter has counted: Unknown when it has none.
func (r *Rule) Hit() Truth {
	for _, s := range r.Statements {
		if c, ok := s.(*Counter); ok && c.Name == "" {
			return TruthOf(c.Packets > 0)
		}
	}
	return Unknown
}

// Flowtable takes packets of known flows past the hooks, at ingress of its
// devices.
type Flowtable struct {
	Name     string
	Handle   uint64
	Hook     Hook
	Priority int32
	Devices  []Device
	Flags    uint32 // NFT_FLOWTABLE_*: 1 offload, 2 counter
}

// Object is a named stateful object: counter, quota, limit, ct helper, …
type Object struct {
	Table   *Table
	Name    string
	Handle  uint64
	Type    ObjectType
	Comment string
	// Detail is a ct helper's name, or what else names the object's effect.
	Detail         string
	Packets, Bytes uint64
	Raw            []byte // NFTA_OBJ_DATA
}

// ObjectType is NFT_OBJECT_*.
type ObjectType uint32

const (
	ObjectCounter   ObjectType = 1
	ObjectQuota     ObjectType = 2
	ObjectCtHelper  ObjectType = 3
	ObjectLimit     ObjectType = 4
	ObjectConnlimit ObjectType = 5
	ObjectTunnel    ObjectType = 6
	ObjectCtTimeout ObjectType = 7
	ObjectSecmark   ObjectType = 8
	ObjectCtExpect  ObjectType = 9
	ObjectSynproxy  ObjectType = 10
)

// AtHook returns the base chains that packets of family p meet at hook h, in
// the order the kernel runs them (nf_hook_entries_grow): by priority; at equal
// priority the one registered last first. Nat chains run together inside one
// dispatcher at NATPriority(h), whatever their own priority says, which only
// orders them among themselves (nf_nat_register_fn).
//
// uncertain holds the pairs of which the kernel does not say the order: equal
// priority in two tables, since handles count per table.
func (rs *Ruleset) AtHook(h Hook, p Family) (chains []*Chain, uncertain [][2]*Chain) {
	return rs.ordered(func(t *Table, b *BaseChain) bool { return t.Family.Sees(p) && b.Hook == h })
}

// ordered picks base chains and puts them in the order in which they run.
func (rs *Ruleset) ordered(pick func(*Table, *BaseChain) bool) (chains []*Chain, uncertain [][2]*Chain) {
	for _, t := range rs.Tables {
		if t.Dormant() {
			continue
		}
		for _, c := range t.Chains {
			if c.Base != nil && pick(t, c.Base) {
				chains = append(chains, c)
			}
		}
	}
	sort.SliceStable(chains, func(i, j int) bool { return runsBefore(chains[i], chains[j]) })
	for i := 1; i < len(chains); i++ {
		a, b := chains[i-1], chains[i]
		if a.Table != b.Table && a.EffectivePriority() == b.EffectivePriority() && a.Base.Priority == b.Base.Priority {
			uncertain = append(uncertain, [2]*Chain{a, b})
		}
	}
	return chains, uncertain
}

// EffectivePriority is the priority at which the kernel runs the chain.
func (c *Chain) EffectivePriority() int32 {
	if c.Base.Type == ChainNAT {
		return NATPriority(c.Base.Hook)
	}
	return c.Base.Priority
}

// NATPriority is NF_IP_PRI_NAT_DST on prerouting and output, NF_IP_PRI_NAT_SRC
// on postrouting and input (include/uapi/linux/netfilter_ipv4.h).
func NATPriority(h Hook) int32 {
	if h == Prerouting || h == Output {
		return -100
	}
	return 100
}

func runsBefore(a, b *Chain) bool {
	if x, y := a.EffectivePriority(), b.EffectivePriority(); x != y {
		return x < y
	}
	// the dispatcher is one hook entry: a filter chain at exactly -100 or 100
	// stands beside it as a whole, ordered by registration like any other.
	if a.Base.Type == ChainNAT && b.Base.Type == ChainNAT && a.Base.Priority != b.Base.Priority {
		return a.Base.Priority < b.Base.Priority
	}
	if a.Table != b.Table {
		return a.Table.Handle > b.Table.Handle
	}
	return a.Handle > b.Handle
}

// AtIngress returns the chains at ingress of a device: those of the netdev
// family and of inet tables hang in one list there, in the order of AtHook.
func (rs *Ruleset) AtIngress() []*Chain {
	chains, _ := rs.ordered(func(t *Table, b *BaseChain) bool {
		return (t.Family == FamilyNetdev || t.Family == FamilyInet) && b.Hook == Ingress
	})
	return chains
}

// AtBridge returns the chains of the bridge family at h, in that order.
func (rs *Ruleset) AtBridge(h Hook) []*Chain {
	chains, _ := rs.ordered(func(t *Table, b *BaseChain) bool { return t.Family == FamilyBridge && b.Hook == h })
	return chains
}
