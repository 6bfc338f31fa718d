package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Wire puts packets on a link as they are, past the sender's own network stack.
// They reach the other end with no word about their checksum (CHECKSUM_NONE),
// so that conntrack verifies it there.
type Wire struct {
	host   *Host
	fd     int
	to     unix.SockaddrLinklayer
	header []byte // of Ethernet, without the type
}

// Wire opens the device dev of h, whose other end is peer's device peerDev.
func (h *Host) Wire(dev string, peer *Host, peerDev string) (*Wire, error) {
	w := &Wire{host: h}
	far, err := peer.link(peerDev)
	if err != nil {
		return nil, err
	}
	near, err := h.link(dev)
	if err != nil {
		return nil, err
	}
	w.header = append(append(w.header, far.HardwareAddr...), near.HardwareAddr...)
	w.to = unix.SockaddrLinklayer{Ifindex: near.Index}
	err = h.Do(func() (err error) {
		w.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("host %s: %s: %w", h.Name, dev, err)
	}
	h.lab.keep(fdCloser(w.fd))
	return w, nil
}

func (h *Host) link(dev string) (*netlink.LinkAttrs, error) {
	var attrs *netlink.LinkAttrs
	err := h.Do(func() error {
		link, err := netlink.LinkByName(dev)
		if err != nil {
			return fmt.Errorf("host %s: %s: %w", h.Name, dev, err)
		}
		attrs = link.Attrs()
		return nil
	})
	return attrs, err
}

// Send sends the packets.
func (w *Wire) Send(packets ...Packet) error {
	return inOrder(func() error {
		for _, p := range packets {
			etherType := uint16(unix.ETH_P_IP)
			if !p.Src.Is4() {
				etherType = unix.ETH_P_IPV6
			}
			frame := append(w.header[:12:12], uint8(etherType>>8), uint8(etherType))
			if err := unix.Sendto(w.fd, append(frame, p.Bytes()...), 0, &w.to); err != nil {
				return fmt.Errorf("host %s: send to %s: %w", w.host.Name, p.Dst, err)
			}
		}
		return nil
	})
}

// inOrder runs f on the first of the CPUs that this thread may use. What veth
// links carry is received on the CPU that has sent it: from one CPU all hosts
// see packets in the order in which they were sent.
func inOrder(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all, first unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return fmt.Errorf("one CPU: %w", err)
	}
	for cpu := 0; first.Count() == 0; cpu++ {
		if all.IsSet(cpu) {
			first.Set(cpu)
		}
	}
	if err := unix.SchedSetaffinity(0, &first); err != nil {
		return fmt.Errorf("one CPU: %w", err)
	}
	err := f()
	return errors.Join(err, unix.SchedSetaffinity(0, &all))
}

// Emit sends packets from the host itself, by way of its output hook: the
// kernel puts IPv4's header checksum right and takes the rest as it is, fragments
// too (IP_NODEFRAG).
func (h *Host) Emit(packets ...Packet) error {
	return h.Do(func() error {
		return inOrder(func() error {
			for _, p := range packets {
				if err := emit(p); err != nil {
					return fmt.Errorf("host %s: send to %s: %w", h.Name, p.Dst, err)
				}
			}
			return nil
		})
	})
}

func emit(p Packet) error {
	family, level, options := unix.AF_INET6, unix.IPPROTO_IPV6, []int{unix.IPV6_HDRINCL}
	var to unix.Sockaddr = &unix.SockaddrInet6{Addr: p.Dst.As16()}
	if p.Dst.Is4() {
		family, level, options = unix.AF_INET, unix.IPPROTO_IP, []int{unix.IP_HDRINCL, unix.IP_NODEFRAG}
		to = &unix.SockaddrInet4{Addr: p.Dst.As4()}
	}
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for _, option := range options {
		if err := unix.SetsockoptInt(fd, level, option, 1); err != nil {
			return err
		}
	}
	return unix.Sendto(fd, p.Bytes(), 0, to)
}

// Tap sees the IPv4 and IPv6 packets that come in at a device, before anything
// is done to them.
type Tap struct {
	host *Host
	fd   int
	buf  []byte
	seen [][]byte
}

// Tap opens dev.
func (h *Host) Tap(dev string) (*Tap, error) {
	t := &Tap{host: h, buf: make([]byte, 64<<10)}
	attrs, err := h.link(dev)
	if err != nil {
		return nil, err
	}
	err = h.Do(func() (err error) {
		// SOCK_DGRAM: without the link's header
		if t.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		return unix.Bind(t.fd, &unix.SockaddrLinklayer{Protocol: order(unix.ETH_P_ALL), Ifindex: attrs.Index})
	})
	if err != nil {
		return nil, fmt.Errorf("host %s: %s: %w", h.Name, dev, err)
	}
	h.lab.keep(fdCloser(t.fd))
	return t, nil
}

// order is an EtherType in network order, as the kernel's structs hold it.
func order(etherType uint16) uint16 {
	return binary.NativeEndian.Uint16([]byte{uint8(etherType >> 8), uint8(etherType)})
}

// Until reads until done says that a packet is the one waited for, and returns
// all that came before it, from their network header on.
func (t *Tap) Until(done func(packet []byte) bool) ([][]byte, error) {
	end := time.Now().Add(patience)
	t.seen = nil
	for {
		n, from, err := unix.Recvfrom(t.fd, t.buf, unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EAGAIN):
			left := time.Until(end)
			if left <= 0 {
				return t.seen, fmt.Errorf("host %s: not seen within %v: the packet waited for", t.host.Name, patience)
			}
			fds := []unix.PollFd{{Fd: int32(t.fd), Events: unix.POLLIN}}
			if _, err := unix.Poll(fds, int(left.Milliseconds())+1); err != nil && !errors.Is(err, unix.EINTR) {
				return t.seen, err
			}
			continue
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return t.seen, fmt.Errorf("host %s: tap: %w", t.host.Name, err)
		}
		ll, ok := from.(*unix.SockaddrLinklayer)
		if !ok || ll.Pkttype == unix.PACKET_OUTGOING || ll.Protocol != order(unix.ETH_P_IP) && ll.Protocol != order(unix.ETH_P_IPV6) {
			continue
		}
		packet := append([]byte(nil), t.buf[:n]...)
		if done(packet) {
			return t.seen, nil
		}
		t.seen = append(t.seen, packet)
	}
}
