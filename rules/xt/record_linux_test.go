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

var record = flag.Bool("record", false, "load testdata/*.rules by iptables-legacy and keep the tables that the kernel answers (needs root, and a little-endian machine)")

// TestRecordTables writes testdata/tables, from which the fuzzers start: the
// struct ipt_getinfo of a table, then its entries.
func TestRecordTables(t *testing.T) {
	if !*record {
		t.Skip("only with -record")
	}
	paths, _ := filepath.Glob("testdata/*.rules*")
	for _, path := range paths {
		in, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		sets, _ := os.ReadFile(strings.TrimSuffix(strings.TrimSuffix(path, "6"), ".rules") + ".ipset")
		v6 := strings.HasSuffix(path, "6")
		tool, domain, level := "iptables-legacy", unix.AF_INET, unix.SOL_IP
		if v6 {
			tool, domain, level = "ip6tables-legacy", unix.AF_INET6, unix.SOL_IPV6
		}
		l, err := lab.New()
		if err != nil {
			t.Fatal(err)
		}
		h, err := l.Host("h")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := command(h, sets, "ipset", "restore"); err != nil && len(sets) > 0 {
			t.Fatal(err)
		}
		if _, err := command(h, in, tool+"-restore"); err != nil {
			t.Fatalf("%s: %v", path, err)
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
		l.Close()
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
