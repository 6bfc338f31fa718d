package lab

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Crowd is more entries than any test has in a namespace that it does not fill:
// the limit of the table, which is one for all, is not set below it.
const Crowd = 150_000

// Entry is one that Fill makes.
type Entry struct {
	Proto    uint8 // TCP, established, or UDP
	Src, Dst netip.AddrPort
	NAT      netip.AddrPort // the source after SNAT; none where it is not set
	DNAT     netip.AddrPort // the destination after DNAT; likewise
	Assured  bool           // and has seen replies
	Timeout  uint32         // in seconds; 0 for an hour
}

// Fill makes n entries in h's table without a packet, some hundred a message;
// the kernel answers only what it refuses.
func (h *Host) Fill(n int, entry func(i int) Entry) error {
	return h.Do(func() error {
		f, err := newFiller(entry)
		if err != nil {
			return fmt.Errorf("fill: %w", err)
		}
		defer unix.Close(f.fd)
		if err := f.until(n); err != nil {
			return fmt.Errorf("fill: %w", err)
		}
		return nil
	})
}

// filler makes entries one after the other.
type filler struct {
	fd        int
	n         int // were made
	entry     func(i int) Entry
	b, answer []byte
}

func newFiller(entry func(i int) Entry) (*filler, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	return &filler{fd: fd, entry: entry, answer: make([]byte, 64<<10)}, err
}

// until goes on until n entries are made.
func (f *filler) until(n int) error {
	for f.n < n {
		f.b = f.b[:0]
		for ; f.n < n && len(f.b) < 60<<10; f.n++ {
			f.b = appendEntry(f.b, f.entry(f.n))
		}
		if err := unix.Sendto(f.fd, f.b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			return err
		}
		switch got, _, err := unix.Recvfrom(f.fd, f.answer, unix.MSG_DONTWAIT); {
		case err == nil && got >= 20:
			return fmt.Errorf("entry before %d: %w", f.n, unix.Errno(-int32(binary.NativeEndian.Uint32(f.answer[16:]))))
		case err != nil && err != unix.EAGAIN:
			return err
		}
	}
	return nil
}

// appendEntry is one IPCTNL_MSG_CT_NEW, with the NAT that rules would
// have set up (ctnetlink_create_conntrack).
func appendEntry(b []byte, e Entry) []byte {
	at := len(b)
	b = append(b, make([]byte, 16)...)
	b = append(b, unix.AF_INET, 0, 0, 0)
	b = appendTuple(b, 1, e.Proto, e.Src, e.Dst)
	b = appendTuple(b, 2, e.Proto, e.Dst, e.Src)
	status := byte(0x08) // CTA_STATUS: confirmed
	if e.Assured {
		status |= 0x06 // seen reply, assured
	}
	b = raw(b, 3, 0, 0, 0, status)
	timeout := e.Timeout
	if timeout == 0 {
		timeout = 3600
	}
	b = raw(b, 7, binary.BigEndian.AppendUint32(nil, timeout)...) // CTA_TIMEOUT
	if e.Proto == unix.IPPROTO_TCP {
		b = nest(b, 4|nested, func(b []byte) []byte {
			return nest(b, 1|nested, func(b []byte) []byte { return raw(b, 1, 3) }) // established
		})
	}
	b = appendNAT(b, 6, e.NAT)   // CTA_NAT_SRC
	b = appendNAT(b, 13, e.DNAT) // CTA_NAT_DST
	h := b[at:]
	binary.NativeEndian.PutUint32(h, uint32(len(h)))
	binary.NativeEndian.PutUint16(h[4:], unix.NFNL_SUBSYS_CTNETLINK<<8)
	binary.NativeEndian.PutUint16(h[6:], unix.NLM_F_REQUEST|unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	return b
}

// appendNAT is the range of one end that NAT sets up, one address and port.
func appendNAT(b []byte, typ uint16, to netip.AddrPort) []byte {
	if !to.IsValid() {
		return b
	}
	return nest(b, typ|nested, func(b []byte) []byte {
		a := to.Addr().AsSlice()
		b = raw(raw(b, 1, a...), 2, a...)
		return nest(b, 3|nested, func(b []byte) []byte {
			p := binary.BigEndian.AppendUint16(nil, to.Port())
			return raw(raw(b, 1, p...), 2, p...)
		})
	})
}

// appendTuple is CTA_TUPLE_ORIG or CTA_TUPLE_REPLY.
func appendTuple(b []byte, typ uint16, proto uint8, src, dst netip.AddrPort) []byte {
	return nest(b, typ|nested, func(b []byte) []byte {
		b = nest(b, 1|nested, func(b []byte) []byte { // CTA_TUPLE_IP
			return raw(raw(b, 1, src.Addr().AsSlice()...), 2, dst.Addr().AsSlice()...)
		})
		return nest(b, 2|nested, func(b []byte) []byte { // CTA_TUPLE_PROTO
			b = raw(b, 1, proto)
			b = raw(b, 2, byte(src.Port()>>8), byte(src.Port()))
			return raw(b, 3, byte(dst.Port()>>8), byte(dst.Port()))
		})
	})
}

const nested = unix.NLA_F_NESTED

// nest appends an attribute whose value f appends.
func nest(b []byte, typ uint16, f func([]byte) []byte) []byte {
	at := len(b)
	b = binary.NativeEndian.AppendUint16(append(b, 0, 0), typ)
	b = f(b)
	binary.NativeEndian.PutUint16(b[at:], uint16(len(b)-at))
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func raw(b []byte, typ uint16, v ...byte) []byte {
	return nest(b, typ, func(b []byte) []byte { return append(b, v...) })
}
