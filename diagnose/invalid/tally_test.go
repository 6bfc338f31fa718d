package invalid

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/kernlog"
)

const windowLine = "nf_ct_proto_6: SEQ is over upper bound %d (over the window of the receiver) IN=c0 OUT= MAC=da:ff:ba:e6:8b:04:ee:e9:55:98:14:ab:08:00 " +
	"SRC=10.0.0.%d DST=10.8.2.12 LEN=40 TOS=0x00 PREC=0x00 TTL=64 ID=4660 DF PROTO=TCP SPT=%d DPT=80 SEQ=%d ACK=0 WINDOW=64240 RES=0x00 ACK URGP=0 "

func tallied(t testing.TB, lines ...string) *Tally {
	t.Helper()
	tally := NewTally()
	var m Message
	for _, l := range lines {
		if !Parse([]byte(l), &m) {
			t.Fatalf("not a message: %s", l)
		}
		tally.Add(&m, 1)
	}
	return tally
}

func TestTally(t *testing.T) {
	tally := tallied(t,
		fmt.Sprintf(windowLine, 1, 1, 5536, 7), fmt.Sprintf(windowLine, 2, 1, 5536, 8), fmt.Sprintf(windowLine, 2, 2, 5536, 8),
		"nf_ct_proto_6: packet (index 3) in dir 0 invalid, state SYN_SENT IN=c0 OUT= SRC=10.0.0.1 DST=10.8.2.12 LEN=40 TOS=0x00 PREC=0x00 TTL=64 ID=1 PROTO=TCP SPT=1 DPT=80 SEQ=1 ACK=0 WINDOW=1 RES=0x00 ACK URGP=0 ",
		"nf_ct_proto_6: something new 12 of 0x1f IN=c0 OUT= SRC=10.0.0.1 DST=10.8.2.12 LEN=40 TOS=0x00 PREC=0x00 TTL=64 ID=1 PROTO=TCP SPT=1 DPT=80 SEQ=1 ACK=0 WINDOW=1 RES=0x00 ACK URGP=0 ",
		"nf_ct_proto_6: something new 345 of 0x2f IN=s0 OUT= SRC=10.0.0.1 DST=10.8.2.12 LEN=40 TOS=0x00 PREC=0x00 TTL=64 ID=1 PROTO=TCP SPT=1 DPT=80 SEQ=1 ACK=0 WINDOW=1 RES=0x00 ACK URGP=0 ",
		"s0 ate my IP address")
	var got strings.Builder
	for _, g := range tally.Groups() {
		name := "unknown"
		if g.Reason != nil {
			name = g.Reason.Name
		}
		fmt.Fprintf(&got, "%d %s %q untold %d\n", g.Count, name, g.Text, g.Untold())
		for _, v := range g.Variants {
			fmt.Fprintf(&got, "  %d %s\n", v.N, v.String())
		}
		for _, f := range g.Flows() {
			fmt.Fprintf(&got, "  %d %s in %s of %x\n", f.Count, f.Packet.String(), f.In, f.SrcMAC[:])
		}
	}
	want := `3 seq-over "SEQ is over upper bound 1 (over the window of the receiver)" untold 0
  2 tcp 10.0.0.1:5536 → 10.8.2.12:80 in c0 of eee9559814ab
  1 tcp 10.0.0.2:5536 → 10.8.2.12:80 in c0 of eee9559814ab
2 unknown "something new N of NxNf" untold 0
  2 tcp 10.0.0.1:1 → 10.8.2.12:80 in c0 of 000000000000
1 invalid-state "packet (index 3) in dir 0 invalid, state SYN_SENT" untold 0
  1 ACK of the originator in SYN_SENT
  1 tcp 10.0.0.1:1 → 10.8.2.12:80 in c0 of 000000000000
1 no-address "s0 ate my IP address" untold 0
`
	if got.String() != want {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
}

// A flow with many packets is kept whatever comes besides it, no count is more
// than it was, and none is lost.
func TestTallyManyFlows(t *testing.T) {
	tally := NewTally()
	var m Message
	const others, often = 50_000, 40
	for i := range others {
		parse(t, &m, i/60000, i%60000)
		tally.Add(&m, 1)
		if i%often == 0 {
			parse(t, &m, 200, 1)
			tally.Add(&m, 1)
		}
	}
	g := tally.Groups()[0]
	flows := g.Flows()
	sum := g.Untold()
	for _, f := range flows {
		sum += f.Count
	}
	top := flows[0]
	if top.Packet.Src.String() != "10.0.0.200" || top.Count > others/often || top.Count < others/often*9/10 {
		t.Errorf("the first is %s with %d packets of %d", top.Packet.String(), top.Count, others/often)
	}
	if last := flows[len(flows)-1]; !last.AtLeast() {
		t.Errorf("%s came late, and is said to have %d packets and no more", last.Packet.String(), last.Count)
	}
	if sum != g.Count || g.Count != others+others/often || len(flows) != maxFlows {
		t.Errorf("%d packets of %d in %d flows", sum, g.Count, len(flows))
	}
}

func parse(t testing.TB, m *Message, host, port int) {
	t.Helper()
	if !Parse(fmt.Appendf(nil, windowLine, 1, host, port, 7), m) {
		t.Fatal("not a message")
	}
}

// Texts, names and senders without end take no memory without end.
func TestTallyHostile(t *testing.T) {
	tally := NewTally()
	var m Message
	word := func(i int) string { // one without digits
		return strings.NewReplacer("0", "a", "1", "b", "2", "c", "3", "d", "4", "e", "5", "f", "6", "g", "7", "h", "8", "i", "9", "j").Replace(fmt.Sprint(i))
	}
	const n = 20_000
	for i := range n {
		line := fmt.Sprintf("nf_ct_proto_6: %s%s IN=%s OUT= MAC=00:00:00:00:00:00:00:00:00:00:%02x:%02x:08:00 SRC=10.0.0.1 DST=10.0.0.2 LEN=40 TOS=0x00 PREC=0x00 TTL=64 ID=1 PROTO=TCP SPT=%d DPT=80 SEQ=1 ACK=0 WINDOW=1 RES=0x00 ACK URGP=0 ",
			word(i), strings.Repeat("x", i%500), word(i), i>>8&255, i&255, i)
		Parse([]byte(line), &m)
		tally.Add(&m, 1)
	}
	var sum uint64
	for _, g := range tally.Groups() {
		sum += g.Count
		if len(g.In) > maxSeen || len(g.Senders) > maxSeen || len(g.Text) > maxUnknownText {
			t.Errorf("%d devices, %d senders, a text of %d", len(g.In), len(g.Senders), len(g.Text))
		}
	}
	if len(tally.list) > maxUnknown+1 || len(tally.names) > maxNames || sum != n {
		t.Errorf("%d groups, %d names, %d messages of %d", len(tally.list), len(tally.names), sum, n)
	}
	if tally.flows > maxAllFlows+minFlows*maxUnknown {
		t.Errorf("room for %d flows", tally.flows)
	}
}

func TestTallyAllocatesNothing(t *testing.T) {
	tally := NewTally()
	lines := [][]byte{fmt.Appendf(nil, windowLine, 1, 1, 5536, 7),
		[]byte("nf_ct_proto_6: something new 345 IN=s0 OUT= SRC=10.0.0.1 DST=10.8.2.12 LEN=40 TOS=0x00 PREC=0x00 TTL=64 ID=1 PROTO=TCP SPT=1 DPT=80 SEQ=1 ACK=0 WINDOW=1 RES=0x00 ACK URGP=0 "),
		[]byte("nf_ct_proto_1: outer daddr 10.77.1.2 != inner 10.77.1.99 IN=r1 OUT= SRC=10.77.2.99 DST=10.77.1.2 LEN=56 TOS=0x00 PREC=0x00 TTL=64 ID=4660 PROTO=ICMP TYPE=3 CODE=3 [SRC=10.77.1.99 DST=10.77.2.99 LEN=30 TOS=0x00 PREC=0x00 TTL=64 ID=4660 PROTO=UDP SPT=4100 DPT=53 LEN=10 ] ")}
	var m Message
	add := func() {
		for _, l := range lines {
			Parse(l, &m)
			tally.Add(&m, 1)
		}
	}
	add()
	if n := testing.AllocsPerRun(100, add); n > 0 {
		t.Errorf("%v allocations for messages that came before", n)
	}
}

// endless is lines as dmesg prints them, over and over: of 1,000 flows.
type endless struct {
	block []byte
	at    int
	left  int
}

func newEndless(lines int) *endless {
	e := &endless{}
	for i := range 1000 {
		e.block = fmt.Appendf(e.block, "[%5d.%06d] "+windowLine+"\n", 1000+i, i*7, i, i%250, 5000+i, i*1448)
	}
	e.left = len(e.block) / 1000 * lines
	return e
}

func (e *endless) Read(b []byte) (int, error) {
	if e.left <= 0 {
		return 0, io.EOF
	}
	n := copy(b, e.block[e.at:])
	e.at, e.left = (e.at+n)%len(e.block), e.left-n
	return n, nil
}

// readLog is the whole way of a file: read, parse, tally.
func readLog(b testing.TB, in io.Reader) (*Tally, uint64) {
	r, err := kernlog.Open([]string{"-"}, in)
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	tally, j := NewTally(), Joiner{}
	var rec kernlog.Record
	var m Message
	var n uint64
	for {
		if err := r.Next(&rec); err != nil {
			if err != io.EOF {
				b.Fatal(err)
			}
			return tally, n
		}
		n++
		for again := true; again; {
			var ok bool
			if ok, again = j.Next(&rec, &m); ok {
				tally.Add(&m, rec.Messages())
			}
		}
	}
}

// TestLogMemory: a million lines take no more memory than a hundred thousand.
func TestLogMemory(t *testing.T) {
	use := func(lines int) uint64 {
		tally, n := readLog(t, newEndless(lines))
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		if n < uint64(lines)*99/100 || tally.Messages < n-1 {
			t.Fatalf("%d lines, %d messages", n, tally.Messages)
		}
		runtime.KeepAlive(tally)
		return s.HeapAlloc
	}
	use(1000)
	small, large := use(100_000), use(1_000_000)
	if large > small+1<<20 {
		t.Errorf("%d bytes after 100,000 lines, %d after 1,000,000", small, large)
	}
}

// Messages of one packet that conntrack logs twice are one packet.
func TestAgain(t *testing.T) {
	line := func(text string) string {
		return "nf_ct_proto_6: " + text + " IN=c0 OUT= SRC=10.0.0.1 DST=10.8.2.12 LEN=40 TOS=0x00 PREC=0x00 TTL=64 ID=1 PROTO=TCP SPT=1 DPT=80 SEQ=1 ACK=0 WINDOW=1 RES=0x00 ACK FIN URGP=0 "
	}
	tally := tallied(t, line("SEQ is over upper bound 65242 (over the window of the receiver)"), line("packet (index 2, dir 1) response for index 2 lower timeout to 75000"))
	d := Diagnose(&Case{Groups: tally.Groups()})
	if d.Invalid != 1 || d.Accepted != 0 {
		t.Errorf("%d invalid, %d accepted", d.Invalid, d.Accepted)
	}
	if !bytes.Contains([]byte(d.Causes[0].Text), []byte("window")) {
		t.Errorf("cause %+v", d.Causes)
	}
}
