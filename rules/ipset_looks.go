package rules

// IPSetLook is what one dimension of a set takes of a packet's tuple.
type IPSetLook struct {
	Port   bool // a port, or type and code of ICMP; else an address
	Src    bool
	Second bool // the element's second address
}

// Looks are the dimensions by which the referred set looks at the packet's
// tuple; none for a list of sets and for a type that is not known.
func (r *IPSetRef) Looks(s *IPSet) (out []IPSetLook) {
	t := s.row()
	if t == nil {
		return nil
	}
	second := false
	for i, f := range t.fields {
		if i >= len(r.Dims) {
			break
		}
		src := r.Dims[i] == IPSetSrc
		switch f {
		case ipsetIP, ipsetNet:
			out = append(out, IPSetLook{Src: src, Second: second})
			second = true
		case ipsetPort:
			out = append(out, IPSetLook{Port: true, Src: src})
		}
	}
	return out
}
