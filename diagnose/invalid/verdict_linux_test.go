package invalid_test

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/explain"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/invalid"
	"github.com/ntdiag/ntdiag/diagnose/lab"
)

// judged is what ntdiag makes of what the router has logged.
type judged struct {
	*invalid.Case
	*invalid.Diagnosis
}

func (b *bed) judge(t *testing.T, lines []logged) judged {
	t.Helper()
	s, err := b.live.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	tally := invalid.NewTally()
	var m invalid.Message
	name := func(index uint32) []byte {
		if l, ok := s.LinkByIndex(index); ok {
			return []byte(l.Name)
		}
		return nil
	}
	for i := range lines {
		l := &lines[i]
		raw := invalid.Raw{Prefix: l.Prefix, Payload: l.Payload, Header: l.Header, Mark: l.Mark, UID: l.UID, HasUID: l.HasUID}
		if !invalid.ParsePacket(&raw, &m) {
			t.Fatalf("not a message: %q", l.Prefix)
		}
		m.At, m.In, m.Out = l.At, name(l.In), name(l.Out)
		tally.Add(&m, 1)
	}
	c := &invalid.Case{Groups: tally.Groups(), Host: s}
	c.Kernel, _ = host.ParseRelease(s.Kernel)
	all := invalid.Top(c.Groups, 100, func(*invalid.Group) bool { return true })
	if c.Found, c.Table, err = invalid.Find(context.Background(), b.live, all); err != nil {
		t.Fatal(err)
	}
	return judged{c, invalid.Diagnose(c)}
}

// after sends what a case sends and returns what was logged of its last packet,
// and what left.
func (b *bed) after(t *testing.T, e ends, n nat, before []sent, send sent) (lines []logged, left []string) {
	t.Helper()
	for _, s := range before {
		if err := b.put(s.from, s.wire(e, n)); err != nil {
			t.Fatal(err)
		}
		if err := b.passed(s.from, e, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.drain(); err != nil {
		t.Fatal(err)
	}
	var out [][]byte
	if err := b.put(send.from, send.wire(e, n)); err != nil {
		t.Fatal(err)
	}
	if err := b.passed(send.from, e, &out); err != nil {
		t.Fatal(err)
	}
	lines, err := b.drain()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range out {
		left = append(left, shown(p))
	}
	return lines, left
}

// outcome is what is said of the flow with the most packets.
func (j *judged) outcome(t *testing.T) (*invalid.Flow, *invalid.Consequence) {
	t.Helper()
	if len(j.Groups) == 0 || len(j.Groups[0].Flows()) == 0 {
		t.Fatal("nothing was logged")
	}
	f := j.Groups[0].Flows()[0]
	if c := j.Of[f]; c != nil {
		return f, c
	}
	return f, &invalid.Consequence{Fate: invalid.FateAccepted}
}

// TestFates: what is said of a packet is what the kernel did with it, over all
// that the kernel logs.
func TestFates(t *testing.T) {
	for i := range kernelCases {
		c := &kernelCases[i]
		if len(c.log) == 0 {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
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
			lines, left := b.after(t, e, c.nat, c.before, c.send)
			j := b.judge(t, lines)
			f, got := j.outcome(t)
			if accepted := c.state != "invalid"; accepted != (j.Invalid == 0) {
				t.Fatalf("ct state %s: %d invalid, %d accepted", c.state, j.Invalid, j.Accepted)
			} else if accepted {
				return
			}
			leaves := got.Fate == invalid.FateLeaks || got.Fate == invalid.FateForwarded
			if leaves != (len(left) > 0) || got.Fate == invalid.FateUnknown {
				t.Errorf("%s: %s (%s), and %q left", f.Packet.String(), got.Fate, got.Why, left)
			}
			if leaves && got.Source != strings.Split(strings.Trim(strings.Fields(left[0])[1], "["), "]")[0] && !strings.HasPrefix(strings.Fields(left[0])[1], got.Source) {
				t.Errorf("it is said to leave from %s, and left as %s", got.Source, left[0])
			}
			if c.nat != noNAT && c.before != nil && leaves != (got.Fate == invalid.FateLeaks) {
				t.Errorf("NAT was missed, which is not said: %+v", got)
			}
		})
	}
}

// oow is data out of the window of the connection that established begins.
var (
	oowClient = client(seg(ack|psh, 501001, 5001, "0123456789"))
	oowServer = server(seg(ack|psh, 501001, 1001, "0123456789"))
)

const zoned = `table inet zones { chain pre { type filter hook prerouting priority raw; iifname "c0" meta l4proto tcp ct zone set 5; }; chain post { type filter hook postrouting priority 90; ct state new accept; }; }`

// TestFind: the entry of a packet, and as what it fits, in every position.
func TestFind(t *testing.T) {
	at := func(s sent, src, dst string, sport, dport uint16) sent {
		s.Src, s.Dst = addr(src), addr(dst)
		tcp := s.L4.(lab.TCP)
		tcp.SPort, tcp.DPort = sport, dport
		s.L4 = tcp
		return s
	}
	for _, tc := range []struct {
		name   string
		nat    nat
		rules  string // loaded before the packet
		before []sent
		send   sent
		want   string // fit, kinds of rewrites with the chain of their rule
		fate   invalid.Fate
		missed string
	}{
		{name: "without NAT", before: established, send: oowClient, want: "original direction", fate: invalid.FateForwarded},
		{name: "masquerade, the way out", nat: masquerade, before: established, send: oowClient,
			want: "original direction, snat by postrouting exact", fate: invalid.FateLeaks, missed: "snat 10.0.1.10→192.0.2.2"},
		{name: "masquerade, the way back", nat: masquerade, before: established, send: oowServer,
			want: "reply direction, snat by postrouting exact", fate: invalid.FateDropped, missed: "dnat 192.0.2.2→10.0.1.10"},
		{name: "dnat, the way in", nat: dnat, before: established, send: oowClient,
			want: "original direction, dnat by prerouting exact", fate: invalid.FateLeaks, missed: "dnat 198.51.100.1→203.0.113.80"},
		{name: "dnat, the way back", nat: dnat, before: established, send: oowServer,
			want: "reply direction, dnat by prerouting exact", fate: invalid.FateLeaks, missed: "snat 203.0.113.80→198.51.100.1"},
		{name: "past the DNAT", nat: dnat, before: established, send: at(client(seg(rst, 1001, 0)), "10.0.1.10", "203.0.113.80", 4000, 8080),
			want: "original direction, as it looks behind the DNAT, dnat by prerouting exact", fate: invalid.FateForwarded},
		{name: "an answer past the DNAT", nat: dnat, before: established, send: at(server(seg(rst, 5001, 0)), "198.51.100.1", "10.0.1.10", 80, 4000),
			want: "reply direction, as it looks with the DNAT undone, dnat by prerouting exact", fate: invalid.FateForwarded},
		{name: "an answer past the masquerade", nat: masquerade, before: established, send: at(server(seg(rst, 5001, 0)), "203.0.113.80", "10.0.1.10", 80, 4000),
			want: "reply direction, as it looks with the SNAT undone, snat by postrouting exact", fate: invalid.FateForwarded},
		{name: "an ICMP error to another than it quotes", nat: masquerade, before: established,
			send: server(lab.ICMP{Type: 3, Code: 1}).to("10.0.1.99").about(client(seg(ack, 1001, 5001))),
			want: "quotes a packet of the original direction, snat by postrouting exact", fate: invalid.FateForwarded},
		{name: "no entry", nat: masquerade, send: client(seg(rst, 1, 0)), want: "", fate: invalid.FateLeaks, missed: "snat 10.0.1.10→192.0.2.2"},
		{name: "two zones", rules: zoned, before: slices.Concat(established, []sent{{from: atRouter}}, established), send: oowClient,
			want: "2 entries of zones 0 5", fate: invalid.FateForwarded},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBed(t)
			if err := b.load(string(tc.nat)); err != nil {
				t.Fatal(err)
			}
			before := tc.before
			if i := slices.IndexFunc(before, func(s sent) bool { return s.from == atRouter }); i >= 0 { // the rules come now
				b.after(t, ends4, tc.nat, before[:i-1], before[i-1])
				before = before[i+1:]
			}
			if err := b.load(tc.rules); err != nil {
				t.Fatal(err)
			}
			lines, _ := b.after(t, ends4, tc.nat, before, tc.send)
			j := b.judge(t, lines)
			f, got := j.outcome(t)
			if fit := fitText(j.Host, j.Found[f]); fit != tc.want {
				t.Errorf("found %q, want %q", fit, tc.want)
			}
			if got.Fate != tc.fate {
				t.Errorf("%s: %s", got.Fate, got.Why)
			}
			var missed []string
			for _, r := range got.Missed {
				missed = append(missed, fmt.Sprintf("%s %s→%s", r.Manip, r.From.Addr, r.To.Addr))
			}
			if text := strings.Join(missed, ", "); text != tc.missed {
				t.Errorf("missed %q, want %q", text, tc.missed)
			}
		})
	}
}

func fitText(s *host.Snapshot, found *invalid.Found) string {
	one := found.One()
	if one == nil {
		if len(found.Entries) == 0 {
			return ""
		}
		var zones []int
		for i := range found.Entries {
			zones = append(zones, int(found.Entries[i].Flow.Zone))
		}
		slices.Sort(zones)
		return fmt.Sprintf("%d entries of zones %s", len(zones), strings.Trim(fmt.Sprint(zones), "[]"))
	}
	text := one.As()
	x := explain.New(s).Explain(&one.Flow, explain.Options{})
	for _, r := range x.Rewrites {
		if len(r.Rules) == 1 {
			text += fmt.Sprintf(", %s by %s %s", r.Manip, r.Rules[0].Chain.Name, r.Grade)
		}
	}
	return text
}

// TestDropRules: a rule that drops invalid packets is found, whatever form it
// has and wherever it stands, and the packet does not leave.
func TestDropRules(t *testing.T) {
	ipt := func(tool, table, chain, match string) []string {
		return []string{tool, "-t", table, "-A", chain, "-m", match, map[string]string{"conntrack": "--ctstate", "state": "--state"}[match], "INVALID", "-j", "DROP"}
	}
	for _, tc := range []struct {
		name  string
		rules string
		run   [][]string
		drops bool
		tool  string
	}{
		{name: "none"},
		{name: "nft, forward", rules: `table inet f { chain c { type filter hook forward priority 1; ct state invalid drop; }; }`, drops: true},
		{name: "nft, prerouting", rules: `table inet f { chain c { type filter hook prerouting priority mangle; ct state invalid drop; }; }`, drops: true},
		{name: "nft, by a map", rules: `table inet f { chain c { type filter hook forward priority 1; ct state vmap { established : accept, related : accept, invalid : drop }; }; }`, drops: true},
		{name: "nft, behind a jump", rules: `table inet f { chain bad { drop; }; chain c { type filter hook forward priority 1; ct state invalid jump bad; }; }`, drops: true},
		{name: "nft, everything but new and established", rules: `table inet f { chain c { type filter hook forward priority 1; policy drop; ct state new,established accept; meta l4proto 253 accept; }; }`, drops: true},
		{name: "nft, of another device", rules: `table inet f { chain c { type filter hook forward priority 1; iifname "s0" ct state invalid drop; }; }`},
		{name: "nft, too late", rules: `table inet f { chain c { type filter hook input priority 1; ct state invalid drop; }; }`},
		{name: "nft, established only", rules: `table inet f { chain c { type filter hook forward priority 1; ct state established drop; }; }`},
		{name: "iptables-nft, mangle", run: [][]string{ipt("iptables-nft", "mangle", "PREROUTING", "conntrack")}, drops: true, tool: "iptables-nft"},
		{name: "iptables-nft, forward, -m state", run: [][]string{ipt("iptables-nft", "filter", "FORWARD", "state")}, drops: true, tool: "iptables-nft"},
		{name: "iptables-nft, behind a jump", run: [][]string{{"iptables-nft", "-N", "BAD"}, {"iptables-nft", "-A", "BAD", "-j", "DROP"},
			{"iptables-nft", "-A", "FORWARD", "-m", "conntrack", "--ctstate", "INVALID", "-j", "BAD"}}, drops: true, tool: "iptables-nft"},
		{name: "iptables-legacy, mangle", run: [][]string{ipt("iptables-legacy", "mangle", "PREROUTING", "conntrack")}, drops: true, tool: "iptables-legacy"},
		{name: "iptables-legacy, forward, -m state", run: [][]string{ipt("iptables-legacy", "filter", "FORWARD", "state")}, drops: true, tool: "iptables-legacy"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.tool != "" {
				if _, err := exec.LookPath(tc.tool); err != nil {
					lab.LeaveOut(t, err)
				}
			}
			b := newBed(t)
			if err := b.load(string(masquerade) + "\n" + tc.rules); err != nil {
				t.Fatal(err)
			}
			for _, argv := range tc.run {
				if _, err := b.router.Run("", argv[0], argv[1:]...); err != nil {
					if why := lab.NotHere(err, ""); why != nil {
						lab.LeaveOut(t, why)
					}
					t.Fatal(err)
				}
			}
			lines, left := b.after(t, ends4, masquerade, established, oowClient)
			if tc.drops != (len(left) == 0) {
				t.Fatalf("the kernel let %q through", left)
			}
			j := b.judge(t, lines)
			_, got := j.outcome(t)
			switch {
			case tc.drops && (got.Fate != invalid.FateDropped || !got.Certain || got.By == nil && got.Chain == nil):
				t.Errorf("%+v", got)
			case !tc.drops && (got.Fate != invalid.FateLeaks || !got.Certain || got.Out != "s0"):
				t.Errorf("%+v", got)
			case !tc.drops && j.Drop == nil:
				t.Error("nothing to do is said")
			case !tc.drops:
				b.tryDrop(t, j.Drop.Do)
			}
		})
	}
}

// tryDrop pastes what is said to do: then such packets leave no more.
func (b *bed) tryDrop(t *testing.T, command string) {
	t.Helper()
	if _, err := b.router.Run("", "sh", "-c", command); err != nil {
		t.Fatal(err)
	}
	lines, left := b.after(t, ends4, masquerade, nil, oowClient)
	if len(lines) != 1 || len(left) > 0 {
		t.Errorf("after %s: %d lines, %q left", command, len(lines), left)
	}
	j := b.judge(t, lines)
	if _, got := j.outcome(t); got.Fate != invalid.FateDropped || j.Drop != nil {
		t.Errorf("after %s: %+v", command, got)
	}
}
