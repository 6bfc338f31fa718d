package host

import (
	"testing"

	"github.com/ntdiag/ntdiag/rules"
)

func TestPlace(t *testing.T) {
	here := Place{BootID: "a", Inode: 1, Cookie: 2}
	for _, tt := range []struct {
		other Place
		same  rules.Truth
		why   string
	}{
		{here, rules.Yes, ""},
		{Place{BootID: "b", Inode: 1, Cookie: 2}, rules.No, "another boot, or another machine"},
		{Place{BootID: "a", Inode: 1, Cookie: 3}, rules.No, "another network namespace"},
		{Place{BootID: "a", Inode: 2}, rules.No, "another network namespace"},
		{Place{BootID: "a", Inode: 1}, rules.Unknown, "not told by this kernel"},
		{Place{Inode: 1, Cookie: 2}, rules.Unknown, "not told by this kernel"},
		{Place{}, rules.Unknown, "not told by this kernel"},
	} {
		if same, why := here.Same(tt.other); same != tt.same || why != tt.why {
			t.Errorf("%+v: %v %q, want %v %q", tt.other, same, why, tt.same, tt.why)
		}
	}
}
