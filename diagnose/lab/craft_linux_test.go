package lab

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"
)

// TestWire has the server's own stack judge what is crafted: it answers what is
// right, and only that.
func TestWire(t *testing.T) {
	n := typical(t)
	wire, err := n.Client.Wire("eth0", n.Router, "c0")
	if err != nil {
		t.Fatal(err)
	}
	tap, err := n.Client.Tap("eth0")
	if err != nil {
		t.Fatal(err)
	}
	udp := func(port uint16, sum Sum) UDP { return UDP{SPort: port, DPort: 7, Payload: payload, Sum: sum} }
	tests := []struct {
		name     string
		p        Packet // without addresses
		answered bool
		only4    bool
	}{
		{"udp", Packet{L4: udp(1001, SumRight)}, true, false},
		{"udp of an odd length", Packet{L4: UDP{SPort: 1002, DPort: 9, Payload: []byte("abc")}}, false, false},
		{"udp, wrong sum", Packet{L4: udp(1003, SumWrong)}, false, false},
		{"udp, no sum", Packet{L4: udp(1004, SumZero)}, true, true},
		{"udp, longer than it says", Packet{L4: UDP{SPort: 1005, DPort: 7, Len: 400, Payload: payload}}, false, false},
		{"udp with TTL, TOS, DF", Packet{TTL: 9, TOS: 0x10, DF: true, L4: udp(1006, SumRight)}, true, false},
		{"udp, TTL too small", Packet{TTL: 1, L4: udp(1007, SumRight)}, false, false},
		{"udp with router alert", Packet{Options: []byte{148, 4, 0, 0}, L4: udp(1008, SumRight)}, true, true},
		{"tcp", Packet{L4: TCP{SPort: 1010, DPort: 7, Flags: SYN}}, true, false},
		{"tcp with options", Packet{L4: TCP{SPort: 1011, DPort: 7, Flags: SYN, Options: []byte{2, 4, 5, 180}}}, true, false},
		{"tcp, wrong sum", Packet{L4: TCP{SPort: 1012, DPort: 7, Flags: SYN, Sum: SumWrong}}, false, false},
		{"tcp, short", Packet{L4: TCP{SPort: 1013, DPort: 7, Flags: SYN}, Short: 12}, false, false},
		{"tcp, data offset of 4", Packet{L4: TCP{SPort: 1014, DPort: 7, Flags: SYN, Offset: 4}}, false, false},
		{"echo", Packet{L4: ICMP{Type: 8, Rest: 5<<16 | 1, Payload: payload}}, true, true},
		{"echo, wrong sum", Packet{L4: ICMP{Type: 8, Rest: 6<<16 | 1, Sum: SumWrong}}, false, true},
		{"ip header too short", Packet{IHL: 4, L4: udp(1015, SumRight)}, false, true},
		{"a fragment alone", Packet{More: true, L4: udp(1016, SumRight)}, false, false},
	}
	answered := func(src, dst netip.Addr, p Packet) bool {
		p.Src, p.Dst = src, dst
		last := Packet{Src: src, Dst: dst, L4: UDP{SPort: 999, DPort: 7, Payload: payload}}
		if err := wire.Send(p, last); err != nil {
			t.Fatal(err)
		}
		seen, err := tap.Until(func(b []byte) bool { return answers(b, last) })
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(seen, func(b []byte) bool { return answers(b, p) })
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := answered(ClientAddr4, ServerAddr4, tt.p); got != tt.answered {
				t.Errorf("IPv4: answered %v, want %v", got, tt.answered)
			}
			if tt.only4 {
				return
			}
			if got := answered(ClientAddr6, ServerAddr6, tt.p); got != tt.answered {
				t.Errorf("IPv6: answered %v, want %v", got, tt.answered)
			}
		})
	}
}

// answers tells whether b comes from where p went, to p's port or as an echo.
func answers(b []byte, p Packet) bool {
	src, proto, l4 := b[12:16], b[9], b[20:]
	if b[0]>>4 == 6 {
		src, proto, l4 = b[8:24], b[6], b[40:]
	}
	sent := p.L4.bytes(p.Src, p.Dst)
	if !bytes.Equal(src, p.Dst.AsSlice()) || proto != p.L4.proto(p.Src) || len(l4) < 8 {
		return false
	}
	if proto == 1 {
		return l4[0] == 0 && bytes.Equal(l4[4:8], sent[4:8])
	}
	return bytes.Equal(l4[2:4], sent[:2])
}
