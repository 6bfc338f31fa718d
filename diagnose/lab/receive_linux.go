package lab

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// Receive dumps h's conntrack table and looks at nothing of it but whether it is
// over: the least that a reader of the table can do. It tells how many bytes
// came.
func Receive(h *Host) (bytes int, err error) {
	err = h.Do(func() error {
		bytes, err = ReceiveHere()
		return err
	})
	return bytes, err
}

// ReceiveHere is Receive of the namespace that the calling thread is in.
func ReceiveHere() (bytes int, err error) {
	if bytes, err = receive(); err != nil {
		return bytes, fmt.Errorf("receive: %w", err)
	}
	return bytes, nil
}

func receive() (bytes int, err error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	const length = 16 + 4 // struct nlmsghdr, struct nfgenmsg
	ask := binary.NativeEndian.AppendUint32(nil, length)
	ask = binary.NativeEndian.AppendUint16(ask, unix.NFNL_SUBSYS_CTNETLINK<<8|1) // IPCTNL_MSG_CT_GET
	ask = binary.NativeEndian.AppendUint16(ask, unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	ask = append(ask, make([]byte, length-len(ask))...)
	if err := unix.Sendto(fd, ask, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, err
	}
	buf := make([]byte, 64<<10)
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return bytes, err
		case n < 16:
			return bytes, fmt.Errorf("a message of %d bytes", n)
		}
		bytes += n
		// NLMSG_DONE comes in a datagram of its own (netlink_dump): what
		// ctnetlink_dump_table returns is how much is in this one
		switch typ := binary.NativeEndian.Uint16(buf[4:]); {
		case typ == unix.NLMSG_ERROR && n >= 20:
			return bytes, unix.Errno(-int32(binary.NativeEndian.Uint32(buf[16:])))
		case typ == unix.NLMSG_DONE:
			return bytes, nil
		}
	}
}
