package xt_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/rules"
)

// hexAddr is the first four bytes of an address as u32 writes them.
func hexAddr(a netip.Addr) string { return fmt.Sprintf("0x%x", a.AsSlice()[:4]) }

// ipHeader sets what the entry tells of the IP header besides the addresses.
func ipHeader(p *rules.Packet) {
	if p.Family == rules.FamilyIPv6 {
		p.Net.Set(6, []byte{p.Proto}, rules.FromEntry)
		return
	}
	p.Net.Bits[0], p.Net.Known[0] = 0x40, 0xf0
	p.Net.Set(9, []byte{p.Proto}, rules.FromEntry)
}

// TestKernelOpen asks the matches on what entries do not record: what is
// decided all the same, and that nothing else is.
func TestKernelOpen(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		src, dst := toServer(v6, 40001, 4001)
		name, proto, saddr, ports := "tcp", "6&0xff=6", 12, "20=0x9c410fa1"
		if v6 {
			name, proto, saddr, ports = "tcp6", "4>>8&0xff=6", 8, "40=0x9c410fa1"
		}
		at := func(off int, value string) string { return fmt.Sprintf("-m u32 --u32 \"%d=%s\"", off, value) }
		q := &probe{
			name: name, hook: rules.Forward, proto: 6, src: src, dst: dst, in: "c0", out: "s0",
			send: knock(src, dst), packet: ipHeader,
			ask: append(ask(
				"-m statistic --mode random --probability 1",
				"-m statistic --mode random --probability 0",
				"-m statistic --mode random ! --probability 0",
				"-m statistic --mode nth --every 1 --packet 0",
				"-m statistic --mode nth ! --every 1 --packet 0",
				"-p tcp -m connlimit --connlimit-above 0",
				"-p tcp -m connlimit --connlimit-upto 0",
				"-m quota --quota 0", "-m quota ! --quota 19",
				"-m recent --name s --set", "-m recent --name s ! --set",
				"-m helper --helper ftp", "-m helper ! --helper ftp",
				"-m tos --tos 0x10/0x00", "-m tos ! --tos 0x10/0x00", "-m tos --tos 0/0", "-m tos ! --tos 0/0",
				"-m connbytes --connbytes 1:1 --connbytes-mode packets --connbytes-dir original",
				"-m connbytes ! --connbytes 1:1 --connbytes-mode packets --connbytes-dir original",
				"-m connbytes --connbytes 2: --connbytes-mode packets --connbytes-dir both",
				"-m connbytes ! --connbytes 2:5 --connbytes-mode packets --connbytes-dir both",
				"-m connbytes --connbytes 0:0 --connbytes-mode bytes --connbytes-dir reply",
				"-m connbytes --connbytes 1: --connbytes-mode avgpkt --connbytes-dir reply",
				at(saddr, hexAddr(src.Addr())), at(saddr, hexAddr(dst.Addr())), at(saddr, "0,"+hexAddr(src.Addr())+":0xffffffff"),
				"-m u32 --u32 \""+proto+"\"", "-m u32 ! --u32 \""+proto+"\"",
				fmt.Sprintf("-m u32 --u32 \"%d<<8>>8=0x%x\"", saddr, src.Addr().AsSlice()[1:4]),
				at(saddr, hexAddr(src.Addr())+"&&"+proto),
			), open(
				"-m limit --limit 1/s", "-m hashlimit --hashlimit-upto 1/s --hashlimit-name x",
				"-m statistic --mode random --probability 0.5", "-m statistic --mode nth --every 2 --packet 0",
				"-p tcp -m connlimit --connlimit-above 1", "-m quota --quota 1000",
				"-m recent --name r --rcheck", "-m recent --name r ! --update --seconds 5", "-m recent --name r --remove",
				"-m policy --dir in --pol none", "-m policy --dir out --pol ipsec",
				"-m tos --tos 0x10", "-m dscp ! --dscp 0", "-m length --length 60", "-m time --weekdays Mon",
				"-m string --algo bm --string foo", "-m string --algo bm ! --string foo", "-m bpf --bytecode \"1,6 0 0 1\"",
				"-p tcp -m tcpmss --mss 536:65535", "-p tcp -m tcpmss ! --mss 536:65535",
				"-m connbytes --connbytes 40:100 --connbytes-mode bytes --connbytes-dir original",
				at(0, "0x45000000:0x45ffffff"), "-m u32 --u32 \"200=1\"", "-m u32 --u32 \"200&0=0\"",
			)...),
		}
		if v6 {
			q.ask = append(q.ask, append(ask(at(40, "0x9c410fa1")), open("-m hl --hl-eq 63", "-m length --length 0:")...)...)
		} else {
			// where the transport header begins, its length tells
			q.ask = append(q.ask, ask("-m length --length 0:", "-m length ! --length 0:65535")...)
			q.ask = append(q.ask, open("-m ttl --ttl-eq 63", at(20, "0x9c410fa1"), "-m u32 --u32 \"0>>22&0x3c@0="+ports[3:]+"\"")...)
		}
		askKernel(t, q)
	}
}

// TestKernelHeaderLength: with the IP header's length known, u32 finds the
// transport header.
func TestKernelHeaderLength(t *testing.T) {
	src, dst := toServer(false, 40002, 4002)
	askKernel(t, &probe{
		name: "udp", hook: rules.Forward, proto: 17, src: src, dst: dst, in: "c0", out: "s0", send: datagram(src, dst),
		packet: func(p *rules.Packet) {
			ipHeader(p)
			p.Net.Set(0, []byte{0x45}, rules.FromIPHeader)
		},
		ask: append(ask(
			`-m u32 --u32 "20=0x9c420fa2"`, `-m u32 --u32 "20>>16=0x9c43"`,
			`-m u32 --u32 "0>>22&0x3c@0&0xffff=4002"`, `-m u32 ! --u32 "0>>22&0x3c@0&0xffff=4002"`,
			`-m u32 --u32 "0>>22&0x3c@0>>16=1:40001,40003:50000"`,
			`-m u32 --u32 "12@0=0"`, `-m u32 ! --u32 "16&0@16=0xc0a80150"`,
		), open(`-m u32 --u32 "0>>22&0x3c@6>>16=4"`, `-m u32 --u32 "28=0x70696e67"`)...),
	})
}

// TestKernelSocket: before it is delivered a packet has no socket; only TCP
// and UDP are looked for.
func TestKernelSocket(t *testing.T) {
	socket := []string{"-m socket", "-m socket --transparent", "-m socket --nowildcard --restore-skmark"}
	src, dst := toServer(false, 40003, 4003)
	askKernel(t, &probe{
		name: "udp", hook: rules.Prerouting, proto: 17, src: src, dst: dst, in: "c0", send: datagram(src, dst), ask: open(socket...),
	})
	askKernel(t, &probe{
		name: "protocol 253", hook: rules.Prerouting, proto: 253,
		src: netip.AddrPortFrom(src.Addr(), 0), dst: netip.AddrPortFrom(dst.Addr(), 0), in: "c0",
		send: func(n *lab.Net) error { return n.Client.Datagram(253, src.Addr(), dst.Addr()) },
		ask:  ask(socket...),
	})
}

// spoof sends a SYN from an address that the host need not have.
func spoof(h *lab.Host, src, dst netip.AddrPort) error {
	if src.Addr().Is6() {
		if src.Addr() != lab.ClientAddr6 {
			if err := h.Addr("eth0", netip.PrefixFrom(src.Addr(), 128)); err != nil {
				return err
			}
		}
		return h.Knock(src, dst)
	}
	b := make([]byte, 40)
	b[0], b[8], b[9] = 0x45, 64, 6
	copy(b[12:], src.Addr().AsSlice())
	copy(b[16:], dst.Addr().AsSlice())
	binary.BigEndian.PutUint16(b[20:], src.Port())
	binary.BigEndian.PutUint16(b[22:], dst.Port())
	b[32], b[33] = 5<<4, 2
	return h.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Sendto(fd, b, 0, &unix.SockaddrInet4{Addr: dst.Addr().As4()})
	})
}

// TestKernelReversePath: sources that belong to the device, to another, and to
// the router itself.
func TestKernelReversePath(t *testing.T) {
	options := []string{"", " --loose", " --accept-local", " --loose --accept-local", " --validmark", " --invert", " --loose --invert"}
	for _, tt := range []struct {
		name, src string
	}{
		{"client", lab.ClientAddr4.String()},
		{"other side", "192.168.1.99"},
		{"router, here", lab.RouterIn4.String()},
		{"router, there", lab.RouterOut4.String()},
		{"anywhere", "203.0.113.9"},
		{"client 6", lab.ClientAddr6.String()},
		{"other side 6", "fd00:b::99"},
		{"router 6", lab.RouterOut6.String()},
	} {
		a := netip.MustParseAddr(tt.src)
		_, dst := toServer(a.Is6(), 0, 4004)
		src := netip.AddrPortFrom(a, 40004)
		q := &probe{name: tt.name, hook: rules.Prerouting, proto: 6, src: src, dst: dst, in: "c0", packet: ipHeader,
			send: func(n *lab.Net) error { return spoof(n.Client, src, dst) }}
		for _, o := range options {
			q.ask = append(q.ask, question{options: "-m rpfilter" + o})
		}
		askKernel(t, q)
	}
}

// TestKernelCgroup: a packet that is passed on has no socket, and matches
// neither way.
func TestKernelCgroup(t *testing.T) {
	src, dst := toServer(false, 40005, 4005)
	askKernel(t, &probe{
		name: "udp", hook: rules.Postrouting, proto: 17, src: src, dst: dst, in: "c0", out: "s0", send: datagram(src, dst),
		ask: ask("-m cgroup --path /", "-m cgroup ! --path /"),
	})
}
