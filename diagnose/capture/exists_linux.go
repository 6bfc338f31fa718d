package capture

import (
	"errors"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// A file handle of a namespace (struct nsfs_file_handle, 6.18) is its number,
// which for a network namespace is its cookie, its kind and its inode.
const (
	fdNsfsRoot = -10003 // FD_NSFS_ROOT
	handleNsfs = 0xf1   // FILEID_NSFS
)

// Exists tells whether the network namespace p is still there; here is one that
// this process is in. Before 6.18 that is told of few, and for others than the
// own one only who has CAP_SYS_ADMIN over the machine is told that it is not.
func Exists(p, here host.Place) rules.Truth {
	switch {
	case p == here:
		return rules.Yes
	case p.BootID != here.BootID, p.Inode == here.Inode: // given again
		return rules.No
	case openNetnsHandle(here) != nil:
		return rules.Unknown // this kernel has no such handles
	}
	err := openNetnsHandle(p)
	switch {
	case err == nil:
		return rules.Yes
	case errors.Is(err, unix.ESTALE) && machineAdmin():
		return rules.No
	}
	return rules.Unknown
}

func openNetnsHandle(p host.Place) error {
	b := ne.AppendUint64(nil, p.Cookie)
	b = ne.AppendUint32(b, unix.CLONE_NEWNET)
	b = ne.AppendUint32(b, uint32(p.Inode))
	fd, err := unix.OpenByHandleAt(fdNsfsRoot, unix.NewFileHandle(handleNsfs, b), unix.O_RDONLY|unix.O_CLOEXEC)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// machineAdmin tells whether this process has CAP_SYS_ADMIN, and not in a user
// namespace only: whoever lacks it is told that others' namespaces are gone.
func machineAdmin() bool {
	b, err := os.ReadFile("/proc/self/uid_map")
	if err != nil || !slices.Equal(strings.Fields(string(b)), []string{"0", "0", "4294967295"}) {
		return false
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	return unix.Capget(&header, &data[0]) == nil && data[0].Effective&(1<<unix.CAP_SYS_ADMIN) != 0
}
