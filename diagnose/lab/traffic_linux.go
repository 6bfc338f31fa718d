package lab

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long an answer may take; on veth links it takes microseconds.
const patience = 2 * time.Second

// payload is what the helpers send. TCP echoes; UDP answers with something
// else, and only this: two that echo would never be done with each other.
var (
	payload = []byte("ping\n")
	answer  = []byte("pong\n")
)

// TCP connects, has one payload echoed, and leaves the connection open until
// the lab ends. The zero src lets the host choose.
func (h *Host) TCP(src, dst netip.AddrPort) (net.Conn, error) {
	conn, err := h.dial("tcp", src, dst)
	if err != nil {
		return nil, err
	}
	return conn, exchange(conn, payload)
}

// UDP sends one datagram and, when reply, waits for the answer.
func (h *Host) UDP(src, dst netip.AddrPort, reply bool) (net.Conn, error) {
	conn, err := h.dial("udp", src, dst)
	if err != nil {
		return nil, err
	}
	if reply {
		return conn, exchange(conn, answer)
	}
	_, err = conn.Write(payload)
	return conn, err
}

// Knock sends a SYN and does not care whether anybody answers.
func (h *Host) Knock(src, dst netip.AddrPort) error {
	typ := unix.SOCK_STREAM | unix.SOCK_NONBLOCK | unix.SOCK_CLOEXEC
	return h.Do(func() error {
		fam, to := sockaddr(dst)
		fd, err := unix.Socket(fam, typ, 0)
		if err != nil {
			return fmt.Errorf("tcp %s: %w", dst, err)
		}
		h.lab.keep(fdCloser(fd))
		if src.IsValid() {
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
			_, from := sockaddr(src)
			if err := unix.Bind(fd, from); err != nil {
				return fmt.Errorf("tcp from %s: %w", src, err)
			}
		}
		if err := unix.Connect(fd, to); err != nil && !errors.Is(err, unix.EINPROGRESS) {
			return fmt.Errorf("tcp %s: %w", dst, err)
		}
		return nil
	})
}

type fdCloser int

func (f fdCloser) Close() error { return unix.Close(int(f)) }

func sockaddr(a netip.AddrPort) (int, unix.Sockaddr) {
	if a.Addr().Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return unix.AF_INET6, &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

// exchange sends payload and reads what is to come back.
func exchange(conn net.Conn, want []byte) error {
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := conn.Write(payload); err != nil {
		return err
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(conn, got); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("answer: %q, want %q", got, want)
	}
	return conn.SetDeadline(time.Time{})
}

func (h *Host) dial(network string, src, dst netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{Timeout: patience, Control: h.socketOptions}
	if src.IsValid() {
		if network == "tcp" {
			d.LocalAddr = net.TCPAddrFromAddrPort(src)
		} else {
			d.LocalAddr = net.UDPAddrFromAddrPort(src)
		}
	}
	var conn net.Conn
	err := h.Do(func() (err error) {
		conn, err = d.Dial(network, dst.String())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("host %s: %w", h.Name, err)
	}
	h.lab.keep(conn)
	return conn, nil
}

// Marked is the host with a mark on the packets of its sockets.
func (h *Host) Marked(mark uint32) *Host {
	c := *h
	c.mark = mark
	return &c
}

// Bound is the host with its sockets of TCP and UDP bound to a device.
func (h *Host) Bound(dev string) *Host {
	c := *h
	c.dev = dev
	return &c
}

// socketOptions lets two flows leave from one port to different destinations.
func (h *Host) socketOptions(_, _ string, c syscall.RawConn) error {
	var errs []error
	cerr := c.Control(func(fd uintptr) {
		for opt, v := range map[int]int{unix.SO_REUSEADDR: 1, unix.SO_REUSEPORT: 1, unix.SO_MARK: int(h.mark)} {
			if v != 0 {
				errs = append(errs, unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, opt, v))
			}
		}
		if h.dev != "" {
			errs = append(errs, unix.BindToDevice(int(fd), h.dev))
		}
	})
	return errors.Join(append(errs, cerr)...)
}

// Datagram sends one packet of an IPv4 protocol without ports; nobody answers.
func (h *Host) Datagram(proto uint8, src, dst netip.Addr) error {
	return h.Do(func() error {
		conn, err := net.ListenPacket(fmt.Sprintf("ip4:%d", proto), src.String())
		if err != nil {
			return fmt.Errorf("host %s: protocol %d: %w", h.Name, proto, err)
		}
		defer conn.Close()
		_, err = conn.WriteTo(payload, &net.IPAddr{IP: dst.AsSlice()})
		return err
	})
}

// Ping sends one echo request with the given id by a raw socket and, when
// reply, waits for the answer.
func (h *Host) Ping(src, dst netip.Addr, id uint16, reply bool) error {
	network, request, echo := "ip4:icmp", byte(8), byte(0)
	if dst.Is6() {
		network, request, echo = "ip6:ipv6-icmp", 128, 129
	}
	from := ""
	if src.IsValid() {
		from = src.String()
	} else if from = "0.0.0.0"; dst.Is6() {
		from = "::"
	}
	var conn net.PacketConn
	err := h.Do(func() (err error) {
		conn, err = net.ListenPacket(network, from)
		return err
	})
	if err != nil {
		return fmt.Errorf("host %s: ping %s: %w", h.Name, dst, err)
	}
	defer conn.Close()
	msg := echoRequest(request, id)
	if _, err := conn.WriteTo(msg, &net.IPAddr{IP: dst.AsSlice()}); err != nil || !reply {
		return err
	}
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	buf := make([]byte, 1500)
	for {
		n, _, err := conn.ReadFrom(buf)
		if err != nil {
			return fmt.Errorf("host %s: ping %s: answer: %w", h.Name, dst, err)
		}
		if n >= 8 && buf[0] == echo && binary.BigEndian.Uint16(buf[4:]) == id {
			return nil
		}
	}
}

// echoRequest has the checksum that ICMP needs; for ICMPv6 the kernel puts its
// own over it.
func echoRequest(typ byte, id uint16) []byte {
	b := make([]byte, 16)
	b[0] = typ
	binary.BigEndian.PutUint16(b[4:], id)
	binary.BigEndian.PutUint16(b[6:], 1)
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(b[2:], ^uint16(sum))
	return b
}

// Listen answers on one port, "tcp" or "udp", of every address of both
// families until the lab ends.
func (h *Host) Listen(proto string, port uint16) error {
	switch proto {
	case "tcp":
		return h.listenTCP(port, nil)
	case "udp":
		for _, network := range []string{"udp4", "udp6"} {
			if err := h.listenUDP(network, port); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("listen on %q: want tcp or udp", proto)
}

// ListenTransparent answers TCP over IPv4 on one port, also what was sent to
// addresses that are not the host's own (IP_TRANSPARENT).
func (h *Host) ListenTransparent(port uint16) error {
	return h.listenTCP(port, func(_, _ string, c syscall.RawConn) error {
		var err error
		cerr := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_TRANSPARENT, 1) })
		return errors.Join(cerr, err)
	})
}

func (h *Host) listenTCP(port uint16, options func(network, address string, c syscall.RawConn) error) error {
	network, lc := "tcp", net.ListenConfig{Control: options}
	if options != nil {
		network = "tcp4"
	}
	var ln net.Listener
	err := h.Do(func() (err error) {
		ln, err = lc.Listen(context.Background(), network, fmt.Sprintf(":%d", port))
		return err
	})
	if err != nil {
		return fmt.Errorf("host %s: %w", h.Name, err)
	}
	h.lab.keep(ln)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return // closed
			}
			h.lab.keep(conn)
			go io.Copy(conn, conn) //nolint:errcheck // ends with the connection
		}
	}()
	return nil
}

// listenUDP answers from the very address that was asked.
func (h *Host) listenUDP(network string, port uint16) error {
	lc := net.ListenConfig{Control: packetInfo}
	var pc net.PacketConn
	err := h.Do(func() (err error) {
		pc, err = lc.ListenPacket(context.Background(), network, fmt.Sprintf(":%d", port))
		return err
	})
	if err != nil {
		return fmt.Errorf("host %s: %w", h.Name, err)
	}
	h.lab.keep(pc)
	conn := pc.(*net.UDPConn)
	go func() {
		buf, oob := make([]byte, 2048), make([]byte, 256)
		for {
			n, on, _, from, err := conn.ReadMsgUDPAddrPort(buf, oob)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				continue // an ICMP error of an earlier answer
			}
			if !bytes.Equal(buf[:n], payload) {
				continue
			}
			conn.WriteMsgUDPAddrPort(answer, oob[:on], from) //nolint:errcheck // the asker's deadline tells
		}
	}()
	return nil
}

func packetInfo(network, _ string, c syscall.RawConn) error {
	var err error
	cerr := c.Control(func(fd uintptr) {
		if network == "udp4" {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
		} else {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
		}
	})
	return errors.Join(cerr, err)
}
