package capture

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

// soNetnsCookie is SO_NETNS_COOKIE (include/uapi/asm-generic/socket.h).
const soNetnsCookie = 71

// Place tells this namespace from all others; what the kernel does not tell
// stays zero.
func (l *Live) Place() host.Place {
	var p host.Place
	// a closed namespace has no place
	_ = l.ns.do(func() {
		if b, err := os.ReadFile("/proc/sys/kernel/random/boot_id"); err == nil {
			p.BootID = strings.TrimSpace(string(b))
		}
		var st unix.Stat_t
		if err := unix.Stat("/proc/thread-self/ns/net", &st); err == nil {
			p.Inode = st.Ino
		}
		c, err := newConn(unix.NETLINK_ROUTE)
		if err != nil {
			return
		}
		defer c.close()
		if n, err := unix.GetsockoptUint64(c.fd, unix.SOL_SOCKET, soNetnsCookie); err == nil {
			p.Cookie = n
		}
	})
	return p
}
