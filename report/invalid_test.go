package report

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/counters"
	"github.com/ntdiag/ntdiag/diagnose/explain"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/invalid"
	"github.com/ntdiag/ntdiag/rules"
)

func invalidTally(t testing.TB, lines string) *invalid.Tally {
	t.Helper()
	tally := invalid.NewTally()
	var m invalid.Message
	for i, l := range strings.Split(strings.Trim(lines, "\n"), "\n") {
		n := uint64(1)
		if head, rest, ok := strings.Cut(l, " x "); ok {
			fmt.Sscan(head, &n)
			l = rest
		}
		if !invalid.Parse([]byte(l), &m) {
			t.Fatalf("not a message: %s", l)
		}
		m.At = now.Add(time.Duration(i) * time.Second)
		tally.Add(&m, n)
	}
	return tally
}

const (
	logTail  = " LEN=40 TOS=0x00 PREC=0x00 TTL=64 ID=1 PROTO=TCP SPT=%s DPT=%s SEQ=1 ACK=0 WINDOW=1 RES=0x00 %s URGP=0 "
	logHead  = "IN=c0 OUT= MAC=da:ff:ba:e6:8b:04:ee:e9:55:98:14:ab:08:00 SRC=%s DST=%s"
	overText = "nf_ct_proto_6: SEQ is over upper bound 65242 (over the window of the receiver) "
)

func logged(n int, reason, src, sport, dst, dport, flags string) string {
	return fmt.Sprintf("%d x ", n) + reason + fmt.Sprintf(logHead, src, dst) + fmt.Sprintf(logTail, sport, dport, flags) + "\n"
}

// invalidCases are documents by the name of their golden file.
func invalidCases(t testing.TB) map[string]*Invalid {
	lines := logged(112, overText, "10.0.0.10", "55178", "10.0.0.1", "8080", "ACK") +
		logged(16, "nf_ct_proto_6: invalid new ", "10.0.0.12", "7000", "10.8.2.12", "80", "RST") +
		logged(2, "nf_ct_proto_6: packet (index 0) in dir 0 ignored, state \x1b[2JESTABLISHED ", "10.0.0.10", "55178", "10.0.0.1", "8080", "SYN") +
		"3 x nf_ct_proto_6: tastes of \x1b]0;x\a 7 IN=c\x1b[31m0 OUT= SRC=10.0.0.1 DST=10.0.0.2 LEN=20 TOS=0x00 PREC=0x00 TTL=64 ID=1 PROTO=47 \n"
	tally := invalidTally(t, lines)
	c := &invalid.Case{Groups: tally.Groups(), Kernel: host.Release{Major: 6, Minor: 18}, Found: map[*invalid.Flow]*invalid.Found{}}
	web := webFlow()
	dnat := rule("prerouting", 4, "web", "tcp dport 8080 dnat ip to 192.168.1.80:80")
	f := c.Groups[0].Flows()[0]
	made := &explain.Explanation{Flow: web, Rewrites: []explain.Rewrite{{Rewrite: web.Rewrites()[0], Cause: explain.CauseRule, Grade: explain.GradeExact, Rules: []*rules.Rule{dnat}}}}
	c.Found[f] = &invalid.Found{Entries: []invalid.Entry{{Flow: web, Made: made}}}
	six := sixFlow()
	c.Found[c.Groups[1].Flows()[0]] = &invalid.Found{Entries: []invalid.Entry{{Flow: web}, {Flow: six}}}
	stats := &counters.Stats{CPUs: []counters.CPU{{Has: [counters.Count]bool{1: true, 3: true, 6: true}, Values: counters.Values{1: 130, 6: 4}}}}
	c.Accounts = invalid.Accounts(c.Groups, stats, false, &invalid.Circumstances{Kernel: c.Kernel})
	d := invalid.Diagnose(c)
	drop := rule("forward", 9, "", "ct state invalid drop")
	at := &rules.Chain{Table: &rules.Table{Backend: rules.BackendNft, Family: rules.FamilyInet, Name: "filter"}, Name: "input"}
	d.Fates = []invalid.FateSum{
		{Consequence: invalid.Consequence{Fate: invalid.FateLeaks, Certain: true, Out: "s0", Source: "10.0.0.10", Missed: web.Rewrites()[1:], Rule: dnat}, Packets: 100, Flows: []*invalid.Flow{f}},
		{Consequence: invalid.Consequence{Fate: invalid.FateAnswered, Missed: web.Rewrites()[:1]}, Packets: 12, Flows: []*invalid.Flow{f}},
		{Consequence: invalid.Consequence{Fate: invalid.FateUnknown, Why: "it depends on what is not known: packet mark", May: []invalid.Fate{invalid.FateDropped, invalid.FateLeaks}}, Packets: 6, Flows: []*invalid.Flow{f}},
		{Consequence: invalid.Consequence{Fate: invalid.FateDropped, Certain: true, By: drop}, Packets: 5, Flows: []*invalid.Flow{f}},
		{Consequence: invalid.Consequence{Fate: invalid.FateDropped, Certain: true, Chain: at}, Packets: 3, Flows: []*invalid.Flow{f}},
		{Consequence: invalid.Consequence{Fate: invalid.FateDelivered, Certain: true}, Packets: 2, Flows: []*invalid.Flow{f}},
	}
	d.Drop = &invalid.Fix{Do: "nft 'table inet invalid { chain prerouting { type filter hook prerouting priority mangle; ct state invalid drop; }; }'", Cost: "some"}
	d.Unseen = 3
	full := &Invalid{Header: header("invalid"), Source: "nflog", Lines: 200, Lost: 7, Unparsed: tally.Rest, Ours: tally.Messages, Elsewhere: 5, Seconds: 60, Joined: true,
		Logging: &InvalidLogging{LogInvalid: "255", LoggerIPv4: "nfnetlink_log", LoggerIPv6: "nfnetlink_log"}}
	away := invalidTally(t, logged(16, overText, "10.0.0.99", "7000", "10.8.2.12", "80", "ACK"))
	full.Fill(&InvalidInput{Case: c, Diagnosis: d, MaxFlows: 50, Limits: []string{"of 9 flows the 4 with most packets were looked up in the table"},
		Absent: away, AbsentDevices: map[string]uint64{"c\x1b[31m9": 12, "c7": 4}})

	none := &invalid.Case{}
	silent := "net.netfilter.nf_conntrack_log_invalid is 0: conntrack logs nothing now; what the log has is from before"
	empty := &Invalid{Header: header("invalid", host.Missing{What: "packets that were invalid and not logged", Why: silent}), Source: "kmsg", Lines: 1207, Joined: true,
		Logging: &InvalidLogging{LogInvalid: "0", Silent: silent, Do: "ntdiag invalid --enable --for 60s"}}
	empty.Fill(&InvalidInput{Case: none, Diagnosis: invalid.Diagnose(none)})
	quiet := &Invalid{Header: header("invalid"), Source: "kmsg", Seconds: 60, Joined: true, Logging: &InvalidLogging{LogInvalid: "255"}}
	quiet.Fill(&InvalidInput{Case: none, Diagnosis: invalid.Diagnose(none)})

	fine := &invalid.Case{Groups: invalidTally(t, logged(3, "nf_ct_proto_6: challenge-ack ignored ", "10.0.0.10", "1", "10.0.0.1", "2", "ACK")).Groups()}
	accepted := &Invalid{Header: header("invalid"), Source: "file", Files: []string{"kern.log"}, Lines: 3, Ours: 3, NotJoined: "a file can be of another host; --join says that it is of this one"}
	accepted.Fill(&InvalidInput{Case: fine, Diagnosis: invalid.Diagnose(fine), MaxFlows: 50})
	// a setting that the kernel follows in silence
	counted := &counters.Stats{CPUs: []counters.CPU{{Has: [counters.Count]bool{1: true}, Values: counters.Values{1: 5}}}}
	strict := &host.Snapshot{Sysctls: map[string]host.Fact[string]{"net.netfilter.nf_conntrack_tcp_loose": host.Known("0")}}
	mute := &invalid.Case{Kernel: host.Release{Major: 6, Minor: 18}}
	mute.Accounts = invalid.Accounts(nil, counted, false, &invalid.Circumstances{Kernel: mute.Kernel, Host: strict, Enabled: true, LogInvalid: host.Known[uint8](255)})
	unlogged := &Invalid{Header: header("invalid"), Source: "nflog", Seconds: 60, Joined: true, Logging: &InvalidLogging{LogInvalid: "255"}}
	unlogged.Fill(&InvalidInput{Case: mute, Diagnosis: invalid.Diagnose(mute)})
	return map[string]*Invalid{"invalid-unlogged": unlogged, "invalid-full": full, "invalid-silent": empty, "invalid-quiet": quiet, "invalid-accepted": accepted}
}

func TestInvalid(t *testing.T) {
	for name, d := range invalidCases(t) {
		for _, f := range formats {
			var b bytes.Buffer
			if err := f.Invalid(&b, d, Style{Now: now, Wide: f.Name == "wide"}); err != nil {
				t.Fatal(err)
			}
			golden(t, name+"."+f.Name, b.Bytes())
			if f.Human {
				harmless(t, b.String(), 80)
			}
		}
	}
}

// TestInvalidHeadline: the first line by itself.
func TestInvalidHeadline(t *testing.T) {
	fate := func(f invalid.Fate, n uint64) InvalidFate { return InvalidFate{Fate: string(f), Packets: n} }
	message := func(k invalid.Kind, n uint64) InvalidMessage {
		return InvalidMessage{group: &invalid.Group{Kind: k, Count: n}}
	}
	for _, tc := range []struct {
		d    Invalid
		want string
	}{
		{Invalid{Verdict: InvalidVerdict{Invalid: 1, Fates: []InvalidFate{fate(invalid.FateLeaks, 1)}}},
			"1 invalid packet: it leaves with an address that NAT should have replaced"},
		{Invalid{Verdict: InvalidVerdict{Invalid: 1112, Fates: []InvalidFate{fate(invalid.FateLeaks, 1100), fate(invalid.FateLeaks, 12)}}},
			"1,112 invalid packets: all leave with an address that NAT should have replaced"},
		{Invalid{Verdict: InvalidVerdict{Invalid: 3, Fates: []InvalidFate{fate(invalid.FateAnswered, 3)}}},
			"3 invalid packets: all end on this host, not where DNAT sends them"},
		{Invalid{Verdict: InvalidVerdict{Invalid: 3, Fates: []InvalidFate{fate(invalid.FateForwarded, 3)}}},
			"3 invalid packets: all are forwarded, and miss no NAT that is known"},
		{Invalid{Verdict: InvalidVerdict{Invalid: 3, Fates: []InvalidFate{fate(invalid.FateDelivered, 3)}}},
			"3 invalid packets: all are for this host itself"},
		{Invalid{Verdict: InvalidVerdict{Invalid: 3, Fates: []InvalidFate{fate(invalid.FateDropped, 3)}}},
			"3 invalid packets: all are dropped here"},
		{Invalid{Verdict: InvalidVerdict{Invalid: 3, Fates: []InvalidFate{fate(invalid.FateUnknown, 3)}}},
			"3 invalid packets: all end in a way that cannot be told"},
		{Invalid{Verdict: InvalidVerdict{Invalid: 9, Unknown: 1, Fates: []InvalidFate{fate(invalid.FateLeaks, 1), fate(invalid.FateDropped, 8)}}},
			"9 invalid packets: 1 leaves with an address that NAT should have replaced, 8 are dropped here; 1 packet logged with words that are not known"},
		{Invalid{Verdict: InvalidVerdict{Invalid: 9, Fates: []InvalidFate{fate(invalid.FateDropped, 2)}}},
			"9 invalid packets: 2 are dropped here, 7 not followed"},
		{Invalid{Verdict: InvalidVerdict{Invalid: 1}}, "1 invalid packet: NAT leaves it alone, and it goes on as it is unless a rule drops it"},
		{Invalid{Verdict: InvalidVerdict{Invalid: 2}}, "2 invalid packets: NAT leaves them alone, and they go on as they are unless a rule drops them"},
		{Invalid{Verdict: InvalidVerdict{Accepted: 2}}, "2 packets logged, and accepted all the same: no NAT was missed"},
		{Invalid{Verdict: InvalidVerdict{Unknown: 2}}, "2 packets logged with words that are not known: whether invalid cannot be told"},
		{Invalid{Verdict: InvalidVerdict{Accepted: 2, Unlogged: &InvalidUnlogged{Invalid: 1}}},
			"1 packet was invalid and not logged; NAT leaves such a packet alone, and where it went is not known; 2 packets logged and accepted all the same"},
		{Invalid{Verdict: InvalidVerdict{Unlogged: &InvalidUnlogged{Dropped: 7}}}, "7 packets were dropped by conntrack and none was logged"},
		{Invalid{Verdict: InvalidVerdict{Unlogged: &InvalidUnlogged{Invalid: 5, Dropped: 2, Likely: true, Causes: []InvalidSilent{{What: "nf_conntrack_log_invalid is 0", because: true}}}}},
			"5 packets were invalid and none was logged: nf_conntrack_log_invalid is 0; NAT leaves such packets alone, and where they went is not known; 2 dropped by conntrack"},
		{Invalid{Verdict: InvalidVerdict{Invalid: 3, Fates: []InvalidFate{fate(invalid.FateDropped, 3)}, Unlogged: &InvalidUnlogged{Invalid: 5, Dropped: 2}}},
			"3 invalid packets: all are dropped here; 5 more invalid and not logged, 2 dropped by conntrack and not logged"},
		{Invalid{Messages: []InvalidMessage{message(invalid.KindTableFull, 2), message(invalid.KindNoAddress, 1)}},
			"No invalid packet; 2 messages of a full conntrack table, 1 message of masquerade without an address"},
		{Invalid{Messages: []InvalidMessage{message(invalid.KindHelper, 1)}}, "No invalid packet; 1 message of a helper that drops packets"},
	} {
		tc.d.Ours = 1
		if got := invalidHeadline(&tc.d); got != tc.want {
			t.Errorf("%q, want %q", got, tc.want)
		}
	}
	for want, d := range map[string]*Invalid{
		"No packet was logged as invalid in 10ms":                          {Seconds: 0.010},
		"No packet was logged as invalid in 1m0s":                          {Seconds: 60.004},
		"No packet was logged as invalid in 7 lines":                       {Lines: 7},
		"No packet of this host's devices was logged as invalid in 1 line": {Lines: 1, Absent: &InvalidAbsent{Count: 1}},
		"No answer: nothing of the log could be read":                      {Files: []string{"x"}, Header: header("invalid", host.Missing{What: "x", Why: "y"})},
		"No answer: packets can be invalid here without a line in the log": {Logging: &InvalidLogging{Silent: "x"}},
	} {
		if got := invalidHeadline(d); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestInvalidNow: the table of what comes fits, and its rates are those since
// the last time.
func TestInvalidNow(t *testing.T) {
	tally := invalidTally(t, logged(40, overText, "10.0.0.10", "55178", "10.0.0.1", "8080", "ACK")+
		"3 x nf_ct_proto_6: tastes of \x1b]0;x\a 7 IN=c\x1b[31m0 OUT= SRC=10.0.0.1 DST=10.0.0.2 LEN=20 TOS=0x00 PREC=0x00 TTL=64 ID=1 PROTO=47 \n")
	n := NewInvalidNow(now)
	n.Text(tally, "NFLOG", 0, now.Add(time.Second), Style{})
	var m invalid.Message
	invalid.Parse([]byte(strings.SplitN(logged(1, overText, "10.0.0.11", "1", "10.0.0.1", "8080", "ACK"), " x ", 2)[1]), &m)
	tally.Add(&m, 10)
	text := n.Text(tally, "NFLOG", 2, now.Add(3*time.Second), Style{})
	golden(t, "invalid-now.table", []byte(text))
	harmless(t, text, 80)
}

// TestInvalidEvents: a message is one line of JSON, whatever its text.
func TestInvalidEvents(t *testing.T) {
	var b bytes.Buffer
	e := NewInvalidEvents(&b, host.Release{Major: 6, Minor: 18})
	var m invalid.Message
	for _, l := range []string{
		strings.SplitN(logged(1, "nf_ct_proto_6: \x1b[2Jodd\xff ", "10.0.0.11", "1", "10.0.0.1", "8080", "ACK"), " x ", 2)[1],
		"nf_ct_proto_1: outer daddr 10.77.1.2 != inner 10.77.1.99 IN=r1 OUT= SRC=10.77.2.99 DST=10.77.1.2 LEN=56 TOS=0x00 PREC=0x00 TTL=64 ID=4660 PROTO=ICMP TYPE=3 CODE=3 [SRC=10.77.1.99 DST=10.77.2.99 LEN=30 TOS=0x00 PREC=0x00 TTL=64 ID=4660 PROTO=UDP SPT=4100 DPT=53 LEN=10 ] ",
		"s0 ate my IP address",
	} {
		if !invalid.Parse([]byte(strings.TrimSuffix(l, "\n")), &m) {
			t.Fatal(l)
		}
		m.At = now
		if err := e.Add(&m, 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Flush(); err != nil {
		t.Fatal(err)
	}
	golden(t, "invalid-events.jsonl", b.Bytes())
}

// FuzzInvalidText: no text of the log drives a terminal.
func FuzzInvalidText(f *testing.F) {
	f.Add("nf_ct_proto_6: \x1b[2Jx IN=\x1b]0;r0 OUT= SRC=10.0.0.1 DST=10.0.0.2 PROTO=TCP SPT=1 DPT=2", uint8(3))
	f.Add("nf_ct_ft\x1bp: dropping packet: no\u202e", uint8(0))
	f.Add("\x9b2Js0 ate my IP address", uint8(1))
	f.Fuzz(func(t *testing.T, line string, n uint8) {
		var m invalid.Message
		if !invalid.Parse([]byte(line), &m) {
			return
		}
		tally := invalid.NewTally()
		tally.Add(&m, uint64(n)+1)
		c := &invalid.Case{Groups: tally.Groups()}
		d := &Invalid{Header: header("invalid"), Source: "file", Ours: tally.Messages}
		d.Fill(&InvalidInput{Case: c, Diagnosis: invalid.Diagnose(c), MaxFlows: 10})
		var b bytes.Buffer
		if err := invalidText(&b, d, Style{}); err != nil {
			t.Fatal(err)
		}
		harmless(t, b.String(), 1<<20)
		harmless(t, NewInvalidNow(now).Text(tally, "x", 0, now, Style{}), 1<<20)
	})
}
