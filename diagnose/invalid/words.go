package invalid

import (
	"bytes"

	"github.com/ntdiag/ntdiag/rules"
)

// words reads the packet of a message word by word, as nf_log_syslog.c wrote it:
// nf_log_dump_packet_common, dump_mac_header, dump_ipv4_packet and
// dump_ipv6_packet. The same key means one thing before PROTO= and another
// behind it (LEN, ID), and is told apart by that.
type words struct {
	text   []byte
	at     int
	m      *Message
	p      *Packet // m.Packet, or m.Inner within brackets
	seen   seen    // of p; before is that of m.Packet, within brackets
	before seen

	quoted   bool // within the brackets of an ICMP error
	options  bool // within the OPT ( ) of an IPv6 extension header
	shortcut bool // somebody left words out: …
	from, to int  // of what was not understood
}

// seen are the fields that were read: each counts once.
type seen uint32

const (
	seenSrc seen = 1 << iota
	seenDst
	seenLen
	seenTTL
	seenID
	seenProto
	seenSPort
	seenDPort
	seenSeq
	seenAck
	seenWindow
	seenRes
	seenUrgent
	seenLen2
	seenType
	seenCode
	seenID2
	seenSeq2
	seenMark
	seenUID
	seenIn
	seenOut
	seenMAC
	seenMACSrc
	seenPhysIn
	seenPhysOut
)

// once notes a field; false when it was there before.
func (w *words) once(f seen) bool {
	if w.seen&f != 0 {
		return false
	}
	w.seen |= f
	return true
}

func (w *words) has(f seen) bool { return w.seen&f != 0 }

func (w *words) read() {
	for {
		w.at = skipBlanks(w.text, w.at)
		if w.at >= len(w.text) {
			return
		}
		start := w.at
		if !w.word() {
			w.at = max(w.at, w.end(start))
			if w.from == w.to {
				w.from = start
			}
			w.to = w.at
		}
	}
}

// end is where the word at i ends: at a blank, and within brackets before "]".
func (w *words) end(i int) int {
	if i < len(w.text) && w.text[i] == ']' {
		i++
	}
	return w.stop().find(w.text, i)
}

// stop is what words end at.
func (w *words) stop() stop {
	if w.quoted {
		return blank | bracket
	}
	return blank
}

// word reads the next word; false when it means nothing here.
func (w *words) word() bool {
	c := w.text[w.at]
	switch c {
	case '[':
		return w.open()
	case ']':
		return w.close()
	case ')':
		if w.options {
			w.options = false
			w.at++
			return true
		}
		return false
	}
	stop := w.stop()
	start := w.at
	eq := (stop | equals).find(w.text, start)
	key := w.text[start:eq]
	if eq == len(w.text) || w.text[eq] != '=' {
		w.at = eq
		return w.bare(key)
	}
	w.at = stop.find(w.text, eq)
	if w.at == len(w.text) && !w.shortcut && !w.mayEnd(key) {
		return false // digits may be missing
	}
	return w.field(key, w.text[eq+1:w.at])
}

// mayEnd tells whether a whole message can end with the field. Blanks at its
// end get lost on the way, so nothing else tells that it is whole.
func (w *words) mayEnd(key []byte) bool {
	switch string(key) {
	case "SRC", "DST", "TOS", "PREC", "TTL", "TC", "HOPLIMIT", "FLOWLBL",
		"SPT", "DPT", "ACK", "WINDOW", "RES", "TYPE", "ID", "UID",
		"IN", "OUT", "PHYSIN", "PHYSOUT", "MAC", "MACSRC", "MACDST", "VPROTO", "VID", "MACPROTO", "TUNNEL":
		return false
	case "LEN":
		return w.has(seenProto)
	case "SEQ":
		return w.has(seenType)
	}
	return true
}

// open begins the packet that an ICMP error quotes.
func (w *words) open() bool {
	if w.m.HasInner || !w.has(seenCode) {
		return false
	}
	w.m.HasInner, w.quoted = true, true
	w.p = &w.m.Inner
	w.seen, w.before = 0, w.seen
	w.at++
	return true
}

func (w *words) close() bool {
	if !w.quoted {
		return false
	}
	w.quoted, w.options = false, false
	w.p = &w.m.Packet
	w.seen = w.before
	w.at++
	return true
}

// bare reads a word without a value.
func (w *words) bare(word []byte) bool {
	p := w.p
	switch string(word) {
	case "OPT":
		return w.optionWords()
	case "INCOMPLETE":
		if w.options && !begins(w.text[w.at:], " [") {
			return true // more fragments (IPv6)
		}
		return w.incomplete()
	case "TRUNCATED":
		p.Has |= HasTruncated
		return true
	case "CE", "DF":
		return w.has(seenSrc) && !w.has(seenProto)
	case "MF":
		if !w.has(seenSrc) || w.has(seenProto) {
			return false
		}
		p.Has |= HasFrag
		return true
	case "…", "...":
		w.shortcut = true
		return true
	case "AH", "ESP":
		if !w.options {
			return false
		}
		if word[0] == 'E' && w.once(seenProto) {
			p.Proto = 50 // nothing follows
		}
		return true
	case "Unknown":
		const words = " Ext Hdr "
		if !w.options || !begins(w.text[w.at:], words) {
			return false
		}
		end := w.end(w.at + len(words))
		n, ok := number(w.text[w.at+len(words):end], 255)
		if ok && w.once(seenProto) {
			p.Proto = uint8(n)
		}
		w.at = end
		return ok
	}
	if begins(word, "FRAG:") {
		return w.fragment(word[len("FRAG:"):])
	}
	if begins(word, "ID:") && w.options {
		_, ok := hexDigits(word[len("ID:"):])
		return ok
	}
	return w.flag(word)
}

// flag reads a TCP flag. They stand between RES= and URGP=; in a line that was
// shortened anywhere.
func (w *words) flag(word []byte) bool {
	if !w.has(seenRes) && !w.shortcut || w.has(seenUrgent) || len(word) > 3 {
		return false
	}
	for i := range tcpFlags {
		if f := &tcpFlags[i]; string(word) == f.name {
			w.p.TCPFlags |= f.bit
			return true
		}
	}
	return false
}

// tcpFlags as they are printed. AE has no bit in the byte.
var tcpFlags = [...]struct {
	name string
	bit  uint8
}{
	{"ACK", 16}, {"PSH", 8}, {"SYN", 2}, {"FIN", 1}, {"RST", 4}, {"URG", 32}, {"ECE", 64}, {"CWR", 128}, {"AE", 0},
}

// fragment reads FRAG: IPv4 prints units of 8 bytes, IPv6 bytes.
func (w *words) fragment(value []byte) bool {
	if w.options && string(value) == "TRUNCATED" {
		w.p.Has |= HasTruncated | HasFrag
		return true
	}
	v, ok := number(value, 0xffff)
	if !ok || w.p.Family == rules.FamilyIPv6 != w.options {
		return false
	}
	if w.options {
		v >>= 3
	}
	w.p.FragOff = max(w.p.FragOff, uint16(v)) // of several headers
	w.p.Has |= HasFrag
	return true
}

// incomplete reads INCOMPLETE [4 bytes].
func (w *words) incomplete() bool {
	const open, close = " [", " bytes]"
	if !begins(w.text[w.at:], open) {
		w.p.Has |= HasTruncated
		return false // cut
	}
	from := w.at + len(open)
	n := bytes.Index(w.text[from:min(len(w.text), from+20)], []byte(close))
	if n < 0 {
		w.p.Has |= HasTruncated
		w.at = len(w.text)
		return false
	}
	_, ok := number(w.text[from:from+n], 1<<32-1)
	w.at = from + n + len(close)
	w.p.Has |= HasTruncated
	return ok
}

// optionWords reads the options of IPv4 and TCP, OPT (94040000), or opens an IPv6
// extension header, OPT ( ... ).
func (w *words) optionWords() bool {
	if !begins(w.text[w.at:], " (") {
		return false
	}
	from := w.at + 2
	if w.p.Family == rules.FamilyIPv6 && !w.has(seenProto) {
		w.options = true
		w.at = from
		return true
	}
	n := bytes.IndexByte(w.text[from:min(len(w.text), from+100)], ')')
	if n < 0 {
		w.at = len(w.text)
		return false
	}
	w.at = from + n + 1
	if string(w.text[from:from+n]) == "TRUNCATED" {
		w.p.Has |= HasTruncated
		return true
	}
	return allHex(w.text[from : from+n])
}
