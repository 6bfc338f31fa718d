package invalid_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/lab"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m.Run)) }

// TestKernel holds the cases against the kernel: what it logs, which counters it
// moves, what `ct state` says and what leaves.
func TestKernel(t *testing.T) {
	for _, c := range kernelCases {
		t.Run(c.name, func(t *testing.T) { c.run(t) })
	}
}

func (c *kernelCase) run(t *testing.T) {
	b := newBed(t)
	e := ends4
	if c.v6 {
		e = ends6
	}
	if err := b.router.Sysctl(c.sysctls...); err != nil {
		t.Fatal(err)
	}
	if err := b.load(string(c.nat) + "\n" + c.rules); err != nil {
		t.Fatal(err)
	}
	for _, s := range c.before {
		if err := b.put(s.from, s.wire(e, c.nat)); err != nil {
			t.Fatal(err)
		}
		if err := b.passed(s.from, e, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.drain(); err != nil {
		t.Fatal(err)
	}
	before, err := b.stats()
	if err != nil {
		t.Fatal(err)
	}

	p := c.send.wire(e, c.nat)
	var left [][]byte
	if err := b.put(c.send.from, p); err != nil {
		t.Fatal(err)
	}
	if err := b.passed(c.send.from, e, &left); err != nil {
		t.Fatal(err)
	}
	lines, err := b.drain()
	if err != nil {
		t.Fatal(err)
	}
	after, err := b.stats()
	if err != nil {
		t.Fatal(err)
	}

	var texts, want []string
	for _, l := range lines {
		texts = append(texts, l.text)
	}
	for _, l := range c.log {
		want = append(want, l.text)
	}
	if !slices.Equal(texts, want) {
		t.Errorf("logged %q, want %q", texts, want)
	}
	if got := since(after.moved, before.moved); got != c.moves {
		t.Errorf("moved %q, want %q", got, c.moves)
	}
	state := c.state
	if state != "" {
		state += "=1"
	}
	if got := since(after.states, before.states); got != state {
		t.Errorf("ct state %q, want %q", got, state)
	}
	leaves := c.leaves
	if leaves == same {
		leaves = shown(p.Bytes())
	}
	var out []string
	for _, b := range left {
		out = append(out, shown(b))
	}
	if got := strings.Join(out, ", "); got != leaves {
		t.Errorf("left as %q, want %q", got, leaves)
	}
}
