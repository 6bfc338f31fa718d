package query

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

func tupleOf(proto uint8, src, dst string, sport, dport uint16) rules.Tuple {
	return rules.Tuple{Proto: proto, Src: netip.MustParseAddr(src), Dst: netip.MustParseAddr(dst), SrcPort: sport, DstPort: dport}
}

const (
	listed   = host.StatusConfirmed | host.StatusSrcNATDone | host.StatusDstNATDone
	answered = listed | host.StatusSeenReply
)

func TestParseFlow(t *testing.T) {
	for _, c := range []struct {
		name, line string
		want       host.Flow
		event      Event
	}{
		{
			name: "conntrack -L",
			line: "tcp      6 431988 ESTABLISHED src=10.0.0.10 dst=10.0.0.1 sport=5536 dport=80 src=10.8.2.12 dst=10.0.0.10 sport=80 dport=5536 [ASSURED] mark=5 use=1",
			want: host.Flow{
				Family: rules.FamilyIPv4, Original: tupleOf(6, "10.0.0.10", "10.0.0.1", 5536, 80), Reply: tupleOf(6, "10.8.2.12", "10.0.0.10", 80, 5536),
				Has: host.HasTimeout | host.HasTCPState | host.HasMark | host.HasUse, Timeout: 431988, TCPState: 3, Mark: 5, Use: 1,
				Status: answered | host.StatusAssured | host.StatusDstNAT,
			},
		},
		{
			name: "-o extended,id with counters, in a zone of one direction",
			line: "ipv4     2 udp      17 29 src=10.0.0.10 dst=10.0.0.53 sport=1000 dport=53 zone-orig=7 packets=3 bytes=180 [UNREPLIED] src=10.0.0.53 dst=192.0.2.1 sport=53 dport=1000 packets=0 bytes=0 mark=0 secctx=system_u:object_r:x:s0 use=1 id=4021521188",
			want: host.Flow{
				Family: rules.FamilyIPv4, Original: tupleOf(17, "10.0.0.10", "10.0.0.53", 1000, 53), Reply: tupleOf(17, "10.0.0.53", "192.0.2.1", 53, 1000),
				Has:  host.HasTimeout | host.HasMark | host.HasUse | host.HasCounters | host.HasID | host.HasZoneOrig | host.HasSecctx,
				Zone: 7, Timeout: 29, Use: 1, ID: 4021521188, Secctx: "system_u:object_r:x:s0",
				Orig: host.Counts{Packets: 3, Bytes: 180}, Status: listed | host.StatusSrcNAT,
			},
		},
		{
			name: "a ping, with an id of its own",
			line: "icmp     1 29 src=10.0.0.10 dst=10.8.2.12 type=8 code=0 id=77 src=10.8.2.12 dst=10.0.0.10 type=0 code=0 id=77 mark=0 use=1 id=99",
			want: host.Flow{
				Family: rules.FamilyIPv4, Original: tupleOf(1, "10.0.0.10", "10.8.2.12", 77, 0x0800), Reply: tupleOf(1, "10.8.2.12", "10.0.0.10", 77, 0),
				Has: host.HasTimeout | host.HasMark | host.HasUse | host.HasID, Timeout: 29, Use: 1, ID: 99, Status: answered,
			},
		},
		{
			name: "an event of IPv6, offloaded",
			line: "[1700000000.123456]\t [UPDATE] ipv6     10 tcp      6 [OFFLOAD] src=fd00::10 dst=fd00::1 sport=1 dport=2 src=fd00::1 dst=fd00::10 sport=2 dport=1 [OFFLOAD] mark=0",
			want: host.Flow{
				Family: rules.FamilyIPv6, Original: tupleOf(6, "fd00::10", "fd00::1", 1, 2), Reply: tupleOf(6, "fd00::1", "fd00::10", 2, 1),
				Has: host.HasMark, Status: answered | host.StatusOffload,
			},
			event: EventUpdate,
		},
		{
			name: "an entry that ended",
			line: "[DESTROY] unknown  50 src=10.0.0.1 dst=10.0.0.2 src=10.0.0.2 dst=10.0.0.1 zone=3",
			want: host.Flow{
				Family: rules.FamilyIPv4, Original: tupleOf(50, "10.0.0.1", "10.0.0.2", 0, 0), Reply: tupleOf(50, "10.0.0.2", "10.0.0.1", 0, 0),
				Zone: 3, Status: answered | host.StatusDying,
			},
			event: EventDestroy,
		},
		{
			name: "/proc/net/nf_conntrack, GRE",
			line: "ipv4     2 gre      47 179 timeout=600, stream_timeout=3600 src=10.0.0.1 dst=10.0.0.2 srckey=0x0 dstkey=0x1c src=10.0.0.2 dst=10.0.0.1 srckey=0x1c dstkey=0x0 [ASSURED] mark=0 zone=0 use=2",
			want: host.Flow{
				Family: rules.FamilyIPv4, Original: tupleOf(47, "10.0.0.1", "10.0.0.2", 0, 0x1c), Reply: tupleOf(47, "10.0.0.2", "10.0.0.1", 0x1c, 0),
				Has: host.HasTimeout | host.HasMark | host.HasUse, Timeout: 179, Use: 2, Status: answered | host.StatusAssured,
			},
		},
		{
			name: "SCTP",
			line: "sctp     132 209 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 src=10.0.0.2 dst=10.0.0.1 sport=2 dport=1 [ASSURED] use=1",
			want: host.Flow{
				Family: rules.FamilyIPv4, Original: tupleOf(132, "10.0.0.1", "10.0.0.2", 1, 2), Reply: tupleOf(132, "10.0.0.2", "10.0.0.1", 2, 1),
				Has: host.HasTimeout | host.HasSCTPState | host.HasUse, L4State: 4, Timeout: 209, Use: 1, Status: answered | host.StatusAssured,
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, event, err := ParseFlow(c.line)
			if err != nil || event != c.event {
				t.Fatal(event, err)
			}
			if d := cmp.Diff(c.want, got, cmpopts.EquateComparable(netip.Addr{})); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestParseFlowErrors(t *testing.T) {
	const ok = "src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 src=10.0.0.2 dst=10.0.0.1 sport=2 dport=1"
	for line, want := range map[string]string{
		"tcp 6 10 ESTABLISHED src=10.0.0.1 dst=10.0.0.2": "two tuples",
		"10 " + ok:                         "no protocol",
		"tcp 6 99999999999 NONE " + ok:     "timeout 99999999999",
		"tcp 6 10 NONE " + ok + " mark=no": `bad mark "no"`,
		"tcp 6 10 NONE " + strings.Replace(ok, "10.0.0.2", "fd00::1", 1): "two families",
		"tcp 6 10 NONE " + strings.Replace(ok, "sport=1", "sport=x", 1):  `bad port "x"`,
		"tcp 6 10 NONE " + ok + " " + ok:                                 "more than two tuples",
	} {
		if _, _, err := ParseFlow(line); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", line, err, want)
		}
	}
}

// FuzzParseFlow: what is read is a flow of one family, and a query made of the
// same line finds it.
func FuzzParseFlow(f *testing.F) {
	f.Add("tcp 6 431988 ESTABLISHED src=10.0.0.10 dst=10.0.0.1 sport=5536 dport=80 src=10.8.2.12 dst=10.0.0.10 sport=80 dport=5536 [ASSURED] mark=5 use=1")
	f.Add("icmpv6 58 29 src=fd00::1 dst=fd00::2 type=128 code=0 id=77 src=fd00::2 dst=fd00::1 type=129 code=0 id=77 mark=0 use=1 id=99")
	f.Add("[NEW] ipv4 2 unknown 50 600 src=10.0.0.1 dst=10.0.0.2 zone=1 packets=1 bytes=2 [UNREPLIED] src=10.0.0.2 dst=10.0.0.1 secctx=a")
	f.Fuzz(func(t *testing.T, line string) {
		got, _, err := ParseFlow(line)
		if err != nil {
			return
		}
		if got.Family != familyOf(got.Original.Src) || got.Family != familyOf(got.Reply.Dst) {
			t.Fatalf("%q: %+v", line, got)
		}
		q, err := Parse([]string{line})
		if err == nil && q.Kind == "conntrack line" && got.Zone == 0 && q.Match(&got) == FormNone {
			t.Fatalf("%q: the query does not find %+v", line, got)
		}
	})
}
