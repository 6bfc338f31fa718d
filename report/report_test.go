package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ntdiag/ntdiag/diagnose/checks"
	"github.com/ntdiag/ntdiag/diagnose/explain"
	"github.com/ntdiag/ntdiag/diagnose/flowjson"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/order"
	"github.com/ntdiag/ntdiag/diagnose/packet"
	"github.com/ntdiag/ntdiag/rules"
)

var update = flag.Bool("update", false, "write the golden files anew")

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func tuple(proto uint8, src, dst string) rules.Tuple {
	s, d := netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)
	return rules.Tuple{Proto: proto, Src: s.Addr(), Dst: d.Addr(), SrcPort: s.Port(), DstPort: d.Port()}
}

func webFlow() host.Flow {
	return host.Flow{
		Family: rules.FamilyIPv4, ID: 4021521188, TCPState: 3, Timeout: 119, Mark: 0x4000, Helper: "f\x1btp",
		Has:   host.HasID | host.HasMark | host.HasTCPState | host.HasTimeout | host.HasStart | host.HasCounters | host.HasHelper,
		Start: now.Add(-13 * time.Second).UnixNano(),
		Orig:  host.Counts{Packets: 5, Bytes: 300}, Repl: host.Counts{Packets: 4, Bytes: 900},
		Status:   host.StatusSeenReply | host.StatusAssured | host.StatusConfirmed | host.StatusSrcNAT | host.StatusDstNAT,
		Original: tuple(6, "10.0.0.10:55178", "10.0.0.1:8080"),
		Reply:    tuple(6, "192.168.1.80:80", "192.168.1.2:55178"),
	}
}

func sixFlow() host.Flow {
	return host.Flow{
		Family: rules.FamilyIPv6, ID: 9, Zone: 3, Has: host.HasID | host.HasMark,
		Original: tuple(17, "[2001:db8:aaaa:bbbb:cccc:dddd:eeee:1]:55178", "[2001:db8:aaaa:bbbb:cccc:dddd:eeee:2]:53"),
		Reply:    tuple(17, "[2001:db8:aaaa:bbbb:cccc:dddd:eeee:3]:53", "[2001:db8:aaaa:bbbb:cccc:dddd:eeee:1]:55178"),
	}
}

func pingFlow() host.Flow {
	return host.Flow{Family: rules.FamilyIPv4, ID: 8, Has: host.HasID | host.HasMark,
		Original: tuple(1, "10.0.0.10:77", "8.8.8.8:2048"), Reply: tuple(1, "8.8.8.8:1077", "192.168.1.2:0")}
}

func espFlow() host.Flow {
	return host.Flow{Family: rules.FamilyIPv4, ID: 11, Has: host.HasID | host.HasMark | host.HasMaster, Master: tuple(6, "10.0.0.1:21", "10.0.0.2:22"),
		Original: tuple(50, "10.0.0.1:0", "10.0.0.2:0"), Reply: tuple(50, "10.0.0.2:0", "10.0.0.1:0")}
}

// rule makes a rule of inet nat CHAIN with a text of its own.
func rule(chain string, handle uint64, comment, text string) *rules.Rule {
	t := &rules.Table{Backend: rules.BackendNft, Family: rules.FamilyInet, Name: "nat"}
	return &rules.Rule{Chain: &rules.Chain{Table: t, Name: chain}, Handle: handle, Position: 1, Comment: comment, Text: text}
}

func header(command string, missing ...host.Missing) Header {
	return NewHeader(command, &host.Snapshot{Hostname: "gw", Kernel: "6.18.0", Netns: "blue", CapturedAt: now}, missing)
}

func explained(x *explain.Explanation, as string) *Explain {
	return &Explain{Header: header("explain"), Query: "q", Flows: []Explained{NewExplained(x, as)}}
}

// documents of explain, by the name of their golden file.
func explainCases() map[string]*Explain {
	web, six, ping := webFlow(), sixFlow(), pingFlow()
	rw := func(f *host.Flow, i int, cause explain.Cause, grade explain.Grade, rs ...*rules.Rule) explain.Rewrite {
		return explain.Rewrite{Rewrite: f.Rewrites()[i], Cause: cause, Grade: grade, Rules: rs}
	}
	dnat := rw(&web, 0, explain.CauseRule, explain.GradeExact, rule("prerouting", 4, "web", `iifname "c0" tcp dport 8080 dnat ip to 192.168.1.80:80`))
	dnat.Not = []explain.Miss{{Rule: rule("prerouting", 2, "tls", "tcp dport 443 dnat ip to 192.168.1.81:443"), Why: "tcp dport 8080 ≠ 443"}}
	snat := rw(&web, 1, explain.CauseRule, explain.GradeInferred, rule("postrouting", 3, "wan\x1b[31m", `oifname "s0" masquerade`))
	snat.Assumed, snat.Unknown = []string{"oif s0 from route 192.168.1.0/24"}, []string{"packet mark", "a rate limit"}
	many := rw(&six, 0, explain.CauseRule, explain.GradeAmbiguous, rule("prerouting", 5, "", "udp dport 53 dnat ip6 to [2001:db8:aaaa:bbbb:cccc:dddd:eeee:3]"), rule("prerouting", 6, "", "dnat ip6 to [2001:db8:aaaa:bbbb:cccc:dddd:eeee:3]"))
	gone := rw(&ping, 0, explain.CauseRuleGone, explain.GradeNone)
	for range maxListed + 3 {
		gone.Not = append(gone.Not, explain.Miss{Rule: rule("postrouting", 3, "", "masquerade"), Why: "oif c0 ≠ s0"})
	}
	gone.Note = "the counter of no rule fits"
	plain := six
	plain.Reply = tuple(17, "[2001:db8:aaaa:bbbb:cccc:dddd:eeee:2]:53", "[2001:db8:aaaa:bbbb:cccc:dddd:eeee:1]:55178")
	step := packet.Step{Hook: rules.Prerouting, Chain: dnat.Rules[0].Chain, Rule: dnat.Rules[0], Result: "match"}
	nothing := &Explain{Header: header("explain", host.Missing{What: "rules", Why: "permission denied"}), Query: "10.0.0.10:5537\x1b 10.8.2.12:80", ReadAs: "tcpdump line", Flows: []Explained{}, Nearest: []Flow{{web}, {six}}}
	page := explained(&explain.Explanation{Flow: web, Rewrites: []explain.Rewrite{dnat}}, "entry")
	page.More = 12
	for range 4 {
		page.Flows = append(page.Flows, page.Flows[0])
	}
	return map[string]*Explain{
		"both":      explained(&explain.Explanation{Flow: web, Rewrites: []explain.Rewrite{dnat, snat}, In: "c0", Out: "s0", Path: []packet.Step{step}}, "reply tuple"),
		"ambiguous": explained(&explain.Explanation{Flow: six, Rewrites: []explain.Rewrite{many}, LocalOut: true}, "original tuple"),
		"gone":      explained(&explain.Explanation{Flow: ping, Rewrites: []explain.Rewrite{gone}, LocalIn: true}, "original tuple"),
		"none":      explained(&explain.Explanation{Flow: plain, WhyNone: "no rule matched"}, "original tuple"),
		"nothing":   nothing,
		"page":      page,
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s (-want +got; -update writes it anew):\n%s", name, d)
	}
}

func TestExplain(t *testing.T) {
	for name, doc := range explainCases() {
		for _, f := range formats {
			if f.Name == "wide" {
				continue // as table
			}
			t.Run(name+"/"+f.Name, func(t *testing.T) {
				var b bytes.Buffer
				if err := f.Explain(&b, doc, Style{Now: now, Verbose: name == "both"}); err != nil {
					t.Fatal(err)
				}
				golden(t, "explain-"+name+"."+f.Name, b.Bytes())
				if f.Human {
					harmless(t, b.String(), 80)
				}
			})
		}
	}
}

// harmless: no line is wider than asked, and nothing from outside reaches the terminal as a control.
func harmless(t *testing.T, text string, width int) {
	t.Helper()
	for _, line := range strings.Split(text, "\n") {
		if strings.ContainsAny(line, "\x1b\r\x07") {
			t.Errorf("control character in %q", line)
		}
		if columns(line) > width {
			t.Errorf("%d columns: %q", columns(line), line)
		}
	}
}

func TestColour(t *testing.T) {
	doc := explainCases()["both"]
	var plain, painted bytes.Buffer
	if err := explainText(&plain, doc, Style{Now: now}); err != nil {
		t.Fatal(err)
	}
	if err := explainText(&painted, doc, Style{Now: now, Color: true}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(painted.String(), "\x1b[32mexact\x1b[0m") {
		t.Error("a grade is not painted")
	}
	strip := painted.String()
	for _, sgr := range []string{bold, dim, red, green, yellow, "0"} {
		strip = strings.ReplaceAll(strip, "\x1b["+sgr+"m", "")
	}
	if d := cmp.Diff(plain.String(), strip); d != "" {
		t.Errorf("colour changes the layout:\n%s", d)
	}
}

func TestFlows(t *testing.T) {
	all := []host.Flow{webFlow(), sixFlow(), pingFlow(), espFlow()}
	tests := []struct {
		name  string
		flows []host.Flow
		style Style
	}{
		{"all", all, Style{Now: now}},
		{"bounded", all, Style{Now: now, Rows: 2}},
		{"folded", all[:1], Style{Now: now, Fold: 80}},
		{"empty", nil, Style{Now: now}},
	}
	for _, tt := range tests {
		for _, f := range formats {
			t.Run(tt.name+"/"+f.Name, func(t *testing.T) {
				var b bytes.Buffer
				style := tt.style
				style.Wide = f.Name == "wide"
				w := f.Flows(&b, style)
				for i := range tt.flows {
					if err := w.Add(&tt.flows[i]); err != nil {
						t.Fatal(err)
					}
				}
				if err := w.Close(FlowsEnd{Header: header("flows"), Matched: len(tt.flows), Checked: 7}); err != nil {
					t.Fatal(err)
				}
				golden(t, "flows-"+tt.name+"."+f.Name, b.Bytes())
				if f.Name == "json" && !json.Valid(b.Bytes()) {
					t.Error("not JSON")
				}
			})
		}
	}
}

// TestFlowsEnd: what stands below a table of flows.
func TestFlowsEnd(t *testing.T) {
	note := header("flows")
	note.Note = "the table changed while it was read"
	for _, tt := range []struct {
		name string
		rows int
		end  FlowsEnd
		want string
	}{
		{"all", 5, FlowsEnd{Header: header("flows"), Matched: 2}, ""},
		{"a page", 1, FlowsEnd{Header: header("flows"), Matched: 3}, "\n2 more flows not shown: --all shows them\n"},
		{"a page of a big table", 2, FlowsEnd{Header: header("flows"), Matched: 2, Unread: 999_998}, "\nabout 999,998 more flows not shown: --all shows them\n"},
		{"more than a table", 9000, FlowsEnd{Header: header("flows"), Matched: 9000, Unread: 1000}, "\nabout 9,998 more flows not shown: use -o jsonl\n"},
		{"a note", 5, FlowsEnd{Header: note, Matched: 2}, "\nnote: the table changed while it was read\n"},
	} {
		var b bytes.Buffer
		w := newFlowTable(&b, Style{Now: now, Rows: tt.rows})
		for i := range 2 {
			f := webFlow()
			f.ID = uint32(i)
			if err := w.Add(&f); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(tt.end); err != nil {
			t.Fatal(err)
		}
		_, below, _ := strings.Cut(b.String(), "\n\n")
		if below != strings.TrimPrefix(tt.want, "\n") {
			t.Errorf("%s: %q, want %q", tt.name, below, tt.want)
		}
	}
}

func TestRules(t *testing.T) {
	kind := "dnat"
	from := "inet nat prerouting"
	doc := &Rules{
		Header: header("rules"), Attributed: &Attributed{Flows: 1200300, Exact: 1100300, Inferred: 90000, Ambiguous: 9999, None: 1}, Opaque: 1,
		Summary: RulesSummary{
			NATRules: 1, Deciding: 1, Rules: 2, Tables: 1, Backends: []Count{{"nft", 1}}, Owners: []Count{{"docker", 1}},
			Findings: map[checks.Severity]int{checks.Warning: 1, checks.Info: 1},
		},
		Findings: []RulesFinding{{Check: "same-priority", Severity: checks.Info, Text: "postrouting, priority 110: the order of two chains depends on which was made last"}},
		Chains: []ChainRow{
			{Family: "inet", Table: "nat", Chain: "prerouting", Hook: "prerouting", Priority: -100, RunsAt: -100, Policy: "accept", Rules: 2, Backend: rules.BackendNft, Type: "nat"},
			{Family: "inet", Table: "nat", Chain: "postrouting", Hook: "postrouting", Priority: 110, RunsAt: 100, Policy: "drop", Backend: rules.BackendNft, Type: "nat", Tied: []string{"ip fw post\x1b"}},
			{Family: "ip", Table: "nat", Chain: "INPUT", Hook: "input", Priority: 100, Policy: "accept", Backend: rules.BackendIptablesLegacy, Type: "nat", RunsAt: 100},
		},
		Rules: []RuleRow{
			{Rule: NewRule(rule("prerouting", 4, "web", "tcp dport 8080 dnat ip to 192.168.1.80:80")), Hook: "prerouting", Priority: -100, Order: 1, NAT: &kind, Flows: 2, Counted: true, Findings: []string{"never hit", "shadowed by handle 2"}, From: from, Role: order.RoleNAT,
				Details: []RulesFinding{{Check: "never-hit", Severity: checks.Info, Text: "never hit"}, {Check: "unreachable", Severity: checks.Warning, Text: "shadowed by handle 2", Do: "move it before handle 2, or narrow that rule"}}},
			{Rule: Rule{Family: "inet", Table: "nat", Chain: "sub", Handle: 9, Text: "osf name \"Linux\""}, Hook: "prerouting", Order: 2, Findings: []string{}, From: from, Role: order.RoleUnknown, Via: []string{"prerouting"}},
		},
	}
	for _, f := range formats {
		var b bytes.Buffer
		if err := f.Rules(&b, doc, Style{Now: now}); err != nil {
			t.Fatal(err)
		}
		golden(t, "rules."+f.Name, b.Bytes())
	}
	// a page: twelve endpoints of one service, met at two hooks
	many := *doc
	many.Chains = slices.Clone(doc.Chains)
	many.Chains[1].Hook, many.Chains[1].Chain = "output", "output"
	many.Rules = nil
	for _, c := range many.Chains {
		for i := range 12 {
			r := doc.Rules[0]
			r.Rule.Chain, r.Rule.Handle, r.Rule.Position = "ep", uint64(20+i), i+1
			r.Order, r.Via, r.Hook, r.From = i+1, []string{c.Chain, "services", "svc"}, c.Hook, "inet nat "+c.Chain
			if i != 7 {
				r.Findings, r.Details = []string{}, nil
			}
			many.Rules = append(many.Rules, r)
		}
	}
	var b bytes.Buffer
	if err := rulesText(&b, &many, Style{Now: now, Rows: 10}); err != nil {
		t.Fatal(err)
	}
	golden(t, "rules-bounded.table", b.Bytes())
	harmless(t, b.String(), 80)
}

// TestRulesPage: however many rules there are to warn of, a page has an end, and
// says how many more there are.
func TestRulesPage(t *testing.T) {
	kind := "dnat"
	warned := []RulesFinding{{Check: "unreachable", Severity: checks.Warning, Text: "shadowed by handle 2"}}
	doc := &Rules{Header: header("rules"), Chains: []ChainRow{{Family: "inet", Table: "nat", Chain: "prerouting", Hook: "prerouting", Type: "nat", Rules: 1}}}
	for i := range 3000 {
		r := RuleRow{Rule: NewRule(rule(fmt.Sprintf("svc%d", i), uint64(i+1), "", "accept")), NAT: &kind, Findings: []string{}}
		if i < 2000 {
			r.Hook, r.From, r.Order, r.Details = "prerouting", "inet nat prerouting", i+1, warned
		}
		doc.Rules = append(doc.Rules, r)
		doc.Findings = append(doc.Findings, warned[0])
	}
	var b bytes.Buffer
	if err := rulesText(&b, doc, Style{Now: now, Rows: 10}); err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(b.Bytes(), []byte("\n")); n > 200 {
		t.Errorf("%d lines", n)
	}
	for _, want := range []string{"1,970 more rules, 1,970 with a warning, not shown: --all", "1,000 more rules met by no packet: --all", "2,990 more findings: --all"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	harmless(t, b.String(), 80)
}

// TestFlowJSON holds the hand-written encoder against encoding/json.
func TestFlowJSON(t *testing.T) {
	for _, f := range []host.Flow{webFlow(), sixFlow(), pingFlow(), espFlow()} {
		b := flowjson.Append(nil, &f)
		var got struct {
			ID       uint32
			Family   string
			Protonum uint8
			Helper   string
			Original struct {
				Src, Dst     netip.Addr
				Sport, Dport *uint16
				ICMP         *struct{ Type, Code, ID uint16 }
			}
		}
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("%v: %s", err, b)
		}
		o := f.Original
		if got.ID != f.ID || got.Protonum != o.Proto || got.Original.Src != o.Src || got.Original.Dst != o.Dst || got.Helper != f.Helper {
			t.Errorf("read back %+v from %s", got, b)
		}
		if f.HasPorts() != (got.Original.Sport != nil) || f.IsICMP() != (got.Original.ICMP != nil) {
			t.Errorf("ports of %s", b)
		}
	}
}

func TestStreamAllocatesNothing(t *testing.T) {
	f := webFlow()
	w := newFlowJSONL(&discard{}, Style{})
	if err := w.Add(&f); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(1000, func() { _ = w.Add(&f) }); n != 0 {
		t.Errorf("%v allocations a flow", n)
	}
}

type discard struct{}

func (*discard) Write(b []byte) (int, error) { return len(b), nil }
