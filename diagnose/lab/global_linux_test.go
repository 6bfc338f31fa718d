package lab

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// left makes this test binary set a value and end by SIGKILL.
const left = "NTDIAG_LAB_LEFT"

func valueOf(t *testing.T, key string) string {
	t.Helper()
	b, err := os.ReadFile(sysctlPath(key))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

func TestGlobal(t *testing.T) {
	if value := os.Getenv(left); value != "" {
		Global(t, maxKey+"="+value)
		unix.Kill(os.Getpid(), unix.SIGKILL)
		select {}
	}
	var before string
	t.Run("set and put back", func(t *testing.T) {
		Global(t) // left out where it may not be
		before = valueOf(t, maxKey)
		restore := Global(t, maxKey+"=200001")
		inner := Global(t, maxKey+"=200002")
		if got := valueOf(t, maxKey); got != "200002" {
			t.Errorf("set to 200002: %s", got)
		}
		f, err := openGlobal()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); !errors.Is(err, unix.EWOULDBLOCK) {
			t.Errorf("not locked: %v", err)
		}
		inner()
		inner()
		if got := valueOf(t, maxKey); got != "200001" {
			t.Errorf("put back to 200001: %s", got)
		}
		restore()
		if got := valueOf(t, maxKey); got != before {
			t.Errorf("put back to %s: %s", before, got)
		}
	})
	if before == "" {
		return
	}
	t.Run("killed", func(t *testing.T) {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestGlobal$")
		cmd.Env = append(os.Environ(), left+"=200003")
		if err := cmd.Run(); err == nil {
			t.Fatal("was to end by SIGKILL")
		}
		if err := mendGlobal(); err != nil {
			t.Fatal(err)
		}
		Global(t)
		if got := valueOf(t, maxKey); got != before {
			t.Errorf("put right to %s: %s", before, got)
		}
	})
	t.Run("refused", func(t *testing.T) {
		Global(t)
		for _, line := range []string{"net.netfilter.nf_conntrack_acct=1", maxKey, maxKey + "=many", maxKey + "=3000"} {
			if _, err := SetGlobal(line); err == nil {
				t.Errorf("%s: no error", line)
			}
		}
		if got := valueOf(t, maxKey); got != before {
			t.Errorf("was %s, is %s", before, got)
		}
	})
}
