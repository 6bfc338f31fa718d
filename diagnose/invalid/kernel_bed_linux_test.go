package invalid_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/counters"
	"github.com/ntdiag/ntdiag/diagnose/invalid"
	"github.com/ntdiag/ntdiag/diagnose/lab"
)

// bed is a router between two hosts that answer nothing (lab.Quiet): what passes
// it is what a case sends.
type bed struct {
	client, router, server *lab.Host
	wire                   map[place]*lab.Wire
	tap                    map[place]*lab.Tap
	live                   *capture.Live
	log                    *capture.NFLog
	marks                  uint32 // sentinels sent so far
}

// place is where a packet comes from.
type place uint8

const (
	atClient place = iota
	atServer
	atRouter
)

func (p place) String() string { return [...]string{"client", "server", "router"}[p] }

// ends are the addresses of one family. vip is one that only a DNAT rule knows.
type ends struct{ client, server, inside, outside, vip netip.Addr }

var (
	ends4 = ends{lab.QuietClient4, lab.QuietServer4, lab.QuietIn4, lab.QuietOut4, addr("198.51.100.1")}
	ends6 = ends{lab.QuietClient6, lab.QuietServer6, lab.QuietIn6, lab.QuietOut6, addr("2001:db8:100::1")}
)

var addr = netip.MustParseAddr

// baseRules count by what `ct state` says of a packet, wherever the router has
// it. Sentinels are not tracked. The router drops what is for itself, so that it
// has no part in any connection.
const baseRules = `
table inet base {
	counter invalid {}
	counter established {}
	counter related {}
	counter new {}
	counter untracked {}
	chain raw_in { type filter hook prerouting priority raw; meta l4proto 253 notrack; }
	chain raw_out { type filter hook output priority raw; meta l4proto 253 notrack; }
	chain states {
		meta l4proto 253 accept
		icmpv6 type { mld-listener-report, mld2-listener-report, nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert } accept
		ct state invalid counter name invalid
		ct state established counter name established
		ct state related counter name related
		ct state new counter name new
		ct state untracked counter name untracked
	}
	chain forward { type filter hook forward priority filter; jump states; }
	chain output { type filter hook output priority filter; jump states; }
	chain input { type filter hook input priority filter; jump states; drop; }
}
`

func newBed(t *testing.T) *bed {
	t.Helper()
	for _, tool := range []string{"nft", "ip"} {
		if _, err := exec.LookPath(tool); err != nil {
			lab.LeaveOut(t, err)
		}
	}
	l, err := lab.New()
	if err != nil {
		lab.LeaveOut(t, err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	n, err := l.Quiet()
	if err != nil {
		t.Fatal(err)
	}
	b := &bed{
		client: n.Client, router: n.Router, server: n.Server,
		wire: map[place]*lab.Wire{}, tap: map[place]*lab.Tap{},
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for p, h := range map[place]struct {
		host *lab.Host
		dev  string
	}{atClient: {b.client, "c0"}, atServer: {b.server, "s0"}} {
		b.wire[p], err = h.host.Wire("eth0", b.router, h.dev)
		must(err)
		b.tap[p], err = h.host.Tap("eth0")
		must(err)
	}
	b.live, err = capture.Open(b.router.Path())
	must(err)
	t.Cleanup(func() { b.live.Close() })
	b.log, err = b.live.NFLog(0)
	must(err)
	t.Cleanup(b.log.Close)
	must(b.router.Sysctl("net.netfilter.nf_log.2=nfnetlink_log", "net.netfilter.nf_log.10=nfnetlink_log"))
	b.reset(t, "")
	// once over all links: the neighbours are known then
	for _, e := range []ends{ends4, ends6} {
		must(b.passed(atClient, e, nil))
		must(b.passed(atServer, e, nil))
	}
	return b
}

// defaults are the settings that cases change.
var defaults = []string{
	"net.netfilter.nf_conntrack_tcp_loose=1", "net.netfilter.nf_conntrack_tcp_be_liberal=0",
	"net.netfilter.nf_conntrack_log_invalid=255", "net.netfilter.nf_conntrack_checksum=1",
	"net.netfilter.nf_conntrack_tcp_ignore_invalid_rst=0",
}

// reset makes the router as new: baseRules and rules with counters at 0, no
// entries, settings as they come but for those given.
func (b *bed) reset(t *testing.T, rules string, sysctls ...string) {
	t.Helper()
	err := b.load("flush ruleset\n" + baseRules + rules)
	if err == nil {
		err = b.router.Sysctl(append(slices.Clone(defaults), sysctls...)...)
	}
	if err == nil {
		err = b.flush()
	}
	if err == nil {
		_, err = b.drain()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// flush empties the table: IPCTNL_MSG_CT_DELETE without a tuple.
func (b *bed) flush() error {
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: b.router.Fd()})
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.NFNL_SUBSYS_CTNETLINK<<8 | 2, Flags: netlink.Request | netlink.Acknowledge},
		Data:   make([]byte, 4), // struct nfgenmsg
	})
	return err
}

func (b *bed) load(rules string) error {
	_, err := b.router.Run(rules, "nft", "-f", "-")
	return err
}

// passed sends a packet that is let through untracked and waits for it on the
// other side: all that was sent before has passed the router then. seen gets what
// arrived there in between.
func (b *bed) passed(from place, e ends, seen *[][]byte) error {
	b.marks++
	mark := []byte(fmt.Sprintf("sentinel %d", b.marks))
	src, dst, to := e.client, e.server, atServer
	switch from {
	case atServer:
		src, dst, to = dst, src, atClient
	case atRouter:
		src = e.outside
	}
	p := lab.Packet{Src: src, Dst: dst, L4: lab.Raw{Proto: 253, Payload: mark}}
	if err := b.put(from, p); err != nil {
		return err
	}
	got, err := b.tap[to].Until(func(packet []byte) bool { return bytes.HasSuffix(packet, mark) })
	if seen != nil {
		*seen = slices.DeleteFunc(got, ofTheLink)
	}
	return err
}

// ofTheLink tells whether packet is what neighbours tell each other: it has a
// link-local source, or goes to all of them.
func ofTheLink(packet []byte) bool {
	return packet[0]>>4 == 6 && (packet[8] == 0xfe && packet[9]&0xc0 == 0x80 || packet[24] == 0xff)
}

func (b *bed) put(from place, p lab.Packet) error {
	if from == atRouter {
		return b.router.Emit(p)
	}
	return b.wire[from].Send(p)
}

// logged is one packet as the kernel logged it.
type logged struct {
	capture.Logged
	text string // with the trailing space
}

// message is what the packet says.
func (l *logged) message() invalid.Message {
	var m invalid.Message
	invalid.ParsePacket(&invalid.Raw{
		Prefix: l.Prefix, Payload: l.Payload, Header: l.Header, Mark: l.Mark, UID: l.UID, HasUID: l.HasUID,
	}, &m)
	return m
}

// drain is what was logged since it was called last.
func (b *bed) drain() ([]logged, error) {
	var out []logged
	err := b.log.Drain(func(p *capture.Logged) error {
		one := logged{*p, string(p.Prefix)}
		one.Prefix, one.Payload, one.Header = bytes.Clone(p.Prefix), bytes.Clone(p.Payload), bytes.Clone(p.Header)
		out = append(out, one)
		return nil
	})
	return out, err
}

// outcome is what came of what was sent.
type outcome struct {
	lines []logged
	left  [][]byte // as it came to the other side
	moved string   // counters, "drop=1 invalid=1"
	state string   // what `ct state` said, "invalid=1"
}

// observe does send, which has from send packets, and tells what came of it.
func (b *bed) observe(t *testing.T, from place, e ends, send func() error) outcome {
	t.Helper()
	var out outcome
	var before, after stats
	for _, step := range []func() error{
		func() (err error) { _, err = b.drain(); return err },
		func() (err error) { before, err = b.stats(); return err },
		send,
		func() error { return b.passed(from, e, &out.left) },
		func() (err error) { out.lines, err = b.drain(); return err },
		func() (err error) { after, err = b.stats(); return err },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	out.moved, out.state = since(after.moved, before.moved), since(after.states, before.states)
	return out
}

// stats are the kernel's own counters, "invalid=1 drop=1" without those that
// are 0, and what `ct state` said, by name.
type stats struct {
	moved  map[string]uint64
	states map[string]uint64
}

func (b *bed) stats() (stats, error) {
	s := stats{map[string]uint64{}, map[string]uint64{}}
	got, err := b.live.Stats(context.Background())
	if err != nil {
		return s, err
	}
	total := got.Total()
	for k, c := range counters.Table {
		s.moved[c.Name] = total.Values[k]
	}
	text, err := b.router.Run("", "nft", "list", "counters", "table", "inet", "base")
	for _, m := range regexp.MustCompile(`counter (\w+) \{\s*packets (\d+)`).FindAllStringSubmatch(text, -1) {
		s.states[m[1]], _ = strconv.ParseUint(m[2], 10, 64)
	}
	return s, err
}

func protoName(proto uint8) string {
	if name, ok := protoNames[proto]; ok {
		return name
	}
	return strconv.Itoa(int(proto))
}

func shownAll(packets [][]byte) string {
	var out []string
	for _, b := range packets {
		out = append(out, shown(b))
	}
	return strings.Join(out, ", ")
}

// fits tells whether got is want, in which one * stands for a number.
func fits(got, want string) bool {
	before, after, any := strings.Cut(want, "*")
	if !any {
		return got == want
	}
	got, ok := strings.CutPrefix(got, before)
	got, end := strings.CutSuffix(got, after)
	_, err := strconv.ParseUint(got, 10, 32)
	return ok && end && err == nil
}

// since is what has moved, as "drop=1 insert_failed=1".
func since(now, before map[string]uint64) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(now)) {
		if n := now[name] - before[name]; n != 0 {
			out = append(out, fmt.Sprintf("%s=%d", name, n))
		}
	}
	return strings.Join(out, " ")
}

var (
	protoNames = map[uint8]string{
		unix.IPPROTO_TCP: "tcp", unix.IPPROTO_UDP: "udp", unix.IPPROTO_UDPLITE: "udplite",
		unix.IPPROTO_SCTP: "sctp", unix.IPPROTO_ICMP: "icmp", unix.IPPROTO_ICMPV6: "icmpv6",
	}
	portProtos = map[uint8]bool{
		unix.IPPROTO_TCP: true, unix.IPPROTO_UDP: true, unix.IPPROTO_UDPLITE: true, unix.IPPROTO_SCTP: true,
	}
)

// shown is "tcp 10.0.1.10:4000 > 203.0.113.80:80" of a packet from its network
// header on; "icmp 10.0.1.10 > 203.0.113.80" where there are no ports.
func shown(b []byte) string {
	if len(b) < 20 {
		return fmt.Sprintf("% x", b)
	}
	src, dst, proto, l4 := b[12:16], b[16:20], b[9], b[min(len(b), int(b[0]&15)*4):]
	if b[0]>>4 == 6 {
		src, dst, proto, l4 = b[8:24], b[24:40], b[6], b[40:]
	}
	from, _ := netip.AddrFromSlice(src)
	to, _ := netip.AddrFromSlice(dst)
	name := protoName(proto)
	if b[0]>>4 == 4 && binary.BigEndian.Uint16(b[6:])&0x1fff != 0 {
		return fmt.Sprintf("%s fragment %s > %s", name, from, to)
	}
	if portProtos[proto] && len(l4) >= 4 {
		return fmt.Sprintf("%s %s > %s", name, netip.AddrPortFrom(from, binary.BigEndian.Uint16(l4)),
			netip.AddrPortFrom(to, binary.BigEndian.Uint16(l4[2:])))
	}
	return fmt.Sprintf("%s %s > %s", name, from, to)
}
