package main

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/counters"
	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/report"
)

// counting is a router whose counters are watched.
type counting struct {
	t *testing.T
	*lab.Net
	wire *lab.Wire // from the client's link
}

func newCounting(t *testing.T, rules string) *counting {
	t.Helper()
	_, err := exec.LookPath("nft")
	needKernel(t, err)
	l, err := lab.New()
	needKernel(t, err)
	t.Cleanup(func() { l.Close() })
	n, err := l.Typical("s0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Router.Run(rules, "nft", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	wire, err := n.Client.Wire("eth0", n.Router, "c0")
	if err != nil {
		t.Fatal(err)
	}
	return &counting{t, n, wire}
}

// during is what the counters say of the time that act took; counted is done as
// soon as that is over.
func (c *counting) during(act func() error, counted ...func()) *report.Counters {
	c.t.Helper()
	a := &app{netns: c.Router.Path()}
	l, err := a.open(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	defer l.Close()
	w := &countersWatch{app: a, flags: &countersFlags{}, source: l, host: a.host(context.Background(), l)}
	before, began, err := w.read(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	if err := act(); err != nil {
		c.t.Fatal(err)
	}
	now, at, err := w.read(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	for _, f := range counted {
		f()
	}
	delta := now.Since(before)
	return w.document(c.t.Context(), &delta, before.Entries, at.Sub(began), true)
}

// holds compares one finding, by its text, with patterns that it has to have in
// this order, and those after "not" that it must not have.
func (c *counting) holds(d *report.Counters, name string, want ...string) *report.CounterFinding {
	c.t.Helper()
	var names []string
	for i := range d.Findings {
		f := &d.Findings[i]
		names = append(names, f.Name)
		if f.Name != name {
			continue
		}
		text := findingLines(f)
		rest := text
		for _, w := range want {
			at := regexp.MustCompile(`(?m)` + w).FindStringIndex(rest)
			if at == nil {
				c.t.Errorf("%s: no %q in order in\n%s", name, w, text)
				break
			}
			rest = rest[at[1]:]
		}
		return f
	}
	c.t.Fatalf("no finding %s, but %q; %v", name, names, d.Missing)
	return nil
}

func findingLines(f *report.CounterFinding) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\nmoved %v lost %d\n", f.Severity, f.Summary, f.Moved, f.Lost)
	for _, x := range f.Likely {
		fmt.Fprintf(&b, "%s %s: %s\n", x.Grade, x.Name, x.Cause)
		for _, e := range x.Evidence {
			fmt.Fprintf(&b, "- %s\n", e)
		}
		fmt.Fprintf(&b, "do %s\n", x.Fix)
	}
	for _, r := range f.RuledOut {
		fmt.Fprintf(&b, "not %s: %s\n", r.Cause, r.Why)
	}
	return b.String()
}

const onePortRules = `table inet nat {
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		oifname "s0" udp dport 53 counter snat ip to 192.168.1.2:5000 comment "one"
		oifname "s0" counter masquerade comment "wan"
	}
}
`

func (c *counting) udp(src, dst string) error {
	_, err := c.Client.UDP(netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst), false)
	return err
}

// TestCountersPorts: the second client behind a range of one port is lost; the
// command that is told gives it one.
func TestCountersPorts(t *testing.T) {
	c := newCounting(t, onePortRules)
	two := func(a, b string) func() error {
		return func() error {
			if err := c.udp(a, "192.168.1.80:53"); err != nil {
				return err
			}
			return c.udp(b, "192.168.1.80:53")
		}
	}
	d := c.during(two("10.0.0.10:4001", "10.0.0.11:4002"))
	f := c.holds(d, "clash", `^critical: 1 packet was lost in .* s: no free source port for SNAT toward 192\.168\.1\.80:53$`,
		`map\[drop:1 insert_failed:1\] lost 1`, `^shown ports-exhausted: `,
		`^- udp as 192\.168\.1\.2 to 192\.168\.1\.80:53: 1 of 1 port \(5000\) in use, by inet nat postrouting handle \d+ "one"$`,
		`^do .* nft replace rule inet nat postrouting handle \d+ oifname`)
	if !d.Wrong() || d.Lost != 1 {
		t.Errorf("%d lost", d.Lost)
	}
	inside(t, c.Router, "sh", "-c", f.Likely[0].Fix)
	if d := c.during(two("10.0.0.12:4001", "10.0.0.13:4001")); d.Lost != 0 {
		t.Errorf("after the fix: %d lost: %+v", d.Lost, d.Findings)
	}
	if rules := inside(t, c.Router, "nft", "list", "ruleset"); !strings.Contains(rules, `udp dport 53 counter packets 4 bytes`) || !strings.Contains(rules, `snat ip to 192.168.1.2 comment "one"`) {
		t.Errorf("the rule became\n%s", rules)
	}
}

// TestCountersIptables: the same for rules of iptables, in both forms.
func TestCountersIptables(t *testing.T) {
	for _, tool := range []string{"iptables-nft", "iptables-legacy"} {
		t.Run(tool, func(t *testing.T) {
			_, err := exec.LookPath(tool)
			needKernel(t, err)
			c := newCounting(t, "")
			if _, err := c.Router.Run("", tool, "-t", "nat", "-A", "POSTROUTING", "-o", "s0", "-p", "udp", "--dport", "53", "-m", "comment", "--comment", "one port", "-j", "SNAT", "--to-source", "192.168.1.2:5000"); err != nil {
				lab.LeaveOut(t, err)
			}
			inside(t, c.Router, tool, "-t", "nat", "-A", "POSTROUTING", "-o", "s0", "-j", "MASQUERADE")
			send := func() error {
				for _, src := range []string{"10.0.0.10:4001", "10.0.0.11:4002"} {
					if err := c.udp(src, "192.168.1.80:53"); err != nil {
						return err
					}
				}
				return nil
			}
			f := c.holds(c.during(send), "clash", `^critical: 1 packet was lost`, `^shown ports-exhausted`, `1 of 1 port \(5000\) in use, by ip nat POSTROUTING (\(legacy\) )?rule 1`,
				`^do .* `+tool+` -t nat -R POSTROUTING 1 -o s0 -p udp`)
			inside(t, c.Router, "sh", "-c", f.Likely[0].Fix)
			if rules := inside(t, c.Router, tool, "-t", "nat", "-S", "POSTROUTING"); !strings.Contains(rules, `-m comment --comment "one port" -j SNAT --to-source 192.168.1.2`+"\n") {
				t.Errorf("the rules became\n%s", rules)
			}
			if err := c.udp("10.0.0.12:4003", "192.168.1.80:53"); err != nil {
				t.Fatal(err)
			}
			q := c.queue()
			twice := syn("10.0.0.10:4001", "192.168.1.80:80", 1)
			d := c.during(func() error {
				if err := c.wire.Send(twice, twice); err != nil {
					return err
				}
				return c.release(q, 2)
			})
			for _, x := range c.holds(d, "clash", `port-race: DNS over SNAT`).Likely {
				if x.Name == "port-race" {
					inside(t, c.Router, "sh", "-c", x.Fix)
				}
			}
			if rules := inside(t, c.Router, tool, "-t", "nat", "-S", "POSTROUTING"); !strings.Contains(rules, "--random-fully") {
				t.Errorf("the rules became\n%s", rules)
			}
		})
	}
}

// TestCountersRace: where a clash came, DNS behind a masquerade that keeps ports
// is named, with the rule.
func TestCountersRace(t *testing.T) {
	c := newCounting(t, `table inet nat {
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		oifname "s0" counter masquerade comment "wan"
	}
}
`)
	q := c.queue()
	twice := syn("10.0.0.10:4001", "192.168.1.80:80", 1)
	d := c.during(func() error {
		if err := c.udp("10.0.0.10:4053", "192.168.1.80:53"); err != nil {
			return err
		}
		if err := c.wire.Send(twice, twice); err != nil {
			return err
		}
		return c.release(q, 2)
	})
	f := c.holds(d, "clash", `^warning: 1 packet was lost`, `^indicated port-race: DNS over SNAT that keeps source ports: .* asks again after 5 s$`,
		`^- 1 UDP flow to port 53 behind SNAT`, `^- rewritten by inet nat postrouting handle \d+ "wan", which has no fully-random$`,
		`^- 2 of 2 flows behind SNAT kept their source port$`, `^do .*nft replace rule inet nat postrouting handle \d+ .* masquerade fully-random`)
	for _, x := range f.Likely {
		if x.Name == "port-race" {
			inside(t, c.Router, "sh", "-c", x.Fix)
		}
	}
	if rules := inside(t, c.Router, "nft", "list", "ruleset"); !strings.Contains(rules, `masquerade fully-random comment "wan"`) {
		t.Errorf("the rule became\n%s", rules)
	}
}

// enqueue queues what comes from the client at the forward hook.
func (c *counting) enqueue(match ...string) {
	inside(c.t, c.Router, "iptables-nft", append(append([]string{"-t", "mangle", "-A", "FORWARD", "-i", "c0", "-p"}, match...), "-j", "NFQUEUE", "--queue-num", "5")...)
}

// queue holds what the client begins of TCP at the forward hook of the router.
func (c *counting) queue() *lab.Hold {
	c.t.Helper()
	_, err := exec.LookPath("iptables-nft")
	needKernel(c.t, err)
	c.enqueue("tcp", "--syn")
	q, err := c.Router.Hold(5)
	needKernel(c.t, err)
	return q
}

func (c *counting) release(q *lab.Hold, n int) error {
	if err := q.Wait(n); err != nil {
		return err
	}
	return q.Release()
}

func syn(src, dst string, seq uint32) lab.Packet {
	s, d := netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)
	return lab.Packet{Src: s.Addr(), Dst: d.Addr(), L4: lab.TCP{SPort: s.Port(), DPort: d.Port(), Seq: seq, Flags: lab.SYN}}
}

// TestCountersClash: one SYN twice, and one datagram twice, both on their way
// before the first has its entry.
func TestCountersClash(t *testing.T) {
	c := newCounting(t, "table inet nat { chain postrouting { type nat hook postrouting priority srcnat; oifname \"s0\" masquerade fully-random; }; }")
	q := c.queue()
	twice := syn("10.0.0.10:4001", "192.168.1.80:80", 1)
	d := c.during(func() error {
		if err := c.wire.Send(twice, twice); err != nil {
			return err
		}
		return c.release(q, 2)
	})
	c.holds(d, "clash", `^warning: 1 packet was lost in .*: its entry clashed with one that was there`,
		`^indicated same-flow: two first packets of one flow`, `^- packets wait for a program, by ip mangle FORWARD rule 1`,
		`^not no source port is free for SNAT toward one destination: there are enough: most used, tcp as 192\.168\.1\.2 to 192\.168\.1\.80:80: 1 of 64512 ports`,
		`^not two clients .*: every rule that rewrites sources here chooses ports at random`)

	c.enqueue("udp")
	d = c.during(func() error {
		for range 2 {
			if err := c.udp("10.0.0.10:4002", "192.168.1.80:53"); err != nil {
				return err
			}
		}
		return c.release(q, 2)
	})
	c.holds(d, "clash-resolved", `^info: 1 clash was resolved in .*, nothing was lost$`)
	if d.Wrong() || d.Lost != 0 {
		t.Errorf("%+v", d.Findings)
	}
}

// TestCountersFull: a table that is full, as far as other namespaces do not
// notice: the limit is one for all.
func TestCountersFull(t *testing.T) {
	c := newCounting(t, "table inet nat { chain postrouting { type nat hook postrouting priority srcnat; oifname \"s0\" masquerade; }; }")
	const limit = lab.Crowd
	if err := c.Router.Fill(limit-10, func(i int) lab.Entry {
		port := uint16(5000 + i%50000)
		return lab.Entry{
			Proto: unix.IPPROTO_UDP, Src: netip.AddrPortFrom(lab.ClientAddr4, port),
			Dst: netip.AddrPortFrom(lab.ServerAddr4, uint16(9+i/50000)), NAT: netip.AddrPortFrom(lab.RouterOut4, port),
		}
	}); err != nil {
		t.Fatal(err)
	}
	var then []lab.Packet
	for i := range 200 {
		// past the client's own conntrack, which has the same limit
		then = append(then, lab.Packet{Src: lab.ClientAddr4, Dst: lab.ServerAddr4, L4: lab.UDP{SPort: uint16(60000 + i), DPort: 9}})
	}
	restore := lab.Global(t, fmt.Sprintf("net.netfilter.nf_conntrack_max=%d", limit))
	d := c.during(func() error { return c.wire.Send(then...) }, restore)
	total := d.Total.Values
	early, drop := total[counters.EarlyDrop], total[counters.Drop]
	if early+drop == 0 {
		t.Fatalf("nothing moved: %+v", d.Total)
	}
	name, answer := "early-drop", `^critical: \d+ entr(y was|ies were) thrown out of a full table in `
	if drop > 0 {
		name, answer = "drop", `^critical: \d+ packets? (was|were) lost in .*: the conntrack table is full`
	}
	c.holds(d, name, answer, `^shown table-full: `, fmt.Sprintf(`^- \d+ of %d entries \([\d.]+ %%\)`, limit), `^- udp: \d+ flows`, `may be thrown out for new ones`,
		`^- from 10\.0\.0\.10: `, `^- to 192\.168\.1\.80: `, `^- to udp port 9: `, fmt.Sprintf(`^do sysctl -w net\.netfilter\.nf_conntrack_max=%d$`, 2*limit))
	if d.Lost != drop || d.Evicted != early {
		t.Errorf("lost %d, evicted %d, counted %d and %d", d.Lost, d.Evicted, drop, early)
	}
}

// TestCountersFilling: a table that grows will be full, and when is told before.
func TestCountersFilling(t *testing.T) {
	c := newCounting(t, "table inet nat { chain postrouting { type nat hook postrouting priority srcnat; oifname \"s0\" masquerade; }; }")
	send := func(from, n int) func() error {
		return func() error {
			for i := range n {
				p := lab.Packet{Src: lab.ClientAddr4, Dst: lab.ServerAddr4, L4: lab.UDP{SPort: uint16(from + i), DPort: 9}}
				if err := c.wire.Send(p); err != nil {
					return err
				}
			}
			return nil
		}
	}
	if d := c.during(send(4000, 50)); d.Table.ExpectedFull != nil || d.Wrong() {
		t.Errorf("a burst: full at %v, %+v", d.Table.ExpectedFull, d.Findings)
	}
	restore := lab.Global(t, fmt.Sprintf("net.netfilter.nf_conntrack_max=%d", lab.Crowd))
	d := c.during(send(5000, lab.Crowd/100+50), restore)
	if d.Table.ExpectedFull == nil || d.Table.ExpectedFull.Before(time.Now()) {
		t.Errorf("full at %v", d.Table.ExpectedFull)
	}
	c.holds(d, "filling", `^warning: the conntrack table is .* full, and will be full at 2\d\d\d-`, `^shown table-full: what it is full of`, `^- udp: 1[56]\d\d flows \(`, `^- from 10\.0\.0\.10: `)
	d = c.during(func() error { return nil })
	if d.Table.ExpectedFull != nil || d.Wrong() {
		t.Errorf("nothing grows: full at %v, %+v", d.Table.ExpectedFull, d.Findings)
	}
}

// TestCountersInvalid: packets that belong to nothing, with NAT and without a
// rule that drops them, and with one.
func TestCountersInvalid(t *testing.T) {
	c := newCounting(t, "table inet nat { chain postrouting { type nat hook postrouting priority srcnat; oifname \"s0\" masquerade comment \"wan\"; }; }")
	reset := syn("10.0.0.10:4001", "192.168.1.80:80", 1)
	reset.L4 = lab.TCP{SPort: 4001, DPort: 80, Flags: lab.RST}
	middle := reset
	middle.L4 = lab.TCP{SPort: 4001, DPort: 80, Flags: lab.ACK}
	// ICMP about a flow that nobody knows
	unknown := lab.Packet{Src: reset.Src, Dst: reset.Dst, L4: lab.ICMP{Type: 3, Code: 1, Payload: syn("192.168.1.80:9", "10.0.0.10:9", 1).Bytes()}}

	if err := tcp(c.Client, "10.0.0.10:5536", "10.8.2.12:80"); err != nil {
		t.Fatal(err)
	}
	d := c.during(func() error { return c.wire.Send(reset, unknown) })
	c.holds(d, "invalid", `^warning: 1 packet was invalid in `, `^shown not-dropped: .*NAT is skipped`, `leaves? by s0 with the address it came with`,
		`^open not-logged: `, `log_invalid is 0`, `^do ntdiag --netns \S+ invalid --enable --for 60s`)
	c.holds(d, "error", `^info: 1 ICMP error about no known flow, or malformed in `)

	inside(t, c.Router, "nft", "add table inet f; add chain inet f forward { type filter hook forward priority 0; }; add rule inet f forward ct state invalid drop")
	if err := c.Router.Sysctl("net.netfilter.nf_conntrack_tcp_loose=0"); err != nil {
		t.Fatal(err)
	}
	d = c.during(func() error { return c.wire.Send(middle, middle) })
	f := c.holds(d, "invalid", `^info: 2 packets were invalid in `, `^indicated not-loose: `, `^- net\.netfilter\.nf_conntrack_tcp_loose is 0$`,
		`^not what comes of it: .* would be dropped, by inet f forward handle \d+$`)
	for _, x := range f.Likely {
		if x.Name == "not-loose" {
			inside(t, c.Router, "sh", "-c", x.Fix)
		}
	}
	tap, err := c.Server.Tap("eth0")
	if err != nil {
		t.Fatal(err)
	}
	if d := c.during(func() error { return c.wire.Send(middle) }); d.Total.Values[counters.Invalid] != 0 {
		t.Errorf("picked up in the middle: %+v", d.Findings)
	}
	as := lab.RouterOut4.As4()
	if _, err := tap.Until(func(p []byte) bool { return p[0]>>4 == 4 && p[9] == unix.IPPROTO_TCP && bytes.Equal(p[12:16], as[:]) }); err != nil {
		t.Errorf("what was picked up in the middle does not leave as %s: %v", lab.RouterOut4, err)
	}
}

// TestCountersOther: entries of a program, and ports that were taken.
func TestCountersOther(t *testing.T) {
	c := newCounting(t, "table inet nat { chain postrouting { type nat hook postrouting priority srcnat; oifname \"s0\" masquerade comment \"wan\"; }; }")
	d := c.during(func() error {
		inside(t, c.Router, "ntdiag", "flows", "insert", "udp 10.0.0.10:1 > 10.8.2.99:2")
		for _, src := range []string{"10.0.0.10:4000", "10.0.0.11:4000", "10.0.0.12:4000"} {
			if err := c.udp(src, "192.168.1.80:99"); err != nil {
				return err
			}
		}
		return nil
	})
	c.holds(d, "inserted", `^info: 1 entry was made by a program`)
	c.holds(d, "port-taken", `^info: \d+ times? NAT wanted a port that was taken`, `^- 1 of 3 flows behind SNAT kept their source port`,
		`^- most used: udp as 192\.168\.1\.2 to 192\.168\.1\.80:99: 3 of 64512 ports \(1024-65535\) in use, by inet nat postrouting handle \d+ "wan"$`)
}
