package invalid

import (
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/lab"
)

// TestSettings: a snapshot has every setting that a cause asks for.
func TestSettings(t *testing.T) {
	l, err := lab.New()
	if err != nil {
		lab.LeaveOut(t, err)
	}
	t.Cleanup(func() { l.Close() })
	h, err := l.Host("router")
	if err != nil {
		t.Fatal(err)
	}
	live, err := capture.Open(h.Path())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { live.Close() })
	s, err := live.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{keyLoose, keyLiberal, keyEstablished, keyIgnoreRST, keyChecksum, keyCount, keyMax} {
		if f := s.Sysctls[key]; !f.OK {
			t.Errorf("%s: %q", key, f.Why)
		}
	}
}
