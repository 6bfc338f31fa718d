package rules

import "testing"

// TestSynproxyTakes: which packets of TCP are taken away, by nf_tables and by
// the target of xtables.
func TestSynproxyTakes(t *testing.T) {
	for _, tc := range []struct {
		flags, known byte
		nft, xt      Truth
	}{
		{tcpSYN, 0xff, Yes, Yes},
		{tcpACK, 0xff, Yes, Yes},
		{tcpSYN | tcpACK, 0xff, Yes, No},
		{tcpSYN | tcpFIN, 0xff, Yes, No},
		{tcpACK | tcpRST, 0xff, Yes, No},
		{tcpRST, 0xff, No, No},
		{tcpSYN, tcpSYN, Yes, Unknown},
		{0, 0, Unknown, Unknown},
		{tcpRST, tcpRST, Unknown, No},
	} {
		p := &Packet{Family: FamilyIPv4, Proto: protoTCP}
		p.Trans.N = 20
		p.Trans.Bits[13], p.Trans.Known[13], p.Trans.From[13] = tc.flags, tc.known, FromTCPHeader
		if got := (&Synproxy{}).Test(p).Truth; got != tc.nft {
			t.Errorf("flags %#x of %#x: %s, want %s", tc.flags, tc.known, got, tc.nft)
		}
		if got := (&Synproxy{Plain: true}).Test(p).Truth; got != tc.xt {
			t.Errorf("xtables, flags %#x of %#x: %s, want %s", tc.flags, tc.known, got, tc.xt)
		}
	}
}
