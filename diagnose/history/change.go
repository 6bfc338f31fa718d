package history

import (
	"time"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// Version is that of the records that this package writes. It reads those of
// the same version.
const Version = 1

// Kind is what a record is about.
type Kind string

const (
	KindRules   Kind = "rules"   // tables, chains, rules, sets, ipsets
	KindAddress Kind = "address" // addresses of devices
	KindLink    Kind = "link"
	KindRoute   Kind = "route"
	KindPolicy  Kind = "policy" // rows of `ip rule`
	KindStart   Kind = "start"  // recording began
	KindStop    Kind = "stop"   // recording ended in good order
	KindGap     Kind = "gap"    // something was not recorded
)

// Kinds are all kinds, in the order in which they are listed.
var Kinds = []Kind{KindRules, KindAddress, KindLink, KindRoute, KindPolicy, KindStart, KindStop, KindGap}

// Op is what happened to a thing.
type Op string

const (
	Added    Op = "added"
	Removed  Op = "removed"
	Replaced Op = "replaced" // there before and after, with another content
	Moved    Op = "moved"    // a rule that stands elsewhere in its chain
)

// Author is who changed the rules, as nf_tables tells (NFTA_GEN_PROC_NAME,
// NFTA_GEN_PROC_PID), and what /proc still had of the process: best effort.
type Author struct {
	Generation uint32 `json:"generation"`
	PID        uint32 `json:"pid,omitempty"`     // of the thread, in the initial pid namespace
	Program    string `json:"program,omitempty"` // comm of the thread, 15 bytes at most
	// Parent is the comm of the parent, Command the command line; empty when
	// the process had gone, or is of another pid namespace.
	Parent  string `json:"parent,omitempty"`
	Command string `json:"command,omitempty"`
}

// Change is one record.
type Change struct {
	V   int    `json:"v"`
	Seq uint64 `json:"seq"` // counts from 1, without a hole
	// At is when the change was noticed: for rules, when the kernel's word on
	// the transaction came. With After it is only known that it happened
	// between the two: nothing told of it, it was found by comparing.
	At    time.Time    `json:"at"`
	After time.Time    `json:"after,omitzero"`
	Netns host.NetnsID `json:"netns"`
	Kind  Kind         `json:"kind"`

	// Generation is that of nf_tables after the change.
	Generation uint32 `json:"generation,omitempty"`
	// By is who made it: one of them where there are several, because their
	// transactions followed each other faster than the rules can be read; empty
	// when that is not known.
	By   []Author `json:"by,omitempty"`
	Note string   `json:"note,omitempty"` // what else is to be known of it

	Rules    *RulesDiff     `json:"rules,omitempty"`
	Addrs    []AddrChange   `json:"addresses,omitempty"`
	Links    []LinkChange   `json:"links,omitempty"`
	Routes   []RouteChange  `json:"routes,omitempty"`
	Policies []PolicyChange `json:"policies,omitempty"`
	Omitted  int            `json:"omitted,omitempty"` // addresses, links, routes or policies beyond those listed
	Start    *Start         `json:"start,omitempty"`
	Gap      *Gap           `json:"gap,omitempty"`
}

// Start is what was there when recording began.
type Start struct {
	Version    string `json:"version,omitempty"` // of the program
	Generation uint32 `json:"generation"`
	Tables     int    `json:"tables"`
	Rules      int    `json:"rules"`
	NATRules   int    `json:"nat_rules"`
	Elements   int    `json:"elements"` // of named sets, maps and ipsets
	Addrs      int    `json:"addresses"`
	Links      int    `json:"links"`
	Routes     int    `json:"routes"`
	// Last is when the recording before was last at work, zero when there is
	// none that this one goes on with.
	Last time.Time `json:"last,omitzero"`
	// SameRules: nf_tables made no change between Last and now, by its
	// generation; iptables-legacy and ipset have none.
	SameRules bool `json:"same_rules,omitempty"`
}

// Gap is a time of which not everything was recorded.
type Gap struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	Why  string    `json:"why"`
	Lost int       `json:"lost,omitempty"` // changes that were noticed and could not be kept
}

// Place is a chain, or a set, of one of the backends.
type Place struct {
	Backend rules.Backend `json:"backend"`
	Family  string        `json:"family"`
	Table   string        `json:"table"`
	Chain   string        `json:"chain,omitempty"`
	Set     string        `json:"set,omitempty"`
}

// RuleVersion is a rule as it was at one time.
type RuleVersion struct {
	Handle   uint64  `json:"handle,omitempty"` // 0 for iptables-legacy
	Position int     `json:"position"`         // 1-based in its chain
	Text     string  `json:"text"`             // as its own tool prints it, without counters
	Comment  string  `json:"comment,omitempty"`
	NAT      *Target `json:"nat,omitempty"`   // what it can rewrite to
	Needs    *Needs  `json:"needs,omitempty"` // what it asks of packets, where it has NAT
}

// RuleChange is what happened to one rule. The rule is as it is afterwards, or
// as it was when it is removed; Was is the one before of what was replaced or
// moved.
type RuleChange struct {
	Op Op `json:"op"`
	Place
	RuleVersion
	Was *RuleVersion `json:"was,omitempty"`
}

// ObjectChange is what happened to a table, a chain, a set or a named object
// as a whole. Text is what it is, as its tool writes it.
type ObjectChange struct {
	Op Op `json:"op"`
	Place
	What string `json:"what"` // table, chain, set, map, counter, flowtable, ipset, …
	Name string `json:"name,omitempty"`
	Text string `json:"text,omitempty"`
	Was  string `json:"was,omitempty"`
}

// ElementChange is one element that came or went. Replaced ones have the same
// key and other data.
type ElementChange struct {
	Op   Op     `json:"op"`
	Text string `json:"text"`          // as nft or ipset lists it
	Was  string `json:"was,omitempty"` // of a replaced one
	// Key is the address and port in its key, To those that it maps to, and
	// WasTo those that it did: as far as it has them.
	Key   *Range `json:"key,omitempty"`
	To    *Range `json:"to,omitempty"`
	WasTo *Range `json:"was_to,omitempty"`
}

// SetChange is the elements of one set, map or ipset that changed: all are
// counted, the first are listed.
type SetChange struct {
	Place
	What     string          `json:"what"` // set, map, ipset
	Added    int             `json:"added,omitempty"`
	Removed  int             `json:"removed,omitempty"`
	Replaced int             `json:"replaced,omitempty"`
	Elements []ElementChange `json:"elements"`
	// Volatile: packets add elements, or they go with time: not all of it need
	// be the author's work.
	Volatile bool `json:"volatile,omitempty"`
}

// Reload is a chain whose rules came back as they were, with new handles.
type Reload struct {
	Place
	Rules int `json:"rules"`
}

// RulesDiff is the difference of two rulesets.
type RulesDiff struct {
	Objects  []ObjectChange `json:"objects,omitempty"`
	Rules    []RuleChange   `json:"changes,omitempty"`
	Sets     []SetChange    `json:"sets,omitempty"`
	Reloaded []Reload       `json:"reloaded,omitempty"`
	// Omitted is how many changes of rules are not in Rules, which is bounded;
	// those that make NAT are kept first.
	Omitted int `json:"omitted,omitempty"`
	// Unread says what could not be compared.
	Unread []string `json:"unread,omitempty"`
}

// Empty tells whether nothing differs.
func (d *RulesDiff) Empty() bool {
	return len(d.Objects)+len(d.Rules)+len(d.Sets)+len(d.Reloaded)+d.Omitted == 0
}
