package invalid

import "testing"

// TestBad: what was accepted, what is since the beginning and errors alone are
// nothing bad; whatever else was logged or counted is.
func TestBad(t *testing.T) {
	accepted := &Group{Kind: KindInvalid, Count: 3, Reason: &Reason{Accepted: true}}
	for _, tc := range []struct {
		name string
		c    Case
		want bool
	}{
		{"nothing", Case{}, false},
		{"accepted", Case{Groups: []*Group{accepted}}, false},
		{"a second line", Case{Groups: []*Group{{Kind: KindInvalid, Count: 1, Reason: &Reason{Again: true}}}}, false},
		{"invalid", Case{Groups: []*Group{accepted, {Kind: KindInvalid, Count: 1, Reason: &Reason{}}}}, true},
		{"not known", Case{Groups: []*Group{{Kind: KindInvalid, Count: 1}}}, true},
		{"helper", Case{Groups: []*Group{{Kind: KindHelper, Count: 1, Reason: &Reason{}}}}, true},
		{"table full", Case{Groups: []*Group{{Kind: KindTableFull, Count: 1, Reason: &Reason{}}}}, true},
		{"errors alone", Case{Accounts: []Account{{Counter: "error", Delta: 5}}}, false},
		{"invalid by its counter", Case{Accounts: []Account{{Counter: "invalid", Delta: 5}}}, true},
		{"dropped by its counter", Case{Accounts: []Account{{Counter: "drop", Delta: 1}}}, true},
		{"since the namespace was made", Case{Accounts: []Account{{Counter: "invalid", Delta: 5, Total: true}}}, false},
	} {
		if got := Diagnose(&tc.c).Bad(); got != tc.want {
			t.Errorf("%s: bad %v", tc.name, got)
		}
	}
}

// TestUnlogged: the causes are those of the counter that tells of more packets,
// and only what no message explains is told.
func TestUnlogged(t *testing.T) {
	of := func(what string) []SilentCause { return []SilentCause{{What: what}} }
	for _, tc := range []struct {
		invalid, drop, explained uint64
		want                     Unlogged
	}{
		{5, 0, 0, Unlogged{Invalid: 5, Silent: of("invalid")}},
		{0, 3, 0, Unlogged{Dropped: 3, Silent: of("drop")}},
		{2, 3, 0, Unlogged{Invalid: 2, Dropped: 3, Silent: of("drop")}},
		{3, 3, 0, Unlogged{Invalid: 3, Dropped: 3, Silent: of("invalid")}},
		{5, 0, 5, Unlogged{}},
	} {
		for _, swap := range []bool{false, true} {
			a := []Account{{Counter: "invalid", Delta: tc.invalid, Explained: tc.explained, Silent: of("invalid")}, {Counter: "drop", Delta: tc.drop, Silent: of("drop")}}
			if swap {
				a[0], a[1] = a[1], a[0]
			}
			got := unlogged(a)
			if got.Invalid != tc.want.Invalid || got.Dropped != tc.want.Dropped || len(got.Silent) != len(tc.want.Silent) ||
				len(got.Silent) > 0 && got.Silent[0].What != tc.want.Silent[0].What {
				t.Errorf("%+v: %+v", tc, got)
			}
		}
	}
}
