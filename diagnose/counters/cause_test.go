package counters

import (
	"errors"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/survey"
	"github.com/ntdiag/ntdiag/rules"
)

// given is evidence that is there already.
type given struct {
	snapshot *host.Snapshot
	flows    []host.Flow
	log      *Log
}

func (g *given) Snapshot() (*host.Snapshot, error) { return g.snapshot, nil }

func (g *given) Log() (*Log, error) {
	if g.log == nil {
		return nil, errors.New("/dev/kmsg: permission denied")
	}
	return g.log, nil
}

func (g *given) Survey(ranges []survey.PortRange) (*survey.Survey, error) {
	s := survey.New(ranges)
	for i := range g.flows {
		s.Add(&g.flows[i])
	}
	return s, nil
}

// flows are n of a protocol from one client, of which change makes what is asked.
func flows(n int, proto uint8, change func(*host.Flow)) []host.Flow {
	out := make([]host.Flow, n)
	src, dst := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("192.0.2.9")
	for i := range out {
		port := uint16(1024 + i)
		out[i] = host.Flow{
			Family: rules.FamilyIPv4, Has: host.HasTimeout, Timeout: 10,
			Original: rules.Tuple{Proto: proto, Src: src, SrcPort: port, Dst: dst, DstPort: 443},
			Reply:    rules.Tuple{Proto: proto, Src: dst, SrcPort: 443, Dst: src, DstPort: port},
			Status:   host.StatusConfirmed | host.StatusSrcNATDone | host.StatusDstNATDone,
		}
		if change != nil {
			change(&out[i])
		}
	}
	return out
}

func tcpState(state uint8) func(*host.Flow) {
	return func(f *host.Flow) { f.Has |= host.HasTCPState; f.TCPState = state }
}

// TestCauses: what evidence makes of the causes of a finding.
func TestCauses(t *testing.T) {
	const (
		synSent     = 1
		established = 3
	)
	full := Stats{Entries: 990, Max: 1000, Buckets: 256}
	roomyTable := Stats{Entries: 10, Max: 1000, Buckets: 256}
	dnat53 := func(f *host.Flow) {
		f.Original.DstPort, f.Reply.SrcPort, f.Reply.Src = 53, 53, netip.MustParseAddr("10.9.9.9")
	}
	tests := []struct {
		name    string
		finding string
		kernel  string
		since   time.Duration
		table   Stats
		moved   map[ID]uint64
		with    given
		sysctls map[string]string
		want    []string // patterns, in order
	}{
		{"full, of half-open connections", "drop", "6.18", time.Second, full, map[ID]uint64{Drop: 4, EarlyDrop: 2},
			given{flows: flows(990, host.ProtoTCP, tcpState(synSent))},
			map[string]string{"net.netfilter.nf_conntrack_tcp_timeout_syn_sent": "120", "net.netfilter.nf_conntrack_timestamp": "0"},
			[]string{`^critical: 4 packets were lost in 1 s: the conntrack table is full$`, `^shown table-full`, `990 of 1000 entries \(99 %\)`, `early_drop \+2`,
				`the kernel's log has more is not known: /dev/kmsg: permission denied`, `tcp SYN_SENT: 990 flows \(100 %\), 990 without an answer`, `990 of 990 may be thrown out`, `from 10\.0\.0\.1: 990`, `to 192\.0\.2\.9: 990`, `to tcp port 443: 990`,
				`how old they are is not known`, `tcp_timeout_syn_sent is 120 s`, `^do sysctl -w net\.netfilter\.nf_conntrack_max=2000\nsysctl -w net\.netfilter\.nf_conntrack_tcp_timeout_syn_sent=20$`}},
		{"full, of idle connections", "drop", "6.18", time.Second, full, map[ID]uint64{Drop: 1},
			given{flows: flows(990, host.ProtoTCP, func(f *host.Flow) { tcpState(established)(f); f.Timeout = 400000; f.Status |= host.StatusAssured })},
			map[string]string{"net.netfilter.nf_conntrack_tcp_timeout_established": "432000"},
			[]string{`^critical: 1 packet was`, `0 of 990 may be thrown out`, `tcp_timeout_established=86400$`}},
		{"not full now, but the log says it was", "drop", "6.18", time.Second, roomyTable, map[ID]uint64{Drop: 1},
			given{log: &Log{Full: 3, Last: time.Unix(1e9, 0)}}, nil,
			[]string{`^warning: 1 packet was lost in 1 s: no entry could be made$`, `^indicated table-full: the conntrack table was full`, `now 10 of 1000`, `3 messages "table full" of this namespace .*2001-09-09`}},
		{"not full", "drop", "6.18", time.Second, roomyTable, map[ID]uint64{Drop: 1}, given{}, nil,
			[]string{`^warning`, `^not the conntrack table is full.*: it had room at both ends`}},
		{"a helper", "drop", "6.18", time.Second, roomyTable, map[ID]uint64{Drop: 1},
			given{flows: flows(1, host.ProtoTCP, func(f *host.Flow) { f.Status |= host.StatusSeqAdjust }), log: &Log{Helper: 1, LastHelper: "ftp: dropping"}}, nil,
			[]string{`^indicated helper-adjust`, `1 connection has its`, `the last: ftp: dropping`}},
		{"reopened", "reopen", "6.18", time.Second, roomyTable, map[ID]uint64{Drop: 2, Invalid: 3}, given{}, nil,
			[]string{`^indicated tcp-reopen`, `on the same CPUs, by 2`}},
		{"a module was unloaded", "drop", "6.1.90", time.Second, roomyTable, map[ID]uint64{Drop: 1}, given{}, nil, []string{`^open module-unload`}},
		{"buckets", "chain-too-long", "6.18", time.Second, Stats{Entries: 90000, Max: 100000, Buckets: 4096}, map[ID]uint64{InsertFailed: 2, ChainTooLong: 2}, given{}, nil,
			[]string{`^shown few-buckets`, `2 × 90000 entries in 4096 buckets: 43\.9 in a chain`, `^do sysctl -w net\.netfilter\.nf_conntrack_buckets=131072$`}},
		{"zones", "clash", "6.18", time.Second, roomyTable, map[ID]uint64{InsertFailed: 1, Drop: 1},
			given{flows: flows(2, host.ProtoUDP, func(f *host.Flow) { f.Has |= host.HasZoneOrig })}, nil,
			[]string{`^indicated zone-of-one`, `2 flows have a zone in one direction`, `^not no source port is free.*: no flow with ports is behind SNAT`}},
		{"DNS behind DNAT before 5.10", "clash", "5.4", time.Second, roomyTable, map[ID]uint64{InsertFailed: 1, Drop: 1},
			given{flows: flows(2, host.ProtoUDP, dnat53)}, nil,
			[]string{`^indicated same-flow: a resolver asks for A and AAAA`, `2 UDP flows to port 53 behind DNAT`, `single-request-reopen`}},
		{"the same since 5.10", "clash", "6.18", time.Second, roomyTable, map[ID]uint64{InsertFailed: 1, Drop: 1},
			given{flows: flows(2, host.ProtoUDP, dnat53)}, nil, []string{`^open same-flow: two first packets`}},
		{"one way", "invalid", "6.18", time.Second, roomyTable, map[ID]uint64{Invalid: 9},
			given{flows: flows(30, host.ProtoTCP, tcpState(synSent))}, map[string]string{"net.netfilter.nf_conntrack_log_invalid": "255"},
			[]string{`^info: 9 packets were invalid in 1 s$`, `^indicated one-way`, `30 of 30 TCP flows`, `^open not-logged: what the packets were is in the log`, `^do ntdiag invalid$`}},
	}
	for _, tt := range tests {
		release, _ := host.ParseRelease(tt.kernel)
		s := tt.table
		s.CPUs = []CPU{moves(tt.moved)}
		g := tt.with
		g.snapshot = &host.Snapshot{Rules: &rules.Ruleset{}, Sysctls: map[string]host.Fact[string]{}}
		for k, v := range tt.sysctls {
			g.snapshot.Sysctls[k] = host.Known(v)
		}
		c := &Case{Stats: &s, Kernel: Kernel{Release: release}, Interval: tt.since, Before: s.Entries, Look: &g}
		text := ""
		for _, f := range Diagnose(c) {
			if f.Name == tt.finding {
				text = textOf(&f)
			}
		}
		rest := text
		for _, w := range tt.want {
			at := regexp.MustCompile(`(?m)` + w).FindStringIndex(rest)
			if at == nil {
				t.Errorf("%s: no %q in order in\n%s", tt.name, w, text)
				break
			}
			rest = rest[at[1]:]
		}
	}
}

func textOf(f *Finding) string {
	var b strings.Builder
	b.WriteString(string(f.Severity) + ": " + f.Summary + "\n")
	for _, x := range f.Likely {
		b.WriteString(string(x.Grade) + " " + x.Name + ": " + x.Text + "\n")
		for _, e := range x.Evidence {
			b.WriteString("- " + e + "\n")
		}
		b.WriteString("do " + x.Fix + "\n")
	}
	for _, r := range f.RuledOut {
		b.WriteString("not " + r.Text + ": " + r.Why + "\n")
	}
	return b.String()
}

func TestInside(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"sysctl -w net.netfilter.nf_conntrack_max=9", "sysctl -w net.netfilter.nf_conntrack_max=9"},
		{"sysctl net.netfilter.nf_conntrack_tcp_loose", "E sysctl net.netfilter.nf_conntrack_tcp_loose"},
		{"nft add table x; nft add table y", "E nft add table x; E nft add table y"},
		{"ntdiag flows --snat", "ntdiag --netns blue flows --snat"},
		{"dmesg | grep full", "dmesg | grep full"},
		{"a\nip6tables-nft -L", "a\nE ip6tables-nft -L"},
	} {
		if got := inside(tt.in, "blue", "E "); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.in, got, tt.want)
		}
		if got := inside(tt.in, "", ""); got != tt.in {
			t.Errorf("%q: %q", tt.in, got)
		}
	}
}
