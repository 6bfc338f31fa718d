package invalid

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
)

// skb is a packet, from its network header on, that the kernel would log:
// pointer is skb_header_pointer.
type skb []byte

func (s skb) pointer(at, n int) []byte {
	if at < 0 || at+n > len(s) {
		return nil
	}
	return s[at : at+n]
}

// left is skb->len - at, as %u prints it.
func (s skb) left(at int) uint32 { return uint32(len(s)) - uint32(at) }

// syslog writes packets as nf_log_syslog.c does, with NF_LOG_DEFAULT_MASK.
type syslog struct {
	strings.Builder
	mark     uint32
	uid, gid uint32
	hasUID   bool
}

func (l *syslog) add(format string, args ...any) { fmt.Fprintf(l, format, args...) }

func (l *syslog) tcp(s skb, fragment bool, at int) (end bool) {
	l.add("PROTO=TCP ")
	if fragment {
		return false
	}
	th := s.pointer(at, 20)
	if th == nil {
		l.add("INCOMPLETE [%d bytes] ", s.left(at))
		return true
	}
	u16, u32 := binary.BigEndian.Uint16, binary.BigEndian.Uint32
	l.add("SPT=%d DPT=%d SEQ=%d ACK=%d WINDOW=%d ", u16(th), u16(th[2:]), u32(th[4:]), u32(th[8:]), u16(th[14:]))
	l.add("RES=0x%02x ", th[12]&15<<2)
	for i, name := range []string{"CWR", "ECE", "URG", "ACK", "PSH", "RST", "SYN", "FIN"} {
		if th[13]&(0x80>>i) != 0 {
			l.add("%s ", name)
		}
	}
	l.add("URGP=%d ", u16(th[18:]))
	if size := int(th[12]>>4)*4 - 20; size > 0 {
		op := s.pointer(at+20, size)
		if op == nil {
			l.add("OPT (TRUNCATED)")
			return true
		}
		l.add("OPT (%X) ", op)
	}
	return false
}

func (l *syslog) udp(s skb, proto uint8, fragment bool, at int) (end bool) {
	l.add("PROTO=%s ", map[uint8]string{17: "UDP", 136: "UDPLITE"}[proto])
	if fragment {
		return false
	}
	uh := s.pointer(at, 8)
	if uh == nil {
		l.add("INCOMPLETE [%d bytes] ", s.left(at))
		return true
	}
	l.add("SPT=%d DPT=%d LEN=%d ", binary.BigEndian.Uint16(uh), binary.BigEndian.Uint16(uh[2:]), binary.BigEndian.Uint16(uh[4:]))
	return false
}

// ipv4 is dump_ipv4_packet.
func (l *syslog) ipv4(s skb, off int) {
	ih := s.pointer(off, 20)
	if ih == nil {
		l.add("TRUNCATED")
		return
	}
	u16 := binary.BigEndian.Uint16
	l.add("SRC=%s DST=%s ", netip.AddrFrom4([4]byte(ih[12:])), netip.AddrFrom4([4]byte(ih[16:])))
	l.add("LEN=%d TOS=0x%02X PREC=0x%02X TTL=%d ID=%d ", u16(ih[2:]), ih[1]&0x1e, ih[1]&0xe0, ih[8], u16(ih[4:]))
	frag := u16(ih[6:])
	for i, name := range []string{"CE", "DF", "MF"} {
		if frag&(0x8000>>i) != 0 {
			l.add("%s ", name)
		}
	}
	if frag&0x1fff != 0 {
		l.add("FRAG:%d ", frag&0x1fff)
	}
	header := int(ih[0]&15) * 4
	if header > 20 {
		op := s.pointer(off+20, header-20)
		if op == nil {
			l.add("TRUNCATED")
			return
		}
		l.add("OPT (%X) ", op)
	}
	at, fragment := off+header, frag&0x1fff != 0
	switch proto := ih[9]; proto {
	case 6:
		if l.tcp(s, fragment, at) {
			return
		}
	case 17, 136:
		if l.udp(s, proto, fragment, at) {
			return
		}
	case 1:
		l.icmp(s, fragment, off, at)
	case 51, 50:
		if proto == 51 && fragment {
			break
		}
		l.add("PROTO=%s ", map[uint8]string{50: "ESP", 51: "AH"}[proto])
		if fragment {
			break
		}
		if h := s.pointer(at, map[uint8]int{50: 8, 51: 12}[proto]); h == nil {
			l.add("INCOMPLETE [%d bytes] ", s.left(at))
		} else {
			l.add("SPI=0x%x ", binary.BigEndian.Uint32(h[map[uint8]int{50: 0, 51: 4}[proto]:]))
		}
	default:
		l.add("PROTO=%d ", proto)
	}
	if off == 0 {
		l.tail()
	}
}

func (l *syslog) icmp(s skb, fragment bool, off, at int) {
	l.add("PROTO=ICMP ")
	if fragment {
		return
	}
	ich := s.pointer(at, 8)
	if ich == nil {
		l.add("INCOMPLETE [%d bytes] ", s.left(at))
		return
	}
	typ, code := ich[0], ich[1]
	l.add("TYPE=%d CODE=%d ", typ, code)
	need := map[uint8]uint32{0: 4, 3: 28, 4: 28, 5: 28, 8: 4, 11: 28, 12: 28, 13: 20, 14: 20, 17: 12, 18: 12}[typ]
	if need > s.left(at) {
		l.add("INCOMPLETE [%d bytes] ", s.left(at))
		return
	}
	switch typ {
	case 0, 8:
		l.add("ID=%d SEQ=%d ", binary.BigEndian.Uint16(ich[4:]), binary.BigEndian.Uint16(ich[6:]))
	case 12:
		l.add("PARAMETER=%d ", ich[4])
	case 5, 3, 4, 11:
		if typ == 5 {
			l.add("GATEWAY=%s ", netip.AddrFrom4([4]byte(ich[4:])))
		}
		if off == 0 {
			l.add("[")
			l.ipv4(s, at+8)
			l.add("] ")
		}
		if typ == 3 && code == 4 {
			l.add("MTU=%d ", binary.BigEndian.Uint16(ich[6:]))
		}
	}
}

// ipv6 is dump_ipv6_packet.
func (l *syslog) ipv6(s skb, off int, outer bool) {
	ih := s.pointer(off, 40)
	if ih == nil {
		l.add("TRUNCATED")
		return
	}
	l.add("SRC=%s DST=%s ", netip.AddrFrom16([16]byte(ih[8:])).StringExpanded(), netip.AddrFrom16([16]byte(ih[24:])).StringExpanded())
	word := binary.BigEndian.Uint32(ih)
	l.add("LEN=%d TC=%d HOPLIMIT=%d FLOWLBL=%d ", int(binary.BigEndian.Uint16(ih[4:]))+40, word>>20&0xff, ih[7], word&0xfffff)
	proto, at, fragment, done := l.extensions(s, ih[6], off+40)
	if done {
		return
	}
	switch proto {
	case 6:
		if l.tcp(s, fragment, at) {
			return
		}
	case 17, 136:
		if l.udp(s, proto, fragment, at) {
			return
		}
	case 58:
		if l.icmpv6(s, fragment, at, outer) {
			return
		}
	default:
		l.add("PROTO=%d ", proto)
	}
	if outer {
		l.tail()
	}
}

func (l *syslog) extensions(s skb, next uint8, at int) (proto uint8, end int, fragment, done bool) {
	for next == 0 || next == 43 || next == 44 || next == 50 || next == 51 || next == 60 {
		hp := s.pointer(at, 2)
		if hp == nil {
			l.add("TRUNCATED")
			return 0, 0, false, true
		}
		l.add("OPT ( ")
		length := int(hp[1])*8 + 8
		switch next {
		case 44:
			l.add("FRAG:")
			fh := s.pointer(at, 8)
			if fh == nil {
				l.add("TRUNCATED ")
				return 0, 0, false, true
			}
			frag := binary.BigEndian.Uint16(fh[2:])
			l.add("%d ", frag&0xfff8)
			if frag&1 != 0 {
				l.add("INCOMPLETE ")
			}
			l.add("ID:%08x ", binary.BigEndian.Uint32(fh[4:]))
			fragment = fragment || frag&0xfff8 != 0
			length = 8
		case 51, 50:
			name := map[uint8]string{50: "ESP", 51: "AH"}[next]
			l.add("%s ", name)
			if fragment {
				l.add(")")
				return 0, 0, false, true
			}
			h := s.pointer(at, map[uint8]int{50: 8, 51: 12}[next])
			if h == nil {
				l.add("INCOMPLETE [%d bytes] )", s.left(at))
				return 0, 0, false, true
			}
			if next == 50 {
				l.add("SPI=0x%x )", binary.BigEndian.Uint32(h))
				return 0, 0, false, true
			}
			l.add("SPI=0x%x ", binary.BigEndian.Uint32(h[4:]))
			length = int(hp[1])*4 + 8
		default:
			if fragment {
				l.add(")")
				return 0, 0, false, true
			}
		}
		l.add(") ")
		next = hp[0]
		at += length
	}
	return next, at, fragment, false
}

func (l *syslog) icmpv6(s skb, fragment bool, at int, outer bool) (end bool) {
	l.add("PROTO=ICMPv6 ")
	if fragment {
		return false
	}
	ic := s.pointer(at, 8)
	if ic == nil {
		l.add("INCOMPLETE [%d bytes] ", s.left(at))
		return true
	}
	l.add("TYPE=%d CODE=%d ", ic[0], ic[1])
	switch typ := ic[0]; typ {
	case 128, 129:
		l.add("ID=%d SEQ=%d ", binary.BigEndian.Uint16(ic[4:]), binary.BigEndian.Uint16(ic[6:]))
	case 1, 2, 3, 4:
		if typ == 4 {
			l.add("POINTER=%08x ", binary.BigEndian.Uint32(ic[4:]))
		}
		if outer {
			l.add("[")
			l.ipv6(s, at+8, false)
			l.add("] ")
		}
		if typ == 2 {
			l.add("MTU=%d ", binary.BigEndian.Uint32(ic[4:]))
		}
	}
	return false
}

func (l *syslog) tail() {
	if l.hasUID {
		l.add("UID=%d GID=%d ", l.uid, l.gid)
	}
	if l.mark != 0 {
		l.add("MARK=0x%x ", l.mark)
	}
}
