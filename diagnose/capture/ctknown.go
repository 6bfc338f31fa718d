package capture

import (
	"net/netip"
	"slices"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// known is what is remembered of one entry, to tell what changed while events
// were lost. Helper, labels, timeout and counters are not looked at.
type known struct {
	status host.Status
	mark   uint32
	epoch  uint32 // of the reading of the table since which it was last seen
	state  uint8
	// tracker is the HasTCPState, HasSCTPState or HasDCCPState that state is
	// of, 0 for none.
	tracker host.Present
	// ended: it was destroyed while the table is being read, which may bring it
	// once more.
	ended bool
}

// trackers are those with a state, in the order of knownEntry.tracker.
var trackers = [...]host.Present{0, host.HasTCPState, host.HasSCTPState, host.HasDCCPState}

func trackerOf(f *host.Flow) host.Present {
	for _, t := range trackers[1:] {
		if f.Has&t != 0 {
			return t
		}
	}
	return 0
}

func knownOf(f *host.Flow) known {
	k := known{status: f.Status, mark: f.Mark, tracker: trackerOf(f)}
	switch k.tracker {
	case 0:
	case host.HasTCPState:
		k.state = f.TCPState
	default:
		k.state = f.L4State
	}
	return k
}

// fill puts into f what a message leaves out when it did not change.
func (k known) fill(f *host.Flow) {
	if f.Has&host.HasMark == 0 && k.mark != 0 {
		f.Mark = k.mark
		f.Has |= host.HasMark
	}
	if trackerOf(f) != 0 {
		return
	}
	f.Has |= k.tracker
	if k.tracker == host.HasTCPState {
		f.TCPState = k.state
	} else {
		f.L4State = k.state
	}
}

// differs tells whether f is another than what is known of it. A state that
// was never told is no difference.
func (k known) differs(f *host.Flow) bool {
	now := knownOf(f)
	return k.status != now.status || k.mark != now.mark ||
		k.tracker != 0 && now.tracker != 0 && k.state != now.state
}

// bytesOf are the addresses of one family, so that no entry holds a pointer.
type bytesOf interface{ [4]byte | [16]byte }

// knownKey tells entries apart. The id does so alone while an entry lives, but
// is given again to the same tuple in the same memory.
type knownKey[A bytesOf] struct {
	src, dst           A
	id                 uint32
	sport, dport, zone uint16
	proto              uint8
	half               uint8 // the zone is of one direction only
}

// knownEntry is 48 bytes with its key for IPv4, 96 for IPv6.
type knownEntry[A bytesOf] struct {
	src, dst     A // of the reply tuple
	sport, dport uint16
	status       uint32
	mark         uint32
	epoch        uint32
	state        uint8
	tracker      uint8 // of trackers; knownEnded besides
}

const knownEnded = 0x80

type knownTable[A bytesOf] struct {
	m    map[knownKey[A]]knownEntry[A]
	of   func(netip.Addr) A
	addr func(A) netip.Addr
}

// knownFlows remembers entries of both families, up to max.
type knownFlows struct {
	v4        knownTable[[4]byte]
	v6        knownTable[[16]byte]
	max       int
	forgotten int // entries that found no room
}

func newKnownFlows(max int) *knownFlows {
	return &knownFlows{
		v4:  knownTable[[4]byte]{map[knownKey[[4]byte]]knownEntry[[4]byte]{}, netip.Addr.As4, netip.AddrFrom4},
		v6:  knownTable[[16]byte]{map[knownKey[[16]byte]]knownEntry[[16]byte]{}, netip.Addr.As16, netip.AddrFrom16},
		max: max,
	}
}

func (k *knownFlows) len() int { return len(k.v4.m) + len(k.v6.m) }

func (k *knownFlows) find(f *host.Flow) (known, bool) {
	if f.Family == rules.FamilyIPv4 {
		return k.v4.find(f)
	}
	return k.v6.find(f)
}

// put remembers v of f; beyond the bound an entry that is new here is counted
// as forgotten.
func (k *knownFlows) put(f *host.Flow, v known) {
	room := k.len() < k.max
	ok := false
	if f.Family == rules.FamilyIPv4 {
		ok = k.v4.put(f, v, room)
	} else {
		ok = k.v6.put(f, v, room)
	}
	if !ok {
		k.forgotten++
	}
}

func (k *knownFlows) drop(f *host.Flow) {
	if f.Family == rules.FamilyIPv4 {
		delete(k.v4.m, k.v4.key(f))
	} else {
		delete(k.v6.m, k.v6.key(f))
	}
}

// each hands over every entry, in a struct used again, until fn fails. fn may
// change the table.
func (k *knownFlows) each(fn func(*host.Flow, known) error) error {
	if err := k.v4.each(rules.FamilyIPv4, fn); err != nil {
		return err
	}
	return k.v6.each(rules.FamilyIPv6, fn)
}

func (t *knownTable[A]) key(f *host.Flow) knownKey[A] {
	o := &f.Original
	half := uint8(0)
	if f.Has&host.HasZoneOrig != 0 {
		half |= 1
	}
	if f.Has&host.HasZoneReply != 0 {
		half |= 2
	}
	return knownKey[A]{
		src: t.of(o.Src), dst: t.of(o.Dst), sport: o.SrcPort, dport: o.DstPort, proto: o.Proto,
		id: f.ID, zone: f.Zone, half: half,
	}
}

func (t *knownTable[A]) find(f *host.Flow) (known, bool) {
	e, ok := t.m[t.key(f)]
	if !ok {
		return known{}, false
	}
	return e.known(), true
}

func (e *knownEntry[A]) known() known {
	return known{
		status: host.Status(e.status), mark: e.mark, epoch: e.epoch, state: e.state,
		tracker: trackers[e.tracker&^knownEnded], ended: e.tracker&knownEnded != 0,
	}
}

func (t *knownTable[A]) put(f *host.Flow, v known, room bool) bool {
	key := t.key(f)
	if !room {
		if _, there := t.m[key]; !there {
			return false
		}
	}
	e := knownEntry[A]{
		src: t.of(f.Reply.Src), dst: t.of(f.Reply.Dst), sport: f.Reply.SrcPort, dport: f.Reply.DstPort,
		status: uint32(v.status), mark: v.mark, epoch: v.epoch, state: v.state,
		tracker: uint8(slices.Index(trackers[:], v.tracker)),
	}
	if v.ended {
		e.tracker |= knownEnded
	}
	t.m[key] = e
	return true
}

func (t *knownTable[A]) each(family rules.Family, fn func(*host.Flow, known) error) error {
	var f host.Flow
	for key, e := range t.m {
		f = host.Flow{
			Family: family, ID: key.id, Zone: key.zone, Status: host.Status(e.status), Has: host.HasID,
			Original: rules.Tuple{Proto: key.proto, Src: t.addr(key.src), Dst: t.addr(key.dst), SrcPort: key.sport, DstPort: key.dport},
			Reply:    rules.Tuple{Proto: key.proto, Src: t.addr(e.src), Dst: t.addr(e.dst), SrcPort: e.sport, DstPort: e.dport},
		}
		if key.half&1 != 0 {
			f.Has |= host.HasZoneOrig
		}
		if key.half&2 != 0 {
			f.Has |= host.HasZoneReply
		}
		k := e.known()
		k.fill(&f)
		if err := fn(&f, k); err != nil {
			return err
		}
	}
	return nil
}
