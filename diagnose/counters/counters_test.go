package counters

import "testing"

func TestSince(t *testing.T) {
	before := Stats{CPUs: []CPU{{CPU: 0, Values: Values{1: 1<<32 - 3}}, {CPU: 1, Values: Values{1: 7}}}}
	after := Stats{Entries: 4, CPUs: []CPU{
		{CPU: 0, Has: [Count]bool{1: true}, Values: Values{1: 2}},
		{CPU: 1, Values: Values{1: 9}},
		{CPU: 2, Values: Values{1: 100}}, // came online meanwhile
	}}
	d := after.Since(&before)
	for i, want := range []uint64{5, 2, 100} {
		if got := d.CPUs[i].Values[1]; got != want {
			t.Errorf("cpu %d: %d, want %d", i, got, want)
		}
	}
	if total := d.Total(); total.Values[1] != 107 || !total.Has[1] || total.Has[2] || d.Entries != 4 {
		t.Errorf("total %+v of %d entries", total, d.Entries)
	}
}
