package main

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/rules/nft"
)

// needKernel leaves a test out where it cannot run, unless it must.
func needKernel(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	lab.LeaveOut(t, err)
}

const scriptRules = `table inet nat {
	chain prerouting {
		type nat hook prerouting priority dstnat; policy accept;
		iifname "c0" tcp dport 8080 counter dnat ip to 192.168.1.80:80 comment "web"
	}
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		oifname "s0" counter masquerade comment "wan"
	}
}
`

// needLab leaves a test out where scriptLab cannot be built.
func needLab(t *testing.T) {
	t.Helper()
	_, err := exec.LookPath("nft")
	needKernel(t, err)
	l, err := lab.New()
	needKernel(t, err)
	l.Close()
}

// scriptLab is a router with two rules, and flows through it: one by both, one
// by masquerade alone, a ping, and one that no rule rewrites.
func scriptLab(t *testing.T) *lab.Net {
	t.Helper()
	needLab(t)
	l, err := lab.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	n, err := l.Typical("s0")
	if err != nil {
		t.Fatal(err)
	}
	steps := []func() error{
		func() error { return n.Router.Do(loadRules) },
		func() error { return tcp(n.Client, "10.0.0.10:55178", "10.0.0.1:8080") },
		func() error { return tcp(n.Client, "10.0.0.10:5536", "10.8.2.12:80") },
		func() error {
			return n.Client.Ping(netip.MustParseAddr("10.0.0.10"), netip.MustParseAddr("10.8.2.12"), 77, true)
		},
		func() error { return tcp(n.Server, "[fd00:b::80]:7000", "[fd00:a::10]:22") },
	}
	for i, step := range steps {
		if err := step(); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
	return n
}

func loadRules() error {
	c := exec.Command("nft", "-f", "-")
	c.Stdin = strings.NewReader(scriptRules)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %s", err, out)
	}
	return nil
}

func tcp(h *lab.Host, src, dst string) error {
	_, err := h.TCP(netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst))
	return err
}

// TestKernelScript runs the scripts on a router's live table.
func TestKernelScript(t *testing.T) {
	n := scriptLab(t)
	commands := maps.Clone(labCommands)
	maps.Copy(commands, listenCommands)
	commands["exits"], commands["until"] = exits, until
	testscript.Run(t, testscript.Params{
		Dir:       "../../testdata/script/kernel",
		Cmds:      commands,
		Condition: readsKmsg,
		Setup: func(e *testscript.Env) error {
			e.Setenv("ROUTER", n.Router.Path())
			e.Setenv("CLIENT", n.Client.Path())
			return nil
		},
	})
}

// TestTableScript runs the scripts that change a table, each on a router of its
// own.
func TestTableScript(t *testing.T) {
	needLab(t) // not in Setup, which runs in the scripts' own tests
	testscript.Run(t, testscript.Params{
		Dir:  "../../testdata/script/table",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "until": until},
		Setup: func(e *testscript.Env) error {
			n := scriptLab(t)
			e.Setenv("ROUTER", n.Router.Path())
			e.Setenv("OTHER", n.Client.Path())
			return nil
		},
	})
}

// varying is what differs between two runs of the demonstration.
var varying = []struct{ re, with string }{
	{`\bid \d{5,}`, "id N"},
	{`\d{8}T\d{6}Z-\d+`, "TIME"},
	{`(under 1|\d+) (s|min) old`, "AGE old"},
	{`\d+ packets?`, "N packets"},
	{`in \d+(\.\d+)? s\b`, "in SECONDS"},
	{`\d+ entries of \d+ \([^)]*\), \d+ buckets`, "N entries of N, N buckets"},
	{`\s+`, " "},
}

func normalise(s string) string {
	for _, v := range varying {
		s = regexp.MustCompile(v.re).ReplaceAllString(s, v.with)
	}
	return s
}

// TestReadme holds every console block of the README against what the
// demonstration prints.
func TestReadme(t *testing.T) {
	l, err := lab.New()
	needKernel(t, err)
	l.Close()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("ntdiag", "demo").CombinedOutput()
	if err != nil {
		t.Fatalf("demo: %v\n%s", err, out)
	}
	printed := normalise(string(out))
	blocks := regexp.MustCompile("(?s)```console\n(.*?)```").FindAllStringSubmatch(string(readme), -1)
	if len(blocks) < 3 {
		t.Fatalf("%d console blocks in the README, want 3 at least", len(blocks))
	}
	for _, b := range blocks {
		if !strings.Contains(printed, normalise(b[1])) {
			t.Errorf("not what the demonstration prints:\n%s", b[1])
		}
	}
	known := nft.Expressions()
	list := regexp.MustCompile("(?s)<!-- expressions -->(.*?)<!-- /expressions -->").FindStringSubmatch(string(readme))
	if list == nil {
		t.Fatal("no list of expressions in the README")
	}
	if named := regexp.MustCompile("`([^`]+)`").FindAllString(list[1], -1); !slices.Equal(named, quoteAll(known)) {
		t.Errorf("README names the expressions %v, the decode table %v", named, known)
	}
}

// TestReadmeLosses: the README names all that an undo does not put back, and why.
func TestReadmeLosses(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	got := regexp.MustCompile("(?s)<!-- losses -->\n.*?\n.*?\n(.*?)<!-- /losses -->").FindSubmatch(readme)
	if got == nil {
		t.Fatal("no table of losses in the README")
	}
	var want strings.Builder
	for _, l := range capture.InsertLoses {
		fmt.Fprintf(&want, "| %s | %s |\n", l.What, l.Why)
	}
	if string(got[1]) != want.String() {
		t.Errorf("the README has\n%s\nnot\n%s", got[1], want.String())
	}
}

func quoteAll(names []string) []string {
	var out []string
	for _, n := range names {
		out = append(out, "`"+n+"`")
	}
	return out
}
