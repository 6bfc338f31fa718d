package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/history"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/journal"
	"github.com/ntdiag/ntdiag/diagnose/remove"
	"github.com/ntdiag/ntdiag/diagnose/simulate"
	"github.com/ntdiag/ntdiag/diagnose/stale"
	"github.com/ntdiag/ntdiag/rules"
)

func endpoint(s string) host.Endpoint {
	if a, err := netip.ParseAddr(s); err == nil {
		return host.Endpoint{Addr: a}
	}
	ap := netip.MustParseAddrPort(s)
	return host.Endpoint{Addr: ap.Addr(), Port: ap.Port()}
}

// nat is a rewrite to one end by r.
func nat(m rules.Manip, kind string, r *rules.Rule, to string) *simulate.NAT {
	e := endpoint(to)
	n := &simulate.NAT{Manip: m, Kind: kind, Rule: r, To: simulate.To{Lo: e.Addr, Hi: e.Addr, Port: simulate.PortKept}}
	if e.Port != 0 {
		n.To.PortLo, n.To.PortHi, n.To.HasPort, n.To.Port = e.Port, e.Port, true, simulate.PortFixed
	}
	return n
}

// verdict is a stale udp flow from 10.0.0.N:4000 to sent, of which one end is
// to, or as it was where to is "".
func verdict(n int, class stale.Class, m rules.Manip, sent, to string, now ...*simulate.NAT) stale.Verdict {
	src := fmt.Sprintf("10.0.0.%d:4000", n)
	v := stale.Verdict{Fate: stale.Stale, Why: "it is not what it would be", Flow: host.Flow{
		Family: rules.FamilyIPv4, ID: uint32(1000 + n), Has: host.HasID, Status: host.StatusConfirmed | host.StatusSeenReply,
		Original: tuple(17, src, sent), Reply: tuple(17, sent, src),
	}}
	v.Class, v.Confidence, v.Proto, v.Manip = class, stale.Certain, 17, m
	switch {
	case m == rules.ManipDst && to != "":
		v.Flow.Reply = tuple(17, to, src)
	case to != "":
		v.Flow.Reply = tuple(17, sent, to)
	}
	e := v.Flow.Ends()[m]
	v.To = e.To
	if m == rules.ManipSrc {
		v.To.Port = 0
		if to == "" {
			v.To.Addr = netip.Addr{}
		}
	}
	if to != "" {
		v.Was[m] = &e
	}
	if len(now) > 0 {
		v.Now[m], v.Rule, v.Out = now[0], now[0].Rule, "s0"
	}
	for _, o := range now[min(1, len(now)):] {
		var pair [2]*simulate.NAT
		pair[m] = o
		v.Others = append(v.Others, pair)
	}
	return v
}

// endpoints is a map that gives 10.244.1.8:53 and 10.244.1.9:53.
func endpoints() *rules.Set {
	s := &rules.Set{Table: &rules.Table{Family: rules.FamilyInet, Name: "nat"}, Name: "endpoints"}
	for i := byte(8); i < 10; i++ {
		s.Elements = append(s.Elements, rules.Element{Key: []byte{i}, Data: []byte{10, 244, 1, i, 0, 53, 0, 0}})
	}
	return s
}

// staleCases are what is fed to the writers, by the name of the golden file.
func staleCases() map[string][]stale.Verdict {
	dns := rule("prerouting", 7, "dns", "ip daddr 10.96.0.10 udp dport 53 dnat ip to numgen random mod 2 map @endpoints")
	web := rule("prerouting", 9, "we\x1bb", "udp dport 8080 dnat ip to 192.168.1.81:80")
	wan := rule("postrouting", 16, "wan", `oifname "s0" masquerade`)
	dst, src := rules.ManipDst, rules.ManipSrc
	here := nat(src, "masquerade", wan, "192.168.1.2")
	mapped := func(n int, to string, risks ...stale.Risk) stale.Verdict {
		v := verdict(n, stale.TargetChanged, dst, "10.96.0.10:53", to, nat(dst, "dnat", dns, "10.244.1.8:53"), nat(dst, "dnat", dns, "10.244.1.9:53"))
		v.Map, v.Risks = endpoints(), risks
		return v
	}
	one := endpoints()
	var classes []stale.Verdict
	for n := range 3 {
		v := mapped(n, "10.244.1.7:53", stale.RiskReversed)
		v.Map = one
		v.Flow.Has |= host.HasStart
		v.Flow.Start = now.Add(-time.Duration(n+1) * time.Hour).UnixNano()
		classes = append(classes, v)
	}
	classes = append(classes,
		verdict(20, stale.RuleGone, dst, "10.0.0.1:3306", "192.168.1.86:3306"),
		verdict(21, stale.TargetChanged, dst, "10.0.0.1:8080", "192.168.1.80:80", nat(dst, "dnat", web, "192.168.1.81:80")),
		verdict(22, stale.RuleAdded, dst, "10.8.2.12:53", "", nat(dst, "redirect", web, "10.0.0.1:5353")),
		verdict(23, stale.NotYetNAT, dst, "10.0.0.1:53", "", nat(dst, "dnat", dns, "10.244.1.8:53")),
		verdict(24, stale.RuleGone, src, "10.8.2.12:53", "192.168.1.9:4000"),
		verdict(25, stale.TargetChanged, src, "10.8.2.12:53", "192.168.1.9:4000", here),
		verdict(26, stale.RuleAdded, src, "10.8.2.12:53", "", here),
		verdict(27, stale.SNATAddressGone, src, "10.8.2.12:53", "192.0.2.7:4000", here),
		verdict(28, stale.RouteChanged, src, "10.8.2.12:53", "192.0.2.8:4000", here),
		verdict(29, stale.NotYetNAT, src, "10.8.2.12:53", "", here),
		stale.Verdict{Fate: stale.Fresh}, stale.Verdict{Fate: stale.Undecided, Why: "expected by a helper\x1b"},
		stale.Verdict{Fate: stale.Undecided, Why: "which zone a new packet is in is not known"}, stale.Verdict{Fate: stale.Undecided, Why: "which zone a new packet is in is not known"},
	)
	likely := verdict(40, stale.TargetChanged, dst, "10.0.0.1:8080", "192.168.1.80:80", nat(dst, "dnat", web, "192.168.1.81:80"))
	likely.Confidence, likely.Assumed, likely.Unknown, likely.Flow.Zone = stale.Likely, []string{"iif c\x1b0"}, []string{"a rate limit", "packet mark"}, 3
	tcp := verdict(41, stale.RuleGone, dst, "10.0.0.1:3306", "192.168.1.86:3306")
	tcp.Proto, tcp.Flow.Original.Proto, tcp.Flow.Reply.Proto = 6, 6, 6
	tcp.Flow.TCPState, tcp.Flow.Has, tcp.Flow.Status = 3, tcp.Flow.Has|host.HasTCPState, tcp.Flow.Status|host.StatusAssured
	tcp.Risks = stale.Risks()
	ping := verdict(42, stale.RuleGone, dst, "10.0.0.1:2048", "192.168.1.80:2048")
	ping.Proto, ping.Flow.Original.Proto, ping.Flow.Reply.Proto = 1, 1, 1
	var many []stale.Verdict
	for n := range 1500 {
		v := mapped(n%250, fmt.Sprintf("10.244.2.%d:53", n%(1+n%7)), stale.RiskReversed)
		v.Map = one
		many = append(many, v)
	}
	for n := range 30 {
		r := rule("prerouting", uint64(100+n), "", "dnat to 192.168.1.81")
		many = append(many, verdict(n, stale.TargetChanged, dst, fmt.Sprintf("10.0.0.1:%d", 8000+n), fmt.Sprintf("192.168.1.80:%d", 8000+n), nat(dst, "dnat", r, "192.168.1.81")))
	}
	return map[string][]stale.Verdict{
		"classes": classes,
		"likely":  {likely, {Fate: stale.Fresh}},
		"works":   {likely, tcp, ping},
		"many":    many,
		"fresh":   {{Fate: stale.Fresh}, {Fate: stale.Fresh}},
		"nothing": nil,
	}
}

// staleDoc tells the verdicts to a writer of the format.
func staleDoc(t *testing.T, f Format, s Style, verdicts []stale.Verdict, change func(*Stale)) string {
	t.Helper()
	var b bytes.Buffer
	w := f.Stale(&b, s)
	tally := stale.NewTally(3, 5000)
	for i := range verdicts {
		tally.Add(&verdicts[i])
		if verdicts[i].Fate != stale.Stale {
			continue
		}
		if err := w.Add(&verdicts[i], nil); err != nil {
			t.Fatal(err)
		}
	}
	snapshot := &host.Snapshot{Hostname: "gw", Kernel: "6.18.0", Netns: "blue", CapturedAt: now, Rules: &rules.Ruleset{}}
	d := NewStale(tally, snapshot, nil, nil)
	d.Command = "ntdiag stale --netns blue"
	if change != nil {
		change(d)
	}
	if err := w.Close(d); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestStale(t *testing.T) {
	for name, verdicts := range staleCases() {
		for _, f := range formats {
			if f.Name == "wide" || name == "many" && !f.Human {
				continue
			}
			t.Run(name+"/"+f.Name, func(t *testing.T) {
				got := staleDoc(t, f, Style{Now: now, Rows: 40}, verdicts, nil)
				golden(t, "stale-"+name+"."+f.Name, []byte(got))
				if f.Human {
					harmless(t, got, 80)
				}
			})
		}
		t.Run(name+"/expanded", func(t *testing.T) {
			got := staleDoc(t, formats[0], Style{Now: now, Verbose: true, Color: true}, verdicts, nil)
			for _, v := range verdicts {
				if id := fmt.Sprintf("id %d", v.Flow.ID); v.Fate == stale.Stale && len(verdicts) < 30 && !strings.Contains(strings.Join(strings.Fields(got), " "), id) {
					t.Errorf("no %s in\n%s", id, got)
				}
			}
		})
	}
}

// TestStaleNotes are the lines that say what was left out.
func TestStaleNotes(t *testing.T) {
	all := staleCases()
	for _, c := range []struct {
		verdicts []stale.Verdict
		change   func(*Stale)
		want     string
	}{
		{nil, func(d *Stale) { d.OlderThan, d.Undated = time.Hour, 12 }, "No flow to check: none is known to be old enough"},
		{nil, func(d *Stale) { d.OlderThan, d.Undated = time.Hour, 1 }, "note: 1 flow has no start time and was left out, as --older-than asks for one: sysctl -w net.netfilter.nf_conntrack_timestamp=1"},
		{all["fresh"], func(d *Stale) { d.NotChosen = 1234 }, "No such flow is stale: 2 checked; 1,234 others are not what was asked for"},
		{all["likely"], nil, "1 of 2 flows is likely stale"},
		{all["likely"], nil, "how old they are is not known"},
		{all["likely"], func(d *Stale) { d.Ungrouped = 7 }, "7 more stale flows in other groups: -v shows them"},
		{all["fresh"], func(d *Stale) { d.Missing = []host.Missing{{What: "present rules", Why: "they changed"}} }, "not read: present rules: they changed"},
	} {
		got := strings.Join(strings.Fields(staleDoc(t, formats[0], Style{Now: now}, c.verdicts, c.change)), " ")
		if !strings.Contains(got, c.want) {
			t.Errorf("no %q in\n%s", c.want, got)
		}
	}
}

// TestStaleContract holds the JSON to the shape that other programs rely on.
func TestStaleContract(t *testing.T) {
	type to struct {
		To struct {
			Addr string
			Port *uint16
		}
		Rule *struct{ Handle uint64 }
	}
	var d struct {
		Schema                    string
		Complete                  bool
		Checked, Fresh, Undecided *int
		Stale                     []struct {
			Flow       *struct{ ID uint32 }
			Class      stale.Class
			Confidence stale.Confidence
			Was, Now   map[string]*to
			Why        string
			Risk       []stale.Risk
			Action     journal.Action
		}
	}
	got := staleDoc(t, formats[2], Style{}, staleCases()["classes"], nil)
	if err := json.Unmarshal([]byte(got), &d); err != nil {
		t.Fatal(err)
	}
	if d.Schema != "ntdiag.stale/1" || !d.Complete || *d.Checked != 17 || *d.Fresh != 1 || *d.Undecided != 3 || len(d.Stale) != 13 {
		t.Errorf("%s", got)
	}
	x := d.Stale[0]
	was, now := x.Was["dnat"], x.Now["dnat"]
	if x.Flow.ID != 1000 || x.Class != stale.TargetChanged || x.Confidence != stale.Certain || x.Action != journal.None || x.Why == "" || len(x.Risk) != 1 ||
		was.To.Addr != "10.244.1.7" || *was.To.Port != 53 || now.To.Addr != "10.244.1.8" || *now.To.Port != 53 || now.Rule.Handle != 7 {
		t.Errorf("%+v", x)
	}
	for _, end := range []map[string]*to{x.Was, x.Now} {
		if snat, ok := end["snat"]; !ok || snat != nil {
			t.Error("no rewrite of the source has to be null")
		}
	}
}

// TestNarrow: the flags told for a section choose its groups and no others.
func TestNarrow(t *testing.T) {
	tally := stale.NewTally(1, 100)
	for _, v := range staleCases()["classes"] {
		tally.Add(&v)
	}
	d := NewStale(tally, &host.Snapshot{Rules: &rules.Ruleset{}}, nil, nil)
	all := sections(d.Groups)
	if len(all) < 8 {
		t.Fatalf("%d sections", len(all))
	}
	for i := range all {
		flags := narrow(&all[i], d)
		x := all[i].groups[0].group.Change
		for j := range all {
			o := all[j].groups[0].group.Change
			takes := true
			for _, f := range strings.Split(flags, "--") {
				name, value, _ := strings.Cut(strings.TrimSpace(f), " ")
				switch name {
				case "class":
					takes = takes && value == string(o.Class)
				case "to":
					takes = takes && value == toText(all[j].groups[0])
				case "rule":
					takes = takes && o.Rule == x.Rule
				case "proto":
					takes = takes && value == all[j].groups[0].Proto
				}
			}
			if takes != (i == j) {
				t.Errorf("%q for %+v: takes %+v: %v", flags, x, o, takes)
			}
		}
	}
	six := verdict(1, stale.RuleGone, rules.ManipDst, "10.0.0.1:53", "10.0.0.2:53")
	six.Flow.Original, six.Flow.Reply = tuple(17, "[fd00::1]:4000", "[fd00::2]:53"), tuple(17, "[fd00::3]:53", "[fd00::1]:4000")
	six.To = endpoint("[fd00::3]:53")
	g := newStaleGroup(&stale.Group{Change: six.Change, Flows: 1, Examples: []stale.Verdict{six}})
	if flag := choicesOf(&section{groups: []*StaleGroup{&g}})['t'].flag; flag != "--to '[fd00::3]:53'" {
		t.Errorf("a shell would take %s apart", flag)
	}
	if flags := narrow(&all[0], &Stale{Groups: d.Groups[:1]}); flags != "" {
		t.Errorf("for the only group: %q", flags)
	}
}

// TestStaleGone tells group by group what became of flows.
func TestStaleGone(t *testing.T) {
	verdicts := staleCases()["classes"]
	tally := stale.NewTally(1, 100)
	var results []remove.Result
	var of []stale.Change
	for i := range verdicts {
		v := &verdicts[i]
		tally.Add(v)
		if v.Fate == stale.Stale {
			results = append(results, remove.Result{Planned: &remove.Planned{Flow: v.Flow}, Action: journal.Deleted})
			of = append(of, v.Change)
		}
	}
	results[0].Back = remove.BackReversed
	came := results[0].Flow
	came.Original, came.Reply = came.Reply, came.Original
	results[0].Now = &came
	results[1].Action, results[1].Said = journal.Gone, "it ended before"
	results[3].Action, results[3].Said = journal.Failed, "device or resource busy\x1b"
	d := NewStale(tally, &host.Snapshot{Rules: &rules.Ruleset{}}, nil, nil)
	d.Journal = "/var/lib/ntdiag/journal/x y.jsonl"
	var b bytes.Buffer
	if err := StaleGone(&b, d, results, of, Style{Now: now}); err != nil {
		t.Fatal(err)
	}
	golden(t, "stale-gone.table", b.Bytes())
	harmless(t, b.String(), 80)
}

// TestStalePlan leaves out what stays.
func TestStalePlan(t *testing.T) {
	tally := stale.NewTally(1, 100)
	for _, v := range staleCases()["works"] {
		tally.Add(&v)
	}
	d := NewStale(tally, &host.Snapshot{Rules: &rules.Ruleset{}}, []host.Missing{{What: "2 conntrack entries", Why: "cut short"}}, nil)
	for _, c := range []struct {
		take    func(stale.Confidence) bool
		want    string
		without string
	}{
		{func(c stale.Confidence) bool { return c == stale.Certain }, "2 flows to delete; 1 that is only likely stale stays (--include likely)", "192.168.1.80:80"},
		{func(stale.Confidence) bool { return true }, "3 flows to delete", "stays"},
	} {
		var b bytes.Buffer
		if err := StalePlan(&b, d, c.take, []string{"your own session is among them"}, Style{Now: now}); err != nil {
			t.Fatal(err)
		}
		got := strings.Join(strings.Fields(b.String()), " ")
		if !strings.HasSuffix(got, "note: your own session is among them not read: 2 conntrack entries: cut short "+c.want) || strings.Contains(got, c.without) || strings.Contains(got, "ntdiag stale") {
			t.Errorf("want %q at the end, no %q:\n%s", c.want, c.without, b.String())
		}
	}
}

// recorded is one change: the rule to 192.168.1.86 was removed an hour before
// now, the map's element that gave 10.244.1.7:53 was replaced two hours before.
func recorded() *history.History {
	netns := host.NetnsID{Boot: "b", Cookie: 1, Inode: 1}
	place := history.Place{Backend: rules.BackendNft, Family: "inet", Table: "nat"}
	at := func(addr string, port uint16) *history.Range {
		return &history.Range{Addr: netip.MustParseAddr(addr), Port: &port}
	}
	rulePlace, mapPlace := place, place
	rulePlace.Chain, mapPlace.Set = "prerouting", "endpoints"
	return &history.History{Recording: true, Alive: now, Changes: []*history.Change{
		{V: history.Version, Seq: 1, At: now.Add(-4 * time.Hour), Netns: netns, Kind: history.KindStart},
		{V: history.Version, Seq: 2, At: now.Add(-150 * time.Minute), Netns: netns, Kind: history.KindRules, By: []history.Author{{PID: 4, Program: "kube-pr\x1boxy"}},
			Rules: &history.RulesDiff{Sets: []history.SetChange{{Place: mapPlace, What: "map", Replaced: 1, Elements: []history.ElementChange{
				{Op: history.Replaced, Text: "0 : 10.244.1.8 . 53", Was: "0 : 10.244.1.7 . 53", To: at("10.244.1.8", 53), WasTo: at("10.244.1.7", 53)}}}}}},
		{V: history.Version, Seq: 3, At: now.Add(-time.Hour), Netns: netns, Kind: history.KindRules, By: []history.Author{{PID: 812, Program: "firewalld"}},
			Rules: &history.RulesDiff{Rules: []history.RuleChange{{Op: history.Removed, Place: rulePlace, RuleVersion: history.RuleVersion{
				Handle: 5, Position: 2, Text: "tcp dport 3306 dnat ip to 192.168.1.86:3306", NAT: &history.Target{Kind: "dnat", To: []history.Range{*at("192.168.1.86", 3306)}}}}}}},
	}}
}

// TestStaleCause names who changed what, and how many flows are older.
func TestStaleCause(t *testing.T) {
	tally := stale.NewTally(1, 100)
	for _, v := range staleCases()["classes"] {
		tally.Add(&v)
	}
	d := NewStale(tally, &host.Snapshot{Rules: &rules.Ruleset{}, CapturedAt: now}, nil, recorded())
	d.Command = "ntdiag stale"
	var b bytes.Buffer
	if err := staleText(&b, d, Style{Now: now}); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(strings.Fields(b.String()), " ")
	for _, want := range []string{
		`was replaced by 0 : 10.244.1.8 . 53`,
		`at 09:30:00 by kube-pr\x1boxy (pid 4); 1 of these flows began before`,
		`handle 5`, `at 11:00:00 by firewalld (pid 812)`,
		`cause: not recorded: recording began at 08:00:00: what changed before is not known`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	harmless(t, b.String(), 80)
	for _, g := range d.Groups {
		if g.Class == stale.RuleGone && g.End == "dnat" && (g.Cause == nil || g.Cause.By[0].PID != 812 || !g.Cause.At.Equal(now.Add(-time.Hour))) {
			t.Errorf("%+v", g.Cause)
		}
	}
}
