package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ntdiag/ntdiag/diagnose/history"
	"github.com/ntdiag/ntdiag/diagnose/lab"
)

// until is `until PATTERN COMMAND…`: the command prints, in the end, a line
// that fits.
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until PATTERN COMMAND…")
	}
	re, err := regexp.Compile(`(?m)` + args[0])
	ts.Check(err)
	limit := time.Now().Add(20 * time.Second)
	for {
		cmd := exec.Command(args[1], args[2:]...)
		cmd.Dir = ts.MkAbs(".")
		out, _ := cmd.CombinedOutput() // what it prints counts
		switch {
		case re.Match(out):
			ts.Check(ts.Exec(args[1], args[2:]...))
			return
		case time.Now().After(limit):
			ts.Fatalf("no line like %s:\n%s", args[0], out)
		}
	}
}

func TestNotify(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	t.Setenv("NOTIFY_SOCKET", path)
	notify("nobody listens")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	notify("READY=1")
	b := make([]byte, 64)
	n, err := c.Read(b)
	if err != nil || string(b[:n]) != "READY=1" {
		t.Errorf("%q %v", b[:n], err)
	}
}

// unitValue is a setting of the unit's section [Service].
func unitValue(t *testing.T, key string) string {
	t.Helper()
	_, service, ok := strings.Cut(unit, "\n[Service]\n")
	if !ok {
		t.Fatal("the unit has no section Service")
	}
	m := regexp.MustCompile(`(?m)^` + key + `=(.*)$`).FindStringSubmatch(service)
	if m == nil {
		t.Fatalf("the unit has no %s", key)
	}
	return m[1]
}

// The unit is one that systemd takes, and starts a command that there is.
func TestUnit(t *testing.T) {
	command := strings.Fields(unitValue(t, "ExecStart"))
	if command[0] != unitProgram {
		t.Errorf("it starts %s", command[0])
	}
	if cmd, _, err := newRootCmd().Find(command[1:]); err != nil || cmd.Name() != "record" {
		t.Errorf("%q: %v", command, err)
	}
	if got := unitValue(t, "StateDirectory"); "/var/lib/"+got != history.DefaultDir {
		t.Errorf("its state directory is %s, not %s", got, history.DefaultDir)
	}
	for _, line := range strings.Split(unit, "\n") {
		if line != "" && !regexp.MustCompile(`^(#.*|\[(Unit|Service|Install)\]|[A-Z][A-Za-z]+=\S.*)$`).MatchString(line) {
			t.Errorf("line %q", line)
		}
	}
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		return // looked at as far as it goes without systemd
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ntdiag-record.service")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(unit, unitProgram, self)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(tool, "verify", file).CombinedOutput(); err != nil || strings.Contains(string(out), file) {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// What the unit lets the program have is enough for all that it records.
func TestUnitCapabilities(t *testing.T) {
	l, err := lab.New()
	needKernel(t, err)
	t.Cleanup(func() { l.Close() })
	for _, tool := range []string{"setpriv", "iptables-legacy", "ipset"} {
		_, err := exec.LookPath(tool)
		needKernel(t, err)
	}
	h, err := l.Host("router")
	if err != nil {
		t.Fatal(err)
	}
	caps := "-all"
	for _, c := range strings.Fields(unitValue(t, "CapabilityBoundingSet")) {
		caps += ",+" + strings.ToLower(strings.TrimPrefix(c, "CAP_"))
	}
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	err = h.Do(func() error {
		for _, line := range []string{
			"nft add table ip x", "iptables-legacy -t nat -A PREROUTING -p tcp -j DNAT --to-destination 10.0.0.1", "ipset create lan hash:ip", "ipset add lan 10.0.0.7",
		} {
			w := strings.Fields(line)
			if out, err := exec.Command(w[0], w[1:]...).CombinedOutput(); err != nil {
				return fmt.Errorf("%s: %w: %s", line, err, out)
			}
		}
		c := exec.CommandContext(ctx, "setpriv", "--bounding-set", caps, "ntdiag", "record", "--for", "1ms")
		c.Env = append(os.Environ(), "STATE_DIRECTORY="+dir)
		out, err := c.CombinedOutput()
		if err != nil {
			return fmt.Errorf("record: %w: %s", err, out)
		}
		if text := strings.Join(strings.Fields(string(out)), " "); !strings.Contains(text, "1 rule (1 of NAT) in 2 tables, 1 element") || strings.Contains(text, "gap") {
			t.Errorf("with %s:\n%s", caps, out)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
