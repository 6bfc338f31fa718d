package capture

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/rules"
)

var byAddr = cmpopts.EquateComparable(netip.Addr{})

// entries are the flows that the tests insert: every family and kind of tuple,
// plain and rewritten.
var entries = []struct {
	name        string
	orig, reply rules.Tuple
	zone        uint16
	mark        uint32
	tcpState    uint8
}{
	{name: "tcp dnat and snat", orig: ruleTuple(6, "10.0.0.10", "10.8.2.12", 5536, 80), reply: ruleTuple(6, "192.168.1.80", "192.168.1.2", 8080, 5537), tcpState: 3},
	{name: "tcp in a zone", orig: ruleTuple(6, "10.0.0.10", "10.8.2.12", 5536, 80), reply: ruleTuple(6, "10.8.2.12", "192.168.1.2", 80, 6000), zone: 7, tcpState: 3},
	{name: "udp plain", orig: ruleTuple(17, "10.0.0.10", "10.8.2.13", 5353, 53), reply: ruleTuple(17, "10.8.2.13", "10.0.0.10", 53, 5353), mark: 0x42},
	{name: "icmp masqueraded", orig: ruleTuple(1, "10.0.0.10", "10.8.2.12", 77, 8<<8), reply: ruleTuple(1, "10.8.2.12", "192.168.1.2", 99, 0)},
	{name: "udp over ipv6 dnat", orig: ruleTuple(17, "2001:db8::10", "2001:db8::1", 4000, 53), reply: ruleTuple(17, "fd00::53", "2001:db8::10", 5353, 4000)},
	{name: "icmpv6", orig: ruleTuple(58, "2001:db8::10", "2001:db8::1", 5, 128<<8), reply: ruleTuple(58, "2001:db8::1", "2001:db8::10", 5, 129<<8)},
	{name: "tcp to an ipv4-mapped address", orig: ruleTuple(6, "2001:db8::10", "::ffff:10.1.2.3", 4001, 80), reply: ruleTuple(6, "::ffff:10.1.2.3", "2001:db8::10", 80, 4001), tcpState: 3},
	{name: "unknown protocol", orig: ruleTuple(4, "10.0.0.10", "10.8.2.14", 0, 0), reply: ruleTuple(4, "10.8.2.14", "10.0.0.10", 0, 0)},
}

// insertAll makes the entries through ctnetlink.
func insertAll(t *testing.T) {
	t.Helper()
	c, err := newConn(unix.NETLINK_NETFILTER)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	for _, e := range entries {
		var w builder
		w.nest(ctaTupleOrig, func(in *builder) { putTuple(in, e.orig) })
		w.nest(ctaTupleReply, func(in *builder) { putTuple(in, e.reply) })
		w.beU32(ctaStatus, uint32(host.StatusConfirmed|host.StatusAssured))
		w.beU32(ctaTimeout, 1000)
		if e.mark != 0 {
			w.beU32(ctaMark, e.mark)
		}
		if e.zone != 0 {
			w.beU16(ctaZone, e.zone)
		}
		if e.tcpState != 0 {
			w.nest(ctaProtoinfo, func(in *builder) {
				in.nest(1, func(in *builder) { in.u8(1, e.tcpState) })
			})
		}
		req := nfgen(uint8(familyOf(e.orig.Src)), w.b)
		const create = unix.NLM_F_CREATE | unix.NLM_F_EXCL | unix.NLM_F_ACK
		if err := c.send(ctNew, create, req); err != nil {
			t.Fatal(err)
		}
		var info dumpInfo
		b, err := c.recv(context.Background(), make([]byte, ctBuffer))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.each(b, &info, func(message) error { return nil }); err != nil {
			t.Fatalf("insert %s: %v", e.name, err)
		}
	}
}

func flowsOf(t *testing.T, l *Live, f Filter) ([]host.Flow, FlowsInfo) {
	t.Helper()
	var out []host.Flow
	info, err := l.Flows(context.Background(), f, func(f *host.Flow) error {
		out = append(out, *f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out, info
}

func TestFlowsAgreeWithAnotherDecoder(t *testing.T) {
	newNetns(t)
	for _, s := range []string{"nf_conntrack_acct", "nf_conntrack_timestamp"} {
		if err := os.WriteFile("/proc/sys/net/netfilter/"+s, []byte("1"), 0); err != nil {
			t.Logf("%s stays off: %v", s, err)
		}
	}
	insertAll(t)
	l := openHere(t, "")
	flows, info := flowsOf(t, l, Filter{})
	if info.Count != len(entries) || info.Unparsed != 0 || len(flows) != len(entries) {
		t.Fatalf("%d flows, info %+v; inserted %d", len(flows), info, len(entries))
	}
	conn, err := conntrack.Dial(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	theirs, err := conn.Dump(nil)
	if err != nil {
		t.Fatal(err)
	}
	byID := map[uint32]host.Flow{}
	for _, f := range flows {
		byID[f.ID] = f
	}
	for _, want := range theirs {
		f, ok := byID[want.ID]
		if !ok {
			t.Errorf("id %d is not in the dump", want.ID)
			continue
		}
		if d := cmp.Diff(seenByThem(&want), f, byAddr, cmpopts.IgnoreFields(host.Flow{}, "Has", "Timeout")); d != "" {
			t.Errorf("flow %d (theirs -, ours +):\n%s", f.ID, d)
		}
		if diff := int(f.Timeout) - int(want.Timeout); diff < -3 || diff > 3 {
			t.Errorf("timeout %d, want about %d", f.Timeout, want.Timeout)
		}
	}
	if n, limit, err := l.Count(); err != nil || n != uint64(len(entries)) || limit == 0 {
		t.Errorf("count %d of %d: %v", n, limit, err)
	}
}

// seenByThem is a flow of the other decoder in our terms.
func seenByThem(w *conntrack.Flow) host.Flow {
	conv := func(x conntrack.Tuple) rules.Tuple {
		t := rules.Tuple{
			Proto: x.Proto.Protocol, Src: x.IP.SourceAddress, Dst: x.IP.DestinationAddress,
			SrcPort: x.Proto.SourcePort, DstPort: x.Proto.DestinationPort,
		}
		if x.Proto.ICMPv4 || x.Proto.ICMPv6 {
			t.SrcPort, t.DstPort = x.Proto.ICMPID, uint16(x.Proto.ICMPType)<<8|uint16(x.Proto.ICMPCode)
		}
		return t
	}
	f := host.Flow{
		ID: w.ID, Mark: w.Mark, Zone: w.Zone, Status: host.Status(w.Status), Use: w.Use,
		Original: conv(w.TupleOrig), Reply: conv(w.TupleReply), Family: rules.FamilyIPv6,
		Orig:   host.Counts{Packets: w.CountersOrig.Packets, Bytes: w.CountersOrig.Bytes},
		Repl:   host.Counts{Packets: w.CountersReply.Packets, Bytes: w.CountersReply.Bytes},
		Helper: w.Helper.Name, Secctx: string(w.SecurityContext),
	}
	if w.TupleOrig.IP.SourceAddress.Is4() {
		f.Family = rules.FamilyIPv4
	}
	if w.ProtoInfo.TCP != nil {
		f.TCPState = w.ProtoInfo.TCP.State
	}
	if !w.Timestamp.Start.IsZero() {
		f.Start = w.Timestamp.Start.UnixNano()
	}
	copy(f.Labels[:], w.Labels)
	return f
}

func TestGet(t *testing.T) {
	newNetns(t)
	insertAll(t)
	l := openHere(t, "")
	ctx := context.Background()
	for _, e := range entries {
		for dir, tp := range map[Direction]rules.Tuple{Original: e.orig, Reply: e.reply} {
			f, err := l.Get(ctx, tp, dir, familyOf(tp.Src), e.zone)
			if err != nil {
				t.Errorf("%s, direction %d: %v", e.name, dir, err)
				continue
			}
			if f.Original != e.orig || f.Reply != e.reply || f.Zone != e.zone || f.Mark != e.mark || f.TCPState != e.tcpState {
				t.Errorf("%s, direction %d: got %+v", e.name, dir, *f)
			}
		}
		_, err := l.Get(ctx, e.orig, Original, familyOf(e.orig.Src), e.zone+1)
		if !errors.Is(err, ErrNotFound) || !errors.Is(err, unix.ENOENT) {
			t.Errorf("%s, another zone: %v, want not found", e.name, err)
		}
	}
	_, err := l.Get(ctx, ruleTuple(6, "1.1.1.1", "2.2.2.2", 1, 2), Original, 0, 0)
	if err == nil || err.Error() != "conntrack get: no such conntrack entry" {
		t.Errorf("unknown tuple: %v", err)
	}
}

func TestFilter(t *testing.T) {
	newNetns(t)
	insertAll(t)
	l := openHere(t, "")
	tests := []struct {
		name string
		f    Filter
		want int
	}{
		{"family", Filter{Family: rules.FamilyIPv6}, 3},
		{"mark", Filter{HasMark: true, Mark: 0x42}, 1},
		{"mark 0", Filter{HasMark: true}, len(entries) - 1},
		{"zone", Filter{HasZone: true, Zone: 7}, 1},
		{"status", Filter{HasStatus: true, Status: uint32(host.StatusAssured)}, len(entries)},
		{"no such status", Filter{HasStatus: true, Status: uint32(host.StatusDstNAT)}, 0},
		{"original source and port", Filter{Orig: TuplePart{Src: netip.MustParseAddr("10.0.0.10"), Proto: 17, DstPort: 53}}, 1},
		{"reply destination", Filter{Reply: TuplePart{Dst: netip.MustParseAddr("192.168.1.2")}}, 3},
		{"protocol", Filter{Family: rules.FamilyIPv6, Orig: TuplePart{Proto: 58}}, 1},
	}
	all, _ := flowsOf(t, l, Filter{})
	for _, tt := range tests {
		flows, info := flowsOf(t, l, tt.f)
		if !info.Filtered && tt.f.Family == rules.FamilyUnspec {
			t.Logf("%s: not filtered by this kernel: %s", tt.name, info.Why)
		} else if len(flows) != tt.want {
			t.Errorf("%s: %d flows, want %d (%+v)", tt.name, len(flows), tt.want, info)
		}
		n := 0
		for i := range all {
			if tt.f.Match(&all[i]) {
				n++
			}
		}
		if n != tt.want {
			t.Errorf("%s: Match takes %d flows, want %d", tt.name, n, tt.want)
		}
	}
}

// Kernels compare IPv6 addresses the wrong way round.
func TestFilterIPv6Addresses(t *testing.T) {
	newNetns(t)
	insertAll(t)
	l := openHere(t, "")
	for _, f := range []Filter{
		{Orig: TuplePart{Src: netip.MustParseAddr("2001:db8::10")}},
		{Orig: TuplePart{Dst: netip.MustParseAddr("2001:db8::1"), Proto: 17, DstPort: 53}},
		{Reply: TuplePart{Src: netip.MustParseAddr("fd00::53")}},
	} {
		flows, _ := flowsOf(t, l, f)
		all, _ := flowsOf(t, l, Filter{})
		given := func(want *host.Flow) bool {
			return slices.ContainsFunc(flows, func(have host.Flow) bool { return have.ID == want.ID })
		}
		n := 0
		for i := range all {
			if !f.Match(&all[i]) {
				continue
			}
			n++
			if !given(&all[i]) {
				t.Errorf("%+v: the dump lacks %+v", f, all[i])
			}
		}
		if n == 0 {
			t.Errorf("%+v: no entry has it", f)
		}
	}
}

func TestFlowsEndsEarly(t *testing.T) {
	newNetns(t)
	insertAll(t)
	l := openHere(t, "")
	info, err := l.Flows(context.Background(), Filter{}, func(*host.Flow) error { return ErrStop })
	if err != nil || info.Count != 1 {
		t.Errorf("stop: %+v, %v", info, err)
	}
	mine := errors.New("disk full")
	if _, err = l.Flows(context.Background(), Filter{}, func(*host.Flow) error { return mine }); !errors.Is(err, mine) {
		t.Errorf("own error: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err = l.Flows(ctx, Filter{}, func(*host.Flow) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestOpenNetns(t *testing.T) {
	tests := []struct{ name, want string }{
		{"no-such-ns", `network namespace "no-such-ns": no such file`},
		{"/no/such/file", `network namespace "/no/such/file": no such file`},
		{"2147483646", `network namespace "2147483646": no such process`},
		{"/etc/passwd", `network namespace "/etc/passwd": not a network namespace`},
	}
	for _, tt := range tests {
		if _, err := Open(tt.name); err == nil || err.Error() != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
}

func TestOpenByPathPidAndName(t *testing.T) {
	newNetns(t)
	insertAll(t)
	sleeper := exec.Command("sleep", "60")
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		sleeper.Process.Kill()
		sleeper.Wait()
	}()
	pid := strconv.Itoa(sleeper.Process.Pid)
	names := []string{pid, "/proc/" + pid + "/ns/net"}
	if !lab.UserNamespace() {
		name := "ntdiag-test-" + pid
		run(t, "", "ip", "netns", "attach", name, pid)
		defer run(t, "", "ip", "netns", "delete", name)
		names = append(names, name)
	}
	elsewhere := make(chan struct{})
	go func() { // whose thread is in another namespace
		defer close(elsewhere)
		for _, n := range names {
			l, err := Open(n)
			if err != nil {
				t.Error(err)
				continue
			}
			defer l.Close()
			info, err := l.Flows(context.Background(), Filter{}, func(*host.Flow) error { return nil })
			if err != nil || info.Count != len(entries) {
				t.Errorf("%s: %d flows, %v", n, info.Count, err)
			}
			if count, _, err := l.Count(); err != nil || count != uint64(len(entries)) {
				t.Errorf("%s: count %d, %v", n, count, err)
			}
		}
	}()
	<-elsewhere
}

func TestWithoutCapability(t *testing.T) {
	newNetns(t)
	l := openHere(t, "")
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	// of this thread only, which dies with the test
	if err := unix.Capset(&hdr, &none[0]); err != nil {
		t.Fatal(err)
	}
	_, err := l.Flows(context.Background(), Filter{}, func(*host.Flow) error { return nil })
	if want := "conntrack dump: permission denied (needs CAP_NET_ADMIN)"; err == nil || err.Error() != want || !errors.Is(err, unix.EPERM) {
		t.Errorf("dump: %v, want %s", err, want)
	}
	if _, err = l.Get(context.Background(), entries[0].orig, Original, 0, 0); err == nil || err.Error() != "conntrack get: permission denied (needs CAP_NET_ADMIN)" {
		t.Errorf("get: %v", err)
	}
	s, err := l.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	const denied = "permission denied (needs CAP_NET_ADMIN)"
	want := []host.Missing{{What: "nftables ruleset", Why: denied}, {What: "ipsets", Why: denied}}
	if d := cmp.Diff(want, s.Missing); d != "" {
		t.Errorf("missing: %s", d)
	}
	if len(s.Links) == 0 || len(s.Routes) == 0 || s.Rules == nil || !s.Sysctls["net.ipv4.ip_forward"].OK {
		t.Errorf("what needs no capability is not there: %d links, %d routes", len(s.Links), len(s.Routes))
	}
}

func TestClosed(t *testing.T) {
	l, err := Open("")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	l.Close()
	if _, err := l.Flows(context.Background(), Filter{}, nil); !errors.Is(err, errClosed) {
		t.Errorf("flows: %v", err)
	}
	if _, err := l.Snapshot(context.Background()); !errors.Is(err, errClosed) {
		t.Errorf("snapshot: %v", err)
	}
	if _, _, err := l.Count(); !errors.Is(err, errClosed) {
		t.Errorf("count: %v", err)
	}
}
