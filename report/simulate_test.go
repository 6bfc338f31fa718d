package report

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/packet"
	"github.com/ntdiag/ntdiag/diagnose/query"
	"github.com/ntdiag/ntdiag/diagnose/simulate"
	"github.com/ntdiag/ntdiag/rules"
)

func end(addr string, port uint16, how simulate.PortRule) simulate.To {
	a := netip.MustParseAddr(addr)
	return simulate.To{Lo: a, Hi: a, PortLo: port, PortHi: port, HasPort: how != simulate.PortNone, Port: how}
}

func asked(text string) query.Packet {
	p, err := query.ParsePacket([]string{text})
	if err != nil {
		panic(err)
	}
	return p
}

// documents of simulate, by the name of their golden file.
func simulateCases() map[string]*Simulate {
	from, to := end("10.0.0.10", 5536, simulate.PortKept), end("10.0.0.1", 8080, simulate.PortStays)
	web := rule("prerouting", 4, "web", `iifname "c0" tcp dport 8080 dnat ip to 192.168.1.80:80`)
	wan := rule("postrouting", 16, "", `oifname "s0" masquerade`)
	dnat := &simulate.NAT{Manip: rules.ManipDst, Kind: "dnat", Rule: web, From: to, To: end("192.168.1.80", 80, simulate.PortFixed)}
	snat := &simulate.NAT{Manip: rules.ManipSrc, Kind: "masquerade", Rule: wan, From: from, To: end("192.168.1.2", 5536, simulate.PortKept)}
	sent := simulate.Outcome{Verdict: simulate.VerdictAccept, Certain: true, DNAT: dnat, SNAT: snat, In: "c0", Out: "s0", Src: snat.To, Dst: dnat.To}
	one := &simulate.Result{Packet: asked("tcp 10.0.0.10:5536 > 10.0.0.1:8080 iif c0 mark 0x2a"), Outcomes: []simulate.Outcome{sent},
		Not:  []simulate.Miss{{Rule: rule("prerouting", 3, "evil\x1b[31m", "tcp dport 22 redirect"), Why: "tcp dport 8080 ≠ 22"}},
		Path: []packet.Step{{Hook: rules.Prerouting, Chain: web.Chain, Rule: web, Result: "match"}}}

	odds := func(p float64, to string) simulate.Outcome {
		o := sent
		n := *dnat
		n.To = end(to, 80, simulate.PortFixed)
		o.DNAT, o.Certain, o.Stated, o.Probability = &n, false, true, p
		o.When = []string{"nat services handle 9: numgen random mod 3 is 0"}
		return o
	}
	two := &simulate.Result{Packet: asked("tcp 10.0.0.10:5536 > 10.0.0.1:8080"), Outcomes: []simulate.Outcome{odds(2/3., "192.168.1.80"), odds(1/3., "192.168.1.81")},
		Unknown: []string{"a random number"}}

	other := simulate.Outcome{Verdict: simulate.VerdictAccept, In: "wan0", Out: "s0", When: []string{"it comes in by wan0"}}
	dropped := &simulate.Result{Packet: asked("udp 10.0.0.10 > 10.0.0.1:53"), Otherwise: []simulate.Outcome{other}, Assumed: []string{"iif c0 from reverse path 10.0.0.0/24"},
		Outcomes: []simulate.Outcome{{Verdict: simulate.VerdictDrop, By: rule("forward", 7, "no\x07", "udp dport 53 drop"), In: "c0"}}}

	many := &simulate.Result{Packet: asked("icmp 10.0.0.10 10.0.0.1 id=7"), Entry: rules.Output, More: true}
	for i := range maxListed + 2 {
		o := odds(0, fmt.Sprintf("192.168.1.%d", 80+i))
		o.Stated = false
		o.DNAT.To.Port, o.DNAT.From.Port = simulate.PortStays, simulate.PortStays
		many.Outcomes = append(many.Outcomes, o)
	}
	policy := simulate.Outcome{Verdict: simulate.VerdictDrop, Chain: rule("input", 1, "", "").Chain, Why: "policy drop", Untracked: true}
	long := &simulate.Result{Packet: asked("tcp [2001:db8:aaaa:bbbb:cccc:dddd:eeee:1]:55178 > [2001:db8:aaaa:bbbb:cccc:dddd:eeee:2]:53"),
		Outcomes: []simulate.Outcome{policy, {Verdict: simulate.VerdictReject, By: web, Stated: true, Probability: 0.004}}}

	// another mark gives both the same other source: it is said once
	marked := func(o simulate.Outcome) simulate.Outcome {
		n := *snat
		n.Rule, n.To = rule("postrouting", 15, "guests", "meta mark 0x0000002a snat ip to 192.168.1.3"), end("192.168.1.3", 5536, simulate.PortKept)
		o.SNAT, o.Stated, o.When = &n, false, append(o.When[:1:1], "nat postrouting handle 15: meta mark 0x0000002a")
		return o
	}
	either := &simulate.Result{Packet: two.Packet, Outcomes: two.Outcomes, Assumed: []string{"packet mark 0 on arrival"},
		Otherwise: []simulate.Outcome{marked(two.Outcomes[0]), marked(two.Outcomes[1]), other}}
	// of one of them only, it is told with its destination
	single := &simulate.Result{Packet: two.Packet, Outcomes: two.Outcomes, Otherwise: []simulate.Outcome{marked(two.Outcomes[0])}}

	nt := rule("raw", 6, "", "ip saddr 10.0.0.66 notrack")
	nt.Statements = []rules.Statement{&rules.Notrack{}}
	untracked := &simulate.Result{Packet: asked("tcp 10.0.0.66:5536 > 10.0.0.1:8080"),
		Outcomes: []simulate.Outcome{{Verdict: simulate.VerdictAccept, Certain: true, Untracked: true, In: "c0", Local: true,
			Src: end("10.0.0.66", 5536, simulate.PortStays), Dst: to}},
		Path: []packet.Step{{Hook: rules.Prerouting, Chain: nt.Chain, Rule: nt, Result: "match"}}}

	out := map[string]*Simulate{}
	for name, r := range map[string]*simulate.Result{"untracked": untracked, "either": either, "single": single, "one": one, "two": two, "dropped": dropped, "many": many, "long": long} {
		out[name] = &Simulate{Header: header("simulate"), Query: r.Packet.Text, Simulation: NewSimulation(r)}
	}
	var wants []simulate.Expectation
	for _, text := range []string{"dnat to 192.168.1.80:80", "possible: dnat to 192.168.1.81"} {
		e, err := simulate.ParseExpectation(text)
		if err != nil {
			panic(err)
		}
		wants = append(wants, e)
	}
	out["two"].Expect = Check(two, wants)
	return out
}

func TestSimulate(t *testing.T) {
	for name, doc := range simulateCases() {
		for _, f := range formats {
			if f.Name == "wide" {
				continue // as table
			}
			t.Run(name+"/"+f.Name, func(t *testing.T) {
				var b bytes.Buffer
				if err := f.Simulate(&b, doc, Style{Now: now, Verbose: name == "one"}); err != nil {
					t.Fatal(err)
				}
				golden(t, "simulate-"+name+"."+f.Name, b.Bytes())
				if f.Human {
					harmless(t, b.String(), 80)
				}
			})
		}
	}
}
