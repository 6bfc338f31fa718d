package invalid

import (
	"bytes"
	"encoding/binary"

	"github.com/ntdiag/ntdiag/rules"
)

// field reads key=value; false when it means nothing here, or its value does
// not. What is not kept is unkept's.
func (w *words) field(key, value []byte) bool {
	p := w.p
	switch string(key) {
	case "IN":
		return w.device(&w.m.In, seenIn, value)
	case "OUT":
		return w.device(&w.m.Out, seenOut, value)
	case "PHYSIN":
		return w.device(&w.m.PhysIn, seenPhysIn, value)
	case "PHYSOUT":
		return w.device(&w.m.PhysOut, seenPhysOut, value)
	case "MAC", "MACSRC", "MACDST", "VPROTO", "VID", "MACPROTO", "TUNNEL":
		return !w.has(seenSrc) && !w.quoted && w.link(key, value)
	case "SRC":
		return w.address(seenSrc, value)
	case "DST":
		return w.address(seenDst, value)
	case "TTL", "HOPLIMIT":
		return store(w, seenTTL, HasTTL, &p.TTL, value)
	case "LEN":
		if w.has(seenProto) {
			return w.skip(seenLen2, value)
		}
		return store(w, seenLen, HasLen, &p.Len, value)
	case "ID":
		if w.has(seenType) {
			return store(w, seenID2, HasICMPID, &p.ICMPID, value)
		}
		return w.skip(seenID, value)
	case "PROTO":
		return w.protocol(value)
	case "SPT":
		return w.port(&p.SPort, seenSPort, value)
	case "DPT":
		return w.port(&p.DPort, seenDPort, value)
	case "SEQ":
		if w.has(seenType) {
			return w.skip(seenSeq2, value)
		}
		return w.sequence(&p.Seq, seenSeq, value)
	case "ACK":
		return w.sequence(&p.Ack, seenAck, value)
	case "WINDOW":
		return store(w, seenWindow, 0, &p.Window, value)
	case "URGP":
		return w.urgent(value)
	case "TYPE":
		return w.icmp(&p.ICMPType, seenType, value)
	case "CODE":
		return w.icmp(&p.ICMPCode, seenCode, value)
	case "UID":
		return !w.quoted && store(w, seenUID, HasUID, &p.UID, value)
	case "MARK":
		return w.mark(value)
	}
	return w.unkept(key, value)
}

// unkept reads what only has to be as the kernel prints it.
func (w *words) unkept(key, value []byte) (ok bool) {
	switch string(key) {
	case "TOS", "PREC", "SPI":
		_, ok = hex(value)
	case "RES":
		_, ok = hex(value)
		ok = ok && w.once(seenRes)
	case "TC", "FLOWLBL", "PARAMETER", "MTU":
		_, ok = number(value, 1<<32-1)
	case "GID":
		_, ok = number(value, 1<<32-1)
		ok = ok && w.has(seenUID)
	case "GATEWAY":
		_, ok = parseAddr(value)
	case "POINTER":
		_, ok = hexDigits(value)
	}
	return ok
}

func (w *words) mark(value []byte) bool {
	v, ok := hex(value)
	if !ok || w.quoted || !w.once(seenMark) {
		return false
	}
	w.p.Mark = v
	w.p.Has |= HasMark
	return true
}

// store reads a number into a field of the packet.
func store[T uint8 | uint16 | uint32](w *words, f seen, has Field, to *T, value []byte) bool {
	v, ok := number(value, uint64(^T(0)))
	if !ok || !w.once(f) {
		return false
	}
	*to = T(v)
	w.p.Has |= has
	return true
}

// skip reads a number that is not kept.
func (w *words) skip(f seen, value []byte) bool {
	_, ok := number(value, 0xffff)
	return ok && w.once(f)
}

// device names stand before the packet, each once.
func (w *words) device(to *[]byte, f seen, value []byte) bool {
	if w.has(seenSrc) || w.quoted || !w.once(f) {
		return false
	}
	*to = value
	return true
}

// link reads the link-layer header.
func (w *words) link(key, value []byte) bool {
	m := w.m
	switch string(key) {
	case "MAC":
		return w.once(seenMAC) && w.header(value)
	case "MACSRC":
		if len(value) != 17 || !w.once(seenMACSrc) {
			return false
		}
		m.HasMAC = parseMAC(&m.SrcMAC, value)
		return m.HasMAC
	case "MACDST":
		var mac [6]byte
		return len(value) == 17 && parseMAC(&mac, value)
	case "VPROTO", "MACPROTO":
		_, ok := hexDigits(value)
		return ok
	case "VID":
		_, ok := number(value, 4095)
		return ok
	case "TUNNEL":
		from, to, found := bytes.Cut(value, []byte("->"))
		_, ok1 := parseAddr(from)
		_, ok2 := parseAddr(to)
		return found && ok1 && ok2
	}
	return false
}

// header reads the bytes of MAC=: for Ethernet the destination, the source and
// the type. Other links have other headers, and no source that is known here.
func (w *words) header(value []byte) bool {
	if len(value) == 0 {
		return true
	}
	var header [14]byte // to, from, type
	n := 0
	for at := value; ; at = at[3:] {
		if len(at) < 2 || digit(at[0]) > 15 || digit(at[1]) > 15 {
			return false
		}
		if n < len(header) {
			header[n] = hexByte(at)
		}
		n++
		if len(at) == 2 {
			break
		}
		if at[2] != ':' {
			return false
		}
	}
	if n >= len(header) && isEthernet(binary.BigEndian.Uint16(header[12:])) {
		w.m.SrcMAC, w.m.HasMAC = [6]byte(header[6:]), true
	}
	return true
}

// isEthernet tells whether t is the type of an Ethernet frame that can carry
// what conntrack logs.
func isEthernet(t uint16) bool {
	switch t {
	case 0x0800, 0x86dd, 0x8100, 0x88a8, 0x8864:
		return true
	}
	return false
}

func hexByte(b []byte) byte { return byte(digit(b[0])<<4 | digit(b[1])&15) }

// parseMAC reads 17 characters.
func parseMAC(to *[6]byte, text []byte) bool {
	for i := range to {
		at := text[3*i:]
		if digit(at[0]) > 15 || digit(at[1]) > 15 || i < 5 && at[2] != ':' {
			return false
		}
		to[i] = hexByte(at)
	}
	return true
}

func (w *words) address(f seen, value []byte) bool {
	a, ok := parseAddr(value)
	if !ok || f == seenDst && !w.has(seenSrc) {
		return false
	}
	family := rules.FamilyIPv4
	if a.Is6() {
		family = rules.FamilyIPv6
	}
	if f == seenDst && family != w.p.Family || !w.once(f) {
		return false
	}
	w.p.Family = family
	if f == seenSrc {
		w.p.Src = a
	} else {
		w.p.Dst = a
	}
	return true
}

// protocols are those that are printed by name.
var protocols = [...]struct {
	name  string
	proto uint8
}{
	{"TCP", protoTCP}, {"UDP", protoUDP}, {"ICMP", protoICMP}, {"ICMPv6", protoICMPv6},
	{"UDPLITE", protoUDPLite}, {"AH", 51}, {"ESP", 50},
}

func (w *words) protocol(value []byte) bool {
	proto, ok := uint8(0), false
	for i := range protocols {
		if string(value) == protocols[i].name {
			proto, ok = protocols[i].proto, true
			break
		}
	}
	if !ok {
		var v uint64
		v, ok = number(value, 255)
		proto = uint8(v)
	}
	if !ok || !w.once(seenProto) {
		return false
	}
	if w.at == len(w.text) && !w.quoted && w.m.LogProto != 0 && proto != w.m.LogProto {
		return false // cut: PROTO=13 of 132
	}
	w.p.Proto = proto
	return true
}

func (w *words) port(to *uint16, f seen, value []byte) bool {
	if !store(w, f, 0, to, value) {
		return false
	}
	if w.has(seenSPort) && w.has(seenDPort) {
		w.p.Has |= HasPorts
	}
	return true
}

func (w *words) sequence(to *uint32, f seen, value []byte) bool {
	if !store(w, f, 0, to, value) {
		return false
	}
	if w.has(seenSeq) && w.has(seenAck) {
		w.p.Has |= HasSeq
	}
	return true
}

// urgent ends the flags: only now they are known to be all.
func (w *words) urgent(value []byte) bool {
	if !w.skip(seenUrgent, value) {
		return false
	}
	const all = seenSeq | seenAck | seenWindow | seenRes
	if w.seen&all == all {
		w.p.Has |= HasTCP
	}
	return true
}

func (w *words) icmp(to *uint8, f seen, value []byte) bool {
	if !store(w, f, 0, to, value) {
		return false
	}
	if w.has(seenType) && w.has(seenCode) {
		w.p.Has |= HasICMP
	}
	return true
}
