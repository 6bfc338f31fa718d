package plain

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/bundle"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/kernlog"
	"github.com/ntdiag/ntdiag/rules"
)

// sample holds what no test can have a kernel make.
func sample() *host.Flow {
	addr := netip.MustParseAddr
	return &host.Flow{
		Family:   rules.FamilyIPv4,
		Original: rules.Tuple{Proto: 6, Src: addr("10.0.0.10"), Dst: addr("10.8.2.12"), SrcPort: 5536, DstPort: 80},
		Reply:    rules.Tuple{Proto: 6, Src: addr("10.8.2.12"), Dst: addr("192.0.2.1"), SrcPort: 80, DstPort: 1024},
		Has: host.HasTimeout | host.HasTCPState | host.HasMark | host.HasCounters | host.HasStart | host.HasStop | host.HasHelper |
			host.HasSecctx | host.HasUse | host.HasID | host.HasZoneReply,
		Status:  host.StatusSeenReply | host.StatusAssured | host.StatusOffload,
		Timeout: 86399, TCPState: 77, Mark: 4, Zone: 3, Use: 2, ID: 4021521188,
		Orig: host.Counts{Packets: 4, Bytes: 236}, Repl: host.Counts{Packets: 1, Bytes: 1 << 63},
		Start: 100 * int64(time.Second), Stop: 107*int64(time.Second) + 1,
		Helper: "ftp", Secctx: "system_u:object_r:x:s0",
	}
}

func TestAppendFlow(t *testing.T) {
	const want = "ipv4     2 tcp      6 86399 NONE src=10.0.0.10 dst=10.8.2.12 sport=5536 dport=80 packets=4 bytes=236 " +
		"src=10.8.2.12 dst=192.0.2.1 sport=80 dport=1024 zone-reply=3 packets=1 bytes=9223372036854775808 [OFFLOAD] mark=4 " +
		"secctx=system_u:object_r:x:s0 delta-time=7 helper=ftp use=2 id=4021521188\n"
	f := sample()
	if got := string(AppendFlow(nil, f, time.Unix(1000, 0))); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	b := make([]byte, 0, 1024)
	now := time.Now()
	if n := testing.AllocsPerRun(100, func() { b = AppendFlow(b[:0], f, now) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAppendFlow(b *testing.B) {
	f, line, now := sample(), make([]byte, 0, 1024), time.Now()
	b.ReportAllocs()
	for b.Loop() {
		line = AppendFlow(line[:0], f, now)
	}
}

func TestAddresses(t *testing.T) {
	for _, a := range []string{"10.0.0.1", "::", "::1", "::1.2.3.4", "::ffff:1.2.3.4", "2001:db8::1", "1:0:2::", "::1:0:0", "fe80::1"} {
		if got := addr(netip.MustParseAddr(a)); got != a && a != "::1:0:0" {
			t.Errorf("%s: %s", a, got)
		}
	}
	// as inet_ntop: the word before the last is not 0
	if got := addr(netip.MustParseAddr("::1:0")); got != "::0.1.0.0" {
		t.Error(got)
	}
}

// TestLog: what reads logs reads this one.
func TestLog(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 1, 234567000, time.UTC)
	lines := []bundle.LogLine{
		{At: at, Text: "nf_conntrack: table full, dropping packet"},
		{At: at.In(time.FixedZone("", 3600)), Text: "nf_ct_proto_132: two\nlines"},
		{Text: "without a time"},
	}
	var b bytes.Buffer
	if err := Log(&b, lines); err != nil {
		t.Fatal(err)
	}
	const want = "2026-03-01T12:00:01,234567+00:00 nf_conntrack: table full, dropping packet\n" +
		"2026-03-01T12:00:01,234567+00:00 nf_ct_proto_132: two\\x0alines\nwithout a time\n"
	if b.String() != want {
		t.Errorf("%q", b.String())
	}
	r, err := kernlog.Open([]string{"-"}, &b)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var rec kernlog.Record
	for _, l := range lines[:2] {
		if err := r.Next(&rec); err != nil {
			t.Fatal(err)
		}
		if !rec.Time().Equal(l.At) {
			t.Errorf("%q at %v, not %v", rec.Text, rec.Time(), l.At)
		}
	}
}
