package walk

import (
	"testing"

	"github.com/ntdiag/ntdiag/rules"
)

// TestLabels: labels are added to those that are there already, a mark takes
// the place of the one before.
func TestLabels(t *testing.T) {
	set := func(key rules.CtKey, b ...byte) *rules.Assign {
		n := map[rules.CtKey]int{rules.CtLabels: 16, rules.CtMark: 4}[key]
		v := make([]byte, n)
		copy(v, b)
		return &rules.Assign{Target: rules.AssignCt, Dest: &rules.Ct{Key: key, Dir: rules.CtDirNone}, Value: &rules.Const{Data: v}}
	}
	tb := newTable()
	tb.chain(filterBase(rules.Prerouting, -300), do(set(rules.CtMark, 0x40), set(rules.CtLabels, 0x40)))
	tb.chain(filterBase(rules.Prerouting, -150), do(set(rules.CtLabels, 1), set(rules.CtMark, 1)), do(set(rules.CtLabels, 2), set(rules.CtMark, 2)))
	res := New(&rules.Ruleset{Order: le, Tables: []*rules.Table{tb.Table}}).Hook(packet(rules.KnownUint(le, 4, 0)), rules.Prerouting, Options{})
	if got := lowBits(&res.Packet.Ct.Labels); got != "00000011" {
		t.Errorf("labels %s", got)
	}
	if got := lowBits(&res.Packet.Ct.Mark); got != "00000010" {
		t.Errorf("mark %s", got)
	}
}
