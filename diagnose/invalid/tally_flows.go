package invalid

import (
	"cmp"
	"slices"
	"time"
)

// Flow is the packets of one group that have one tuple.
type Flow struct {
	// Packet is the first of them, and Inner the packet that it quotes, nil for
	// none. Flags are the TCP flags of all of them together.
	Packet Packet
	Inner  *Packet
	Flags  uint8
	// Count is how many there were at least: when flows are not told apart any
	// more, those counted before this one had its place are not among them.
	Count       uint64
	First, Last time.Time
	// In, Out, PhysIn and PhysOut are the devices of the first, "" for none;
	// Devices tells that others came by others.
	In, Out, PhysIn, PhysOut string
	Devices                  bool
	// SrcMAC is who sent the first on the last link, when HasMAC; Senders tells
	// that others were sent by others.
	SrcMAC  [6]byte
	HasMAC  bool
	Senders bool
	// Sent: this host sent it.
	Sent bool
	// Variant is what the text says of the first; N counts nothing here.
	Variant Variant

	key  flowKey
	over uint64 // what was counted in its place before it
	at   int    // place in the heap
}

// flowKey is the packet's tuple and that of the packet that it quotes.
type flowKey struct {
	src, dst, innerSrc, innerDst         [16]byte
	sport, dport, innerSport, innerDport uint16
	proto, innerProto                    uint8
	has, innerHas                        Field
}

const keyFields = HasPorts | HasICMP | HasICMPID

func (k *flowKey) set(m *Message) {
	p := &m.Packet
	*k = flowKey{proto: p.Proto, has: p.Has & keyFields}
	k.src, k.dst = p.Src.As16(), p.Dst.As16()
	k.sport, k.dport = p.ends()
	if m.HasInner {
		q := &m.Inner
		k.innerProto, k.innerHas = q.Proto, q.Has&keyFields
		k.innerSrc, k.innerDst = q.Src.As16(), q.Dst.As16()
		k.innerSport, k.innerDport = q.ends()
	}
}

// ends are the ports as a tuple has them: of ICMP the id, and type and code.
func (p *Packet) ends() (src, dst uint16) {
	if p.Has&HasICMP != 0 {
		return p.ICMPID, uint16(p.ICMPType)<<8 | uint16(p.ICMPCode)
	}
	return p.SPort, p.DPort
}

// flowCounts counts flows by the space-saving algorithm of Metwally, Agrawal and
// El Abbadi: when there is no more room a new flow takes the place of the one
// with the fewest packets, so that those with many are kept for sure.
type flowCounts struct {
	room  int
	byKey map[flowKey]*Flow
	heap  flowHeap // the fewest first, once there is no more room
	total uint64
}

func (c *flowCounts) add(t *Tally, m *Message, n uint64) {
	c.total += n
	f := c.byKey[t.key]
	switch {
	case f != nil:
		f.more(t, m)
	case len(c.heap) < c.room:
		f = &Flow{at: len(c.heap)}
		c.heap = append(c.heap, counted{0, f})
		c.begin(f, t, m)
		if len(c.heap) == c.room {
			c.heap.init()
		}
	default:
		f = c.heap[0].Flow
		delete(c.byKey, f.key)
		over := f.over + f.Count
		*f = Flow{at: f.at, over: over}
		c.begin(f, t, m)
	}
	f.Count += n
	c.heap[f.at].n = f.over + f.Count
	if len(c.heap) == c.room {
		c.heap.down(f.at)
	}
}

func (c *flowCounts) begin(f *Flow, t *Tally, m *Message) {
	if c.byKey == nil {
		c.byKey = map[flowKey]*Flow{}
	}
	f.key = t.key
	c.byKey[f.key] = f
	f.Packet, f.First, f.Last = m.Packet, m.At, m.At
	if m.HasInner {
		inner := m.Inner
		f.Inner = &inner
	}
	f.Flags = m.Packet.TCPFlags
	f.In, f.Out, f.PhysIn, f.PhysOut = t.nameOf(m.In), t.nameOf(m.Out), t.nameOf(m.PhysIn), t.nameOf(m.PhysOut)
	f.SrcMAC, f.HasMAC, f.Sent = m.SrcMAC, m.HasMAC, sent(m)
	f.Variant = Variant{Has: m.Args.Has, Index: m.Args.Index, Dir: m.Args.Dir, State: t.nameOf(m.Args.State)}
}

func (t *Tally) nameOf(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	return t.name(b)
}

func (f *Flow) more(t *Tally, m *Message) {
	if f.First.IsZero() || m.At.Before(f.First) {
		f.First = m.At
	}
	if m.At.After(f.Last) {
		f.Last = m.At
	}
	f.Flags |= m.Packet.TCPFlags
	f.Devices = f.Devices || f.In != string(m.In) || f.Out != string(m.Out)
	f.Senders = f.Senders || f.HasMAC && m.HasMAC && f.SrcMAC != m.SrcMAC
}

// AtLeast tells that there can have been more packets than Count.
func (f *Flow) AtLeast() bool { return f.over > 0 }

// Flows are those that are told apart, the most packets first.
func (g *Group) Flows() []*Flow {
	out := make([]*Flow, len(g.counted.heap))
	for i, c := range g.counted.heap {
		out[i] = c.Flow
	}
	slices.SortStableFunc(out, func(a, b *Flow) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), a.First.Compare(b.First), compareKeys(&a.key, &b.key))
	})
	return out
}

func compareKeys(a, b *flowKey) int {
	return cmp.Or(slices.Compare(a.src[:], b.src[:]), slices.Compare(a.dst[:], b.dst[:]), cmp.Compare(a.sport, b.sport), cmp.Compare(a.dport, b.dport))
}

// Untold is how many packets are of flows that are not told apart.
func (g *Group) Untold() uint64 {
	n := g.counted.total
	for _, f := range g.counted.heap {
		n -= f.Count
	}
	return n
}

// Packets is how many messages had a packet.
func (g *Group) Packets() uint64 { return g.counted.total }

// flowHeap has the flow with the fewest packets first.
type flowHeap []counted

type counted struct {
	n uint64 // over and Count of the flow, here for the sake of the processor's cache
	*Flow
}

func (h flowHeap) init() {
	for i := len(h)/2 - 1; i >= 0; i-- {
		h.down(i)
	}
}

// down moves the flow at i behind those that have fewer packets.
func (h flowHeap) down(i int) {
	moved := h[i]
	for {
		next := 2*i + 1
		if next >= len(h) {
			break
		}
		if next+1 < len(h) && h[next+1].n < h[next].n {
			next++
		}
		if h[next].n >= moved.n {
			break
		}
		h[i] = h[next]
		h[i].at = i
		i = next
	}
	h[i] = moved
	moved.at = i
}
