package report

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/explain"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/watch"
	"github.com/ntdiag/ntdiag/rules"
)

// someEvents is a watch: two flows, a gap, and what was found after it.
func someEvents() []*Event {
	a := netip.MustParseAddr
	at := time.Date(2026, 1, 2, 10, 5, 12, 345e6, time.Local)
	web := Rule{Backend: rules.BackendNft, Family: "inet", Table: "nat", Chain: "prerouting", Handle: 4, Position: 1, Text: "tcp dport 8080 dnat ip to 192.168.1.80:80", Comment: "web \x1b[31m", Decoded: true}
	wan := Rule{Backend: rules.BackendIptablesNft, Family: "ip", Table: "nat", Chain: "POSTROUTING", Handle: 7, Position: 2, Text: "-A POSTROUTING -o s0 -j MASQUERADE", Decoded: true}
	f := host.Flow{
		Family: rules.FamilyIPv4, ID: 7, Has: host.HasID | host.HasTCPState, TCPState: 1, Status: host.StatusConfirmed,
		Original: rules.Tuple{Proto: 6, Src: a("10.0.0.10"), Dst: a("10.0.0.1"), SrcPort: 6001, DstPort: 8080},
		Reply:    rules.Tuple{Proto: 6, Src: a("192.168.1.80"), Dst: a("192.168.1.2"), SrcPort: 80, DstPort: 6001},
	}
	rw := f.Rewrites()
	made := []watch.Rewrite[Rule]{
		{Rewrite: rw[0], Cause: explain.CauseRule, Grade: explain.GradeExact, Rules: []*Rule{&web}},
		{Rewrite: rw[1], Cause: explain.CauseRule, Grade: explain.GradeInferred, Rules: []*Rule{&wan}, Unknown: []string{"packet mark"}},
	}
	gone := []watch.Rewrite[Rule]{{Rewrite: rw[0], Cause: explain.CauseRuleGone, Grade: explain.GradeNone}, made[1]}
	plain := f
	plain.Original.Proto, plain.Reply.Proto = 17, 17
	plain.Reply.Src, plain.Reply.Dst, plain.Reply.SrcPort = a("10.0.0.1"), a("10.0.0.10"), 8080
	plain.Has = host.HasID
	event := func(kind capture.EventKind, f host.Flow) *capture.Event {
		return &capture.Event{Kind: kind, At: at, Flow: f}
	}
	found := event(capture.EventDestroy, f)
	found.Found = true
	return []*Event{
		{Event: &capture.Event{Kind: capture.EventStart, At: at, Start: capture.WatchStart{Before: 3, Setting: host.Known("2"), Buffer: 4096}}},
		{Event: &capture.Event{Kind: capture.EventResync, At: at, Resync: capture.WatchResync{First: true, Entries: 3}}},
		{Event: event(capture.EventNew, f), Rewrites: made},
		{Event: event(capture.EventUpdate, plain)},
		{Event: &capture.Event{Kind: capture.EventLost, At: at, Lost: capture.WatchLost{Events: 1200, From: at.Add(-1500 * time.Millisecond), To: at, Why: "the receive buffer was full"}}},
		{Event: found, Rewrites: gone},
		{Event: &capture.Event{Kind: capture.EventResync, At: at, Resync: capture.WatchResync{Entries: 1, Gone: 1, Unsure: 2, Took: 2345 * time.Microsecond}}},
	}
}

func written(t *testing.T, format string, s Style) string {
	t.Helper()
	f, err := FormatByName(format)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	w, err := f.Events(&b, s)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range someEvents() {
		if err := w.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestEventTable(t *testing.T) {
	const oneLine = `TIME         EVENT   PROTO  SOURCE           DESTINATION    STATE
10:05:12.345 NEW     tcp    10.0.0.10:6001 → 192.168.1.2:6001  10.0.0.1:8080 → 192.168.1.80:80  SYN_SENT unreplied  dst by prerouting handle 4 "web \x1b[31m", src by POSTROUTING rule 2
10:05:12.345 UPDATE  udp    10.0.0.10:6001                     10.0.0.1:8080                    unreplied
10:05:12.345 LOST    1200 events lost: the receive buffer was full, within 1.5s
10:05:12.345 DESTROY tcp    10.0.0.10:6001 → 192.168.1.2:6001  10.0.0.1:8080 → 192.168.1.80:80  SYN_SENT unreplied  dst by no present rule, src by POSTROUTING rule 2, found in the table
10:05:12.345 RESYNC  1 entry read in 2ms: 0 new, 0 changed, 1 gone, 2 new or forgotten
`
	if d := cmp.Diff(oneLine, written(t, "table", Style{})); d != "" {
		t.Errorf("no terminal: %s", d)
	}
	const folded = `TIME         EVENT   PROTO  SOURCE           DESTINATION    STATE
10:05:12.345 NEW     tcp    10.0.0.10:6001      10.0.0.1:8080
                            → 192.168.1.2:6001  → 192.168.1.80:80
                            SYN_SENT unreplied, dst by prerouting handle 4 "web
                              \x1b[31m", src by POSTROUTING rule 2
10:05:12.345 UPDATE  udp    10.0.0.10:6001      10.0.0.1:8080      unreplied
10:05:12.345 LOST    1200 events lost: the receive buffer was full, within 1.5s
10:05:12.345 DESTROY tcp    10.0.0.10:6001      10.0.0.1:8080
                            → 192.168.1.2:6001  → 192.168.1.80:80
                            SYN_SENT unreplied, dst by no present rule, src by
                              POSTROUTING rule 2, found in the table
10:05:12.345 RESYNC  1 entry read in 2ms: 0 new, 0 changed, 1 gone, 2 new or
                     forgotten
`
	got := written(t, "table", Style{Fold: 80})
	if d := cmp.Diff(folded, got); d != "" {
		t.Errorf("80 columns: %s", d)
	}
	for _, line := range strings.Split(got, "\n") {
		if n := utf8.RuneCountInString(line); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	if got := written(t, "table", Style{Color: true}); !strings.Contains(got, "\x1b[32mNEW    \x1b[0m tcp ") || !strings.Contains(got, "\x1b[31mLOST   \x1b[0m 1200") || strings.Contains(got, "web \x1b") {
		t.Errorf("colour: %q", got)
	}
	if got := written(t, "wide", Style{Wide: true}); !strings.Contains(got, `status CONFIRMED  id 7`) {
		t.Errorf("wide: %s", got)
	}
}

func TestEventJSONL(t *testing.T) {
	const want = `start entries=3 nf_conntrack_events=2 receive_buffer=4096
resync changed=0 entries=3 first=true gone=0 new=0 took_s=0
new dnat 10.0.0.1 8080 192.168.1.80 80 rule exact [4], snat 10.0.0.10 6001 192.168.1.2 6001 rule inferred [7] (packet mark)
update
lost from=2026-01-02T10:05:10.845Z lost=1200 to=2026-01-02T10:05:12.345Z why=the receive buffer was full
destroy found dnat 10.0.0.1 8080 192.168.1.80 80 rule-gone none [], snat 10.0.0.10 6001 192.168.1.2 6001 rule inferred [7] (packet mark)
resync changed=0 entries=1 gone=1 new=0 took_s=0.002345 unsure=2
`
	old := time.Local
	time.Local = time.UTC
	defer func() { time.Local = old }()
	var got strings.Builder
	for line := range strings.Lines(written(t, "jsonl", Style{})) {
		got.WriteString(shortRecord(t, line) + "\n")
	}
	if d := cmp.Diff(want, got.String()); d != "" {
		t.Error(d)
	}
	f, _ := FormatByName("json")
	if _, err := f.Events(nil, Style{}); err == nil || err.Error() != "-o json is one document, and events have no end: use -o jsonl" {
		t.Errorf("json: %v", err)
	}
}

// shortRecord is one line of jsonl in short.
func shortRecord(t *testing.T, line string) string {
	t.Helper()
	var r struct {
		Event    string
		At       time.Time
		Found    bool
		Flow     *json.RawMessage
		Rewrites []struct {
			Kind, Cause, Grade string
			From, To           struct {
				Addr string
				Port uint16
			}
			Rules   []Rule
			Unknown []string
		}
	}
	if err := json.Unmarshal([]byte(line), &r); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	out := r.Event
	if r.Flow == nil {
		var all map[string]any
		if err := json.Unmarshal([]byte(line), &all); err != nil {
			t.Fatal(err)
		}
		delete(all, "event")
		delete(all, "at")
		for _, k := range slices.Sorted(maps.Keys(all)) {
			out += fmt.Sprintf(" %s=%v", k, all[k])
		}
		return out
	}
	if r.Found {
		out += " found"
	}
	var rewrites []string
	for _, rw := range r.Rewrites {
		handles := []uint64{}
		for _, rule := range rw.Rules {
			handles = append(handles, rule.Handle)
		}
		s := fmt.Sprint(" ", rw.Kind, " ", rw.From.Addr, " ", rw.From.Port, " ", rw.To.Addr, " ", rw.To.Port, " ", rw.Cause, " ", rw.Grade, " ", handles)
		for _, u := range rw.Unknown {
			s += " (" + u + ")"
		}
		rewrites = append(rewrites, s)
	}
	return out + strings.Join(rewrites, ",")
}
