package ticket

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/checks"
	"github.com/ntdiag/ntdiag/diagnose/counters"
	"github.com/ntdiag/ntdiag/diagnose/explain"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/invalid"
	"github.com/ntdiag/ntdiag/diagnose/order"
	"github.com/ntdiag/ntdiag/diagnose/packet"
	"github.com/ntdiag/ntdiag/diagnose/simulate"
	"github.com/ntdiag/ntdiag/diagnose/stale"
	"github.com/ntdiag/ntdiag/report"
	"github.com/ntdiag/ntdiag/rules"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func tuple(proto uint8, src, dst string) rules.Tuple {
	s, d := netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)
	return rules.Tuple{Proto: proto, Src: s.Addr(), Dst: d.Addr(), SrcPort: s.Port(), DstPort: d.Port()}
}

// world is a host on which everything that can have a name has one of its own
// makings.
type world struct {
	name     func(what string) string
	snapshot *host.Snapshot
	web, wan *rules.Rule
	flow     host.Flow
}

func newWorld(name func(string) string) *world {
	w := &world{name: name}
	t := &rules.Table{Backend: rules.BackendNft, Family: rules.FamilyInet, Name: name("table")}
	chain := func(what string, hook rules.Hook, priority int32) *rules.Chain {
		c := &rules.Chain{Table: t, Name: name(what), Base: &rules.BaseChain{Type: rules.ChainNAT, Hook: hook, Priority: priority}}
		t.Chains = append(t.Chains, c)
		return c
	}
	rule := func(c *rules.Chain, kind rules.NATKind, handle uint64, comment, text string) *rules.Rule {
		r := &rules.Rule{Chain: c, Handle: handle, Position: len(c.Rules) + 1, Comment: name(comment), Text: text + name("text"), Statements: []rules.Statement{&rules.Counter{Packets: handle}, &rules.NAT{Kind: kind}}}
		c.Rules = append(c.Rules, r)
		return r
	}
	pre, post := chain("prerouting", rules.Prerouting, -100), chain("postrouting", rules.Postrouting, 100)
	w.web = rule(pre, rules.DNAT, 4, "web", `iifname "c0" tcp dport 8080 dnat ip to 192.168.1.80:80 `)
	rule(pre, rules.DNAT, 5, "tls", `tcp dport 443 dnat ip to 192.168.1.81:443 `)
	w.wan = rule(post, rules.Masquerade, 16, "wan", `oifname "s0" masquerade `)
	w.snapshot = &host.Snapshot{Hostname: name("host"), Kernel: "6.18.0" + name("kernel"), Netns: name("netns"), CapturedAt: now, Rules: &rules.Ruleset{Tables: []*rules.Table{t}}}
	w.flow = host.Flow{
		Family: rules.FamilyIPv4, ID: 4021521188, TCPState: 3, Helper: name("helper"),
		Has:   host.HasID | host.HasTCPState | host.HasStart | host.HasHelper,
		Start: now.Add(-13 * time.Second).UnixNano(), Status: host.StatusSeenReply | host.StatusAssured | host.StatusConfirmed,
		Original: tuple(6, "10.0.0.10:55178", "10.0.0.1:8080"), Reply: tuple(6, "192.168.1.80:80", "192.168.1.2:55178"),
	}
	return w
}

// numbered is a flow of its own.
func (w *world) numbered(n int) host.Flow {
	f := w.flow
	f.ID += uint32(n)
	f.Original.SrcPort = uint16(1024 + n)
	f.Original.Src = netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)})
	f.Reply.DstPort = f.Original.SrcPort
	return f
}

func (w *world) header(command string, missing ...host.Missing) report.Header {
	return report.NewHeader(command, w.snapshot, missing)
}

func (w *world) rules(more int) *report.Rules {
	c := w.snapshot.Rules.Tables[0].Chains[0]
	for i := range more {
		c.Rules = append(c.Rules, &rules.Rule{Chain: c, Handle: uint64(100 + i), Position: len(c.Rules) + 1, Comment: w.name("service"), Text: fmt.Sprintf("tcp dport %d dnat ip to 192.168.2.%d ", i, i%250) + w.name("text"),
			Statements: []rules.Statement{&rules.NAT{Kind: rules.DNAT}}})
	}
	in := &report.RulesInput{Snapshot: w.snapshot, Hooks: order.Of(w.snapshot.Rules), Made: &explain.Made{Flows: map[*rules.Rule]int{w.web: 1300, w.wan: 4}},
		Missing: []host.Missing{{What: "sets of " + w.name("set"), Why: "permission denied"}}}
	in.Findings = []checks.Finding{
		{Check: "shadowed", Severity: checks.Warning, Rule: w.web, Text: "shadowed by " + w.name("rule"), Rules: []*rules.Rule{w.wan}, Do: "delete it"},
		{Check: "same-priority", Severity: checks.Info, Text: "chains at one hook and priority", More: []string{w.name("chain")}},
	}
	return report.NewRules(in)
}

// stale has n flows of one group, and n/2 groups of one flow.
func (w *world) stale(n int) *report.Stale {
	t := stale.NewTally(n, n)
	to := netip.MustParseAddrPort("192.168.1.81:80")
	for i := range n + n/2 {
		v := stale.Verdict{Fate: stale.Stale, Flow: w.numbered(i), Why: "it goes elsewhere than " + w.name("why")}
		v.Class, v.Confidence, v.Proto, v.Manip, v.Rule, v.Risks = stale.TargetChanged, stale.Certain, 6, rules.ManipDst, w.web, stale.Risks()
		if i >= n { // a target of its own each, and only likely
			v.Flow.Reply.Src = netip.AddrFrom4([4]byte{192, 168, byte(i >> 8), byte(i)})
			v.Confidence, v.Unknown = stale.Likely, []string{"packet mark " + w.name("mark")}
		}
		e := v.Flow.Ends()[rules.ManipDst]
		v.To, v.Was[rules.ManipDst] = e.To, &e
		v.Now[rules.ManipDst] = &simulate.NAT{Manip: rules.ManipDst, Kind: "dnat", Rule: w.web, To: simulate.To{Lo: to.Addr(), Hi: to.Addr(), PortLo: 80, PortHi: 80, HasPort: true, Port: simulate.PortFixed}}
		t.Add(&v)
	}
	t.Add(&stale.Verdict{Fate: stale.Undecided, Why: "not known: " + w.name("undecided")})
	d := report.NewStale(t, w.snapshot, nil, nil)
	d.Command, d.Unrecorded = "ntdiag stale", "nothing was recorded"
	return d
}

func (w *world) counters() *report.Counters {
	s := &counters.Stats{Entries: 245000, Max: 262144, Buckets: 65536, Source: w.name("source")}
	for i := range 12 {
		c := counters.CPU{CPU: i}
		for id := counters.Found; id <= counters.ChainTooLong; id++ {
			c.Has[id] = true
		}
		c.Values[counters.InsertFailed], c.Values[counters.Drop] = uint64(i*1000), uint64(i)
		s.CPUs = append(s.CPUs, c)
	}
	found := []counters.Finding{{
		Name: "clash", Moved: []counters.Moved{{Counter: counters.InsertFailed, N: 66000}}, Lost: 66000, Severity: counters.Critical,
		Summary: "66000 packets were lost: no free source port", Meaning: "an entry cannot be added",
		Likely: []counters.Cause{
			{Name: "ports", Text: "no source port is free", Grade: counters.Shown, Evidence: []string{"by " + w.name("evidence")}, Fix: "nft add rule " + w.name("fix"), Cost: "new flows only"},
			{Name: "same", Text: "two at once", Grade: counters.Open, Fix: "tcpdump -ni any"},
		},
		RuledOut: []counters.Ruled{{Text: "two clients", Why: "of " + w.name("ruled out")}},
	}}
	return report.NewCounters(w.header("counters"), &counters.Case{Stats: s, Interval: 10 * time.Second}, found)
}

func (w *world) invalid(t testing.TB) *report.Invalid {
	tally := invalid.NewTally()
	// what a device is named ends at a space in the log
	device := strings.Map(func(r rune) rune {
		if r <= ' ' {
			return '_'
		}
		return r
	}, w.name("dev"))
	for i, reason := range []string{"nf_ct_proto_6: SEQ is over upper bound 65242 (over the window of the receiver) ", "nf_ct_proto_6: " + w.name("reason") + " "} {
		var m invalid.Message
		line := reason + "IN=" + device + " OUT= MAC=da:ff:ba:e6:8b:04:ee:e9:55:98:14:ab:08:00 SRC=10.0.0.10 DST=10.0.0.1 LEN=40 TOS=0x00 PREC=0x00 TTL=64 ID=1 PROTO=TCP SPT=55178 DPT=8080 SEQ=1 ACK=0 WINDOW=1 RES=0x00 ACK URGP=0 "
		if !invalid.Parse([]byte(line), &m) {
			t.Fatalf("not a message: %q", line)
		}
		m.At = now
		tally.Add(&m, uint64(112+i))
	}
	c := &invalid.Case{Groups: tally.Groups(), Kernel: host.Release{Major: 6, Minor: 18}, Found: map[*invalid.Flow]*invalid.Found{}}
	f := c.Groups[0].Flows()[0]
	c.Found[f] = &invalid.Found{Entries: []invalid.Entry{{Flow: w.flow, Made: w.explained(&w.flow)}}}
	d := invalid.Diagnose(c)
	d.Fates = []invalid.FateSum{{Consequence: invalid.Consequence{Fate: invalid.FateLeaks, Certain: true, Out: w.name("out"), Source: "10.0.0.10", Missed: w.flow.Rewrites()[1:], Rule: w.wan}, Packets: 112, Flows: []*invalid.Flow{f}}}
	d.Drop = &invalid.Fix{Do: "nft 'table inet " + w.name("drop") + "'", Cost: "some"}
	doc := &report.Invalid{Header: w.header("invalid"), Source: "kmsg", Lines: 200, Lost: 7, Ours: tally.Messages, Joined: true}
	doc.Fill(&report.InvalidInput{Case: c, Diagnosis: d, MaxFlows: 50, Limits: []string{"the limit of " + w.name("limit")}})
	return doc
}

func (w *world) explained(f *host.Flow) *explain.Explanation {
	dnat := explain.Rewrite{Rewrite: f.Rewrites()[0], Cause: explain.CauseRule, Grade: explain.GradeExact, Rules: []*rules.Rule{w.web},
		Assumed: []string{"iif " + w.name("iif")}, Not: []explain.Miss{{Rule: w.web.Chain.Rules[1], Why: "tcp dport 8080 ≠ 443 " + w.name("miss")}}}
	snat := explain.Rewrite{Rewrite: f.Rewrites()[1], Cause: explain.CauseRule, Grade: explain.GradeAmbiguous, Rules: []*rules.Rule{w.wan, w.web},
		Unknown: []string{"packet mark"}, Note: w.name("note"), Via: []*rules.Rule{w.web}, Marks: []*rules.Rule{w.web}}
	return &explain.Explanation{Flow: *f, Rewrites: []explain.Rewrite{dnat, snat}, In: w.name("in"), Out: w.name("out"),
		Path: []packet.Step{{Hook: rules.Prerouting, Chain: w.web.Chain, Rule: w.web, Result: "match"}, {Hook: rules.Postrouting, Chain: w.wan.Chain, Result: "policy", Why: "accept"}}}
}

// told is what report makes of an explanation.
func (w *world) told(x *explain.Explanation) report.Explained {
	out := report.NewExplained(x, "original tuple")
	v := stale.Verdict{Fate: stale.Stale, Flow: x.Flow, Why: "it goes elsewhere than " + w.name("why")}
	v.Class, v.Confidence = stale.TargetChanged, stale.Certain
	out.Judge(&v)
	return out
}

// ticket has everything; n is how much of what there can be many of.
func (w *world) ticket(t testing.TB, n int) *Ticket {
	none := &report.Explain{Header: w.header("explain"), Query: w.name("query"), Flows: []report.Explained{}, Nearest: []report.Flow{{Flow: w.flow}}}
	out := &Ticket{
		Tool: "v1.2.3", Made: now.Add(time.Hour), Now: now, From: w.name("file"), Host: w.header("").Host, About: []Fact{{"Conntrack entries", w.name("about")}},
		Rules: w.rules(n), Stale: w.stale(max(n, 2)), Counters: w.counters(), Invalid: w.invalid(t),
		Asked: []*report.Explain{none}, MoreFlows: 3, Missing: []host.Missing{{What: "neighbours", Why: w.name("missing")}},
	}
	out.Flows = append(out.Flows, Flow{Why: "stale " + w.name("because"), Explained: w.told(w.explained(&w.flow))})
	for i := range min(n, 20) {
		f := w.numbered(i)
		out.Flows = append(out.Flows, Flow{Why: "a flow of " + w.name("rule"), Explained: report.NewExplained(w.explained(&f), "")})
	}
	return out
}

// tame is what names ordinary things have.
func tame(what string) string { return strings.ReplaceAll(what, " ", "-") }

func write(t testing.TB, format string, x *Ticket) string {
	t.Helper()
	f, err := FormatByName(format)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := f.Write(&b, x); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
