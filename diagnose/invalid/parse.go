package invalid

import (
	"bytes"

	"github.com/ntdiag/ntdiag/rules"
)

// Parse reads one message of the kernel's log: text is what the kernel wrote,
// without what syslog put before it; a level "<5>" and a stamp "[ 12.345] " may
// be there. It reports whether the message is one of conntrack's or NAT's, and
// fills m, whose slices point into text.
//
// A message that was cut, or shortened by hand, is read as far as it goes. A
// number at the end of text that more should follow may have lost digits: it
// is in m.Rest.
//
// What cannot be told: anybody who may write a LOG rule or /dev/kmsg can print
// the very same words. The names of devices cannot: a name has no blank
// (dev_valid_name), so a device called "SRC=192.0.2.1" is one word, IN=SRC=192.0.2.1.
// A helper that was made with nfct can have blanks in its name; it ends where
// "dropping packet" begins.
func Parse(text []byte, m *Message) bool { return read(text, m, false) }

// read is Parse; whole: text ends where the reason does.
func read(text []byte, m *Message, whole bool) bool {
	m.Kind = KindNone
	text = unstamped(text)
	// most lines are not ours: decide by their first byte
	if len(text) < len(prefixNamed) {
		return false
	}
	body := 0
	switch {
	case text[0] == 'n' && begins(text, prefixNamed):
		body = m.tracker(text, whole)
	case text[0] == 'n' && begins(text, prefixCore):
		return m.core(text)
	case text[0] == 'h' && begins(text, prefixHelper):
		body = m.helper(text, len(prefixHelper), 1, whole)
	default:
		return m.noAddress(text)
	}
	if m.Kind == KindNone {
		return false
	}
	m.packet(text, body)
	return true
}

// unstamped takes off "<5>", "[   12.345678] " and "[   T12] ", when they are
// there.
func unstamped(text []byte) []byte {
	if len(text) > 3 && text[0] == '<' {
		if i := bytes.IndexByte(text[:min(len(text), 6)], '>'); i > 0 {
			text = text[i+1:]
		}
	}
	for len(text) > 0 && text[0] == '[' {
		i := bytes.IndexByte(text[:min(len(text), 40)], ']')
		if i < 0 {
			break
		}
		text = text[i+1:]
		for len(text) > 0 && text[0] == ' ' {
			text = text[1:]
		}
	}
	return text
}

// tracker reads what nf_log_invalid prints, and older helpers:
// "nf_ct_proto_6: invalid new IN=", "nf_ct_tcp: invalid state IN=",
// "nf_ct_ftp: dropping packet: all ports in use IN=".
func (m *Message) tracker(text []byte, whole bool) (body int) {
	colon := bytes.IndexByte(text, ':')
	if colon < 0 || colon+2 > len(text) {
		return 0
	}
	list := m.protocol(text[:colon])
	if list == nil {
		return m.helper(text, len(prefixNamed), 0, whole)
	}
	start := colon + 1
	if text[start] == ' ' {
		start++
	}
	return m.reason(KindInvalid, *list, text, start, whole)
}

// protocol finds the forms by the prefix, and empties m; nil when it names no
// protocol.
func (m *Message) protocol(prefix []byte) *[]pattern {
	if begins(prefix, prefixNumbered) {
		n, ok := number(prefix[len(prefixNumbered):], 255)
		if !ok {
			return nil
		}
		*m = Message{LogProto: uint8(n)}
		return &known().numbered[n]
	}
	for i := range protoNames {
		if p := &protoNames[i]; string(prefix[len(prefixNamed):]) == p.name {
			*m = Message{LogProto: p.proto}
			return &known().named[p.proto]
		}
	}
	return nil
}

// reason reads the reason that begins at start, and tells where the packet
// begins.
func (m *Message) reason(kind Kind, list []pattern, text []byte, start int, whole bool) (body int) {
	m.Kind = kind
	rest := text[start:]
	p, n := find(list, rest, m)
	if p != nil && n == len(rest) && !whole && longer(list, trimEnd(rest)) {
		p, m.Args = nil, Args{}
	}
	if p == nil {
		n = reasonEnd(rest)
		m.Text = rest[:n]
		return skipBreaks(text, start+n)
	}
	m.Reason, m.Form = p.reason, p.form
	m.Text = trimEnd(rest[:n])
	return start + n
}

// helper reads what nf_ct_helper_log prints, the name from start on.
func (m *Message) helper(text []byte, start, form int, whole bool) (body int) {
	i := bytes.Index(text, []byte(infixDropped))
	if i < 0 {
		return 0
	}
	name := trimEnd(text[start:i])
	if form == 0 && len(name) > 0 {
		if name[len(name)-1] != ':' {
			return 0
		}
		name = name[:len(name)-1]
	}
	if len(name) == 0 {
		return 0
	}
	*m = Message{}
	body = m.reason(KindHelper, known().helper[form], text, i+len(infixDropped), whole)
	m.Args.Helper = name
	m.Args.Has |= ArgHelper
	return body
}

// core reads what nf_conntrack_core.c and nf_conntrack_expect.c print.
func (m *Message) core(text []byte) bool {
	rest := text
	for begins(rest, prefixCore) {
		rest = rest[len(prefixCore):]
	}
	*m = Message{}
	p, n := find(known().core, rest, m)
	if p == nil {
		return false
	}
	m.Kind, m.Reason, m.Form, m.Text = p.reason.Kind, p.reason, p.form, trimEnd(rest[:n])
	if n < len(rest) {
		m.Rest = rest[n:]
	}
	return true
}

// noAddress reads what nf_nat_masquerade_ipv4 prints. Older modules put their
// name before the device's.
func (m *Message) noAddress(text []byte) bool {
	end := len(text)
	for end > 0 && text[end-1] == ' ' {
		end--
	}
	if end <= len(suffixAte) || string(text[end-len(suffixAte):end]) != suffixAte {
		return false
	}
	dev := text[:end-len(suffixAte)]
	dev = dev[bytes.LastIndexByte(dev, ' ')+1:]
	if len(dev) == 0 || len(dev) > 15 {
		return false
	}
	p := &known().device[0]
	*m = Message{Kind: KindNoAddress, Reason: p.reason, Form: p.form, Text: text[:end], Out: dev}
	return true
}

// packet reads the packet, which begins at body.
func (m *Message) packet(text []byte, body int) {
	w := words{text: text, at: body, m: m, p: &m.Packet}
	w.read()
	if w.from < w.to {
		m.Rest = text[w.from:w.to]
	}
	if m.Packet.Proto == 0 && m.Packet.Family != rules.FamilyUnspec {
		m.Packet.Proto = m.LogProto
	}
}
