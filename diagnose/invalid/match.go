package invalid

import (
	"bytes"
	"strings"
	"sync"
)

// part is a piece of a form: text as it is, then a value.
type part struct {
	text string
	verb byte // of the value behind it: d u x s, 4 and 6 for an address; 0 for none
	arg  Arg
}

// pattern is a form, ready to be compared.
type pattern struct {
	parts  []part
	form   *Form
	reason *Reason
}

// patterns are all forms, by what stands before the reason.
type patterns struct {
	numbered [256][]pattern // nf_ct_proto_<n>:
	named    [256][]pattern // nf_ct_<protocol>: by the number of the protocol
	helper   [2][]pattern   // nf_ct_<helper>: dropping packet: | helper <name> dropping packet:
	core     []pattern      // nf_conntrack:
	device   []pattern      // <device> ate my IP address
}

const (
	prefixNumbered = "nf_ct_proto_"
	prefixNamed    = "nf_ct_"
	prefixHelper   = "helper "
	prefixCore     = "nf_conntrack: "
	infixDropped   = "dropping packet: "
	suffixAte      = " ate my IP address"
)

var known = sync.OnceValue(func() *patterns { return compile(Table) })

// protoNames are the protocols as kernels before 4.15 name them.
var protoNames = []struct {
	name  string
	proto uint8
}{
	{"tcp", protoTCP}, {"udp", protoUDP}, {"icmp", protoICMP}, {"icmpv6", protoICMPv6}, {"sctp", protoSCTP},
	{"dccp", protoDCCP}, {"udplite", protoUDPLite},
}

func compile(table []Reason) *patterns {
	p := new(patterns)
	for i := range table {
		r := &table[i]
		for k := range r.Forms {
			p.add(r, &r.Forms[k])
		}
	}
	return p
}

func (p *patterns) add(r *Reason, f *Form) {
	text, args := f.Text, f.Args
	var list *[]pattern
	switch {
	case strings.HasSuffix(text, suffixAte):
		list = &p.device
		text = suffixAte
	case strings.HasPrefix(text, prefixCore):
		list = &p.core
		for strings.HasPrefix(text, prefixCore) {
			text = text[len(prefixCore):]
		}
	case r.Kind == KindHelper:
		list = &p.helper[0]
		if strings.HasPrefix(text, prefixHelper) {
			list = &p.helper[1]
		}
		_, text, _ = strings.Cut(text, infixDropped)
		args = args[1:]
	case strings.HasPrefix(text, prefixNumbered):
		list = &p.numbered[r.Proto]
		_, text, _ = strings.Cut(text, ": ")
	default:
		list = &p.named[r.Proto]
		_, text, _ = strings.Cut(text, ": ")
	}
	*list = append(*list, pattern{parts: split(text, args), form: f, reason: r})
}

// split takes a format string apart.
func split(text string, args []Arg) []part {
	var out []part
	for text != "" {
		before, after, found := strings.Cut(text, "%")
		p := part{text: before}
		if found {
			if len(args) > 0 {
				p.arg, args = args[0], args[1:]
			}
			p.verb, after = after[0], after[1:]
			if p.verb == 'p' { // %pI4, %pI6
				p.verb, after = after[1], after[2:]
			}
		}
		out = append(out, p)
		text = after
	}
	return out
}

// find looks for the pattern that text begins with. It tells where the packet
// begins, or returns nil.
func find(list []pattern, text []byte, m *Message) (p *pattern, body int) {
	for i := range list {
		p := &list[i]
		if !begins(text, p.parts[0].text) {
			continue
		}
		if end, ok := p.match(text, m); ok {
			if body, ok := bodyAt(text, end); ok {
				return p, body
			}
		}
		m.Args, m.Netns = Args{}, 0
	}
	return nil, 0
}

// longer tells whether text, with which a message ends, may be the beginning of
// a longer reason: "bad checksum" of "bad checksum coverage".
func longer(list []pattern, text []byte) bool {
	for i := range list {
		if p := list[i].parts[0].text; len(p) > len(text) && p[:len(text)] == string(text) {
			return true
		}
	}
	return false
}

// match compares, and takes the values into m.
func (p *pattern) match(text []byte, m *Message) (end int, ok bool) {
	for i := range p.parts {
		part := &p.parts[i]
		if !begins(text[end:], part.text) {
			return 0, false
		}
		end += len(part.text)
		if part.verb == 0 {
			continue
		}
		next := ""
		if i+1 < len(p.parts) {
			next = p.parts[i+1].text
		}
		n := part.value(text[end:], next, m)
		if n == 0 {
			return 0, false
		}
		end += n
	}
	return end, true
}

// value reads the value at the beginning of text, before next; it returns its
// length, 0 when there is none.
func (p *part) value(text []byte, next string, m *Message) int {
	switch p.verb {
	case 'd', 'u', 'x':
		base := uint64(10)
		if p.verb == 'x' {
			base = 16
		}
		n, v := 0, uint64(0)
		for n < len(text) && n < 20 {
			d := digit(text[n])
			if d >= base {
				break
			}
			v = v*base + d
			n++
		}
		if n > 0 && !m.take(p.arg, v) {
			return 0
		}
		return n
	case '4', '6':
		n := wordEnd(text, 0)
		addr, ok := parseAddr(text[:n])
		if !ok {
			return 0
		}
		if m.Args.Has&ArgAddrs == 0 && !m.Args.OuterDst.IsValid() {
			m.Args.OuterDst = addr
		} else {
			m.Args.InnerSrc = addr
			m.Args.Has |= ArgAddrs
		}
		return n
	}
	n := wordEnd(text, 0)
	if next != "" || p.arg == 0 {
		// words of the kernel's own, to the next piece or the packet
		if n = bytes.Index(text, []byte(next)); next == "" {
			n = reasonEnd(text)
		}
	}
	if n <= 0 {
		return 0
	}
	if p.arg == ArgState {
		m.Args.State = text[:n]
		m.Args.Has |= ArgState
	}
	return n
}

// take keeps the value v, when it fits.
func (m *Message) take(arg Arg, v uint64) bool {
	a := &m.Args
	switch arg {
	case ArgIndex, ArgDir, ArgOldState, ArgChunk, ArgICMPType:
		if v > 0xff {
			return false
		}
	case ArgNetns:
	default:
		if v > 0xffffffff {
			return false
		}
	}
	switch arg {
	case 0:
		return true
	case ArgIndex:
		a.Index = uint8(v)
	case ArgDir:
		a.Dir = uint8(v)
	case ArgOldState:
		a.OldState = uint8(v)
	case ArgChunk:
		a.Chunk = uint8(v)
	case ArgICMPType:
		a.ICMPType = uint8(v)
	case ArgBound:
		a.Bound = uint32(v)
	case ArgBytes:
		a.Bytes = uint32(v)
	case ArgTimeout:
		a.Timeout = uint32(v)
	case ArgNetns:
		m.Netns = v
	case ArgVTag:
		if a.Has&ArgVTag == 0 {
			a.VTag = uint32(v)
		} else {
			a.Want = uint32(v)
		}
	}
	a.Has |= arg
	return true
}

// digit is the value of a hexadecimal digit, 99 for another byte.
func digit(c byte) uint64 { return uint64(digits[c]) }

var digits = func() (values [256]uint8) {
	for i := range values {
		values[i] = 99
	}
	for i, c := range []byte("0123456789abcdef") {
		values[c] = uint8(i)
		values[bytes.ToUpper([]byte{c})[0]] = uint8(i)
	}
	return values
}()
