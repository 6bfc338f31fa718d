package rules

// Span is the run of raw expressions, by index in Rule.Raw, that one
// statement was made of. Over a rule the spans cover every expression.
type Span []int

// Covers returns the span itself; embedding Span makes a Statement of a type.
func (s Span) Covers() []int { return s }

// Statement is one step of a rule, in the order in which the kernel runs them.
// Each is one of:
//   - a Condition: Match, InSet, Limit, Quota, Connlimit, TProxy, Opaque, …;
//     where Fwd, Synproxy and Queue hold, the packet is taken away
//   - an Effect: Assign, Notrack, Dynset, …
//   - something that ends the rule: Verdict, VerdictMap, NAT, Reject
//   - something without bearing on the packet's way: Counter, Last, Log, Load
type Statement interface {
	// Covers lists the expressions of the rule this statement stands for.
	Covers() []int
}

// Condition is a statement that lets the rule go on only when it holds.
type Condition interface {
	Statement
	Test(p *Packet) Answer
}

// Effect is a statement that changes what later rules see.
type Effect interface {
	Statement
	Apply(p *Packet)
}

// CmpOp is NFT_CMP_*.
type CmpOp uint8

const (
	CmpEq CmpOp = iota
	CmpNeq
	CmpLt
	CmpLte
	CmpGt
	CmpGte
)

var cmpNames = [...]string{"==", "!=", "<", "<=", ">", ">="}

func (o CmpOp) String() string { return cmpNames[o] }

func (o CmpOp) holds(cmp int) bool {
	return [...]bool{cmp == 0, cmp != 0, cmp < 0, cmp <= 0, cmp > 0, cmp >= 0}[o]
}

// Match compares an expression with a constant (nft_cmp).
type Match struct {
	Span
	Left  Expr
	Op    CmpOp
	Right []byte // register bytes; may be shorter than Left (interface wildcard)
}

func (m *Match) Test(p *Packet) Answer {
	if x, ok := m.Left.(*Payload); ok && m.Op <= CmpNeq {
		if a, done := x.equal(p, m.Right); done {
			if m.Op == CmpNeq {
				return a.Not()
			}
			return a
		}
	}
	v := m.Left.Eval(p)
	return v.Compare(m.Op, m.Right)
}

// MatchRange holds when Left is inside [Lo, Hi], or outside when Invert
// (nft_range).
type MatchRange struct {
	Span
	Left   Expr
	Invert bool
	Lo, Hi []byte
}

func (m *MatchRange) Test(p *Packet) Answer {
	v := m.Left.Eval(p)
	a := v.Within(m.Lo, m.Hi)
	if m.Invert && v.Absent != Yes {
		return a.Not()
	}
	return a
}

// InSet holds when Key is in Set, or is not when Invert (nft_lookup without
// destination register).
type InSet struct {
	Span
	Key    Expr
	Set    *Set
	Invert bool
}

func (m *InSet) Test(p *Packet) Answer {
	v := m.Key.Eval(p)
	a, _ := m.Set.Then(p, &v)
	if m.Invert && v.Absent != Yes {
		return a.Not()
	}
	return a
}

// VerdictCode is NF_* and NFT_* verdicts as nf_tables numbers them.
type VerdictCode int32

const (
	VerdictDrop     VerdictCode = 0
	VerdictAccept   VerdictCode = 1
	VerdictStolen   VerdictCode = 2
	VerdictQueue    VerdictCode = 3
	VerdictContinue VerdictCode = -1
	VerdictBreak    VerdictCode = -2
	VerdictJump     VerdictCode = -3
	VerdictGoto     VerdictCode = -4
	VerdictReturn   VerdictCode = -5
)

var verdictNames = map[VerdictCode]string{
	VerdictDrop: "drop", VerdictAccept: "accept", VerdictStolen: "stolen", VerdictQueue: "queue",
	VerdictContinue: "continue", VerdictBreak: "break", VerdictJump: "jump", VerdictGoto: "goto",
	VerdictReturn: "return",
}

func (c VerdictCode) String() string {
	if n, ok := verdictNames[c]; ok {
		return n
	}
	return "verdict" + itoa(int(c))
}

// Verdict ends or redirects the walk of a chain (nft_immediate into the
// verdict register).
type Verdict struct {
	Span
	Code VerdictCode
	// Chain is the target of jump and goto; nil when it is not in the table.
	Chain     *Chain
	ChainName string
}

// VerdictMap looks its verdict up (nft_lookup with the verdict register as
// destination). A key that is not in the map lets the next rule have a go.
type VerdictMap struct {
	Span
	Key Expr
	Set *Set
}

// NATKind is which of the NAT statements it is.
type NATKind uint8

const (
	SNAT NATKind = iota
	DNAT
	Masquerade
	Redirect
	// Netmap is xtables' NETMAP: it rewrites the source or the destination,
	// as the hook asks for. nf_tables has a snat or dnat with NATNetmap.
	Netmap
)

var natNames = [...]string{"snat", "dnat", "masquerade", "redirect", "netmap"}

func (k NATKind) String() string { return natNames[k] }

// Manip is which half of the packet NAT rewrites (enum nf_nat_manip_type).
type Manip uint8

const (
	ManipSrc Manip = iota
	ManipDst
)

func (m Manip) String() string { return [...]string{"snat", "dnat"}[m] }

// At is the half of the packet that the statement rewrites at hook h, false
// where it does nothing there.
func (k NATKind) At(h Hook) (Manip, bool) {
	m := HookManip(h)
	switch k {
	case DNAT, Redirect:
		return ManipDst, m == ManipDst
	case SNAT, Masquerade:
		return ManipSrc, m == ManipSrc
	}
	return m, true
}

// HookManip is HOOK2MANIP (include/net/netfilter/nf_nat.h).
func HookManip(h Hook) Manip {
	if h == Postrouting || h == Input {
		return ManipSrc
	}
	return ManipDst
}

// NATFlags is NF_NAT_RANGE_* (include/uapi/linux/netfilter/nf_nat.h).
type NATFlags uint32

const (
	NATMapIPs         NATFlags = 1 << 0
	NATProtoSpecified NATFlags = 1 << 1
	NATProtoRandom    NATFlags = 1 << 2
	NATPersistent     NATFlags = 1 << 3
	NATFullyRandom    NATFlags = 1 << 4
	NATProtoOffset    NATFlags = 1 << 5
	NATNetmap         NATFlags = 1 << 6
)

// NAT is every statement that sets up a rewrite (nft_nat, nft_masq,
// nft_redir). It ends the evaluation for its manip, whatever it changed.
type NAT struct {
	Span
	Kind NATKind
	// Family of the addresses; FamilyInet or FamilyUnspec when the statement
	// serves both.
	Family Family
	// AddrMin to AddrMax is the range of addresses; both nil when the
	// statement leaves the address alone. AddrMax is nil for a single address.
	AddrMin, AddrMax Expr
	// PortMin to PortMax is the range of ports, two bytes in network order.
	PortMin, PortMax Expr
	// PortBase is, with NATProtoOffset, the port that becomes PortMin; those
	// above it become those above PortMin.
	PortBase uint16
	Flags    NATFlags
}

// AssignTarget is what an Assign writes.
type AssignTarget uint8

const (
	AssignMeta AssignTarget = iota
	AssignCt
	AssignPayload
	AssignExthdr
)

// Assign writes a value to the packet, its metadata or its entry (nft_meta,
// nft_ct, nft_payload, nft_exthdr with a source register).
type Assign struct {
	Span
	Target AssignTarget
	// Dest is the place: a *Meta, *Ct, *Payload or *Exthdr.
	Dest  Expr
	Value Expr
	// Csum fields of nft_payload, kept so that the text is exact.
	CsumType, CsumOffset, CsumFlags uint32
}

// Counter counts (nft_counter); Name is set for a reference to a named one.
type Counter struct {
	Span
	Name           string
	Packets, Bytes uint64
}

// Limit holds while the rate is kept (nft_limit); Over inverts.
type Limit struct {
	Span
	Rate, Unit uint64 // Unit in seconds
	Burst      uint32
	Bytes      bool // counts bytes, not packets
	Over       bool
}

func (*Limit) Test(*Packet) Answer { return Answer{Unknown: Of(FromLimit)} }

// Quota holds while bytes are left, or once they are used when Over.
type Quota struct {
	Span
	Bytes, Consumed uint64
	Over            bool
}

func (*Quota) Test(*Packet) Answer { return Answer{Unknown: Of(FromQuota)} }

// Connlimit holds while at most Count connections are counted, or above it
// when Over (nft_connlimit).
type Connlimit struct {
	Span
	Count uint32
	Over  bool
}

func (*Connlimit) Test(*Packet) Answer { return Answer{Unknown: Of(FromLimit)} }

// Log logs (nft_log).
type Log struct {
	Span
	Prefix        string
	Group         uint16
	Snaplen       uint32
	Qthreshold    uint16
	Level, Flags  uint32
	HasGroup      bool
	HasLevel      bool
	HasSnaplen    bool
	HasQthreshold bool
}

// Notrack takes the packet away from conntrack (nft_notrack): an entry that
// exists was not made by a packet that met it before conntrack.
type Notrack struct{ Span }

// ObjRef applies a named object (nft_objref), directly or through a map.
type ObjRef struct {
	Span
	Type ObjectType
	Name string
	// Key and Set are given when the object is looked up in a map.
	Key Expr
	Set *Set
}

// Dynset adds, updates or deletes an element (nft_dynset).
type Dynset struct {
	Span
	Op      DynsetOp
	Set     *Set
	Key     Expr
	Data    Expr   // nil unless the set is a map
	Timeout uint64 // milliseconds
	Invert  bool
	// Exprs are the per-element statements: counter, last, limit, quota,
	// connlimit.
	Exprs []Statement
}

// DynsetOp is NFT_DYNSET_OP_*.
type DynsetOp uint32

const (
	DynsetAdd DynsetOp = iota
	DynsetUpdate
	DynsetDelete
)

// Test follows nft_dynset_eval: adding fails, and ends the rule, only when the
// set is full; a statement on the element can end it too.
func (d *Dynset) Test(*Packet) Answer {
	for _, e := range d.Exprs {
		if _, ok := e.(Condition); ok {
			return Answer{Unknown: Of(FromSet)}
		}
	}
	return Answer{Truth: TruthOf(!d.Invert), Assumed: Of(FromSet)}
}

// Reject drops and answers (nft_reject).
type Reject struct {
	Span
	Type uint32 // NFT_REJECT_*
	Code uint8
}

// Load is an expression whose register nothing reads: without bearing, kept
// so that every expression is accounted for.
type Load struct {
	Span
	Expr Expr
}

// Opaque is an expression that is not understood. Nothing is known of what it
// does: whether it holds, what it writes, whether it ends the rule.
type Opaque struct {
	Span
	Name string // the expression's own name, "osf", or "match recent" for xtables
	Raw  []byte
	Why  string
	// MayNAT: it can be a NAT statement (an xtables target that is).
	MayNAT bool
	// MayEnd: it can give a verdict.
	MayEnd bool
}

func (*Opaque) Test(*Packet) Answer { return Answer{Unknown: Of(FromOpaque)} }
