package packet

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// TestExpectedStatus: whether an expectation has rewritten the entry before
// the first rule, the entry does not tell; that it was expected it does.
func TestExpectedStatus(t *testing.T) {
	s := &host.Snapshot{Order: binary.LittleEndian}
	a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	for _, tt := range []struct {
		name   string
		status host.Status
		bit    host.Status
		want   rules.Truth
	}{
		{"expected", host.StatusExpected, host.StatusExpected, rules.Yes},
		{"expected, rewritten", host.StatusExpected | host.StatusDstNAT, host.StatusDstNAT, rules.Unknown},
		{"expected, source", host.StatusExpected, host.StatusSrcNAT, rules.Unknown},
		{"expected, assured", host.StatusExpected | host.StatusAssured, host.StatusAssured, rules.No},
		{"not expected", host.StatusDstNAT, host.StatusDstNAT, rules.No},
	} {
		f := &host.Flow{Family: rules.FamilyIPv4, Original: rules.Tuple{Proto: 6, Src: a, Dst: b, SrcPort: 20, DstPort: 4000}, Status: tt.status}
		p := First(s, f)
		p.Tracked = rules.Yes
		mask := make([]byte, 4)
		binary.LittleEndian.PutUint32(mask, uint32(tt.bit))
		none := make([]byte, 4)
		x := &rules.Bitwise{X: &rules.Ct{Key: rules.CtStatus, Dir: rules.CtDirNone}, Mask: mask, Xor: none}
		got := (&rules.Match{Left: x, Op: rules.CmpNeq, Right: none}).Test(&p)
		if got.Truth != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got.Truth, tt.want)
		}
		if got.Truth == rules.Unknown && got.Unknown != rules.Of(rules.FromCtStatus) {
			t.Errorf("%s: not known because of %v", tt.name, got.Unknown.List())
		}
	}
}

// TestExpectedReply: so does the reply tuple.
func TestExpectedReply(t *testing.T) {
	s := &host.Snapshot{Order: binary.LittleEndian}
	a, b, c := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("192.0.2.1")
	f := &host.Flow{
		Family: rules.FamilyIPv4, Status: host.StatusExpected,
		Original: rules.Tuple{Proto: 6, Src: a, Dst: b, SrcPort: 20, DstPort: 4000},
		Reply:    rules.Tuple{Proto: 6, Src: b, Dst: c, SrcPort: 4000, DstPort: 20},
	}
	p := First(s, f)
	p.Tracked = rules.Yes
	for _, tt := range []struct {
		key  rules.CtKey
		want bool
	}{{rules.CtSrc, true}, {rules.CtDst, false}, {rules.CtProtoSrc, true}, {rules.CtProtoDst, true}} {
		v := (&rules.Ct{Key: tt.key, Dir: rules.CtDirReply}).Eval(&p)
		if v.IsKnown() != tt.want {
			t.Errorf("key %d of the reply: known %v, want %v", tt.key, v.IsKnown(), tt.want)
		}
	}
}
