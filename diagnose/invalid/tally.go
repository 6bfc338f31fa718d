package invalid

import (
	"cmp"
	"slices"
	"time"
)

// Bounds of a Tally, whatever it is fed.
const (
	maxFlows        = 2000  // flows that are told apart of one group
	maxAllFlows     = 20000 // of all groups
	minFlows        = 16    // of a group that comes when they are used up
	maxUnknown      = 200   // texts that no kernel known prints
	maxUnknownText  = 200   // bytes of each
	maxNames        = 4096  // names of devices, states and helpers
	maxSeen         = 64    // devices and senders of a group
	maxVariants     = 64
	otherName       = "(others)"
	otherTextsNames = "(other texts)"
)

// Tally counts messages by reason, and the packets of each by flow. Its memory
// is bounded, and a message like one before allocates nothing. Not for
// concurrent use.
type Tally struct {
	// Messages are all that were added, Rest those of them of which something
	// was not understood.
	Messages, Rest uint64

	groups  map[groupKey]*Group
	unknown map[string]*Group
	list    []*Group
	flows   int // room that groups have been given
	names   map[string]string
	text    []byte
	key     flowKey
}

type groupKey struct {
	reason *Reason
	form   *Form
	proto  uint8
	kind   Kind
}

// NewTally makes an empty Tally.
func NewTally() *Tally {
	return &Tally{groups: map[groupKey]*Group{}, unknown: map[string]*Group{}, names: map[string]string{}}
}

// Group is all messages of one wording of a reason, about packets of one
// protocol.
type Group struct {
	Kind   Kind
	Reason *Reason // nil for a text that no kernel known prints
	Form   *Form   // nil as Reason
	Proto  uint8   // of the packet; where the message has none, of the prefix
	// Text is the first one printed; of one that is not known with its numbers
	// squeezed out, since it stands for all that differ in these.
	Text        string
	Count       uint64
	First, Last time.Time // zero where the log does not tell
	// Variants are what else the text says, in the order in which they came.
	Variants []Variant
	// In are the devices that packets came in by, or, by Out, that this host sent
	// them by; Senders who sent them on the last link. The last stands for all
	// that there was no room for.
	In, Out []Seen
	Senders []Seen
	// Sent is how many of them this host sent itself.
	Sent uint64

	counted flowCounts
}

// Variant is a packet by index and direction in a state, as the text says; a
// helper stands as its state.
type Variant struct {
	Has   Arg // of ArgIndex, ArgDir, ArgState
	Index uint8
	Dir   uint8
	State string
	N     uint64
}

// Seen is a name and how often it came.
type Seen struct {
	Name string
	N    uint64
}

// Groups are what was counted, the most first.
func (t *Tally) Groups() []*Group {
	slices.SortStableFunc(t.list, func(a, b *Group) int { return cmp.Compare(b.Count, a.Count) })
	return t.list
}

// Add counts m, which stands for n messages. Messages of no kind are left out.
func (t *Tally) Add(m *Message, n uint64) {
	if m.Kind == KindNone {
		return
	}
	t.Messages += n
	if m.Rest != nil {
		t.Rest += n
	}
	g := t.group(m)
	g.Count += n
	if !m.At.IsZero() {
		if g.First.IsZero() || m.At.Before(g.First) {
			g.First = m.At
		}
		if m.At.After(g.Last) {
			g.Last = m.At
		}
	}
	if m.Args.Has&(ArgIndex|ArgDir|ArgState|ArgHelper) != 0 {
		t.variant(g, m, n)
	}
	if len(m.In) > 0 {
		t.seen(&g.In, m.In, n)
	}
	if len(m.Out) > 0 {
		t.seen(&g.Out, m.Out, n)
	}
	if m.HasMAC {
		t.sender(g, m, n)
	}
	if sent(m) {
		g.Sent += n
	}
	if m.Packet.Family != 0 {
		t.key.set(m)
		g.counted.add(t, m, n)
	}
}

// sent tells whether this host sent the packet: then it has a device to leave
// by, or a user, and none that it came in by.
func sent(m *Message) bool {
	return len(m.In) == 0 && (len(m.Out) > 0 || m.Packet.Has&HasUID != 0)
}

func (t *Tally) group(m *Message) *Group {
	k := groupKey{reason: m.Reason, form: m.Form, proto: m.LogProto, kind: m.Kind}
	if m.Packet.Family != 0 {
		k.proto = m.Packet.Proto
	}
	if m.Reason == nil {
		return t.unknownGroup(m, k)
	}
	g := t.groups[k]
	if g == nil {
		g = t.newGroup(k, string(m.Text))
		t.groups[k] = g
	}
	return g
}

func (t *Tally) newGroup(k groupKey, text string) *Group {
	room := max(min(maxFlows, maxAllFlows-t.flows), minFlows)
	t.flows += room
	g := &Group{Kind: k.kind, Reason: k.reason, Form: k.form, Proto: k.proto, Text: text}
	g.counted.room = room
	t.list = append(t.list, g)
	return g
}

// unknownGroup keeps a text that is not known with N for each of its numbers.
func (t *Tally) unknownGroup(m *Message, k groupKey) *Group {
	t.text = squeeze(t.text[:0], m.Text, k.proto)
	if g := t.unknown[string(t.text)]; g != nil {
		return g
	}
	text := string(t.text[1:])
	if len(t.unknown) >= maxUnknown {
		text = otherTextsNames
		k.proto = 0
		t.text = append(append(t.text[:0], 0), text...)
		if g := t.unknown[string(t.text)]; g != nil {
			return g
		}
	}
	g := t.newGroup(k, text)
	t.unknown[string(t.text)] = g
	return g
}

// squeeze appends the protocol, and text with N in place of each number.
func squeeze(to, text []byte, proto uint8) []byte {
	to = append(to, proto)
	for i := 0; i < len(text) && len(to) < maxUnknownText; i++ {
		c := text[i]
		if c >= '0' && c <= '9' {
			if to[len(to)-1] == 'N' && i > 0 && isDigit(text[i-1]) {
				continue
			}
			c = 'N'
		}
		to = append(to, c)
	}
	return to
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// name is b as a string that is kept once.
func (t *Tally) name(b []byte) string {
	if s, ok := t.names[string(b)]; ok {
		return s
	}
	if len(t.names) >= maxNames {
		return otherName
	}
	s := string(b)
	t.names[s] = s
	return s
}

func (t *Tally) seen(list *[]Seen, name []byte, n uint64) {
	for i := range *list {
		if s := &(*list)[i]; s.Name == string(name) {
			s.N += n
			return
		}
	}
	if len(*list) < maxSeen {
		*list = append(*list, Seen{t.name(name), n})
		return
	}
	last := &(*list)[maxSeen-1]
	last.Name, last.N = otherName, last.N+n
}

func (t *Tally) sender(g *Group, m *Message, n uint64) {
	const digits = "0123456789abcdef"
	var b [17]byte
	for i, c := range m.SrcMAC {
		b[i*3], b[i*3+1] = digits[c>>4], digits[c&15]
		if i < 5 {
			b[i*3+2] = ':'
		}
	}
	t.seen(&g.Senders, b[:], n)
}

func (t *Tally) variant(g *Group, m *Message, n uint64) {
	a := &m.Args
	state := a.State
	if a.Has&ArgHelper != 0 {
		state = a.Helper
	}
	for i := range g.Variants {
		v := &g.Variants[i]
		if v.Has == a.Has && v.Index == a.Index && v.Dir == a.Dir && v.State == string(state) {
			v.N += n
			return
		}
	}
	if len(g.Variants) < maxVariants {
		g.Variants = append(g.Variants, Variant{a.Has, a.Index, a.Dir, t.name(state), n})
	}
}
