package lab

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Lab is a set of hosts that live as long as it does.
type Lab struct {
	mu      sync.Mutex
	hosts   []*Host
	closers []io.Closer
	named   bool
	closed  bool
}

// New makes an empty lab. It fails where this process may not make network
// namespaces.
func New() (*Lab, error) {
	l := &Lab{}
	probe, err := newNetns()
	if err != nil {
		return nil, fmt.Errorf("network namespace: %w (needs root, or a user namespace)", err)
	}
	return l, probe.Close()
}

// Close ends the traffic and drops every host. A namespace goes once nothing
// holds it any more.
func (l *Lab) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	closers, hosts := l.closers, l.hosts
	l.mu.Unlock()
	for i := len(closers) - 1; i >= 0; i-- {
		closers[i].Close() // an error here loses nothing: the namespace goes next
	}
	var errs []error
	for _, h := range hosts {
		errs = append(errs, h.close())
	}
	return errors.Join(errs...)
}

// keep closes c together with the lab, at once when that is over already.
func (l *Lab) keep(c io.Closer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		c.Close()
		return
	}
	l.closers = append(l.closers, c)
}

// Host is one machine of the lab: a network namespace.
type Host struct {
	Name string
	lab  *Lab
	ns   *os.File
	path string // of its bind mount, "" for none
	mark uint32 // SO_MARK of its sockets
	dev  string // SO_BINDTODEVICE of them
}

// Host adds a machine without any link but lo.
func (l *Lab) Host(name string) (*Host, error) {
	ns, err := newNetns()
	if err != nil {
		return nil, fmt.Errorf("host %s: %w", name, err)
	}
	h := &Host{Name: name, lab: l, ns: ns}
	l.mu.Lock()
	l.hosts = append(l.hosts, h)
	l.mu.Unlock()
	if l.named {
		if err := h.publish(); err != nil {
			return nil, err
		}
	}
	if err := h.Sysctl(quiet...); err != nil {
		return nil, err
	}
	return h, h.Do(func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return fmt.Errorf("host %s: lo: %w", name, err)
		}
		return netlink.LinkSetUp(lo)
	})
}

// quiet are the settings without which a new link would wait for duplicate
// address detection, and answers that come another way would be dropped. Those
// of IPv4 come from the machine otherwise (net.core.devconf_inherit_init_net).
var quiet = []string{
	"net.ipv4.ip_forward=0",
	"net.ipv6.conf.all.forwarding=0",
	"net.ipv4.conf.all.rp_filter=0",
	"net.ipv4.conf.default.rp_filter=0",
	"net.ipv6.conf.all.accept_dad=0",
	"net.ipv6.conf.default.accept_dad=0",
	"net.ipv6.conf.default.dad_transmits=0",
	"net.ipv6.conf.default.accept_ra=0",
	"net.ipv6.conf.default.router_solicitations=0",
}

// Path is a file that names the host's namespace, for --netns.
func (h *Host) Path() string {
	if h.path != "" {
		return h.path
	}
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), h.ns.Fd())
}

// Fd is the namespace's descriptor; it stays the lab's.
func (h *Host) Fd() int { return int(h.ns.Fd()) }

func (h *Host) close() error {
	if h.path != "" {
		// busy or gone: the mount namespace is ours alone and ends with us
		_ = unix.Unmount(h.path, unix.MNT_DETACH)
		_ = os.Remove(h.path)
	}
	return h.ns.Close()
}

// Do runs f on a thread that is inside the host. What f opens stays there.
// It must not start goroutines that open sockets.
func (h *Host) Do(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			runtime.UnlockOSThread()
			done <- fmt.Errorf("host %s: %w", h.Name, err)
			return
		}
		defer home.Close()
		if err := unix.Setns(h.Fd(), unix.CLONE_NEWNET); err != nil {
			runtime.UnlockOSThread()
			done <- fmt.Errorf("host %s: enter namespace: %w", h.Name, err)
			return
		}
		err = f()
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread() // else the thread ends with this goroutine
		}
		done <- err
	}()
	return <-done
}

// newNetns makes a namespace that lives as long as the file is open.
func newNetns() (*os.File, error) {
	type result struct {
		f   *os.File
		err error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			runtime.UnlockOSThread()
			done <- result{nil, err}
			return
		}
		defer home.Close()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			runtime.UnlockOSThread()
			done <- result{nil, err}
			return
		}
		f, err := os.Open("/proc/thread-self/ns/net")
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		done <- result{f, err}
	}()
	r := <-done
	return r.f, r.err
}

// Sysctl sets "key=value" lines, keys with dots, in the host's namespace.
func (h *Host) Sysctl(lines ...string) error {
	return h.Do(func() error {
		for _, line := range lines {
			key, value, ok := strings.Cut(line, "=")
			if !ok {
				return fmt.Errorf("sysctl %q: want key=value", line)
			}
			path := "/proc/sys/" + strings.ReplaceAll(key, ".", "/")
			if err := os.WriteFile(path, []byte(value), 0); err != nil {
				return fmt.Errorf("host %s: sysctl %s: %w", h.Name, key, err)
			}
		}
		return nil
	})
}

// End is one end of a link: the host, the device's name, its addresses.
type End struct {
	Host  *Host
	Dev   string
	Addrs []netip.Prefix
}

// Link connects two hosts by a veth pair with addresses on both ends.
func (l *Lab) Link(a, b End) error {
	err := a.Host.Do(func() error {
		veth := &netlink.Veth{
			LinkAttrs:     netlink.LinkAttrs{Name: a.Dev},
			PeerName:      b.Dev,
			PeerNamespace: netlink.NsFd(b.Host.Fd()),
		}
		return netlink.LinkAdd(veth)
	})
	if err != nil {
		return fmt.Errorf("link %s %s: %w", a.Dev, b.Dev, err)
	}
	for _, e := range []End{a, b} {
		if err := e.up(); err != nil {
			return err
		}
	}
	for _, e := range []End{a, b} {
		if err := e.ready(); err != nil {
			return err
		}
		if err := e.Host.Addr(e.Dev, e.Addrs...); err != nil {
			return err
		}
	}
	return nil
}

// ready waits until the kernel has noticed that the link is up
// (linkwatch_do_dev): what is sent before is lost, and asking a neighbour
// again takes a second.
func (e End) ready() error {
	err := e.Host.Do(func() error {
		return until(func() error {
			link, err := netlink.LinkByName(e.Dev)
			if err != nil {
				return err
			}
			if link.Attrs().OperState != netlink.OperUp {
				return errNotReady
			}
			return solicits(link)
		})
	})
	if err != nil {
		return fmt.Errorf("host %s: %s: %w", e.Host.Name, e.Dev, err)
	}
	return nil
}

// solicits tells whether link has its link-local address: without it a router
// does not ask for neighbours (ndisc_solicit), and it comes from a work queue.
func solicits(link netlink.Link) error {
	addrs, err := netlink.AddrList(link, netlink.FAMILY_V6)
	if err != nil {
		return err
	}
	for _, a := range addrs {
		if a.IP.IsLinkLocalUnicast() && a.Flags&unix.IFA_F_TENTATIVE == 0 {
			return nil
		}
	}
	return errNotReady
}

var errNotReady = errors.New("not ready")

func (e End) up() error {
	return e.Host.Do(func() error {
		link, err := netlink.LinkByName(e.Dev)
		if err == nil {
			err = netlink.LinkSetUp(link)
		}
		if err != nil {
			return fmt.Errorf("host %s: %s up: %w", e.Host.Name, e.Dev, err)
		}
		return nil
	})
}

// Addr adds addresses to a device; IPv6 ones are usable at once.
func (h *Host) Addr(dev string, addrs ...netip.Prefix) error {
	return h.Do(func() error {
		link, err := netlink.LinkByName(dev)
		if err != nil {
			return fmt.Errorf("host %s: %s: %w", h.Name, dev, err)
		}
		for _, p := range addrs {
			a, err := netlink.ParseAddr(p.String())
			if err != nil {
				return fmt.Errorf("address %s: %w", p, err)
			}
			if p.Addr().Is6() {
				a.Flags = unix.IFA_F_NODAD
			}
			if err := netlink.AddrAdd(link, a); err != nil {
				return fmt.Errorf("host %s: %s: address %s: %w", h.Name, dev, p, err)
			}
		}
		return h.own(addrs)
	})
}

// own waits until packets to the addresses are taken in: the local route of an
// IPv6 address comes from a work queue too (addrconf_dad_work).
func (h *Host) own(addrs []netip.Prefix) error {
	for _, p := range addrs {
		err := until(func() error {
			routes, err := netlink.RouteGet(p.Addr().AsSlice())
			if err != nil || len(routes) == 0 || routes[0].Type != unix.RTN_LOCAL {
				return errNotReady
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("host %s: address %s: %w", h.Name, p, err)
		}
	}
	return nil
}

// until asks again and again for as long as the answer is errNotReady.
func until(ask func() error) error {
	limit := time.NewTimer(patience)
	defer limit.Stop()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for {
		err := ask()
		if !errors.Is(err, errNotReady) {
			return err
		}
		select {
		case <-look.C:
		case <-limit.C:
			return fmt.Errorf("%w after %v", err, patience)
		}
	}
}

// Route adds a route by a gateway.
func (h *Host) Route(dst netip.Prefix, via netip.Addr) error {
	return h.Do(func() error {
		_, ipnet, err := parseCIDR(dst)
		if err != nil {
			return err
		}
		r := &netlink.Route{Dst: ipnet, Gw: via.AsSlice()}
		if err := netlink.RouteAdd(r); err != nil {
			return fmt.Errorf("host %s: route %s via %s: %w", h.Name, dst, via, err)
		}
		return nil
	})
}
