package alike

import (
	"encoding/binary"
	"hash/maphash"
	"slices"
	"sync"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// shards part what is kept, so that cores seldom wait for one another.
const shards = 64

// Memo keeps answers of type V. It is safe for concurrent use.
type Memo[V any] struct {
	kinds  *Kinds
	side   Side
	most   int // of a shard
	seed   maphash.Seed
	shards [shards]shard[V]
}

type shard[V any] struct {
	sync.RWMutex
	nodes map[string]*node
	known map[string]V
}

// node are the flows of one first part. chains are those that any of them was
// seen to enter, besides those that all packets meet; each time there are more
// the keys are others, and epoch says so.
type node struct {
	number uint32
	epoch  uint32
	chains []*rules.Chain
	questions
}

// NewMemo begins with nothing known. Answers rest on the side alone; some most
// of them are kept: when there are more, those of a shard are dropped.
func NewMemo[V any](k *Kinds, side Side, most int) *Memo[V] {
	m := &Memo[V]{kinds: k, side: side, most: max(most/shards, 1), seed: maphash.MakeSeed()}
	for i := range m.shards {
		m.shards[i].reset()
	}
	return m
}

func (s *shard[V]) reset() { s.nodes, s.known = map[string]*node{}, map[string]V{} }

// Look asks a Memo. It is for one goroutine.
type Look[V any] struct {
	memo       *Memo[V]
	v          values
	first, key []byte
	entered    []*rules.Chain
}

// Look begins to ask.
func (m *Memo[V]) Look() *Look[V] { return &Look[V]{memo: m} }

// Enter notes that the packet that is being decided enters a chain
// (walk.Walker.Watch).
func (l *Look[V]) Enter(c *rules.Chain) {
	if !l.memo.kinds.always[c] && !slices.Contains(l.entered, c) {
		l.entered = append(l.entered, c)
	}
}

// Of is the answer for f: what decide said of a flow like it, or says now. All
// that decide looks at has to be told to Enter. share is false for an answer
// that is f's alone.
func (l *Look[V]) Of(f *host.Flow, decide func() (v V, share bool)) V {
	if !l.v.read(f) {
		v, _ := decide()
		return v
	}
	m := l.memo
	l.first = m.kinds.appendFirst(l.first[:0], f, &l.v, m.side)
	s := &m.shards[maphash.Bytes(m.seed, l.first)%shards]
	s.RLock()
	n := s.nodes[string(l.first)]
	if n != nil {
		l.key = n.append(n.appendTo(l.key[:0]), &l.v, m.side)
		if v, ok := s.known[string(l.key)]; ok {
			s.RUnlock()
			return v
		}
	}
	s.RUnlock()
	l.entered = l.entered[:0]
	v, share := decide()
	if share {
		l.keep(s, v)
	}
	return v
}

// appendTo begins the second part of a key.
func (n *node) appendTo(key []byte) []byte {
	return binary.NativeEndian.AppendUint32(binary.NativeEndian.AppendUint32(key, n.number), n.epoch)
}

// keep adds the answer of the flow that was just decided.
func (l *Look[V]) keep(s *shard[V], v V) {
	s.Lock()
	defer s.Unlock()
	if len(s.known) >= l.memo.most {
		s.reset()
	}
	n := s.nodes[string(l.first)]
	if n == nil {
		n = &node{number: uint32(len(s.nodes))}
		s.nodes[string(l.first)] = n
	}
	for _, c := range l.entered {
		if !slices.Contains(n.chains, c) {
			n.chains = append(n.chains, c)
		}
	}
	if int(n.epoch) != len(n.chains) {
		n.epoch, n.questions = uint32(len(n.chains)), of(n.chains, l.v.family, l.memo.side)
	}
	l.key = n.append(n.appendTo(l.key[:0]), &l.v, l.memo.side)
	s.known[string(l.key)] = v
}
