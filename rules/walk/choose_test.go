package walk

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ntdiag/ntdiag/rules"
)

// TestChoose: with a choice at each open point the walk goes one way, to its
// end, and the odds that a rule states come with it.
func TestChoose(t *testing.T) {
	tb := newTable()
	a := tb.chain(nil, do(dnat("192.0.2.1")))
	b := tb.chain(nil, do(dnat("192.0.2.2")))
	set := &rules.Set{Flags: rules.SetAnonymous | rules.SetConstant | rules.SetMap, KeyLen: 4, DataType: rules.DataTypeVerdict}
	for i, c := range []*rules.Chain{a, b, a} {
		set.Elements = append(set.Elements, rules.Element{Key: u32(uint32(i)), Verdict: goTo(c)})
	}
	tb.chain(natBase(rules.Prerouting, -100),
		do(&rules.Chance{Hits: 1, Of: 4}, verdict(rules.VerdictDrop)),
		do(&rules.Limit{Rate: 1, Unit: 1}, &rules.Log{}), // asked about nothing that matters
		do(&rules.VerdictMap{Key: &rules.Numgen{Random: true, Modulus: 4}, Set: set}),
		do(dnat("192.0.2.3")))
	w := New(&rules.Ruleset{Order: le, Tables: []*rules.Table{tb.Table}})
	for _, tc := range []struct {
		choices []int
		want    string
		ended   bool
		share   float64
	}{
		{[]int{0}, "", true, .25},
		{[]int{1, 0}, "must 11", false, .75 * .25},
		{[]int{1, 1}, "must 21", false, .75 * .25},
		{[]int{1, 2}, "must 11", false, .75 * .25},
		{[]int{1, 3}, "must 34", false, .75 * .25}, // 3 is not in the map
	} {
		asked, share := 0, 1.0
		res := w.Hook(packet(rules.KnownUint(le, 4, 0)), rules.Prerouting, Options{Choose: func(c *Choice) int {
			i := tc.choices[asked]
			asked++
			share *= c.Ways[i].Share
			return i
		}})
		if diff := cmp.Diff(tc.want, outline(res)); diff != "" {
			t.Errorf("%v: candidates (-want +got):\n%s", tc.choices, diff)
		}
		if ended := res.Alive.Truth == rules.No; asked != len(tc.choices) || ended != tc.ended || ended != (len(res.Ends) == 1) || share != tc.share {
			t.Errorf("%v: asked %d times, ended %v by %v, share %v, want %v", tc.choices, asked, ended, res.Ends, share, tc.share)
		}
	}
}

// TestAhead: what has no entry yet is kept from conntrack by notrack, and its
// zone is set by the first rule that does so; where an entry tells, neither.
func TestAhead(t *testing.T) {
	zone := func(n byte) *rules.Assign {
		return &rules.Assign{Target: rules.AssignCt, Dest: &rules.Ct{Key: rules.CtZone, Dir: rules.CtDirNone, Len: 2}, Value: &rules.Const{Data: []byte{n, 0}}}
	}
	build := func(raw ...rules.Statement) *Walker {
		tb := newTable()
		var rs [][]rules.Statement
		for _, s := range raw {
			rs = append(rs, do(s))
		}
		tb.chain(filterBase(rules.Prerouting, -300), rs...)
		tb.chain(natBase(rules.Prerouting, -100), do(dnat("192.0.2.1")))
		return New(&rules.Ruleset{Order: le, Tables: []*rules.Table{tb.Table}})
	}
	for _, tc := range []struct {
		name    string
		raw     []rules.Statement
		tracked rules.Truth
		zone    uint64
	}{
		{"nothing", nil, rules.Yes, 0},
		{"notrack", []rules.Statement{&rules.Notrack{}}, rules.No, 0},
		{"zone", []rules.Statement{zone(3)}, rules.Yes, 3},
		{"a second zone", []rules.Statement{zone(3), zone(4)}, rules.Yes, 3},
		{"zone, then notrack", []rules.Statement{zone(3), &rules.Notrack{}}, rules.Yes, 3},
		{"notrack, then zone", []rules.Statement{&rules.Notrack{}, zone(3)}, rules.Yes, 3},
	} {
		res := build(tc.raw...).Hook(packet(rules.KnownUint(le, 4, 0)), rules.Prerouting, Options{Ahead: true})
		if p := res.Packet; p.Tracked != tc.tracked || p.Ct.Zone.Uint(le) != tc.zone {
			t.Errorf("%s: tracked %v, zone %d, want %v %d", tc.name, p.Tracked, p.Ct.Zone.Uint(le), tc.tracked, tc.zone)
		}
	}
}
