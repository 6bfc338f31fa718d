package rules

import "testing"

// TestRestOfExpressions: what an entry tells of a fingerprint, a tunnel, IPsec.
func TestRestOfExpressions(t *testing.T) {
	tcp := func(flags byte, known byte) *Packet {
		p := &Packet{Family: FamilyIPv4, Proto: protoTCP}
		p.Trans.N = 20
		p.Trans.Bits[13], p.Trans.Known[13], p.Trans.From[13] = flags, known, FromTCPHeader
		return p
	}
	inner := &Inner{Type: InnerVXLAN, X: &Payload{Base: PayloadNetwork, Off: 12, Len: 4}}
	for _, tc := range []struct {
		name    string
		x       Expr
		p       *Packet
		width   int
		absent  Truth
		absBy   Source
		unknown Source
	}{
		{"fingerprint of a SYN", &Osf{}, tcp(tcpSYN, 0xff), 16, No, FromEntry, FromTCPHeader},
		{"fingerprint of another packet", &Osf{}, tcp(tcpACK, 0xff), 16, Yes, FromTCPHeader, FromEntry},
		{"fingerprint of a packet that may be one", &Osf{}, tcp(0, 0), 16, Unknown, FromTCPHeader, FromTCPHeader},
		{"fingerprint of UDP", &Osf{}, &Packet{Family: FamilyIPv4, Proto: protoUDP}, 16, Yes, FromEntry, FromEntry},
		{"fingerprint of IPv6", &Osf{}, &Packet{Family: FamilyIPv6, Proto: protoTCP}, 16, Yes, FromEntry, FromEntry},
		{"IPsec request", &Xfrm{Key: XfrmReqID}, tcp(0, 0), 4, Unknown, FromIPsec, FromIPsec},
		{"IPsec address", &Xfrm{Key: XfrmSaddrIP6}, tcp(0, 0), 16, Unknown, FromIPsec, FromIPsec},
		{"tunnel metadata", &Tunnel{Key: TunnelPath}, tcp(0, 0), 1, No, FromEntry, FromTunnel},
		{"tunnel id", &Tunnel{Key: TunnelID}, tcp(0, 0), 4, Unknown, FromTunnel, FromTunnel},
		{"inside a tunnel", inner, &Packet{Family: FamilyIPv4, Proto: protoUDP}, 4, Unknown, FromPayload, FromPayload},
		{"inside what carries none", inner, &Packet{Family: FamilyIPv4, Proto: protoICMP}, 4, Yes, FromEntry, FromEntry},
	} {
		v := tc.x.Eval(tc.p)
		if tc.x.Width() != tc.width || v.N != tc.width {
			t.Errorf("%s: width %d, %d bytes, want %d", tc.name, tc.x.Width(), v.N, tc.width)
		}
		if v.Absent != tc.absent || v.AbsentBy != Of(tc.absBy) {
			t.Errorf("%s: absent %v by %v, want %v by %v", tc.name, v.Absent, v.AbsentBy.List(), tc.absent, tc.absBy)
		}
		if _, unknown := v.Sources(); v.Absent != Yes && unknown != Of(tc.unknown) {
			t.Errorf("%s: unknown by %v, want %v", tc.name, unknown.List(), tc.unknown)
		}
	}
}
