package bundle

import "testing"

func TestRoundLacks(t *testing.T) {
	for _, tt := range []struct {
		r   Round
		n   int
		why string
	}{
		{Round{Seen: 9, Kept: 9}, 0, ""},
		{Round{Seen: 9, Kept: 9, Unparsed: 2, Why: "bad attribute"}, 2, "bad attribute"},
		{Round{Seen: 9, Kept: 4}, 5, "left out to keep the bundle small"},
		{Round{Seen: 9, Kept: 4, Unparsed: 2, Why: "bad attribute"}, 7, "left out to keep the bundle small, but for 2: bad attribute"},
	} {
		if n, why := tt.r.lacks(); n != tt.n || why != tt.why {
			t.Errorf("%+v: %d, %q", tt.r, n, why)
		}
	}
}
