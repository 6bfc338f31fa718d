package xt

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// XT_U32_*: what is done to the number read so far.
const (
	u32And   = 0
	u32Left  = 1
	u32Right = 2
	u32At    = 3
)

var u32Signs = [...]string{"&", "<<", ">>", "@"}

// u32Max is XT_U32_MAXSIZE + 1.
const u32Max = 11

// longestPacket is more than GSO_MAX_SIZE, the most that a packet can hold.
const longestPacket = 1 << 20

// U32Step reads (the first, and @) or changes a number.
type U32Step struct {
	Number uint32
	Op     uint8 // XT_U32_*
}

// U32Test is struct xt_u32_test: a number of the packet, and the ranges of
// which it must be in one.
type U32Test struct {
	Steps  []U32Step
	Ranges [][2]uint32
}

// u32 is struct xt_u32.
type u32 struct {
	tests  []U32Test
	invert bool
}

func decodeU32(_ *Context, r *reader) Extension {
	x := &u32{tests: make([]U32Test, u32Max)}
	for i := range x.tests {
		x.tests[i] = r.u32Test()
	}
	n := int(r.u8())
	x.invert = r.u8() != 0
	if n > u32Max {
		r.fail("%d tests, at most %d", n, u32Max)
		return x
	}
	x.tests = x.tests[:n]
	for i := range x.tests {
		x.tests[i].check(r)
	}
	return x
}

func (r *reader) u32Test() U32Test {
	t := U32Test{Steps: make([]U32Step, u32Max), Ranges: make([][2]uint32, u32Max)}
	for i := range t.Steps {
		t.Steps[i] = U32Step{r.u32(), r.u8()}
		r.align(4)
	}
	for i := range t.Ranges {
		t.Ranges[i] = [2]uint32{r.u32(), r.u32()}
	}
	steps, ranges := int(r.u8()), int(r.u8())
	r.align(4)
	// one past the end is noted by check; the first step is always taken
	t.Steps = t.Steps[:min(max(steps, 1), u32Max)]
	t.Ranges = t.Ranges[:min(ranges, u32Max)]
	if steps > u32Max || ranges > u32Max {
		t.Steps = nil
	}
	return t
}

func (t *U32Test) check(r *reader) {
	if err := t.Valid(); err != nil {
		r.fail("%w", err)
	}
}

// Valid follows u32_mt_checkentry: there is a first step, and operators are
// those that there are.
func (t *U32Test) Valid() error {
	if len(t.Steps) == 0 || len(t.Steps) > u32Max || len(t.Ranges) > u32Max {
		return fmt.Errorf("more operators or ranges than %d", u32Max)
	}
	for _, s := range t.Steps[1:] {
		if s.Op > u32At || (s.Op == u32Left || s.Op == u32Right) && s.Number >= 32 {
			return fmt.Errorf("operator %d by %d", s.Op, s.Number)
		}
	}
	return nil
}

func (x *u32) Statements(c *Context) []rules.Statement {
	all := &rules.AllOf{Span: c.Span}
	for i := range x.tests {
		all.Parts = append(all.Parts, &U32Condition{c.Span, x.tests[i]})
	}
	if x.invert {
		return []rules.Statement{&rules.NotOf{Span: c.Span, Part: all}}
	}
	return []rules.Statement{all}
}

func (x *u32) Save(_ *Context, o *Options) {
	tests := make([]string, len(x.tests))
	for i := range x.tests {
		tests[i] = x.tests[i].String()
	}
	o.Opt(x.invert, "--u32", `"`+strings.Join(tests, "&&")+`"`)
}

func (t *U32Test) String() string {
	var b strings.Builder
	for i, s := range t.Steps {
		if i > 0 {
			b.WriteString(u32Signs[s.Op])
		}
		fmt.Fprintf(&b, "0x%x", s.Number)
	}
	sep := "="
	for _, v := range t.Ranges {
		fmt.Fprintf(&b, "%s0x%x", sep, v[0])
		if v[0] != v[1] {
			fmt.Fprintf(&b, ":0x%x", v[1])
		}
		sep = ","
	}
	if len(t.Ranges) == 0 {
		b.WriteByte('=')
	}
	return b.String()
}

// U32Condition asks one test of the packet, which begins with its IP header.
type U32Condition struct {
	rules.Span
	U32Test
}

func (t *U32Condition) String() string { return "u32 " + t.U32Test.String() }

// Test follows u32_match_it. Numbers are in network order, but for the
// operators that shift.
func (t *U32Condition) Test(p *rules.Packet) rules.Answer {
	there := rules.Decided(true)
	var at uint64
	v := t.read(p, uint64(t.Steps[0].Number), &there)
	for _, s := range t.Steps[1:] {
		n := beBytes(s.Number)
		switch s.Op {
		case u32And:
			v = (&rules.Bitwise{X: held{v}, Mask: n, Xor: make([]byte, 4)}).Eval(p)
		case u32Left, u32Right:
			v = shift(p, v, s)
		case u32At:
			if !v.IsKnown() {
				_, unknown := v.Sources()
				return rules.Answer{Unknown: unknown | rules.Of(rules.FromPayload)}
			}
			assumed, _ := v.Sources()
			if at += v.Uint(binary.BigEndian); at > 0xffffffff {
				return rules.Answer{Truth: rules.No, Assumed: assumed}
			}
			there.Assumed |= assumed
			v = t.read(p, at+uint64(s.Number), &there)
			v.AssumedBy |= assumed
		}
	}
	in := rules.Decided(false)
	for _, r := range t.Ranges {
		if r[0] <= r[1] {
			in = in.Or(v.Within(beBytes(r[0]), beBytes(r[1])))
		}
	}
	return there.And(in)
}

// read loads four bytes. Past the headers that a packet has at the least it is
// not known whether there are any.
func (t *U32Condition) read(p *rules.Packet, off uint64, there *rules.Answer) rules.Value {
	v := rules.UnknownBytes(4, rules.FromPayload)
	if off+4 <= uint64(p.Net.N) {
		return p.Net.Read(int(off), 4)
	}
	// where the transport header begins is known with the header's length, in
	// IPv6 when the header names it next
	v4 := p.Family == rules.FamilyIPv4
	ihl := p.Net.Read(0, 1)
	next := p.Net.Read(6, 1)
	direct := v4 && ihl.IsKnown() && int(ihl.Bits[0]&0xf)*4 == p.Net.N || !v4 && next.IsKnown() && next.Bits[0] == p.Proto
	if off >= uint64(p.Net.N) && off+4 <= uint64(p.Net.N+p.Trans.N) && direct {
		v = p.Trans.Read(int(off)-p.Net.N, 4)
		if v4 {
			next = ihl
		}
		v.AssumedBy, _ = next.Sources()
		return v
	}
	if off+4 > longestPacket {
		*there = there.And(rules.Decided(false))
		return v
	}
	*there = there.And(rules.Answer{Unknown: rules.Of(rules.FromLength)})
	return v
}

// shift works on numbers, whatever the order of the packet's host.
func shift(p *rules.Packet, v rules.Value, s U32Step) rules.Value {
	if s.Number == 0 {
		return v
	}
	host := &rules.Byteorder{X: held{v}, Size: 4, Len: 4}
	moved := &rules.Shift{X: host, Left: s.Op == u32Left, By: s.Number, Len: 4}
	return (&rules.Byteorder{X: moved, ToNetwork: true, Size: 4, Len: 4}).Eval(p)
}

// held is a value that is loaded already.
type held struct{ v rules.Value }

func (h held) Width() int                     { return h.v.N }
func (h held) Eval(*rules.Packet) rules.Value { return h.v }
