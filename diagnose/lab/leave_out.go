package lab

import (
	"errors"
	"os"
	"slices"
	"strings"
)

// TB is what LeaveOut needs of a test.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
}

// LeaveOut leaves a kernel test out because of why; with NTDIAG_REQUIRE_KERNEL
// set it fails instead.
func LeaveOut(t TB, why error) {
	t.Helper()
	if os.Getenv("NTDIAG_REQUIRE_KERNEL") != "" {
		t.Fatalf("kernel test cannot run: %v", why)
	}
	t.Skipf("kernel tests skipped: %v", why)
}

// UserNamespace tells whether root here is that of a user namespace only.
func UserNamespace() bool {
	b, err := os.ReadFile("/proc/self/uid_map")
	return err == nil && !slices.Equal(strings.Fields(string(b)), []string{"0", "0", "4294967295"})
}

// NotHere is why a tool cannot load rules inside a user namespace that it loads
// as root of the machine, nil where that is not the reason for err.
func NotHere(err error, ruleset string) error {
	switch {
	case err == nil || !UserNamespace():
		return nil
	case strings.Contains(err.Error(), "Message too long"):
		// SO_SNDBUFFORCE is for the machine's root
		return errors.New("not root, but in a user namespace: its send buffer is too small for the ruleset")
	case strings.Contains(ruleset, "id-owner "):
		// owner_check asks kuid_has_mapping
		return errors.New("not root, but in a user namespace: -m owner takes no user that it does not have")
	}
	return nil
}
