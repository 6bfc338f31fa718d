package rules

// NeedsConntrack tells whether conntrack looks at packets of family f: it does
// where an expression of a table that sees them has asked for it
// (nf_ct_netns_get), also one in a chain that no packet meets. Without it no
// packet has an entry, and the nat chains are not asked. What else in the
// kernel can ask for it (IPVS, Open vSwitch, act_ct) is not seen here.
func (rs *Ruleset) NeedsConntrack(f Family) bool {
	for _, t := range rs.Tables {
		if !t.Family.Sees(f) {
			continue
		}
		for _, o := range t.Objects {
			if o.Type == ObjectCtHelper || o.Type == ObjectCtTimeout || o.Type == ObjectCtExpect || o.Type == ObjectConnlimit || o.Type == ObjectSynproxy {
				return true
			}
		}
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				for _, s := range r.Statements {
					if needsConntrack(s, t.Backend) {
						return true
					}
				}
			}
		}
	}
	return false
}

// needsConntrack: of a kind of statement that is not listed nobody knows, and
// it is taken to need it.
func needsConntrack(s Statement, b Backend) bool {
	switch s := s.(type) {
	case *Verdict, *Counter, *Log, *Last, *Limit, *Quota, *Reject, *Fixed, *Chance, *Remark, *InIPSet, *Dup, *Fwd, *Queue, *TProxy, *StripOption:
		return false
	case *Notrack: // the CT target asks for it, the expression does not
		return b != BackendNft
	case *Open:
		return ofConntrack(s.From)
	case *Match:
		return readsConntrack(s.Left)
	case *MatchRange:
		return readsConntrack(s.Left)
	case *InSet:
		return readsConntrack(s.Key)
	case *VerdictMap:
		return readsConntrack(s.Key)
	case *Assign:
		return readsConntrack(s.Dest) || readsConntrack(s.Value)
	case *Load:
		return readsConntrack(s.Expr)
	case *ObjRef:
		return s.Key != nil && readsConntrack(s.Key)
	case *Dynset:
		for _, e := range s.Exprs {
			if needsConntrack(e, b) {
				return true
			}
		}
		return readsConntrack(s.Key) || s.Data != nil && readsConntrack(s.Data)
	case *AllOf:
		return anyNeeds(s.Parts, b)
	case *AnyOf:
		return anyNeeds(s.Parts, b)
	case *NotOf:
		return needsConntrack(s.Part, b)
	}
	return true
}

// ofConntrack tells whether a source is something of the entry.
func ofConntrack(s Source) bool { return s >= FromCtMark && s <= FromCtHelper || s == FromCtState }

func anyNeeds(parts []Condition, b Backend) bool {
	for _, p := range parts {
		if needsConntrack(p, b) {
			return true
		}
	}
	return false
}

// readsConntrack tells whether x loads something of the entry.
func readsConntrack(x Expr) bool {
	switch x := x.(type) {
	case *Const, *Meta, *Payload, *Exthdr, *Fib, *Numgen, *Rt, *Socket, *Osf, *Tunnel, *Xfrm, *Inner:
		return false
	case *Unrecorded:
		return ofConntrack(x.From)
	case *Slice:
		return readsConntrack(x.X)
	case *Bitwise:
		return readsConntrack(x.X)
	case *Shift:
		return readsConntrack(x.X)
	case *Byteorder:
		return readsConntrack(x.X)
	case *Bool2:
		return readsConntrack(x.X) || readsConntrack(x.Y)
	case *MapLookup:
		return readsConntrack(x.Key)
	case *Hash:
		return x.X != nil && readsConntrack(x.X)
	case *Concat:
		for _, p := range x.Parts {
			if readsConntrack(p) {
				return true
			}
		}
		return false
	}
	return true
}
