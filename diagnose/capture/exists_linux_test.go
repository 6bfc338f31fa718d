package capture

import (
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/rules"
)

func TestExists(t *testing.T) {
	here := openHere(t, "").Place()
	if openNetnsHandle(here) != nil {
		t.Skip("this kernel has no file handles of namespaces")
	}
	l, err := lab.New()
	if err != nil {
		lab.LeaveOut(t, err)
	}
	defer l.Close()
	h, err := l.Host("other")
	if err != nil {
		t.Fatal(err)
	}
	other := openHere(t, h.Path()).Place()
	again, before := here, other
	again.Cookie++
	before.BootID = "another"
	gone := rules.No
	if !machineAdmin() {
		gone = rules.Unknown
	}
	for _, tt := range []struct {
		name string
		p    host.Place
		want rules.Truth
	}{
		{"this", here, rules.Yes},
		{"other", other, rules.Yes},
		{"another boot", before, rules.No},
		{"inode given again", again, rules.No},
		{"never was", host.Place{BootID: here.BootID, Cookie: other.Cookie + 1<<40, Inode: other.Inode + 1<<20}, gone},
	} {
		if got := Exists(tt.p, here); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
