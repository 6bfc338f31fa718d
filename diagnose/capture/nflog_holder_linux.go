package capture

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// groupTaken words the refusal of a group. The kernel answers EPERM both to
// who may not and to who comes second (nfulnl_recv_config).
func (l *Live) groupTaken(what string, group uint16, err error) error {
	var taken bool
	var portid uint32
	var listErr error
	closed := l.ns.do(func() { portid, taken, listErr = groupHolder(group) })
	switch {
	case closed != nil:
		return explainErr(what, closed, nil)
	case taken:
		var who string
		if closed := l.ns.do(func() { who = holderName(portid) }); closed != nil {
			return explainErr(what, closed, nil)
		}
		return &OpError{What: what, Why: "in use by " + who, Err: errors.Join(unix.EBUSY, ErrGroupTaken)}
	case listErr != nil:
		return &OpError{What: what, Why: "permission denied (needs CAP_NET_ADMIN), or another program has it", Err: err}
	}
	return explainErr(what, err, netlinkReasons(logModule))
}

// groupHolder reads who has a group: /proc/net/netfilter/nfnetlink_log is
// "group portid queued mode range timeout references" a line (seq_show).
func groupHolder(group uint16) (portid uint32, taken bool, err error) {
	b, err := os.ReadFile("/proc/thread-self/net/netfilter/nfnetlink_log")
	if err != nil {
		return 0, false, err
	}
	for line := range bytes.Lines(b) {
		w := strings.Fields(string(line))
		if len(w) < 2 || w[0] != strconv.Itoa(int(group)) {
			continue
		}
		id, err := strconv.ParseUint(w[1], 10, 32)
		return uint32(id), true, err
	}
	return 0, false, nil
}

// holderName names the process whose netlink socket has a port id: by the
// socket's inode, for the number need not be a process id.
func holderName(portid uint32) string {
	unknown := fmt.Sprintf("another program (netlink port %d)", portid)
	inode, ok := netlinkInode(portid)
	if !ok {
		return unknown
	}
	want := "socket:[" + inode + "]"
	procs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return unknown
	}
	for _, dir := range procs {
		fds, err := os.ReadDir(dir + "/fd")
		if err != nil {
			continue // another user's, or gone: then its owner stays unknown
		}
		for _, fd := range fds {
			if to, err := os.Readlink(dir + "/fd/" + fd.Name()); err == nil && to == want {
				comm, _ := os.ReadFile(dir + "/comm") // gone: the number is left
				return fmt.Sprintf("%s (pid %s)", strconv.Quote(strings.TrimSpace(string(comm))), filepath.Base(dir))
			}
		}
	}
	return unknown
}

// netlinkInode finds a netfilter socket: /proc/net/netlink is "sk Eth Pid …
// Inode" a line, of which Eth is the protocol and Pid the port id.
func netlinkInode(portid uint32) (string, bool) {
	b, err := os.ReadFile("/proc/thread-self/net/netlink")
	if err != nil {
		return "", false
	}
	for line := range bytes.Lines(b) {
		w := strings.Fields(string(line))
		if len(w) < 4 || w[1] != strconv.Itoa(unix.NETLINK_NETFILTER) || w[2] != strconv.FormatUint(uint64(portid), 10) {
			continue
		}
		return w[len(w)-1], true
	}
	return "", false
}
