package checks_test

import (
	"cmp"
	"context"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/reach"
)

// loaders is one row a form in which rules are loaded.
var loaders = []struct {
	backend rules.Backend
	argv    []string
	text    func(*generator) string
}{
	{rules.BackendNft, []string{"nft", "-f", "-"}, (*generator).nft},
	{rules.BackendIptablesNft, []string{"iptables-nft-restore"}, (*generator).iptables},
	{rules.BackendIptablesLegacy, []string{"iptables-legacy-restore"}, (*generator).iptables},
}

// TestKernel loads random rulesets, sends packets of every sort, and asks the
// counters: no rule that is called dead may have counted. NTDIAG_CHECKS_N is
// how many rulesets of each form, NTDIAG_CHECKS_SEED the first seed.
func TestKernel(t *testing.T) {
	n, seed := number(t, "NTDIAG_CHECKS_N", 2), number(t, "NTDIAG_CHECKS_SEED", 1)
	for _, l := range loaders {
		t.Run(string(l.backend), func(t *testing.T) {
			if _, err := exec.LookPath(l.argv[0]); err != nil {
				lab.LeaveOut(t, err)
			}
			claims, idle := 0, 0
			for s := seed; s < seed+n; s++ {
				text := l.text(newGenerator(s))
				c, i := againstKernel(t, s, l.argv, text)
				claims, idle = claims+c, idle+i
			}
			t.Logf("%d of %d rules that no packet met are called dead", claims, idle)
			if idle > 100 && claims == 0 {
				t.Error("no rule is called dead")
			}
		})
	}
}

func number(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(cmp.Or(os.Getenv(name), strconv.FormatUint(otherwise, 10)), 10, 32)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// tally counts what comes in and what is sent, before all other chains.
const tally = `table inet tally {
	chain in { type filter hook prerouting priority -450; meta l4proto { tcp, udp } counter; }
	chain out { type filter hook output priority -450; meta l4proto { tcp, udp } counter; }
}`

func againstKernel(t *testing.T, seed uint64, argv []string, text string) (claims, idle int) {
	t.Helper()
	l, err := lab.New()
	if err != nil {
		lab.LeaveOut(t, err)
	}
	defer l.Close()
	net, err := l.Typical("s0")
	if err != nil {
		t.Fatal(err)
	}
	load(t, net.Router, []string{"nft", "-f", "-"}, tally)
	load(t, net.Router, argv, text)
	sent := send(t, net, seed)
	s := settled(t, net.Router, sent)
	res := reach.Analyse(s.Rules)
	for _, tb := range s.Rules.Tables {
		for _, c := range tb.Chains {
			for _, r := range c.Rules {
				if r.Hit() != rules.No && res.Dead(r) == nil && res.Entered(c) {
					continue
				}
				if r.Hit() == rules.No {
					idle++
				}
				if d := res.Dead(r); d != nil || !res.Entered(c) {
					claims++
					if r.Hit() == rules.Yes {
						t.Errorf("seed %d: %s %s %s is called dead (%+v), and counted\n%s", seed, tb.Name, c.Name, r.Ref(), d, text)
					}
				}
			}
		}
	}
	return claims, idle
}

func load(t *testing.T, h *lab.Host, argv []string, text string) {
	t.Helper()
	if _, err := h.Run(text, argv[0], argv[1:]...); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
}

// send sends one packet of each sort, and every datagram of a few flows twice.
func send(t *testing.T, n *lab.Net, seed uint64) int {
	t.Helper()
	g := rand.New(rand.NewPCG(seed, 3))
	sport, sent := uint16(20000), 0
	type way struct {
		from     *lab.Host
		src, dst []string
	}
	for _, w := range []way{
		{n.Client, clients, append(slices.Clone(servers), "10.0.0.1")},
		{n.Server, servers[:1], clients[:2]},
		{n.Client, []string{"fd00:a::10", "fd00:a::11", "fd00:a::12"}, []string{"fd00:b::80", "fd00:b::81", "fd00:a::1"}},
		{n.Router, []string{"10.0.0.1", "192.168.1.2"}, append(clients[:2:2], servers[:2]...)},
	} {
		for _, src := range w.src {
			for _, dst := range w.dst {
				for _, port := range ports {
					sport++
					p, _ := strconv.Atoi(port)
					from := netip.AddrPortFrom(netip.MustParseAddr(src), sport)
					to := netip.AddrPortFrom(netip.MustParseAddr(dst), uint16(p))
					h := w.from
					if h == n.Router && g.IntN(2) == 0 {
						h = h.Marked(uint32(1 + g.IntN(2)))
					}
					var err error
					if g.IntN(2) == 0 {
						err = h.Knock(from, to)
					} else {
						_, err = h.UDP(from, to, false)
					}
					if err == nil {
						sent++
					}
				}
			}
		}
	}
	return sent
}

// settled reads the rules once every packet sent has been counted.
func settled(t *testing.T, h *lab.Host, sent int) *host.Snapshot {
	t.Helper()
	live, err := capture.Open(h.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	limit := time.Now().Add(5 * time.Second)
	for {
		s, err := live.Snapshot(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if n := counted(s.Rules); n >= uint64(sent) {
			return s
		} else if time.Now().After(limit) {
			t.Fatalf("%d of %d packets were counted", n, sent)
		}
	}
}

func counted(rs *rules.Ruleset) (n uint64) {
	for _, t := range rs.Tables {
		if t.Name != "tally" {
			continue
		}
		for _, c := range t.Chains {
			for _, s := range c.Rules[0].Statements {
				if c, ok := s.(*rules.Counter); ok {
					n += c.Packets
				}
			}
		}
	}
	return n
}
