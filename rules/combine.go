package rules

import "reflect"

// AllOf holds when every part does: an xtables match that asks several things
// of a packet.
type AllOf struct {
	Span
	Parts []Condition
}

func (c *AllOf) Test(p *Packet) Answer {
	a := Decided(true)
	for _, part := range c.Parts {
		if a = a.And(part.Test(p)); a.Truth == No && a.Assumed == 0 {
			return a
		}
	}
	return a
}

// AnyOf holds when one part does or, inverted, when none does: xtables
// matches with lists (multiport, addrtype), and inverted ones of several parts.
type AnyOf struct {
	Span
	Parts  []Condition
	Invert bool
}

func (c *AnyOf) Test(p *Packet) Answer {
	a := Decided(false)
	for _, part := range c.Parts {
		a = a.Or(part.Test(p))
	}
	if c.Invert {
		return a.Not()
	}
	return a
}

// NotOf holds when its part does not. Unlike an inverted comparison of
// nf_tables it holds as well where what it looks at is not there: xtables
// matches invert the answer, whatever it came from.
type NotOf struct {
	Span
	Part Condition
}

func (c *NotOf) Test(p *Packet) Answer { return c.Part.Test(p).Not() }

// Fixed holds always or never: an xtables match with an empty list, say.
type Fixed struct {
	Span
	Holds bool
}

func (c *Fixed) Test(*Packet) Answer { return Decided(c.Holds) }

// Open is a condition on something that no entry records.
type Open struct {
	Span
	Name string // what the rule's own tool calls it: "recent", "string"
	From Source
}

func (c *Open) Test(*Packet) Answer { return Answer{Unknown: Of(c.From)} }

// Unrecorded is a value that no entry records, and that is surely there.
type Unrecorded struct {
	Len  int
	From Source
}

func (x *Unrecorded) Width() int         { return x.Len }
func (x *Unrecorded) Eval(*Packet) Value { return UnknownBytes(x.Len, x.From) }

// Chance holds for Hits of Of packets: by lot, or one in turn (xt_statistic).
type Chance struct {
	Span
	Hits, Of uint64 // 0 < Hits <= Of
	InTurn   bool   // every nth, not by lot
	Invert   bool
}

func (c *Chance) Test(*Packet) Answer {
	if c.Hits >= c.Of {
		return Decided(!c.Invert)
	}
	return Answer{Unknown: Of(FromRandom)}
}

// Probability is how likely it holds for a packet of which nothing is known.
func (c *Chance) Probability() float64 {
	p := float64(c.Hits) / float64(max(c.Of, 1))
	if c.Invert {
		return 1 - p
	}
	return p
}

// Remark stands for an extension without bearing on the packet's way: a
// comment, a target that only counts or logs.
type Remark struct {
	Span
	Name string // the extension's own name
	Text string // of a comment
}

// CommentIn is the comment that a rule of iptables carries as a match, "" when
// it has none.
func CommentIn(list []Statement) string {
	for _, s := range list {
		if r, ok := s.(*Remark); ok && r.Text != "" {
			return r.Text
		}
	}
	return ""
}

// Conditions are the conditions of the rule, those inside AllOf and NotOf too.
func (r *Rule) Conditions() []Condition {
	var out []Condition
	var add func(Condition)
	add = func(c Condition) {
		switch c := c.(type) {
		case *AllOf:
			for _, p := range c.Parts {
				add(p)
			}
		case *NotOf:
			add(c.Part)
		default:
			out = append(out, c)
		}
	}
	for _, s := range r.Statements {
		if c, ok := s.(Condition); ok {
			add(c)
		}
	}
	return out
}

// Subject is what a condition looks at, nil where that is not one thing.
func Subject(s Statement) Expr {
	switch s := s.(type) {
	case *Match:
		return s.Left
	case *MatchRange:
		return s.Left
	case *InSet:
		return s.Key
	case *VerdictMap:
		return s.Key
	case *NotOf:
		return Subject(s.Part)
	case *AnyOf:
		return common(s.Parts)
	case *AllOf:
		return common(s.Parts)
	}
	return nil
}

// common is what all the conditions look at.
func common(parts []Condition) Expr {
	var x Expr
	for _, p := range parts {
		y := Subject(p)
		if y == nil || x != nil && !reflect.DeepEqual(x, y) {
			return nil
		}
		x = y
	}
	return x
}
