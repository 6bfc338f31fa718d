package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/flowjson"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/invalid"
	"github.com/ntdiag/ntdiag/diagnose/query"
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

// InvalidInput is what a document of `invalid` is made of.
type InvalidInput struct {
	Case      *invalid.Case
	Diagnosis *invalid.Diagnosis
	MaxFlows  int // of one message
	Limits    []string
	// Absent are the messages that name devices that are not here, and
	// AbsentDevices how many name each; nil for none.
	Absent        *invalid.Tally
	AbsentDevices map[string]uint64
}

// Fill makes verdict, messages and counters of in.
func (d *Invalid) Fill(in *InvalidInput) {
	d.Messages, d.Counters = []InvalidMessage{}, []InvalidCounter{}
	d.Verdict = newInvalidVerdict(in.Diagnosis)
	d.Limits = in.Limits
	if n := len(in.Diagnosis.Of); in.Diagnosis.Unseen > 0 && n > 0 {
		d.Limits = append(d.Limits, fmt.Sprintf("%d flows, those with most packets, were taken through the rules; %s of others were not", n, packets(in.Diagnosis.Unseen)))
	}
	if in.Absent != nil {
		d.Absent = newInvalidAbsent(in)
	}
	for _, g := range in.Case.Groups {
		d.Messages = append(d.Messages, newInvalidMessage(g, in))
	}
	for i := range in.Case.Accounts {
		d.Counters = append(d.Counters, newInvalidCounter(&in.Case.Accounts[i]))
	}
}

// newInvalidAbsent fills in what is nobody's here: nothing is looked up.
func newInvalidAbsent(in *InvalidInput) *InvalidAbsent {
	out := &InvalidAbsent{Count: in.Absent.Messages, Devices: []InvalidSeen{}, Messages: []InvalidMessage{}}
	for name, n := range in.AbsentDevices {
		out.Devices = append(out.Devices, InvalidSeen{name, n})
	}
	slices.SortFunc(out.Devices, func(a, b InvalidSeen) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Name, b.Name)) })
	bare := &InvalidInput{Case: &invalid.Case{Kernel: in.Case.Kernel}, Diagnosis: &invalid.Diagnosis{}, MaxFlows: in.MaxFlows}
	for _, g := range in.Absent.Groups() {
		out.Messages = append(out.Messages, newInvalidMessage(g, bare))
	}
	return out
}

func newInvalidVerdict(x *invalid.Diagnosis) InvalidVerdict {
	v := InvalidVerdict{Invalid: x.Invalid, Accepted: x.Accepted, Unknown: x.Unknown, Unseen: x.Unseen, Unclear: x.Unclear, Fates: []InvalidFate{}, Causes: []InvalidCause{}}
	if len(x.Fates) > 0 {
		v.Harm = string(x.Harm())
	}
	if x.Drop != nil {
		v.Drop = &InvalidFix{x.Drop.Do, x.Drop.Cost}
	}
	for i := range x.Fates {
		v.Fates = append(v.Fates, newInvalidFate(&x.Fates[i]))
	}
	for _, c := range x.Causes {
		out := InvalidCause{Name: c.Name, Text: c.Text, Likely: c.Likely, Evidence: append([]string{}, c.Evidence...), Fixes: []InvalidFix{}, Packets: c.Packets, Reasons: append([]string{}, c.Reasons...)}
		for _, f := range c.Fixes {
			out.Fixes = append(out.Fixes, InvalidFix{f.Do, f.Cost})
		}
		v.Causes = append(v.Causes, out)
	}
	return v
}

func newInvalidFate(f *invalid.FateSum) InvalidFate {
	out := InvalidFate{
		Fate: string(f.Fate), Packets: f.Packets, Flows: len(f.Flows), Certain: f.Certain, Why: f.Why, Out: f.Out, Source: f.Source,
		Example: newInvalidPacket(&f.Flows[0].Packet, f.Flows[0].Inner),
	}
	if f.By != nil {
		r := NewRule(f.By)
		out.By = &r
	} else if f.Chain != nil {
		out.Policy = chainName(f.Chain)
	}
	if f.Rule != nil {
		r := NewRule(f.Rule)
		out.MissedRule = &r
	}
	probe := host.Flow{}
	probe.Original, _ = f.Flows[0].Packet.Tuple()
	for _, r := range f.Missed {
		m := InvalidMissed{Kind: r.Manip.String(), From: newEndpoint(&probe, r.From)}
		if r.To.Addr.IsValid() {
			m.To = newEndpoint(&probe, r.To)
		}
		out.Missed = append(out.Missed, m)
	}
	for _, m := range f.May {
		out.May = append(out.May, string(m))
	}
	return out
}

func newInvalidMessage(g *invalid.Group, in *InvalidInput) InvalidMessage {
	k := in.Case.Kernel
	m := InvalidMessage{
		Reason: reasonName(g), Text: g.Text, Proto: groupProto(g), Count: g.Count, First: stamp(g.First), Last: stamp(g.Last),
		Counter: "none", Accepted: g.Accepted(k), Flows: []InvalidFlow{}, Sent: g.Sent, group: g,
		In: newSeen(g.In), Out: newSeen(g.Out), Senders: newSeen(g.Senders),
	}
	for i, c := range g.Moved(k) {
		if i == 0 {
			m.Counter = c
		} else {
			m.Also = c
		}
	}
	if r := g.Reason; r != nil {
		m.Again, m.Cause, m.Check, m.Fix, m.Cost = r.Again, r.Cause, r.Check, r.Fix, r.Cost
	}
	for i := range g.Variants {
		m.Variants = append(m.Variants, InvalidSeen{g.Variants[i].String(), g.Variants[i].N})
	}
	m.Others = g.Packets()
	flows := g.Flows()
	for _, f := range flows[:min(len(flows), in.MaxFlows)] {
		m.Others -= f.Count
		m.Flows = append(m.Flows, newInvalidFlow(f, in))
	}
	return m
}

func reasonName(g *invalid.Group) string {
	if g.Reason == nil {
		return "unknown"
	}
	return g.Reason.Name
}

func groupProto(g *invalid.Group) string {
	if g.Proto == 0 {
		return ""
	}
	return query.ProtoName(g.Proto)
}

func stamp(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func newSeen(all []invalid.Seen) []InvalidSeen {
	var out []InvalidSeen
	for _, s := range all {
		out = append(out, InvalidSeen{s.Name, s.N})
	}
	return out
}

func newInvalidFlow(f *invalid.Flow, in *InvalidInput) InvalidFlow {
	out := InvalidFlow{Packet: newInvalidPacket(&f.Packet, f.Inner), Count: f.Count, AtLeast: f.AtLeast(), First: stamp(f.First), Last: stamp(f.Last), In: f.In, Out: f.Out, PhysIn: f.PhysIn}
	if f.HasMAC {
		out.MAC = macText(f.SrcMAC)
	}
	if c := in.Diagnosis.Of[f]; c != nil {
		out.Fate = string(c.Fate)
	}
	found := in.Case.Found[f]
	if e := found.One(); e != nil {
		out.Flow = &Flow{e.Flow}
		out.As, out.Odd, out.Younger = e.As(), e.Fit.Odd(), e.Younger
		if x := e.Made; x != nil {
			for i := range x.Rewrites {
				out.Rewrites = append(out.Rewrites, newRewrite(&e.Flow, &x.Rewrites[i]))
			}
			out.Rule = ruleOf(out.Rewrites)
		}
	} else if found != nil {
		for i := range found.Entries {
			out.Entries = append(out.Entries, Flow{found.Entries[i].Flow})
		}
	}
	return out
}

// ruleOf is the rule behind the first rewrite that one rule made.
func ruleOf(all []Rewrite) *Rule {
	for i := range all {
		if len(all[i].Rules) == 1 {
			return &all[i].Rules[0]
		}
	}
	return nil
}

func macText(m [6]byte) string {
	const digits = "0123456789abcdef"
	b := make([]byte, 0, 17)
	for i, c := range m {
		if i > 0 {
			b = append(b, ':')
		}
		b = append(b, digits[c>>4], digits[c&15])
	}
	return string(b)
}

func newInvalidPacket(p, quoted *invalid.Packet) InvalidPacket {
	out := InvalidPacket{Family: flowjson.FamilyWord(p.Family), Proto: query.ProtoName(p.Proto), Protonum: p.Proto, text: p.String()}
	if p.Src.IsValid() {
		out.Src, out.Dst = p.Src.String(), p.Dst.String()
	}
	if p.Has&invalid.HasPorts != 0 {
		out.Sport, out.Dport = &p.SPort, &p.DPort
	}
	if p.Has&invalid.HasICMP != 0 {
		out.ICMP = &PacketICMP{Type: p.ICMPType, Code: p.ICMPCode}
		if p.Has&invalid.HasICMPID != 0 {
			out.ICMP.ID = &p.ICMPID
		}
	}
	if p.Has&invalid.HasTCP != 0 {
		out.TCPFlags = &p.TCPFlags
	}
	if p.Has&invalid.HasMark != 0 {
		out.Mark = &p.Mark
	}
	if p.Has&invalid.HasUID != 0 {
		out.UID = &p.UID
	}
	if quoted != nil {
		q := newInvalidPacket(quoted, nil)
		out.Quotes = &q
	}
	return out
}

func newInvalidCounter(a *invalid.Account) InvalidCounter {
	out := InvalidCounter{Counter: a.Counter, Delta: a.Delta, SinceBoot: a.Total, Explained: a.Explained, Over: a.Over, SilentCauses: []string{}, account: a}
	for _, p := range a.Parts {
		out.Parts = append(out.Parts, InvalidPart{reasonName(p.Group), p.N})
	}
	for _, s := range a.Silent {
		out.SilentCauses = append(out.SilentCauses, s.What+": "+s.Cause)
	}
	return out
}

func invalidJSON(w io.Writer, d *Invalid, _ Style) error { return encode(w, d, "  ") }

// invalidJSONL is one message a line, by reason, then what becomes of the
// packets, the causes and the counters.
func invalidJSONL(w io.Writer, d *Invalid, _ Style) error {
	for i := range d.Messages {
		if err := encode(w, struct {
			Record string `json:"record"`
			*InvalidMessage
		}{"reason", &d.Messages[i]}, ""); err != nil {
			return err
		}
	}
	if d.Absent != nil {
		if err := encode(w, struct {
			Record string `json:"record"`
			*InvalidAbsent
		}{"absent", d.Absent}, ""); err != nil {
			return err
		}
	}
	for i := range d.Verdict.Fates {
		if err := encode(w, struct {
			Record string `json:"record"`
			*InvalidFate
		}{"fate", &d.Verdict.Fates[i]}, ""); err != nil {
			return err
		}
	}
	for i := range d.Verdict.Causes {
		if err := encode(w, struct {
			Record string `json:"record"`
			*InvalidCause
		}{"cause", &d.Verdict.Causes[i]}, ""); err != nil {
			return err
		}
	}
	for i := range d.Counters {
		if err := encode(w, struct {
			Record string `json:"record"`
			*InvalidCounter
		}{"counter", &d.Counters[i]}, ""); err != nil {
			return err
		}
	}
	return nil
}
