package redact

import (
	"reflect"

	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/xt"
)

// handler is told of every constant in a ruleset that is compared with an
// address, a name or payload, or that becomes one: the collector asks what of
// addresses has to stay, the redactor maps.
type handler interface {
	// value gives what stands for b, of which p says what it is.
	value(p piece, b []byte) []byte
	// interval is value for what lies from lo to hi.
	interval(p piece, lo, hi []byte) (l, h []byte)
	// choice is interval for addresses that NAT chooses from.
	choice(p piece, lo, hi []byte) (l, h []byte)
	// bits are those of addresses that are looked at whatever stands before
	// them; mask begins at byte off of the address.
	bits(m meaning, off int, mask []byte)
	// literal is an address that stays, as the mask that stands in a rule does.
	literal(b []byte)
	// hostPart: what follows n bits of an address is carried elsewhere.
	hostPart(m meaning, n int)
	// blind stands for x, which is computed from an address in a way that no
	// mapping keeps.
	blind(x rules.Expr) rules.Expr
	// blinds tells whether blind does anything.
	blinds() bool
	// differs notes what the redacted rules leave open that the rules do not.
	differs(what string)
}

// walker goes through a ruleset and finds out what its constants are by what
// they are compared with.
type walker struct {
	handler
	uses map[*rules.Set]*use
	// done are the constants and sets that were handled: several statements can
	// hold the same one.
	done map[any]bool
	// gathering: only the uses of sets are looked for.
	gathering bool
}

// use is what the rules take the keys and the data of a set for.
type use struct {
	key, data layout
	nat       bool // the data is what NAT chooses from
	netmap    bool // the data is networks to which host parts are carried
}

// through goes through all of rs.
func through(h handler, rs *rules.Ruleset) {
	w := &walker{handler: nothing{}, uses: map[*rules.Set]*use{}, done: map[any]bool{}, gathering: true}
	w.rules(rs)
	w.handler, w.gathering, w.done = h, false, map[any]bool{}
	w.rules(rs)
	for _, t := range rs.Tables {
		for _, s := range t.Sets {
			w.set(s)
		}
	}
}

func (w *walker) rules(rs *rules.Ruleset) {
	for _, t := range rs.Tables {
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				w.list(r.Statements, newHeaders(t.Family))
			}
		}
	}
}

// list is the statements of a rule. Two comparisons that are one range are
// handled as one.
func (w *walker) list(list []rules.Statement, h *headers) {
	for i := 0; i < len(list); i++ {
		if i+1 < len(list) && w.pair(list[i], list[i+1], h) {
			i++
			continue
		}
		s := w.statement(list[i], h)
		h.learn(s)
		if w.blinds() {
			list[i] = s
		}
	}
}

func (w *walker) pair(s, next rules.Statement, h *headers) bool {
	lo, ok1 := s.(*rules.Match)
	hi, ok2 := next.(*rules.Match)
	if !ok1 || !ok2 || lo.Op != rules.CmpGte || hi.Op != rules.CmpLte || !reflect.DeepEqual(lo.Left, hi.Left) {
		return false
	}
	x, lay := w.expr(lo.Left, h)
	y, _ := w.expr(hi.Left, h)
	l, r := w.between(lay, lo.Right, hi.Right)
	if w.blinds() {
		lo.Left, hi.Left, lo.Right, hi.Right = x, y, l, r
	}
	return true
}

// statement handles one, and gives what stands for it.
func (w *walker) statement(s rules.Statement, h *headers) rules.Statement {
	switch s := s.(type) {
	case *rules.Match:
		x, lay := w.expr(s.Left, h)
		right := w.compare(lay, s.Op, s.Right)
		if w.blinds() {
			s.Left, s.Right = asLong(x, len(right)), right
		}
	case *rules.MatchRange:
		x, lay := w.expr(s.Left, h)
		lo, hi := w.between(lay, s.Lo, s.Hi)
		if w.blinds() {
			s.Left, s.Lo, s.Hi = x, lo, hi
		}
	case *rules.InSet:
		w.put(&s.Key, w.key(s.Key, s.Set, h))
	case *rules.VerdictMap:
		w.put(&s.Key, w.key(s.Key, s.Set, h))
	case *rules.ObjRef:
		if s.Key != nil {
			w.put(&s.Key, w.key(s.Key, s.Set, h))
		}
	case *rules.Dynset:
		w.dynset(s, h)
	case *rules.Assign:
		w.put(&s.Value, w.assigned(w.loads(s.Dest, h), s.Value, h))
	case *rules.NAT:
		w.nat(s, h)
	case *rules.TProxy:
		w.address(&s.Addr, h)
	case *rules.Dup:
		w.address(&s.Addr, h)
	case *rules.Fwd:
		w.address(&s.Addr, h)
	case *rules.Load:
		x, _ := w.expr(s.Expr, h)
		w.put(&s.Expr, x)
	case *rules.Cluster:
		w.differs("which node of a cluster takes a flow (xt_cluster): it hangs on the hash of an address")
		s.Blind = s.Blind || w.blinds()
	case *rules.AllOf:
		w.conditions(s.Parts, h)
	case *rules.AnyOf:
		w.conditions(s.Parts, h)
	case *rules.NotOf:
		w.conditions([]rules.Condition{s.Part}, h)
	case *xt.U32Condition:
		return w.u32(s, h)
	}
	return s
}

// asLong is x where what it is compared with is n bytes now: a name is compared
// as far as it goes.
func asLong(x rules.Expr, n int) rules.Expr {
	if s, ok := x.(*rules.Slice); ok && s.Off == 0 && s.Len != n {
		return &rules.Slice{X: s.X, Len: n}
	}
	return x
}

func (w *walker) conditions(parts []rules.Condition, h *headers) {
	for i, p := range parts {
		if c, ok := w.statement(p, h).(rules.Condition); ok && w.blinds() {
			parts[i] = c
		}
	}
}

// u32 reads numbers from anywhere in a packet: where these can be of addresses
// or of payload, the condition is open.
func (w *walker) u32(s *xt.U32Condition, h *headers) rules.Statement {
	if !readsHidden(s, h) {
		return s
	}
	w.differs("what u32 reads of addresses and payload")
	if !w.blinds() {
		return s
	}
	return &rules.Open{Span: s.Span, Name: "u32", From: rules.FromIPHeader}
}

// u32At is XT_U32_AT: what was read so far is where the next number stands.
const u32At = 3

func readsHidden(s *xt.U32Condition, h *headers) bool {
	first, end := uint32(12), uint32(20)
	if h.net == rules.FamilyIPv6 {
		first, end = 8, 40
	}
	header := uint32(h.transport().end)
	at, base := s.Steps[0].Number, end
	for _, step := range s.Steps[1:] {
		if step.Op == u32At {
			if at+4 > first && at < end {
				return true
			}
			at, base = step.Number, 0 // behind what was read: the IP header's length
		}
	}
	if base == 0 {
		return at+4 > header
	}
	return at+4 > first && at < end || at+4 > end+header
}

func (w *walker) put(at *rules.Expr, x rules.Expr) {
	if w.blinds() {
		*at = x
	}
}

// useOf is what is known of how a set is used.
func (w *walker) useOf(s *rules.Set) *use {
	if w.uses[s] == nil {
		w.uses[s] = &use{}
	}
	return w.uses[s]
}

// key is an expression that is looked up in a set.
func (w *walker) key(x rules.Expr, s *rules.Set, h *headers) rules.Expr {
	y, lay := w.expr(x, h)
	if s == nil {
		return y
	}
	switch u := w.useOf(s); {
	case u.key == nil || u.key.plain() && !u.key.has(unmapped):
		u.key = lay
	case !w.gathering && len(lay) == 1 && lay.sameBut(u.key) && lay[0].bits != u.key[0].bits && lay[0].address():
		// by the network here and by the address there: both are found with
		// the same element where the bits between stay
		w.bits(lay[0].meaning, 0, suffixMask(lay[0].n, min(lay[0].bits, u.key[0].bits)))
	}
	return y
}

func (w *walker) dynset(s *rules.Dynset, h *headers) {
	w.put(&s.Key, w.key(s.Key, s.Set, h))
	if s.Data != nil && s.Set != nil {
		w.put(&s.Data, w.assigned(w.dataLayout(s.Set), s.Data, h))
	}
	w.list(s.Exprs, h)
}

// address is an operand that is an address of its own width.
func (w *walker) address(x *rules.Expr, h *headers) {
	if *x == nil {
		return
	}
	w.put(x, w.assigned(addressOf((*x).Width()), *x, h))
}

func addressOf(n int) layout {
	switch n {
	case 4:
		return wholly(addr4)
	case 16:
		return wholly(addr6)
	}
	return plainly(n)
}

// assigned is a value that becomes what lay says.
func (w *walker) assigned(lay layout, x rules.Expr, h *headers) rules.Expr {
	switch v := x.(type) {
	case *rules.Const:
		return w.constant(lay, v)
	case *rules.MapLookup:
		if u := w.useOf(v.Set); v.Set != nil && u.data == nil {
			u.data = lay
		}
	case *rules.Bitwise:
		if to := w.carried(lay, v, h); to != nil {
			return to
		}
	}
	y, got := w.expr(x, h)
	switch {
	case got.plain() && lay.plain():
		return y
	case len(got) == len(lay) && len(lay) == 1 && got[0].meaning == lay[0].meaning && got[0].off == lay[0].off && got[0].bits == 8*got[0].n &&
		(lay[0].n == wholeOf[lay[0].meaning] || got[0].n == lay[0].n && w.partly(lay[0])):
		return y
	case lay.plain() && w.flatten(got):
		return y
	}
	return w.blind(y)
}

// partly: a part of an address is put in the place of another one's. What
// stands before it and behind it stays.
func (w *walker) partly(p piece) bool {
	if p.off == 0 {
		w.hostPart(p.meaning, 8*p.n)
		return true
	}
	return false
}

// constant is one that becomes, or is, what lay says.
func (w *walker) constant(lay layout, c *rules.Const) rules.Expr {
	if lay.plain() || w.done[c] || w.gathering {
		return c
	}
	w.done[c] = true
	if len(lay) == 1 && wholeOf[lay[0].meaning] > lay[0].n {
		if !w.partly(lay[0]) {
			return w.blind(c)
		}
	}
	b := w.each(lay, c.Data)
	if w.blinds() {
		c.Data = b
	}
	return c
}

// carried is (address & host part) ^ network: what becomes of an address whose
// host part is carried into a network. nil where x is something else.
func (w *walker) carried(lay layout, x *rules.Bitwise, h *headers) rules.Expr {
	if len(lay) != 1 || lay[0].off != 0 || lay[0].n != wholeOf[lay[0].meaning] || !lay[0].address() {
		return nil
	}
	from, got := w.expr(x.X, h)
	n := 8*len(x.Mask) - popcount(x.Mask)
	if len(got) != 1 || got[0].meaning != lay[0].meaning || got[0].off != 0 || got[0].bits != 8*lay[0].n || len(x.Mask) != lay[0].n || len(x.Xor) != lay[0].n {
		return nil
	}
	for i := range 8 * len(x.Mask) {
		bit := byte(0x80) >> (i % 8)
		if (x.Mask[i/8]&bit != 0) != (i >= n) || i >= n && x.Xor[i/8]&bit != 0 {
			return nil
		}
	}
	if w.gathering || w.done[x] {
		return x
	}
	w.done[x] = true
	w.hostPart(lay[0].meaning, n)
	to := w.value(piece{lay[0].meaning, lay[0].n, 0, n}, x.Xor)
	if w.blinds() {
		x.X, x.Xor = from, to
	}
	return x
}

// nat handles the operands of a NAT statement.
func (w *walker) nat(s *rules.NAT, h *headers) {
	netmap := s.Flags&rules.NATNetmap != 0
	for _, x := range []rules.Expr{s.AddrMin, s.AddrMax} {
		if m := lookupOf(x); m != nil && m.Set != nil {
			u := w.useOf(m.Set)
			u.nat, u.netmap = true, u.netmap || netmap
			if u.data == nil {
				u.data = addressOf(x.Width())
			}
		}
	}
	lo, ok1 := s.AddrMin.(*rules.Const)
	hi, ok2 := s.AddrMax.(*rules.Const)
	lay := layout(nil)
	if s.AddrMin != nil {
		lay = addressOf(s.AddrMin.Width())
	}
	switch {
	case ok1 && ok2 && lo != hi && len(lo.Data) == len(hi.Data) && !lay.plain():
		if !w.gathering && !w.done[lo] {
			w.done[lo], w.done[hi] = true, true
			lo.Data, hi.Data = w.target(lay[0], netmap, lo.Data, hi.Data)
		}
	default:
		w.address(&s.AddrMin, h)
		w.address(&s.AddrMax, h)
	}
	for _, x := range []*rules.Expr{&s.PortMin, &s.PortMax} {
		if *x != nil {
			y, _ := w.expr(*x, h)
			w.put(x, y)
		}
	}
}

// target is a range of addresses that NAT chooses from, or maps to.
func (w *walker) target(p piece, netmap bool, lo, hi []byte) (l, r []byte) {
	if !netmap {
		return w.choice(p, lo, hi)
	}
	n := commonBits(lo, hi)
	w.hostPart(p.meaning, n)
	if !isPrefix(lo, hi, n) {
		// RangeMask has holes: the bits behind are taken from either side
		w.bits(p.meaning, 0, suffixMask(len(lo), n))
		net := p
		net.bits = n
		a, b := w.value(net, prefixBytes(lo, n)), w.value(net, prefixBytes(hi, n))
		return or(a, suffix(lo, n)), or(b, suffix(hi, n))
	}
	return w.interval(p, lo, hi)
}

// lookupOf is the map that an operand comes from.
func lookupOf(x rules.Expr) *rules.MapLookup {
	switch x := x.(type) {
	case *rules.MapLookup:
		return x
	case *rules.Slice:
		return lookupOf(x.X)
	}
	return nil
}
