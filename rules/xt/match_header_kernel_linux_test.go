package xt_test

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/rules"
)

var tcpQuestions = ask(
	"-p tcp -m tcp --dport 80",
	"-p tcp -m tcp ! --dport 80",
	"-p tcp -m tcp --sport 4711:4712 --dport 81",
	"-p tcp -m tcp --sport 4711 --dport 80",
	"-p tcp -m tcp ! --sport 4711 ! --dport 81", // nf_tables compares both at once
	"-p tcp -m tcp ! --sport 4711 ! --dport 80",
	"-p tcp -m tcp --sport 4711 ! --dport 81",
	"-p tcp -m tcp ! --sport 0:65535",
	"-p tcp -m tcp --tcp-flags SYN,ACK SYN",
	"-p tcp -m tcp --tcp-flags FIN,SYN,RST,PSH,ACK,URG SYN",
	"-p tcp -m tcp ! --tcp-flags ACK ACK",
	"-p tcp -m multiport --dports 1,80,90",
	"-p tcp -m multiport ! --dports 1,80,90",
	"-p tcp -m multiport --dports 1,70:79,81:90",
	"-p tcp -m multiport --sports 4000:5000",
	"-p tcp -m multiport ! --sports 4000:5000",
	"-p tcp -m multiport --ports 4711",
	"-p tcp -m multiport --ports 79,81",
	"-p tcp -m multiport ! --ports 80,5000",
	"-p tcp -m multiport ! --ports 5000,6000:7000",
)

var tcpOpen = open(
	"-p tcp -m tcp --tcp-option 2",
	"-p tcp -m tcp ! --tcp-option 200",
	"-p tcp -m ecn --ecn-tcp-ece",
	"-p tcp -m ecn ! --ecn-tcp-cwr",
	"-m ecn --ecn-ip-ect 0",
	"-m pkttype --pkt-type unicast",
	"-m pkttype ! --pkt-type multicast",
)

// TestKernelHeaders asks of the headers of a TCP connection's first packet.
func TestKernelHeaders(t *testing.T) {
	ranges := map[bool][]question{
		false: ask(
			"-m iprange --src-range 10.0.0.1-10.0.0.10",
			"-m iprange ! --src-range 10.0.0.1-10.0.0.9 --dst-range 192.168.1.80-192.168.1.80",
			"-m iprange --dst-range 192.168.1.81-255.255.255.255",
			"-m iprange ! --dst-range 192.168.1.81-255.255.255.255",
		),
		true: ask(
			"-m iprange --src-range fd00:a::-fd00:a::10",
			"-m iprange ! --src-range fd00:a::-fd00:a::f --dst-range fd00:b::80-fd00:b::80",
			"-m iprange --dst-range fd00:b::81-ffff::",
			"-m iprange ! --dst-range fd00:b::81-ffff::",
			"-m eui64", // the addresses have no ff:fe in them
		),
	}
	exthdrs := map[bool][]question{true: open(
		"-m rt --rt-type 0", "-m hbh", "-m dst", "-m frag", "-m ah", "-m srh --srh-tag 0", "-m ipv6header --header protocol --soft",
	)}
	for _, v6 := range []bool{false, true} {
		src, dst := toServer(v6, 4711, 80)
		askKernel(t, &probe{
			name: "tcp" + suffixes[v6], hook: rules.Prerouting, proto: 6, src: src, dst: dst, in: "c0", send: knock(src, dst),
			ask: slices.Concat(tcpQuestions, ranges[v6], tcpOpen, exthdrs[v6], open("-m mac --mac-source 02:00:00:00:00:01", "-m mac ! --mac-source 02:00:00:00:00:01")),
		})
	}
}

// TestKernelOtherProtocols asks of packets without ports that an entry would
// tell.
func TestKernelOtherProtocols(t *testing.T) {
	a, b := netip.AddrPortFrom(lab.ClientAddr4, 0), netip.AddrPortFrom(lab.ServerAddr4, 0)
	for _, p := range []struct {
		name  string
		proto uint8
		ask   []question
	}{
		{"esp", 50, slices.Concat(ask("-p esp -m esp", "-p tcp -m tcp --dport 80"), open("-p esp -m esp --espspi 0:1000", "-p esp -m esp ! --espspi 5"))},
		{"ah", 51, slices.Concat(ask("-p ah -m ah"), open("-p ah -m ah --ahspi 0:1000", "-p ah -m ah ! --ahspi 5"))},
	} {
		askKernel(t, &probe{
			name: p.name, hook: rules.Prerouting, proto: p.proto, src: a, dst: b, in: "c0", ask: p.ask,
			send: packet4(p.proto, a.Addr(), b.Addr(), bytes.Repeat([]byte{0, 0, 1, 0}, 8)),
		})
	}
	src, dst := toServer(false, 4711, 5000)
	askKernel(t, &probe{
		name: "udp", hook: rules.Prerouting, proto: 17, src: src, dst: dst, in: "c0", send: datagram(src, dst),
		ask: ask(
			"-p udp -m udp --dport 5000", "-p udp -m udp ! --dport 5000", "-p udp -m udp --sport 4711 --dport 5000", "-p udp -m udp --sport 1:100",
			"-p udp -m multiport --dports 53,5000", "-p udp -m multiport ! --ports 53,5000", "-p tcp -m multiport --dports 53,5000",
			"-p sctp -m sctp --dport 5000", "-p dccp -m dccp ! --dport 5001",
		),
	})
}

// packet4 sends the client's own payload: what is shorter than its header the
// kernel drops.
func packet4(proto uint8, src, dst netip.Addr, payload []byte) func(*lab.Net) error {
	return func(n *lab.Net) error {
		return n.Client.Do(func() error {
			conn, err := net.ListenPacket(fmt.Sprintf("ip4:%d", proto), src.String())
			if err != nil {
				return err
			}
			defer conn.Close()
			_, err = conn.WriteTo(payload, &net.IPAddr{IP: dst.AsSlice()})
			return err
		})
	}
}

var suffixes = map[bool]string{false: "4", true: "6"}

// TestKernelICMP asks of an echo request.
func TestKernelICMP(t *testing.T) {
	askKernel(t, &probe{
		name: "icmp", hook: rules.Forward, proto: 1, in: "c0", out: "s0",
		src: netip.AddrPortFrom(lab.ClientAddr4, 8), dst: netip.AddrPortFrom(lab.ServerAddr4, 0),
		send: func(n *lab.Net) error { return n.Client.Ping(lab.ClientAddr4, lab.ServerAddr4, 7, false) },
		ask: ask(
			"-p icmp -m icmp --icmp-type any", "-p icmp -m icmp ! --icmp-type any",
			"-p icmp -m icmp --icmp-type 8", "-p icmp -m icmp ! --icmp-type 8", "-p icmp -m icmp --icmp-type 8/0",
			"-p icmp -m icmp ! --icmp-type 8/0", "-p icmp -m icmp --icmp-type 8/1", "-p icmp -m icmp ! --icmp-type 8/1",
			"-p icmp -m icmp --icmp-type 0", "-p icmp -m icmp ! --icmp-type 0",
		),
	})
	askKernel(t, &probe{
		name: "icmp6", hook: rules.Forward, proto: 58, in: "c0", out: "s0", gate: "-p icmpv6 -m icmp6 --icmpv6-type echo-request",
		src: netip.AddrPortFrom(lab.ClientAddr6, 128), dst: netip.AddrPortFrom(lab.ServerAddr6, 0),
		send: func(n *lab.Net) error { return n.Client.Ping(lab.ClientAddr6, lab.ServerAddr6, 7, false) },
		ask: ask(
			"-p icmpv6 -m icmp6 --icmpv6-type 255", "-p icmpv6 -m icmp6 ! --icmpv6-type 255",
			"-p icmpv6 -m icmp6 --icmpv6-type 128", "-p icmpv6 -m icmp6 ! --icmpv6-type 128",
			"-p icmpv6 -m icmp6 --icmpv6-type 128/0", "-p icmpv6 -m icmp6 ! --icmpv6-type 128/0",
			"-p icmpv6 -m icmp6 --icmpv6-type 128/1", "-p icmpv6 -m icmp6 ! --icmpv6-type 128/1",
		),
	})
}

// TestKernelDevices asks of what is on the packet's way through the router.
func TestKernelDevices(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		src, dst := toServer(v6, 4711, 80)
		questions := ask(
			"-m devgroup --src-group 0",
			"-m devgroup ! --src-group 0",
			"-m devgroup --src-group 0x10/0xf0",
			"-m devgroup ! --src-group 0x10/0xf0 --dst-group 0",
			"-m physdev --physdev-in eth0",
			"-m physdev ! --physdev-in eth0",
			"-m physdev ! --physdev-is-in ! --physdev-is-bridged",
			"-m physdev ! --physdev-is-in --physdev-is-bridged",
			"-m physdev --physdev-is-out",
		)
		nodes := []string{"0x00000001", "0x00000002", "0x00000004"}
		for _, seed := range []string{"0x00000000", "0xdeadbeef", "0x00001234"} {
			for _, mask := range nodes {
				questions = append(questions, ask(
					"-m cluster --cluster-total-nodes 3 --cluster-local-nodemask "+mask+" --cluster-hash-seed "+seed,
					"-m cluster --cluster-total-nodes 3 ! --cluster-local-nodemask "+mask+" --cluster-hash-seed "+seed,
				)...)
			}
		}
		askKernel(t, &probe{
			name: "forward" + suffixes[v6], hook: rules.Forward, proto: 6, src: src, dst: dst, in: "c0", out: "s0", send: knock(src, dst), ask: questions,
		})
	}
}

// TestKernelOwner asks of a packet of the client's own, and of one that the
// router forwards, which has no socket.
func TestKernelOwner(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		src, dst := toServer(v6, 4711, 80)
		options := []string{
			"-m owner --uid-owner 0", "-m owner ! --uid-owner 0", "-m owner --gid-owner 0", "-m owner ! --gid-owner 0",
			"-m owner --socket-exists", "-m owner ! --socket-exists", "-m owner ! --uid-owner 0 --gid-owner 0",
			"-m owner ! --uid-owner 0 ! --gid-owner 0", "-m owner --gid-owner 0 --suppl-groups",
			"-m owner ! --gid-owner 0 --suppl-groups", "-m owner ! --socket-exists ! --uid-owner 0",
		}
		q := probe{name: "local" + suffixes[v6], hook: rules.Output, proto: 6, src: src, dst: dst, out: "eth0", send: knock(src, dst), ask: open(options...)}
		askKernel(t, &q)
		// of a socket whose owner is known the further groups are not
		q.name, q.packet = "known"+suffixes[v6], func(p *rules.Packet) {
			p.UID, p.GID = rules.KnownUint(p.Order, 4, 0), rules.KnownUint(p.Order, 4, 0)
		}
		q.ask = ask(options...)
		if !lab.UserNamespace() { // which has no other groups
			q.ask = append(q.ask, open("-m owner --gid-owner 100-200 --suppl-groups", "-m owner ! --gid-owner 100-200 --suppl-groups")...)
		}
		askKernel(t, &q)
		q.packet = nil
		q.name, q.hook, q.in, q.out, q.ask = "forwarded"+suffixes[v6], rules.Postrouting, "c0", "s0", ask(options...)
		askKernel(t, &q)
	}
}

// TestKernelAddrtype asks of a packet that passes through the router, of one
// to the router, and of ones to groups.
func TestKernelAddrtype(t *testing.T) {
	both := []string{
		"-m addrtype --dst-type LOCAL", "-m addrtype ! --dst-type LOCAL", "-m addrtype --src-type LOCAL", "-m addrtype ! --src-type LOCAL",
		"-m addrtype --dst-type UNICAST", "-m addrtype ! --dst-type UNICAST", "-m addrtype --dst-type LOCAL,UNICAST",
		"-m addrtype --dst-type MULTICAST", "-m addrtype ! --dst-type MULTICAST,LOCAL", "-m addrtype --src-type UNICAST --dst-type LOCAL",
		"-m addrtype --src-type UNICAST ! --dst-type LOCAL", "-m addrtype --dst-type UNREACHABLE", "-m addrtype --dst-type UNSPEC",
		"-m addrtype --dst-type LOCAL --limit-iface-in", "-m addrtype ! --dst-type LOCAL --limit-iface-in",
		"-m addrtype --dst-type UNICAST --limit-iface-in", "-m addrtype --dst-type ANYCAST", "-m addrtype ! --src-type MULTICAST,UNSPEC",
		"-m addrtype --dst-type UNREACHABLE --limit-iface-in", "-m addrtype ! --dst-type UNREACHABLE,LOCAL --limit-iface-in",
		"-m addrtype --dst-type ANYCAST --limit-iface-in", "-m addrtype --src-type LOCAL --limit-iface-in", "-m addrtype --src-type UNICAST --limit-iface-in",
		"-m addrtype --dst-type ANYCAST,LOCAL", "-m addrtype --dst-type UNICAST,LOCAL --limit-iface-in",
	}
	only4 := []string{
		"-m addrtype --dst-type BROADCAST", "-m addrtype ! --dst-type BROADCAST,MULTICAST", "-m addrtype --dst-type BLACKHOLE,PROHIBIT,THROW",
	}
	for _, d := range []struct{ name, to string }{
		{"through4", "192.168.1.80"}, {"router4", "10.0.0.1"}, {"far4", "192.168.1.2"}, {"broadcast4", "10.0.0.255"}, {"all4", "255.255.255.255"}, {"multicast4", "224.0.0.1"},
		{"through6", "fd00:b::80"}, {"router6", "fd00:a::1"}, {"far6", "fd00:b::2"}, {"multicast6", "ff02::1"},
		{"anycast6", "fd00:a::"}, {"faranycast6", "fd00:b::"},
	} {
		to := netip.MustParseAddr(d.to)
		src, _ := toServer(to.Is6(), 4711, 0)
		dst := netip.AddrPortFrom(to, 5353)
		options := both
		if to.Is4() {
			options = slices.Concat(both, only4)
		}
		askKernel(t, &probe{name: d.name, hook: rules.Prerouting, proto: 17, src: src, dst: dst, in: "c0", send: shout(src, dst), ask: ask(options...)})
	}
}

// shout sends a datagram from the client; a group of its link is reached by
// its device.
func shout(src, dst netip.AddrPort) func(*lab.Net) error {
	if dst.Addr().Is6() && dst.Addr().IsMulticast() {
		dst = netip.AddrPortFrom(dst.Addr().WithZone("eth0"), dst.Port())
	}
	return datagram(src, dst)
}

// TestKernelNoDevice asks of devices where there is one, and where there is
// none (nulldevname): iptables takes such rules in a chain of one's own.
func TestKernelNoDevice(t *testing.T) {
	questions := ask(
		"-i c0", "! -i c0", "-i c+", "! -i c+", "-i eth0", "! -i eth0", "-i e+", "! -i e+",
		"-o s0", "! -o s0", "-o s+", "! -o s+", "-o eth0", "! -o eth0", "! -i s0 ! -o c0",
	)
	for _, v6 := range []bool{false, true} {
		src, dst := toServer(v6, 4711, 80)
		q := probe{proto: 6, src: src, dst: dst, send: knock(src, dst), ask: questions}
		q.name, q.hook, q.in = "in"+suffixes[v6], rules.Prerouting, "c0"
		askKernel(t, &q)
		q.name, q.hook, q.out = "through"+suffixes[v6], rules.Forward, "s0"
		askKernel(t, &q)
		q.name, q.hook = "leaving"+suffixes[v6], rules.Postrouting
		askKernel(t, &q)
		q.name, q.hook, q.in, q.out = "out"+suffixes[v6], rules.Output, "", "eth0"
		askKernel(t, &q)
	}
}
