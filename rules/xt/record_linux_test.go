package xt_test

import (
	"encoding/binary"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/rules/xt"
)

var record = flag.Bool("record", false, "TestExtensions keeps the tables of iptables-legacy as the kernel answers them (on a little-endian machine)")

// recordTables writes testdata/tables, from which the fuzzers start, of what a
// host has loaded from the file at path: the struct ipt_getinfo of each table,
// then its entries.
func recordTables(t *testing.T, h *lab.Host, path string, in []byte) {
	t.Helper()
	domain, level := unix.AF_INET, unix.SOL_IP
	if strings.HasSuffix(path, "6") {
		domain, level = unix.AF_INET6, unix.SOL_IPV6
	}
	for name := range saved(string(in)) {
		name = strings.TrimSpace(name)
		b, err := rawTable(h, domain, level, name)
		if err != nil {
			t.Fatalf("%s %s: %v", path, name, err)
		}
		out := filepath.Join("testdata/tables", strings.Replace(filepath.Base(path), ".", "-", 1)+"-"+name+".bin")
		if err := os.WriteFile(out, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func rawTable(h *lab.Host, domain, level int, name string) (out []byte, err error) {
	const header = 40 // of struct ipt_get_entries
	err = h.Do(func() error {
		fd, err := unix.Socket(domain, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		ask := func(opt uintptr, b []byte) error {
			n := uint32(len(b))
			_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), opt, uintptr(unsafe.Pointer(&b[0])), uintptr(unsafe.Pointer(&n)), 0)
			if errno != 0 {
				return errno
			}
			return nil
		}
		info := make([]byte, xt.InfoSize)
		copy(info, name)
		if err := ask(64, info); err != nil {
			return err
		}
		in, err := xt.ParseInfo(binary.LittleEndian, info)
		if err != nil {
			return err
		}
		b := make([]byte, header+int(in.Size))
		copy(b, name)
		binary.LittleEndian.PutUint32(b[32:], in.Size)
		if err := ask(65, b); err != nil {
			return err
		}
		out = append(info, b[header:]...)
		return nil
	})
	return out, err
}
