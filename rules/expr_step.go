package rules

// Step is a byte moved by By, which stays between 0 and 255 (ttl_tg).
type Step struct {
	X  Expr
	By int
}

func (*Step) Width() int { return 1 }

func (s *Step) Eval(p *Packet) Value {
	return mapAlternatives(s.X.Eval(p), func(v Value) Value {
		if v.N < 1 || v.Known[0] != 0xff {
			from := v.From[0]
			return UnknownBytes(1, from)
		}
		v.N = 1
		v.Bits[0] = byte(min(max(int(v.Bits[0])+s.By, 0), 0xff))
		return v
	})
}
