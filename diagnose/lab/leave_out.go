package lab

import "os"

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
