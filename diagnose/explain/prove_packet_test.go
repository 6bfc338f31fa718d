//go:build linux

package explain_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/rules"
)

// proveFlow is one packet to send, by the tuple of the entry that it makes.
type proveFlow struct {
	host string
	rules.Tuple
}

func (f proveFlow) String() string {
	return fmt.Sprintf("%s: proto %d  %s %d > %s %d", f.host, f.Proto, f.Src, f.SrcPort, f.Dst, f.DstPort)
}

// flows draws n packets with different tuples. Sources repeat, so that two
// clients use one port, and one source reaches two destinations.
func (g *generator) flows(n int) []proveFlow {
	ends := map[string]map[string][]string{
		"client": {"ip": {"10.0.0.10", "10.0.0.11", "10.0.0.14"}, "ip6": {"fd00:a::10", "fd00:a::11", "fd00:a::14"}},
		"router": {"ip": {"10.0.0.1", "192.168.1.2"}, "ip6": {"fd00:a::1", "fd00:b::2"}},
		"server": {"ip": {"192.168.1.80", "192.168.1.83"}, "ip6": {"fd00:b::80", "fd00:b::83"}},
		"far":    {"ip": {"203.0.113.7", "203.0.113.200"}, "ip6": {"2001:db8::7", "2001:db8:0:0:8000::7"}},
	}
	ways := [][2]string{{"client", "router"}, {"client", "router"}, {"client", "server"}, {"client", "server"}, {"client", "far"},
		{"router", "server"}, {"router", "far"}, {"router", "router"}, {"server", "client"}, {"server", "router"}}
	sports := []uint16{40000, 40000, 40003, 40010, 700, 1500}
	dports := []uint16{53, 80, 80, 443, 443, 5001, 8080, 8080, 100, 40001}
	seen := map[rules.Tuple]bool{}
	var out []proveFlow
	for len(out) < n {
		way, ip := pick(g, ways), pick(g, []string{"ip", "ip", "ip6"})
		f := proveFlow{host: way[0]}
		f.Src, f.Dst = netip.MustParseAddr(pick(g, ends[way[0]][ip])), netip.MustParseAddr(pick(g, ends[way[1]][ip]))
		f.Proto = pick(g, []uint8{unix.IPPROTO_TCP, unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_UDP, unix.IPPROTO_ICMP})
		f.SrcPort, f.DstPort = pick(g, sports), pick(g, dports)
		if f.Proto == unix.IPPROTO_ICMP {
			f.DstPort = 8 << 8
			if ip == "ip6" {
				f.Proto, f.DstPort = unix.IPPROTO_ICMPV6, 128<<8
			}
		}
		if !seen[f.Tuple] && f.Src != f.Dst {
			seen[f.Tuple] = true
			out = append(out, f)
		}
	}
	return out
}

// sender writes whole packets from one host, of either family.
type sender struct{ fd4, fd6 int }

func newSender(h *lab.Host) (*sender, error) {
	s := &sender{-1, -1}
	err := h.Do(func() (err error) {
		if s.fd4, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW); err != nil {
			return err
		}
		s.fd6, err = unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("raw socket of %s: %w", h.Name, errors.Join(err, s.Close()))
	}
	return s, nil
}

func (s *sender) Close() error {
	for _, fd := range []int{s.fd4, s.fd6} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	return nil
}

// send tells whether the packet went; that a rule drops it on the way out is
// no error. The packet carries number n.
func (s *sender) send(t rules.Tuple, n int) (bool, error) {
	fd, to := s.fd6, unix.Sockaddr(&unix.SockaddrInet6{Addr: t.Dst.As16()})
	if t.Dst.Is4() {
		fd, to = s.fd4, &unix.SockaddrInet4{Addr: t.Dst.As4()}
	}
	err := unix.Sendto(fd, packetOf(t, n), 0, to)
	if errors.Is(err, unix.EPERM) {
		return false, nil
	}
	return err == nil, err
}

// packetOf is the first packet of a flow: a SYN, a datagram, an echo request. n
// is its IP id or flow label and a ping's sequence, which no rewrite changes.
func packetOf(t rules.Tuple, n int) []byte {
	body := transportOf(t)
	if isPing(t.Proto) {
		binary.BigEndian.PutUint16(body[6:], uint16(n)) // a random dnat changes the id
	}
	binary.BigEndian.PutUint16(body[checksumAt[t.Proto]:], checksum(t, body))
	if t.Src.Is4() {
		h := make([]byte, 20, 20+len(body)) // the kernel adds the checksum
		h[0], h[8], h[9] = 0x45, 64, t.Proto
		binary.BigEndian.PutUint16(h[4:], uint16(n))
		binary.BigEndian.PutUint16(h[2:], uint16(20+len(body)))
		copy(h[12:], t.Src.AsSlice())
		copy(h[16:], t.Dst.AsSlice())
		return append(h, body...)
	}
	h := make([]byte, 40, 40+len(body))
	binary.BigEndian.PutUint32(h, 6<<28|uint32(n))
	h[6], h[7] = t.Proto, 64
	binary.BigEndian.PutUint16(h[4:], uint16(len(body)))
	copy(h[8:], t.Src.AsSlice())
	copy(h[24:], t.Dst.AsSlice())
	return append(h, body...)
}

func isPing(proto uint8) bool { return proto == unix.IPPROTO_ICMP || proto == unix.IPPROTO_ICMPV6 }

var checksumAt = map[uint8]int{unix.IPPROTO_TCP: 16, unix.IPPROTO_UDP: 6, unix.IPPROTO_ICMP: 2, unix.IPPROTO_ICMPV6: 2}

func transportOf(t rules.Tuple) []byte {
	b := make([]byte, 20)
	binary.BigEndian.PutUint16(b, t.SrcPort)
	binary.BigEndian.PutUint16(b[2:], t.DstPort)
	switch t.Proto {
	case unix.IPPROTO_TCP:
		b[12], b[13], b[14] = 5<<4, 2, 0xff // a SYN
	case unix.IPPROTO_UDP:
		binary.BigEndian.PutUint16(b[4:], uint16(len(b)))
	default:
		binary.BigEndian.PutUint16(b, t.DstPort) // type and code
		binary.BigEndian.PutUint16(b[2:], 0)
		binary.BigEndian.PutUint16(b[4:], t.SrcPort) // id
	}
	return b
}

// checksum is that of RFC 1071, over the pseudo header too but for ICMP.
func checksum(t rules.Tuple, body []byte) uint16 {
	b := append([]byte(nil), body...)
	if t.Proto != unix.IPPROTO_ICMP {
		b = append(append(b, t.Src.AsSlice()...), t.Dst.AsSlice()...)
		b = append(b, 0, t.Proto, byte(len(body)>>8), byte(len(body)))
	}
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
