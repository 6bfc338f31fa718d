package invalid_test

import (
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/invalid"
	"github.com/ntdiag/ntdiag/diagnose/lab"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m.Run)) }

// TestKernel holds the cases against the kernel: what it logs, which counters it
// moves, what `ct state` says and what leaves.
func TestKernel(t *testing.T) {
	b := newBed(t)
	for _, c := range kernelCases {
		t.Run(c.name, func(t *testing.T) { c.run(t, b) })
	}
}

// run sends the case's packet. What is compared with what this kernel does is
// compared with Table and Silents too.
func (c *kernelCase) run(t *testing.T, b *bed) {
	p := c.prepare(t, b)
	got := b.observe(t, c.send.from, c.ends(), func() error { return b.put(c.send.from, p) })
	c.explained(t, &got, p)
	c.compare(t, &got, p)
}

// compare holds what came of p against what the case says.
func (c *kernelCase) compare(t *testing.T, got *outcome, p lab.Packet) {
	if !exact {
		t.Logf("kernel %v: what it prints is not compared", release)
		return
	}
	var texts, want []string
	for _, l := range got.lines {
		texts = append(texts, l.text)
	}
	for _, l := range c.log {
		want = append(want, l.text)
	}
	if !slices.Equal(texts, want) {
		t.Errorf("logged %q, want %q", texts, want)
	}
	if got.moved != c.moves {
		t.Errorf("moved %q, want %q", got.moved, c.moves)
	}
	if state, _ := strings.CutSuffix(got.state, "=1"); state != c.state {
		t.Errorf("ct state %q, want %q", got.state, c.state)
	}
	leaves := c.leaves
	if leaves == same {
		leaves = shown(p.Bytes())
	}
	if left := shownAll(got.left); !fits(left, leaves) {
		t.Errorf("left as %q, want %q", left, leaves)
	}
}

func (c *kernelCase) ends() ends {
	if c.v6 {
		return ends6
	}
	return ends4
}

// prepare gives the bed the case's settings, rules and earlier packets, and
// returns the packet.
func (c *kernelCase) prepare(t *testing.T, b *bed) lab.Packet {
	t.Helper()
	b.reset(t, string(c.nat)+"\n"+c.rules, c.sysctls...)
	return c.sendBefore(t, b)
}

// sendBefore sends what comes before the packet, and returns that.
func (c *kernelCase) sendBefore(t *testing.T, b *bed) lab.Packet {
	t.Helper()
	for _, s := range c.before {
		if err := b.put(s.from, s.wire(c.ends(), c.nat)); err != nil {
			t.Fatal(err)
		}
		if err := b.passed(s.from, c.ends(), nil); err != nil {
			t.Fatal(err)
		}
	}
	return c.send.wire(c.ends(), c.nat)
}

// explained holds what the kernel did against what Table says of the lines, and
// Silents of what has none.
func (c *kernelCase) explained(t *testing.T, got *outcome, sent lab.Packet) {
	moved := got.moved
	count := map[string]uint64{}
	for i, l := range got.lines {
		m := l.message()
		if m.Reason == nil {
			t.Errorf("%q is not known", l.text)
			continue
		}
		if m.Rest != nil {
			t.Errorf("%q: not understood: %q", l.text, m.Rest)
		}
		if exact && i < len(c.log) && m.Reason.Name != c.log[i].reason {
			t.Errorf("%q is %q, want %q", l.text, m.Reason.Name, c.log[i].reason)
		}
		if p := tuple(&m.Packet); p != c.shown(sent) {
			t.Errorf("packet %s, sent %s", p, c.shown(sent))
		}
		if local := m.Packet.Has&invalid.HasUID != 0; m.Packet.Mark != c.mark || local != (c.send.from == atRouter) {
			t.Errorf("mark %#x, want %#x; sent by the router: %v", m.Packet.Mark, c.mark, local)
		}
		if m.Reason.Again {
			continue
		}
		for _, counter := range m.Moved(release) {
			count[counter]++
		}
		if refused := strings.HasPrefix(got.state, "invalid"); m.Kind == invalid.KindInvalid && m.Accepted(release) == refused {
			t.Errorf("%q: accepted %v, ct state %s", l.text, m.Accepted(release), got.state)
		}
	}
	if !exact && len(got.lines) == 0 && moved != "" {
		return // what older kernels do not print is in Silents, too general for one packet
	}
	for _, f := range c.silent {
		row := slices.IndexFunc(invalid.Silents, func(s invalid.Silent) bool {
			return s.Function == f && release.In(s.Since, s.Before)
		})
		if row < 0 {
			t.Errorf("%s: not among what counts without a word", f)
			continue
		}
		for _, counter := range []string{invalid.Silents[row].Counter, invalid.Silents[row].Also} {
			if counter != "" {
				count[counter]++
			}
		}
	}
	// a port that was taken is no packet that was lost
	moved = strings.TrimSpace(regexp.MustCompile(`found=\d+ ?`).ReplaceAllString(moved, ""))
	if sum := since(count, nil); sum != moved {
		t.Errorf("moved %q, explained %q", moved, sum)
	}
}

// shown is the packet as the message has it.
func (c *kernelCase) shown(sent lab.Packet) string {
	if c.as != "" {
		return c.as
	}
	return shown(sent.Bytes())
}

// tuple is p in the words of shown.
func tuple(p *invalid.Packet) string {
	name := protoName(p.Proto)
	if p.Has&invalid.HasPorts != 0 {
		return fmt.Sprintf("%s %s > %s", name, netip.AddrPortFrom(p.Src, p.SPort), netip.AddrPortFrom(p.Dst, p.DPort))
	}
	return fmt.Sprintf("%s %s > %s", name, p.Src, p.Dst)
}

// release is this kernel's; exact tells whether it is one that the cases are
// written for. On another one Table must still be right.
var (
	release = func() host.Release {
		var u unix.Utsname
		if unix.Uname(&u) != nil {
			return host.Release{}
		}
		r, _ := host.ParseRelease(unix.ByteSliceToString(u.Release[:]))
		return r
	}()
	exact = release.In(host.Release{Major: 6, Minor: 17}, host.Release{Major: 7})
)
