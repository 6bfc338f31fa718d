package invalid

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestRoundTrip writes random packets as the kernel writes them, cut anywhere,
// and reads them back: from the text, and from the packet itself. Both must
// tell the same.
func TestRoundTrip(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	names := []string{"", "eth0", "br-4f2a", "veth@x", "SRC=1.2.3.4", "[OUT=", "a]b", "ACK"}
	seen := map[Field]int{}
	inner := 0
	for range 20000 {
		r, six := randomPacket(rnd)
		in, out := names[rnd.IntN(len(names))], names[rnd.IntN(len(names))]
		l := syslog{mark: r.Mark, uid: r.UID, gid: r.UID, hasUID: r.HasUID}
		l.add("%sIN=%s OUT=%s ", r.Prefix, in, out)
		if in != "" {
			l.add("MAC=")
			for i, c := range r.Header {
				if i > 0 {
					l.add(":")
				}
				l.add("%02x", c)
			}
			l.add(" ")
		} else {
			r.Header = nil
		}
		if six {
			l.ipv6(skb(r.Payload), 0, true)
		} else {
			l.ipv4(skb(r.Payload), 0)
		}
		text := l.String()
		var fromText, fromPacket Message
		if !Parse([]byte(text), &fromText) || !ParsePacket(r, &fromPacket) {
			t.Fatalf("not ours: %s", text)
		}
		if fromText.Rest != nil {
			t.Fatalf("left over %q of %s", fromText.Rest, text)
		}
		if string(fromText.In) != in || string(fromText.Out) != out {
			t.Fatalf("devices %q %q of %s", fromText.In, fromText.Out, text)
		}
		if fromText.HasMAC != fromPacket.HasMAC || fromText.SrcMAC != fromPacket.SrcMAC ||
			fromText.Reason != fromPacket.Reason || fromText.HasInner && !fromPacket.HasInner {
			t.Fatalf("%s\n text %+v\npacket %+v", text, fromText, fromPacket)
		}
		if why := lacks(&fromPacket.Packet, &fromText.Packet); why != "" {
			t.Fatalf("%s\n%s\n  text %s\npacket %s", text, why, show(&fromText), show(&fromPacket))
		}
		if why := lacks(&fromPacket.Inner, &fromText.Inner); why != "" {
			t.Fatalf("%s\ninner: %s\n  text %s\npacket %s", text, why, show(&fromText), show(&fromPacket))
		}
		if fromText.HasInner {
			inner++
		}
		for f := HasPorts; f <= HasSeq; f <<= 1 {
			if fromText.Packet.Has&f != 0 {
				seen[f]++
			}
		}
	}
	for f := HasPorts; f <= HasSeq; f <<= 1 {
		if seen[f] < 100 && f != HasVTag || inner < 100 {
			t.Errorf("field %#x in %d packets, %d quoted: too few to say anything", f, seen[f], inner)
		}
	}
}

// lacks tells what the text has and the packet has not, or otherwise; and what
// only the packet has, beyond what text never tells.
func lacks(packet, text *Packet) string {
	if text.Has&^packet.Has != 0 {
		return fmt.Sprintf("only the text has %#x", text.Has&^packet.Has)
	}
	more := packet.Has &^ text.Has
	allowed := HasVTag
	if packet.Has&HasTruncated != 0 {
		allowed |= HasPorts | HasSeq | HasICMP | HasTruncated
	}
	if packet.Has&(HasTruncated|HasFrag) != 0 || packet.Proto == extESP {
		allowed |= HasMark | HasUID // the kernel ends before it prints them
	}
	if packet.Proto == protoSCTP || packet.Proto == protoDCCP {
		allowed |= HasPorts
	}
	if more&^allowed != 0 {
		return fmt.Sprintf("only the packet has %#x", more)
	}
	if text.Family != packet.Family || text.Src != packet.Src || text.Dst != packet.Dst {
		return "family or addresses differ"
	}
	if text.Proto != packet.Proto && packet.Has&(HasTruncated|HasFrag) == 0 {
		return "protocols differ"
	}
	a, b := *packet, *text
	a.Has = b.Has
	if b.Src.IsValid() {
		a.Proto = b.Proto
		if showPacket(&a) != showPacket(&b) {
			return "values differ"
		}
	}
	return ""
}

// randomPacket makes a packet whose headers are in order more often than not.
func randomPacket(rnd *rand.Rand) (*Raw, bool) {
	protos := []byte{6, 6, 6, 17, 136, 1, 1, 58, 58, 132, 33, 47, 50, 51, 99, 59}
	proto := protos[rnd.IntN(len(protos))]
	six := proto == 58 || proto != 1 && rnd.IntN(2) == 0
	r := &Raw{Prefix: fmt.Appendf(nil, "nf_ct_proto_%d: any words ", proto), Header: bytesOf(rnd, 14)}
	if rnd.IntN(3) > 0 {
		binary.BigEndian.PutUint16(r.Header[12:], 0x0800)
	}
	if rnd.IntN(4) == 0 {
		r.Mark = rnd.Uint32()
	}
	if rnd.IntN(4) == 0 {
		r.UID, r.HasUID = rnd.Uint32(), true
	}
	r.Payload = networkOf(rnd, six, proto, transportOf(rnd, six, proto, true))
	if rnd.IntN(4) == 0 {
		r.Payload = r.Payload[:rnd.IntN(len(r.Payload)+1)]
	}
	return r, six
}

func bytesOf(rnd *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return b
}

func transportOf(rnd *rand.Rand, six bool, proto byte, outer bool) []byte {
	b := bytesOf(rnd, 20+rnd.IntN(50))
	switch proto {
	case 6:
		b[12] = byte(5+rnd.IntN(4))<<4 | b[12]&15
	case 1:
		b[0] = []byte{0, 3, 3, 4, 5, 8, 11, 12, 13, 99}[rnd.IntN(10)]
		b[1] = byte(rnd.IntN(5))
	case 58:
		b[0] = []byte{1, 2, 3, 4, 128, 129, 130, 137, 200}[rnd.IntN(9)]
	}
	if outer && (proto == 1 || proto == 58) && b[0] < 12 {
		p := []byte{6, 17, 1, 58, 132}[rnd.IntN(5)]
		quoted := networkOf(rnd, six, p, transportOf(rnd, six, p, false))
		if rnd.IntN(2) == 0 {
			quoted = quoted[:rnd.IntN(len(quoted))]
		}
		b = append(b[:8], quoted...)
	}
	return b
}

func networkOf(rnd *rand.Rand, six bool, proto byte, behind []byte) []byte {
	if !six {
		h := bytesOf(rnd, 20)
		if rnd.IntN(4) == 0 {
			h = append(h, bytesOf(rnd, 4*(1+rnd.IntN(10)))...)
		}
		h[0] = 4<<4 | byte(len(h)/4)
		h[9] = proto
		if rnd.IntN(4) > 0 {
			binary.BigEndian.PutUint16(h[6:], 0x4000)
		}
		return append(h, behind...)
	}
	h := bytesOf(rnd, 40)
	h[0] = 6<<4 | h[0]&15
	at := 6
	for rnd.IntN(3) == 0 {
		ext := []byte{0, 43, 44, 51, 60}[rnd.IntN(5)]
		h[at] = ext
		at = len(h)
		more := bytesOf(rnd, 16)
		more[1] = map[byte]byte{0: 1, 43: 1, 60: 1, 51: 2}[ext]
		if ext == 44 {
			more = more[:8]
			if rnd.IntN(3) > 0 {
				more[2], more[3] = 0, 1
			}
		}
		h = append(h, more...)
	}
	h[at] = proto
	return append(h, behind...)
}
