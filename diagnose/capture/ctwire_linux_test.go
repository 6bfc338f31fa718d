package capture

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

// wire sends packets of both ends of a flow out of one namespace by a device
// where nobody takes them: each goes through the output and postrouting hooks, so
// that the kernel tracks a flow of which neither end exists.
type wire struct {
	t        *testing.T
	fd4, fd6 int
}

// newWire makes a namespace with such a device, and a ruleset.
func newWire(t *testing.T, ruleset string) *wire {
	t.Helper()
	newNetns(t)
	for _, s := range []string{"nf_conntrack_acct", "nf_conntrack_timestamp"} {
		if err := os.WriteFile("/proc/sys/net/netfilter/"+s, []byte("1"), 0); err != nil {
			t.Logf("%s stays off: %v", s, err)
		}
	}
	// some states last three seconds, which a busy machine needs
	states, err := filepath.Glob("/proc/sys/net/netfilter/nf_conntrack_sctp_timeout_*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range states {
		if err := os.WriteFile(path, []byte("200"), 0); err != nil {
			t.Fatal(err)
		}
	}
	// without ARP d0 sends to its own address, so that d1 takes nothing in
	const links = `link add d0 type veth peer name d1
link set d0 arp off
link set d0 up
link set d1 up
addr add 198.51.100.1/24 dev d0
addr add 2001:db8:ff::1/64 dev d0 nodad
route add default dev d0
route add ::/0 dev d0
`
	run(t, links, "ip", "-batch", "-")
	run(t, ruleset, "nft", "-f", "-")
	w := &wire{t: t}
	for _, s := range []struct {
		family int
		fd     *int
	}{{unix.AF_INET, &w.fd4}, {unix.AF_INET6, &w.fd6}} {
		fd, err := unix.Socket(s.family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		*s.fd = fd
	}
	return w
}

// packet sends one packet; body is what follows the IP header.
func (w *wire) packet(proto uint8, src, dst string, body []byte) {
	w.t.Helper()
	from, to := netip.MustParseAddr(src), netip.MustParseAddr(dst)
	var b []byte
	var err error
	if from.Is4() {
		b = append(b, 0x45, 0)
		b = be.AppendUint16(b, uint16(20+len(body)))
		b = append(b, 0, 0, 0, 0, 64, proto, 0, 0)
		b = append(append(append(b, from.AsSlice()...), to.AsSlice()...), body...)
		err = unix.Sendto(w.fd4, b, 0, &unix.SockaddrInet4{Addr: to.As4()})
	} else {
		b = append(b, 0x60, 0, 0, 0)
		b = be.AppendUint16(b, uint16(len(body)))
		b = append(b, proto, 64)
		b = append(append(append(b, from.AsSlice()...), to.AsSlice()...), body...)
		err = unix.Sendto(w.fd6, b, 0, &unix.SockaddrInet6{Addr: to.As16()})
	}
	if err != nil {
		w.t.Fatalf("packet %d %s > %s: %v", proto, src, dst, err)
	}
}

// end is one end of a flow as the packets of that side bear it.
type end struct {
	addr string
	port uint16
}

// conversation is a flow as seen on both sides of its NAT: packets of the
// first side go from a to b, those of the other from c to d.
type conversation struct{ a, b, c, d end }

// plain is one without NAT.
func plain(a, b end) conversation { return conversation{a, b, b, a} }

func ports(s, d uint16) []byte { return be.AppendUint16(be.AppendUint16(nil, s), d) }

// TCP flags.
const (
	fin = 0x01
	syn = 0x02
	rst = 0x04
	ack = 0x10
)

// segment is a TCP header with a window scale on a SYN, and its data.
func segment(s, d uint16, seq, ackn uint32, flags byte, data string) []byte {
	b := be.AppendUint32(be.AppendUint32(ports(s, d), seq), ackn)
	var opts []byte
	if flags&syn != 0 {
		opts = []byte{2, 4, 5, 0xb4, 3, 3, 7, 1, 4, 2, 1, 1} // mss, wscale 7, sack permitted
	}
	b = append(b, byte((20+len(opts))/4)<<4, flags, 0x72, 0x10, 0, 0, 0, 0)
	return append(append(b, opts...), data...)
}

// tcpWays are the packets that lead to each state: c is the client, s the
// server.
var tcpWays = map[string]string{
	"SYN_SENT":    "c:S",
	"SYN_SENT2":   "c:S s:S",
	"SYN_RECV":    "c:S s:SA",
	"ESTABLISHED": "c:S s:SA c:A",
	"FIN_WAIT":    "c:S s:SA c:A c:FA",
	"CLOSE_WAIT":  "c:S s:SA c:A c:FA s:A",
	"LAST_ACK":    "c:S s:SA c:A c:FA s:A s:FA",
	"TIME_WAIT":   "c:S s:SA c:A c:FA s:A s:FA c:A",
	"CLOSE":       "c:S s:SA c:A s:R",
}

// tcp plays the packets of a way.
func (w *wire) tcp(v conversation, way string) {
	w.t.Helper()
	seq := map[byte]uint32{'c': 1000, 's': 500000}
	for i := 0; i < len(way); {
		side := way[i]
		var flags byte
		for i += 2; i < len(way) && way[i] != ' '; i++ {
			flags |= map[byte]byte{'S': syn, 'A': ack, 'F': fin, 'R': rst}[way[i]]
		}
		i++
		other := byte('c' + 's' - side)
		var ackn uint32
		if flags&ack != 0 {
			ackn = seq[other]
		}
		from, to := v.a, v.b
		if side == 's' {
			from, to = v.c, v.d
		}
		w.packet(6, from.addr, to.addr, segment(from.port, to.port, seq[side], ackn, flags, ""))
		if flags&(syn|fin) != 0 {
			seq[side]++
		}
	}
}

// say sends data of the client behind what it has already sent.
func (w *wire) say(v conversation, sent uint32, data string) {
	w.t.Helper()
	w.packet(6, v.a.addr, v.b.addr, segment(v.a.port, v.b.port, 1001+sent, 500001, ack, data))
}

// udp sends a datagram each way, or one way.
func (w *wire) udp(proto uint8, v conversation, reply bool) {
	w.t.Helper()
	const length, check = 8, 1 // UDP-Lite wants a checksum; who sends is not tested
	body := func(from, to end) []byte { return append(ports(from.port, to.port), 0, length, 0, check) }
	w.packet(proto, v.a.addr, v.b.addr, body(v.a, v.b))
	if reply {
		w.packet(proto, v.c.addr, v.d.addr, body(v.c, v.d))
	}
}

// query sends an echo request.
func (w *wire) query(src, dst string, id uint16) {
	w.t.Helper()
	proto, request := uint8(host.ProtoICMP), byte(8)
	if netip.MustParseAddr(src).Is6() {
		proto, request = host.ProtoICMPv6, 128
	}
	w.packet(proto, src, dst, append([]byte{request, 0, 0, 0}, ports(id, 1)...))
}

// sctpWays are the chunks that lead to each state.
var sctpWays = map[string]string{
	"COOKIE_WAIT":       "c:1 s:2",
	"COOKIE_ECHOED":     "c:1 s:2 c:a",
	"ESTABLISHED":       "c:1 s:2 c:a s:b",
	"SHUTDOWN_SENT":     "c:1 s:2 c:a s:b c:7",
	"SHUTDOWN_RECD":     "c:1 s:2 c:a s:b s:7",
	"SHUTDOWN_ACK_SENT": "c:1 s:2 c:a s:b c:7 s:8",
	"HEARTBEAT_SENT":    "c:4",
	"CLOSED":            "c:1 s:2 c:a s:b s:6",
}

// sctp plays the chunks of a way. Each side's verification tag is what the
// other chose in its INIT or INIT ACK.
func (w *wire) sctp(v conversation, way string) {
	w.t.Helper()
	const ctag, stag = 0x11111111, 0x22222222
	for i := 0; i+2 < len(way); i += 4 {
		side, typ := way[i], way[i+2]
		if typ >= 'a' {
			typ -= 'a' - 10
		} else {
			typ -= '0'
		}
		from, to, own, peer := v.a, v.b, uint32(ctag), uint32(stag)
		if side == 's' {
			from, to, own, peer = v.c, v.d, stag, ctag
		}
		vtag := peer
		chunk := []byte{typ, 0, 0, 4}
		switch typ {
		case 1, 2: // INIT, INIT ACK
			chunk = be.AppendUint32([]byte{typ, 0, 0, 20}, own)
			chunk = append(chunk, make([]byte, 12)...)
			if typ == 1 {
				vtag = 0
			}
		case 7: // SHUTDOWN
			chunk = append([]byte{typ, 0, 0, 8}, 0, 0, 0, 0)
		}
		b := be.AppendUint32(ports(from.port, to.port), vtag)
		b = append(b, 0, 0, 0, 0)
		w.packet(host.ProtoSCTP, from.addr, to.addr, append(b, chunk...))
	}
}
