package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ntdiag/ntdiag/diagnose/bundle"
	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/kernlog"
)

// fromCommands are command lines that read, of a router that scriptLab makes.
var fromCommands = []string{
	"explain -v :8080",
	"explain 10.0.0.10:5536 10.8.2.12:80",
	"explain tcp 10.0.0.10:9 10.0.0.1:8080",
	"explain 10.0.0.10:1 10.8.2.12:80",
	"explain id=1",
	"explain icmp 10.0.0.10",
	"flows",
	"flows --dnat",
	"flows --src 10.0.0.10 --proto tcp",
	"flows --src fd00:b::80",
	"flows --status unreplied",
	"flows --zone 0 --mark 0/0xff",
	"flows get :8080",
	"rules",
	"rules --all-chains",
	"rules --no-flows --hook postrouting",
	"simulate tcp 10.0.0.10:1 > 10.0.0.1:8080",
	"simulate tcp 10.0.0.10:55178 > 10.0.0.1:8080",
	"stale",
	"stale --expand --class target-changed",
	"counters",
	"invalid",
}

// TestFromAsLive: what commands say of a bundle is what they said of the
// machine.
func TestFromAsLive(t *testing.T) {
	n := scriptLab(t)
	// one flow is stale, and one rule was never hit
	inside(t, n.Router, "nft", "replace rule inet nat prerouting handle 3 iifname c0 tcp dport 8080 counter dnat ip to 192.168.1.81:80; "+
		"add rule inet nat prerouting iifname c0 tcp dport 9090 counter dnat ip to 192.168.1.82:90")
	path := n.Router.Path()
	file := bundled(t, path)
	for _, line := range fromCommands {
		args := strings.Fields(line)
		live, want := documentOf(t, append(args, "--netns", path))
		if live == nil {
			continue // as without the right to read the kernel's log
		}
		have, got := documentOf(t, append(args, "--from", file))
		if d := cmp.Diff(live, have); d != "" || got != want {
			t.Errorf("%s: exit code %d live, %d --from\n(live -, --from +)\n%s", line, want, got, d)
		}
	}
}

// documentOf is what a command line says as JSON, without what two readings of
// one table need not have in common; nil for nothing.
func documentOf(t *testing.T, args []string) (doc map[string]any, code int) {
	t.Helper()
	var out, errOut bytes.Buffer
	code = execute(t.Context(), append(args, "-o", "json"), &out, &errOut)
	if code == exitUsage || out.Len() == 0 && !strings.Contains(errOut.String(), "/dev/kmsg") {
		t.Fatalf("%q: exit code %d: %s", args, code, errOut.String())
	}
	if out.Len() == 0 {
		return nil, code
	}
	if err := json.Unmarshal(out.Bytes(), &doc); err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	// lines: a bundle has netfilter's lines of the kernel's log alone. use: one
	// more while an entry is asked for.
	without(doc, "captured_at", "timeout_s", "use", "lines", "lost", "elsewhere", "unowned", "meanwhile")
	return doc, code
}

func without(v any, names ...string) {
	switch v := v.(type) {
	case map[string]any:
		for name, of := range v {
			if slices.Contains(names, name) {
				delete(v, name)
				continue
			}
			without(of, names...)
		}
	case []any:
		for _, of := range v {
			without(of, names...)
		}
	}
}

// bundled writes a bundle of a namespace.
func bundled(t *testing.T, netns string) string {
	t.Helper()
	l, err := capture.Open(netns)
	check(t, err)
	defer l.Close()
	path := filepath.Join(t.TempDir(), "b.tar.zst")
	f, err := os.Create(path)
	check(t, err)
	defer f.Close()
	w, err := bundle.NewWriter(f, bundle.Info{Tool: "ntdiag", Version: "test", Created: time.Now()})
	check(t, err)
	n := w.Namespace("", netns, l.Place())
	s := &bundle.State{Place: l.Place(), Loggers: l.Loggers(), Enter: l.Enter(), Uptime: l.Uptime()}
	s.Snapshot, err = l.Snapshot(t.Context())
	check(t, err)
	for range 2 {
		stats, err := l.Stats(t.Context())
		check(t, err)
		s.Readings = append(s.Readings, bundle.Reading{At: time.Now(), Stats: stats})
	}
	flows, err := n.Flows(1, bundle.FlowOptions{At: time.Now()})
	check(t, err)
	info, err := l.Flows(t.Context(), capture.Filter{}, flows.Add)
	check(t, err)
	check(t, flows.Close(info))
	id, err := l.Identity()
	check(t, err)
	generation, err := l.Generation(t.Context())
	check(t, err)
	count, most, err := l.Count()
	check(t, err)
	s.ID, s.Generation, s.Count, s.Max = host.Known(id), host.Known(generation), host.Known(count), host.Known(most)
	s.LogLost, err = l.Log(t.Context(), func(r *kernlog.Record) error {
		s.Log = append(s.Log, bundle.LogLine{At: r.Time(), Text: string(r.Text), Seq: r.Seq, HasSeq: r.HasSeq, Continues: r.Continues, Foreign: r.Foreign, Repeats: r.Repeats})
		return nil
	})
	if err != nil {
		s.Missing = append(s.Missing, host.Missing{What: bundle.PartLog, Why: err.Error()})
	}
	check(t, n.State(s))
	check(t, w.Close())
	return path
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestFromWithoutPrivilege: a bundle is read without a capability, in a network
// namespace that has nothing, as a file and from standard input.
func TestFromWithoutPrivilege(t *testing.T) {
	path, err := filepath.Abs("../../testdata/bundles/format-1.tar.zst")
	check(t, err)
	self, err := os.Executable()
	check(t, err)
	for _, from := range []string{path, "-"} {
		var out, errOut bytes.Buffer
		c := exec.Command(self)
		c.Args = []string{"ntdiag", "stale", "--from", from}
		c.Stdout, c.Stderr = &out, &errOut
		// without a mapping it is nobody there, and has no capability
		c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET}
		if from == "-" {
			file, err := os.Open(path)
			check(t, err)
			defer file.Close()
			c.Stdin = file
		}
		err := c.Run()
		if c.ProcessState == nil {
			needKernel(t, err)
		}
		if code := c.ProcessState.ExitCode(); code != exitFound || !strings.Contains(out.String(), "1 of 7 flows is stale (certain)") {
			t.Errorf("--from %s: exit code %d\n%s%s", from, code, out.String(), errOut.String())
		}
	}
}
