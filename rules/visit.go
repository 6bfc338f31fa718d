package rules

// Reads calls f with everything that s loads: fields of the packet, of its
// metadata, of its entry. What is computed is taken apart.
func Reads(s Statement, f func(Expr)) {
	switch s := s.(type) {
	case *Match:
		Loads(s.Left, f)
	case *MatchRange:
		Loads(s.Left, f)
	case *InSet:
		Loads(s.Key, f)
	case *VerdictMap:
		Loads(s.Key, f)
	case *Dynset:
		Loads(s.Key, f)
		Loads(s.Data, f)
	case *ObjRef:
		Loads(s.Key, f)
	case *Assign:
		Loads(s.Value, f)
	case *NAT:
		for _, x := range []Expr{s.AddrMin, s.AddrMax, s.PortMin, s.PortMax} {
			Loads(x, f)
		}
	case *InIPSet:
		if s.AsksMark() {
			f(&Meta{Key: MetaMark})
		}
	case *NotOf:
		Reads(s.Part, f)
	case *AllOf:
		readsAll(s.Parts, f)
	case *AnyOf:
		readsAll(s.Parts, f)
	}
}

func readsAll(parts []Condition, f func(Expr)) {
	for _, p := range parts {
		Reads(p, f)
	}
}

// Loads calls f with what x is computed from, x itself when it is computed from
// nothing else; a nil x is none.
func Loads(x Expr, f func(Expr)) {
	switch x := x.(type) {
	case nil, *Const:
	case *Slice:
		Loads(x.X, f)
	case *Bitwise:
		Loads(x.X, f)
	case *Bool2:
		Loads(x.X, f)
		Loads(x.Y, f)
	case *Shift:
		Loads(x.X, f)
	case *Byteorder:
		Loads(x.X, f)
	case *Step:
		Loads(x.X, f)
	case *NPT:
		Loads(x.X, f)
	case *MapLookup:
		Loads(x.Key, f)
	case *Hash:
		Loads(x.X, f)
	case *Concat:
		for _, p := range x.Parts {
			Loads(p, f)
		}
	default:
		f(x)
	}
}
