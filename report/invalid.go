package report

import (
	"time"

	"github.com/ntdiag/ntdiag/diagnose/invalid"
)

// Invalid is the document of `invalid`.
type Invalid struct {
	Header
	Source string   `json:"source"` // kmsg, journal, nflog, file
	Files  []string `json:"files,omitempty"`
	// Lines are the records that were read, Lost those that are known to be
	// missing, Unparsed messages of conntrack of which something was not
	// understood.
	Lines    uint64 `json:"lines"`
	Lost     uint64 `json:"lost"`
	Unparsed uint64 `json:"unparsed"`
	// Ours are the messages of conntrack and NAT among the lines.
	Ours uint64 `json:"ours"`
	// Absent are messages that name devices that this namespace does not have;
	// they are not among the others.
	Absent *InvalidAbsent `json:"absent,omitempty"`
	// Elsewhere are messages of other network namespaces, Unowned those of which
	// it cannot be told whose they are: both are left out.
	Elsewhere uint64 `json:"elsewhere,omitempty"`
	Unowned   uint64 `json:"unowned,omitempty"`
	// Mixed: the log has messages of other namespaces too, and names none: they
	// were told apart by the names of devices.
	Mixed bool `json:"mixed,omitempty"`
	// Seconds is how long it was listened; 0 for a log that was there.
	Seconds float64 `json:"seconds,omitempty"`
	// Logging says what becomes of what conntrack logs; absent for files.
	Logging *InvalidLogging `json:"logging,omitempty"`
	// Joined: packets were looked up in the conntrack table and taken through the
	// rules of this namespace. NotJoined says why not.
	Joined    bool   `json:"joined"`
	NotJoined string `json:"not_joined,omitempty"`

	// Limits say what was left out so that the answer does not take too long.
	Limits []string `json:"limits,omitempty"`

	Verdict  InvalidVerdict   `json:"verdict"`
	Messages []InvalidMessage `json:"messages"`
	Counters []InvalidCounter `json:"counters"`
}

// InvalidAbsent are messages of another namespace, or of a device that is gone:
// which of both the log does not tell.
type InvalidAbsent struct {
	Count    uint64           `json:"count"`
	Devices  []InvalidSeen    `json:"devices"` // the most messages first
	Messages []InvalidMessage `json:"messages"`
}

// InvalidLogging is what becomes of what conntrack logs of the namespace.
type InvalidLogging struct {
	LogInvalid string `json:"log_invalid"` // protocol number, 255 all, 0 none; "" when not known
	LoggerIPv4 string `json:"logger_ipv4"`
	LoggerIPv6 string `json:"logger_ipv6"`
	// Silent says why nothing, or not all, can have been logged; Do the command
	// that would show something.
	Silent string `json:"silent,omitempty"`
	Do     string `json:"do,omitempty"`
}

// InvalidVerdict is what follows from the messages.
type InvalidVerdict struct {
	// Invalid are packets that conntrack takes for invalid; Accepted those that
	// are logged and let through all the same; Unknown those of a message that is
	// not known.
	Invalid  uint64 `json:"invalid"`
	Accepted uint64 `json:"accepted"`
	Unknown  uint64 `json:"unknown,omitempty"`
	// Unlogged are packets that only counters tell of.
	Unlogged *InvalidUnlogged `json:"unlogged,omitempty"`
	// Harm is the worst that becomes of them: leaks, answered, unknown,
	// forwarded, delivered, dropped; "" for none.
	Harm   string        `json:"harm,omitempty"`
	Fates  []InvalidFate `json:"fates"`
	Unseen uint64        `json:"unseen"` // packets not taken through the rules
	// Drop is the rule that would end what does harm.
	Drop   *InvalidFix    `json:"drop,omitempty"`
	Causes []InvalidCause `json:"causes"`
	// Unclear is how many packets no cause explains.
	Unclear uint64 `json:"unclear"`
}

// InvalidUnlogged is what counters tell of and no message does: how many packets
// were invalid, and how many dropped. One packet can be both.
type InvalidUnlogged struct {
	Invalid uint64 `json:"invalid"`
	Dropped uint64 `json:"dropped"`
	// Causes are what can be behind it, the likeliest first; Likely: a setting
	// speaks for the first.
	Causes []InvalidSilent `json:"causes"`
	Likely bool            `json:"likely"`
}

// InvalidSilent is a way in which a packet is counted and not logged.
type InvalidSilent struct {
	What  string `json:"what"`
	Cause string `json:"cause"`
	Fix   string `json:"fix,omitempty"`

	because bool
}

// InvalidFate is what becomes of packets.
type InvalidFate struct {
	Fate    string `json:"fate"`
	Packets uint64 `json:"packets"`
	Flows   int    `json:"flows"`
	Certain bool   `json:"certain"`
	By      *Rule  `json:"by,omitempty"`     // that drops it
	Policy  string `json:"policy,omitempty"` // family table chain whose policy does
	Why     string `json:"why,omitempty"`
	Out     string `json:"out,omitempty"`
	Source  string `json:"source,omitempty"` // address with which it leaves
	// Missed is the NAT that it does without, MissedRule the rule that makes it.
	Missed     []InvalidMissed `json:"missed,omitempty"`
	MissedRule *Rule           `json:"missed_rule,omitempty"`
	May        []string        `json:"may,omitempty"`
	Example    InvalidPacket   `json:"example"`
}

// InvalidMissed is a rewrite that did not come about.
type InvalidMissed struct {
	Kind string   `json:"kind"`
	From Endpoint `json:"from"`
	To   Endpoint `json:"to"`
}

// InvalidCause is why packets are invalid.
type InvalidCause struct {
	Name     string       `json:"name"`
	Text     string       `json:"text"`
	Likely   bool         `json:"likely"` // something else could be behind it
	Evidence []string     `json:"evidence"`
	Fixes    []InvalidFix `json:"fixes"`
	Packets  uint64       `json:"packets"`
	Reasons  []string     `json:"reasons"`
}

// InvalidFix is what to do, and what it costs.
type InvalidFix struct {
	Do   string `json:"do"`
	Cost string `json:"cost,omitempty"`
}

// InvalidMessage is all messages of one wording.
type InvalidMessage struct {
	Reason string     `json:"reason"` // "unknown" for a text that no kernel known prints
	Text   string     `json:"text"`
	Proto  string     `json:"proto"`
	Count  uint64     `json:"count"`
	First  *time.Time `json:"first,omitempty"`
	Last   *time.Time `json:"last,omitempty"`
	// Counter is what each packet moved: invalid, error, drop, none; Also a second
	// one.
	Counter  string `json:"counter"`
	Also     string `json:"also,omitempty"`
	Accepted bool   `json:"accepted"`
	// Again: it is a second line about packets that another message is about.
	Again bool   `json:"again,omitempty"`
	Cause string `json:"cause"`
	Check string `json:"check,omitempty"`
	Fix   string `json:"fix"`
	Cost  string `json:"cost,omitempty"`

	Flows []InvalidFlow `json:"flows"`
	// Others are packets of flows that are not listed.
	Others   uint64        `json:"others,omitempty"`
	Variants []InvalidSeen `json:"variants,omitempty"`
	In       []InvalidSeen `json:"in,omitempty"`
	Out      []InvalidSeen `json:"out,omitempty"`
	Senders  []InvalidSeen `json:"senders,omitempty"`
	Sent     uint64        `json:"sent_by_this_host,omitempty"`

	group *invalid.Group
}

// InvalidSeen is a name and how many packets had it.
type InvalidSeen struct {
	Name  string `json:"name"`
	Count uint64 `json:"count"`
}

// InvalidFlow is the packets of one tuple.
type InvalidFlow struct {
	Flow   *Flow         `json:"flow"` // the entry, null where there is none, or several
	Packet InvalidPacket `json:"packet"`
	Rule   *Rule         `json:"rule"` // of its NAT, the destination's first
	Count  uint64        `json:"count"`
	// AtLeast: there can have been more, counted when flows were not told apart.
	AtLeast bool       `json:"at_least,omitempty"`
	First   *time.Time `json:"first,omitempty"`
	Last    *time.Time `json:"last,omitempty"`
	In      string     `json:"in,omitempty"`
	Out     string     `json:"out,omitempty"`
	PhysIn  string     `json:"phys_in,omitempty"`
	MAC     string     `json:"mac,omitempty"`
	// As says as what the packet fits the entry, Odd that it is not as the flow's
	// packets come here. Younger: the entry began after the packets.
	As       string    `json:"as,omitempty"`
	Odd      bool      `json:"odd,omitempty"`
	Younger  bool      `json:"younger,omitempty"`
	Rewrites []Rewrite `json:"rewrites,omitempty"`
	// Entries are those that the packet fits, when they are several (of several
	// zones).
	Entries []Flow `json:"entries,omitempty"`
	Fate    string `json:"fate,omitempty"`
}

// InvalidPacket is a packet as a message tells of it. What it does not tell is
// absent.
type InvalidPacket struct {
	Family   string         `json:"family"`
	Proto    string         `json:"proto"`
	Protonum uint8          `json:"protonum"`
	Src      string         `json:"src"`
	Dst      string         `json:"dst"`
	Sport    *uint16        `json:"sport,omitempty"`
	Dport    *uint16        `json:"dport,omitempty"`
	ICMP     *PacketICMP    `json:"icmp,omitempty"`
	TCPFlags *uint8         `json:"tcp_flags,omitempty"`
	Mark     *uint32        `json:"mark,omitempty"`
	UID      *uint32        `json:"uid,omitempty"`
	Quotes   *InvalidPacket `json:"quotes,omitempty"`

	text string
}

// InvalidCounter is a counter over the time of the messages.
type InvalidCounter struct {
	Counter string `json:"counter"`
	// Delta is what was counted; with SinceBoot since the namespace was made, and
	// Explained is absent then.
	Delta     uint64        `json:"delta"`
	SinceBoot bool          `json:"since_boot,omitempty"`
	Explained uint64        `json:"explained"`
	Over      uint64        `json:"over,omitempty"` // messages beyond the delta
	Parts     []InvalidPart `json:"parts,omitempty"`
	// SilentCauses are what can be behind the rest.
	SilentCauses []string `json:"silent_causes"`

	account *invalid.Account
}

// InvalidPart is how much of a counter is of one reason.
type InvalidPart struct {
	Reason string `json:"reason"`
	Count  uint64 `json:"count"`
}
