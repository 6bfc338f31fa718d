package report

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/ntdiag/ntdiag/diagnose/history"
	"github.com/ntdiag/ntdiag/diagnose/host"
)

var historyNow = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

func historyDoc(f HistoryFilter) *History {
	id := host.NetnsID{Boot: "b", Cookie: 9, Inode: 7}
	pre := history.Place{Backend: "nft", Family: "inet", Table: "nat", Chain: "prerouting"}
	at := func(m int) time.Time { return historyNow.Add(time.Duration(m) * time.Minute) }
	h := &history.History{Path: "/var/lib/ntdiag/netns-7.db", Dropped: 4, Alive: at(-1), Changes: []*history.Change{
		{Seq: 5, At: at(-60 * 24), Kind: history.KindStart, Netns: host.NetnsID{Boot: "b", Cookie: 3, Inode: 7}, Start: &history.Start{}},
		{Seq: 6, At: at(-60 * 13), Kind: history.KindStart, Netns: id, Start: &history.Start{Generation: 40, Rules: 1200, NATRules: 12, Tables: 2, Last: at(-900)}},
		{Seq: 7, At: at(-115), Kind: history.KindRules, Netns: id, Generation: 41, By: []history.Author{{Generation: 41, PID: 812, Program: "firewalld", Parent: "systemd", Command: "/usr/bin/python3 /usr/sbin/firewalld"}}, Rules: &history.RulesDiff{
			Rules: []history.RuleChange{
				{Op: history.Replaced, Place: pre, RuleVersion: history.RuleVersion{Handle: 9, Position: 1, Text: "udp dport 53 dnat ip to 10.244.1.8:53", Comment: "dns"}, Was: &history.RuleVersion{Handle: 7, Position: 1, Text: "udp dport 53 dnat ip to 10.244.1.7:53", Comment: "dns"}},
				{Op: history.Added, Place: pre, RuleVersion: history.RuleVersion{Handle: 10, Position: 2, Text: "evil \x1b[31m"}},
			},
			Sets:     []history.SetChange{{Place: history.Place{Backend: "nft", Family: "inet", Table: "nat", Set: "m"}, What: "map", Removed: 2, Elements: []history.ElementChange{{Op: history.Removed, Text: "53 : 10.244.1.7"}}}},
			Reloaded: []history.Reload{{Place: pre, Rules: 3}},
		}},
		{Seq: 8, At: at(-100), After: at(-101), Kind: history.KindRules, Netns: id, Generation: 41, Note: "found by comparing", Rules: &history.RulesDiff{
			Omitted: 30000,
			Rules:   []history.RuleChange{{Op: history.Removed, Place: history.Place{Backend: "iptables-legacy", Family: "ip", Table: "nat", Chain: "POSTROUTING"}, RuleVersion: history.RuleVersion{Position: 2, Text: "-A POSTROUTING -o eth0 -j MASQUERADE"}}}}},
		{Seq: 9, At: at(-90), Kind: history.KindRoute, Netns: id, Routes: []history.RouteChange{{Op: history.Replaced, Family: "ip", Table: 254, Dst: netip.MustParsePrefix("0.0.0.0/0"), Text: "default via 198.51.100.1 dev wan2", Was: "default via 203.0.113.1 dev wan1", Devs: []string{"wan2"}, WasDevs: []string{"wan1"}}}},
		{Seq: 10, At: at(-80), Kind: history.KindAddress, Netns: id, Addrs: []history.AddrChange{{Op: history.Removed, Dev: "ppp0", Prefix: netip.MustParsePrefix("203.0.113.5/24")}}},
		{Seq: 11, At: at(-70), Kind: history.KindGap, Netns: id, Gap: &history.Gap{From: at(-75).Local(), To: at(-70).Local(), Why: "could not be written (no space left on device)", Lost: 2}},
	}}
	return NewHistory(&host.Snapshot{Hostname: "router", CapturedAt: historyNow}, h, id, f)
}

func historyOut(t *testing.T, d *History, s Style) string {
	t.Helper()
	var b bytes.Buffer
	s.Now = historyNow
	if err := historyText(&b, d, s); err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(b.String(), "\n") {
		if utf8.RuneCountInString(line) > 80 {
			t.Errorf("%d columns: %s", utf8.RuneCountInString(line), line)
		}
	}
	return b.String()
}

func TestHistoryText(t *testing.T) {
	local := time.Local
	time.Local = time.UTC
	defer func() { time.Local = local }()
	want := `2026-11-26
 6  23:00:00  start    recording began: generation 40, 1,200 rules (12 of NAT)
                       in 2 tables, 0 elements, 0 addresses, 0 routes; what
                       changed since the last recording is not known
2026-11-27
 7  10:05:00  rules    generation 41 by firewalld (pid 812) of systemd: inet nat
                       prerouting: 1 replaced, 1 added; map inet nat m: 2
                       elements removed; 3 rules loaded again, unchanged
 8  10:20:00  rules    who is not known: iptables-legacy ip nat POSTROUTING: 1
                       removed; 30,000 more changes of rules
 9  10:30:00  route    the route to 0.0.0.0/0 moved from wan1 to wan2
10  10:40:00  address  203.0.113.5/24 was removed from ppp0
11  10:50:00  gap      from 10:45:00 to 10:50:00: could not be written (no space
                       left on device); 2 changes lost

4 older records made room for newer ones
1 record of another network namespace of this number not shown
nobody records now; the records end at 11:59:00
`
	if d := cmp.Diff(want, historyOut(t, historyDoc(HistoryFilter{}), Style{})); d != "" {
		t.Error(d)
	}
	want = `7  10:05:00  rules    generation 41 by firewalld (pid 812) of systemd: inet nat
                      prerouting: 1 replaced, 1 added; map inet nat m: 2
                      elements removed; 3 rules loaded again, unchanged
      command: /usr/bin/python3 /usr/sbin/firewalld
    inet nat prerouting
      - handle 7: udp dport 53 dnat ip to 10.244.1.7:53 comment "dns"
      + handle 9: udp dport 53 dnat ip to 10.244.1.8:53 comment "dns"
      + handle 10: evil \x1b[31m
    map inet nat m
      - 53 : 10.244.1.7
      1 more element, not kept
    inet nat prerouting
      = 3 rules loaded again, unchanged
8  10:20:00  rules    who is not known: iptables-legacy ip nat POSTROUTING: 1
                      removed; 30,000 more changes of rules
      when: between 10:19:00 and 10:20:00
      note: found by comparing
    iptables-legacy ip nat POSTROUTING
      - rule 2: -A POSTROUTING -o eth0 -j MASQUERADE
    30,000 more changes of rules, not kept
`
	d := historyDoc(HistoryFilter{Kinds: []history.Kind{history.KindRules}})
	got, _, _ := strings.Cut(historyOut(t, d, Style{Verbose: true}), "\n\n")
	if d := cmp.Diff(want, got+"\n"); d != "" {
		t.Error(d)
	}
	got = historyOut(t, historyDoc(HistoryFilter{Seq: 9}), Style{Verbose: true})
	if !strings.Contains(got, "\n      - default via 203.0.113.1 dev wan1\n      + default via 198.51.100.1 dev wan2\n") {
		t.Error(got)
	}
}

func TestHistoryFilter(t *testing.T) {
	for name, tc := range map[string]struct {
		f     HistoryFilter
		want  []uint64
		older int
	}{
		"since":         {HistoryFilter{Since: historyNow.Add(-85 * time.Minute)}, []uint64{10, 11}, 0},
		"kinds":         {HistoryFilter{Kinds: []history.Kind{history.KindGap, history.KindRoute}}, []uint64{9, 11}, 0},
		"number":        {HistoryFilter{Seq: 8}, []uint64{8}, 0},
		"limit":         {HistoryFilter{Limit: 2}, []uint64{10, 11}, 4},
		"another netns": {HistoryFilter{Seq: 5}, nil, 0},
	} {
		d := historyDoc(tc.f)
		var got []uint64
		for _, c := range d.Changes {
			got = append(got, c.Seq)
		}
		if x := cmp.Diff(tc.want, got); x != "" || d.Older != tc.older {
			t.Errorf("%s: %d older, %s", name, d.Older, x)
		}
	}
}

func TestHistoryJSON(t *testing.T) {
	var b bytes.Buffer
	if err := historyJSON(&b, historyDoc(HistoryFilter{}), Style{}); err != nil {
		t.Fatal(err)
	}
	var d struct {
		Schema  string
		Changes []struct {
			Seq     int
			Kind    string
			At      time.Time
			Summary string
			By      []struct{ PID int }
			Rules   *struct {
				Changes []struct {
					Op, Table, Text string
					Handle          int
					Was             *struct{ Handle int }
				}
			}
		}
	}
	if err := json.Unmarshal(b.Bytes(), &d); err != nil {
		t.Fatal(err)
	}
	c := d.Changes[1]
	if d.Schema != "ntdiag.history/1" || len(d.Changes) != 6 || c.Kind != "rules" || c.By[0].PID != 812 || c.Rules.Changes[0].Was.Handle != 7 || c.Rules.Changes[0].Table != "nat" {
		t.Errorf("%+v", d)
	}
	b.Reset()
	if err := historyJSONL(&b, historyDoc(HistoryFilter{Limit: 2}), Style{}); err != nil || strings.Count(b.String(), "\n") != 2 {
		t.Errorf("%v\n%s", err, b.String())
	}
}
