package flowjson

import (
	"encoding/json"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

var byAddr = cmpopts.EquateComparable(netip.Addr{})

func tupleOf(proto uint8, src, dst string, sport, dport uint16) rules.Tuple {
	return rules.Tuple{Proto: proto, Src: netip.MustParseAddr(src), Dst: netip.MustParseAddr(dst), SrcPort: sport, DstPort: dport}
}

// flows are entries of every kind that the codec tells apart.
func flows() []host.Flow {
	const usual = host.HasID | host.HasMark | host.HasTimeout | host.HasUse
	return []host.Flow{
		{
			Family: rules.FamilyIPv4, ID: 4021521188, Has: usual | host.HasTCPState | host.HasCounters | host.HasStart | host.HasHelper | host.HasLabels |
				host.HasTCPFlags | host.HasTCPScale | host.HasSeqAdj,
			Original: tupleOf(6, "10.0.0.10", "10.8.2.12", 5536, 80), Reply: tupleOf(6, "192.168.1.80", "192.168.1.2", 8080, 5537),
			Status:   host.StatusSeenReply | host.StatusAssured | host.StatusConfirmed | host.StatusSrcNAT | host.StatusHWOffload | 1<<20,
			TCPFlags: [2]uint8{0x23, 0x22}, TCPScale: [2]uint8{7, 14}, SeqAdj: [2]host.SeqAdj{{Pos: 1 << 31, Before: -5, After: 6}, {After: -1 << 31}},
			TCPState: 3, Timeout: 431999, Mark: 0x42, Zone: 7, Use: 2, Orig: host.Counts{Packets: 3, Bytes: 1 << 40},
			Start: 1764243464123456789, Helper: "ftp \"\\\x01é", Labels: [16]byte{0: 1, 15: 0xab},
		},
		{
			Family: rules.FamilyIPv4, Has: usual | host.HasTCPState | host.HasMaster | host.HasStop | host.HasSynproxy,
			Original: tupleOf(6, "10.0.0.10", "10.8.2.12", 1, 2), Reply: tupleOf(6, "10.8.2.12", "10.0.0.10", 2, 1),
			Master: tupleOf(17, "10.0.0.10", "10.8.2.12", 5060, 5060), TCPState: 200, Stop: -1,
			Synproxy: host.Synproxy{ISN: 1 << 31, TSOff: 3},
		},
		{
			Family: rules.FamilyIPv6, Has: host.HasZoneReply | host.HasSecctx, Zone: 65535,
			Original: tupleOf(58, "fd00::10", "::ffff:10.1.2.3", 77, 128<<8), Reply: tupleOf(58, "::ffff:10.1.2.3", "fd00::10", 78, 129<<8|1),
			Secctx: "system_u:object_r:x", Status: host.StatusConfirmed,
		},
		{
			Family: rules.FamilyIPv4, Has: usual | host.HasZoneOrig | host.HasSCTPState | host.HasVTags, L4State: 4, VTags: [2]uint32{1 << 31, 2}, Zone: 3,
			Original: tupleOf(132, "10.0.0.10", "10.8.2.12", 1, 2), Reply: tupleOf(132, "10.8.2.12", "10.0.0.10", 2, 1),
		},
		{
			Family: rules.FamilyIPv4, Has: usual | host.HasDCCPState | host.HasDCCPRole | host.HasDCCPSeq, L4State: 4, DCCPRole: 1, DCCPSeq: 1<<48 - 1,
			Original: tupleOf(33, "10.0.0.10", "10.8.2.12", 1, 2), Reply: tupleOf(33, "10.8.2.12", "10.0.0.10", 2, 1),
		},
		{
			Family: rules.FamilyIPv4, Has: usual,
			Original: tupleOf(4, "10.0.0.10", "10.8.2.12", 0, 0), Reply: tupleOf(4, "10.8.2.12", "10.0.0.10", 0, 0),
		},
	}
}

func TestReadsWhatItWrites(t *testing.T) {
	for _, want := range flows() {
		b := Append(nil, &want)
		if strings.ContainsAny(string(b), "\n\r") {
			t.Errorf("more than a line: %s", b)
		}
		got := host.Flow{Helper: "of the flow before", Has: host.HasHelper}
		if err := Read(b, &got); err != nil {
			t.Errorf("%s: %v", b, err)
		}
		if d := cmp.Diff(want, got, byAddr); d != "" {
			t.Errorf("written -, read +:\n%s%s", d, b)
		}
	}
}

// TestKeepsEveryField: a field of host.Flow that is not carried would be lost
// by a journal, and so would one of its bits.
func TestKeepsEveryField(t *testing.T) {
	full := host.Flow{Family: rules.FamilyIPv4}
	r := rand.New(rand.NewPCG(1, 2))
	fill(reflect.ValueOf(&full).Elem(), r)
	full.Family, full.Has = rules.FamilyIPv4, 0
	full.Original = tupleOf(6, "10.0.0.10", "10.8.2.12", 5536, 80)
	full.Reply = tupleOf(6, "192.168.1.80", "192.168.1.2", 8080, 5537)
	full.Master = tupleOf(17, "10.0.0.11", "10.8.2.13", 1, 2)
	read := reflect.ValueOf(new(host.Flow)).Elem()
	for bit := range 32 {
		f := full
		f.Has = 1 << bit
		var got host.Flow
		if err := Read(Append(nil, &f), &got); err != nil {
			continue // a state of another protocol
		}
		for i := range read.NumField() {
			if v := reflect.ValueOf(got).Field(i); !v.IsZero() {
				read.Field(i).Set(v)
			}
		}
	}
	for i := range read.NumField() {
		if name := read.Type().Field(i).Name; read.Field(i).IsZero() && name != "L4State" {
			t.Errorf("host.Flow.%s is not carried", name)
		}
	}
}

// fill gives every field a value that is not its zero.
func fill(v reflect.Value, r *rand.Rand) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(v.Field(i), r)
			}
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), r)
		}
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		v.SetInt(1 + r.Int64N(100))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(1 + r.Uint64N(100))
	}
}

func TestReadRefuses(t *testing.T) {
	whole := `"family":"ipv4","protonum":6,"original":{"src":"10.0.0.1","dst":"10.0.0.2","sport":1,"dport":2},"reply":{"src":"10.0.0.2","dst":"10.0.0.1","sport":2,"dport":1}`
	for _, tt := range []struct{ text, want string }{
		{``, "flow: unexpected end of JSON input"},
		{`{}`, "flow: no protonum"},
		{`{"protonum":6}`, "flow: no original tuple"},
		{`{"protonum":6,"original":{"src":"10.0.0.1","dst":"10.0.0.2","sport":1,"dport":2}}`, "flow: no reply tuple"},
		{strings.Replace(`{`+whole+`}`, `"sport":1,`, "", 1), "flow: original tuple: no ports"},
		{strings.Replace(`{`+whole+`}`, `10.0.0.1`, "fe80::1%eth0", 1), `flow: original tuple: source: bad address "fe80::1%eth0"`},
		{strings.Replace(`{`+whole+`}`, `"dst":"10.0.0.2"`, `"dst":"fd00::1"`, 1), "flow: original tuple: addresses of two families"},
		{strings.Replace(`{`+whole+`}`, `ipv4`, `ipv6`, 1), `flow: family "ipv6", but the addresses are ipv4`},
		{strings.Replace(`{`+whole+`}`, `"protonum":6`, `"protonum":1`, 1), "flow: original tuple: no icmp type, code and id"},
		{`{` + whole + `,"state":"ASLEEP"}`, `flow: unknown state "ASLEEP"`},
		{`{` + whole + `,"status":["BRIGHT"]}`, `flow: unknown status "BRIGHT"`},
		{`{` + whole + `,"start":"yesterday"}`, `flow: start: bad time "yesterday"`},
		{`{` + whole + `,"start":"9999-01-01T00:00:00Z"}`, `flow: start: bad time "9999-01-01T00:00:00Z"`},
		{`{` + whole + `,"labels":"ab"}`, `flow: labels "ab": want 32 hexadecimal digits`},
		{`{` + whole + `,"zone_of":"both"}`, `flow: zone_of "both": want original or reply`},
		{`{` + whole + `,"zone":70000}`, "flow: json: cannot unmarshal number 70000 into Go struct field object.zone of type uint16"},
	} {
		var f host.Flow
		err := Read([]byte(tt.text), &f)
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s:\n got %v\nwant %s", tt.text, err, tt.want)
		}
	}
}

// TestAppendAllocatesNothing: long listings stream.
func TestAppendAllocatesNothing(t *testing.T) {
	b := make([]byte, 0, 4096)
	for _, f := range flows() {
		if n := testing.AllocsPerRun(100, func() { b = Append(b[:0], &f) }); n != 0 && f.State() != "" {
			t.Errorf("%v allocations: %s", n, b)
		}
	}
}

func FuzzAppendString(f *testing.F) {
	f.Add("a\"b\\\x00\xff\u2028")
	f.Fuzz(func(t *testing.T, s string) {
		var got string
		if err := json.Unmarshal(appendString(nil, s), &got); err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		if want := string([]rune(s)); got != want {
			t.Errorf("%q came back as %q", s, got)
		}
	})
}

const benchFlows = 10_000

func BenchmarkAppend(b *testing.B) {
	f := flows()[0]
	buf := make([]byte, 0, 4096)
	for b.Loop() {
		for range benchFlows {
			buf = Append(buf[:0], &f)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchFlows, "ns/flow")
}

// quickFlows are the fields that entries usually have, of each family.
func quickFlows() []host.Flow {
	all := flows()
	tcp := all[0]
	tcp.Helper, tcp.SeqAdj = "ftp", [2]host.SeqAdj{}
	tcp.Has &^= host.HasSeqAdj
	icmp := all[2]
	return []host.Flow{tcp, icmp, all[5]}
}

// TestReadsQuickly: what most entries have takes no allocation, and is the same
// as encoding/json reads it.
func TestReadsQuickly(t *testing.T) {
	for _, want := range quickFlows() {
		for _, end := range []string{"", "\n"} {
			b := append(Append(nil, &want), end...)
			var quick, slow host.Flow
			if !readQuick(b, &quick) {
				t.Errorf("not read quickly: %s", b)
			}
			if err := readAny(b, &slow); err != nil {
				t.Error(err)
			}
			if d := cmp.Diff(slow, quick, byAddr); d != "" {
				t.Errorf("%s\n%s", b, d)
			}
		}
	}
	tcp := quickFlows()[0]
	b := Append(nil, &tcp)
	var f host.Flow
	if n := testing.AllocsPerRun(100, func() {
		if err := Read(b, &f); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations an entry", n)
	}
}

// FuzzRead: what is read quickly is what encoding/json reads; what is read is
// written and read as the same.
func FuzzRead(f *testing.F) {
	for _, flow := range append(flows(), quickFlows()...) {
		f.Add(Append(nil, &flow))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var quick, slow, again host.Flow
		ok := readQuick(b, &quick)
		err := readAny(b, &slow)
		if ok && err != nil {
			t.Fatalf("read quickly, but %v: %q", err, b)
		}
		if ok && quick != slow {
			t.Fatalf("%q\n%s", b, cmp.Diff(slow, quick, byAddr))
		}
		if err != nil {
			return
		}
		if err := Read(Append(nil, &slow), &again); err != nil || again != slow {
			t.Fatalf("%q: %v\n%s", b, err, cmp.Diff(slow, again, byAddr))
		}
	})
}

func BenchmarkRead(b *testing.B) {
	text := Append(nil, &quickFlows()[0])
	var f host.Flow
	for b.Loop() {
		for range benchFlows {
			if err := Read(text, &f); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchFlows, "ns/flow")
}
