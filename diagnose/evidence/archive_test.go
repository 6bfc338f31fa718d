package evidence

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/host"
)

const flowLine = "tcp 6 9 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=1 dport=%d src=10.0.0.2 dst=10.0.0.1 sport=%d dport=1 use=1\n"

// archived is a tar archive, packed with gzip.
func archived(t testing.TB, members ...tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := tar.NewWriter(z)
	for i, h := range members {
		body := ""
		if h.Typeflag == tar.TypeReg {
			body = fmt.Sprintf(flowLine, i+1, i+1)
			h.Size = int64(len(body))
		}
		if err := errors.Join(w.WriteHeader(&h)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, body); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// flowPorts are the destination ports of the flows that were read.
func flowPorts(t *testing.T, path string, netns string) (ports []uint16, missing string) {
	t.Helper()
	s, err := Open(t.Context(), path, nil, netns, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Flows(t.Context(), capture.Filter{}, func(f *host.Flow) error {
		ports = append(ports, f.Original.DstPort)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return ports, fmt.Sprint(s.State().Snapshot.Missing)
}

// TestArchive: of a report only the outputs of commands are read, of the
// namespace that is asked for; a link, a device and a name that leads out of the
// archive do no harm.
func TestArchive(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sosreport.tar.gz")
	reg := func(name string) tar.Header { return tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644} }
	b := archived(t,
		reg("sosreport-gw/sos_commands/conntrack/conntrack_-L_-o_extended"),                                              // 1
		reg("sosreport-gw/sos_commands/networking/ip_netns_exec_blue_conntrack_-L"),                                      // 2
		reg("sosreport-gw/sos_commands/networking/namespaces/red/conntrack_-L"),                                          // 3
		reg("sosreport-gw/sos_commands/conntrack/conntrack_-L_expect"),                                                   // 4
		reg("sosreport-gw/etc/conntrackd/notes"),                                                                         // 5
		reg("../../../../tmp/sos_commands/conntrack/x"),                                                                  // 6
		tar.Header{Name: "sosreport-gw/sos_commands/conntrack/link", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}, // 7
		tar.Header{Name: "sosreport-gw/sos_commands/conntrack/hard", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"},    // 8
		tar.Header{Name: "sosreport-gw/sos_commands/conntrack/disk", Typeflag: tar.TypeBlock, Devmajor: 8, Devminor: 0},  // 9
		reg("sosreport-gw/proc/net/nf_conntrack"),                                                                        // 10
	)
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	for netns, want := range map[string]string{"": "[1 6 10]", "blue": "[2]", "red": "[3]"} {
		if got, _ := flowPorts(t, file, netns); fmt.Sprint(got) != want {
			t.Errorf("of namespace %q %v, want %s", netns, got, want)
		}
	}
	// what was read before the damage counts, and the damage is told
	if err := os.WriteFile(file, b[:len(b)-len(b)/4], 0o600); err != nil {
		t.Fatal(err)
	}
	if got, missing := flowPorts(t, file, ""); len(got) == 0 || !strings.Contains(missing, "the archive is damaged") {
		t.Errorf("%v %s", got, missing)
	}
}

// TestDirectory: links are not followed.
func TestDirectory(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	write := func(path, text string) {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(dir, "a/flows.txt"), fmt.Sprintf(flowLine, 1, 1))
	write(filepath.Join(dir, "notes.txt"), "nothing\n")
	write(filepath.Join(outside, "flows.txt"), fmt.Sprintf(flowLine, 2, 2))
	if err := os.Symlink(outside, filepath.Join(dir, "b")); err != nil {
		t.Skip(err)
	}
	if err := os.Symlink(filepath.Join(outside, "flows.txt"), filepath.Join(dir, "c.txt")); err != nil {
		t.Fatal(err)
	}
	if got, _ := flowPorts(t, dir, ""); fmt.Sprint(got) != "[1]" {
		t.Errorf("%v", got)
	}
}

// TestNothing: what holds no text that is understood is an error.
func TestNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	for _, text := range []string{"", "Dear support,\n", "\x00\x01\x02", strings.Repeat("x", 1<<20)} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), file, nil, "", nil, nil); !errors.Is(err, ErrNothing) {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}

// FuzzOpen: whatever a file or an archive holds, it is read or refused.
func FuzzOpen(f *testing.F) {
	f.Add(archived(f, tar.Header{Name: "a", Typeflag: tar.TypeReg}))
	for _, s := range []string{
		fmt.Sprintf(flowLine, 80, 80), iprouteText, "*nat\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -m set --match-set s dst -j DNAT --to 10.0.0.1\nCOMMIT\n",
		"create s hash:ip,port family inet\nadd s 10.0.0.1,tcp:80\n", "Name: s\nType: list:set\nRevision: 3\nHeader: size 8\nMembers:\ns\n",
		"root@h:~# route -n\n0.0.0.0 10.0.0.1 0.0.0.0 UG 0 0 0 eth0\n", "table ip t {\n}\n", "net.ipv4.ip_forward = 1\n[ 1.000000] nf_ct_x\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Open(t.Context(), "-", nil, "", bytes.NewReader(b), nil)
		if err != nil {
			return
		}
		snap := s.State().Snapshot
		for _, l := range snap.Links {
			if _, ok := snap.LinkByName(l.Name); !ok {
				t.Fatalf("no device %q", l.Name)
			}
		}
		for _, r := range snap.Routes {
			if !r.Dst.IsValid() {
				t.Fatalf("route %+v", r)
			}
		}
		for _, set := range snap.Rules.IPSets {
			_ = set.Save()
		}
	})
}

const iprouteText = `2: eth0@if5: <BROADCAST,UP> mtu 1500 master br0 group 7
    link/ether 02:00:00:00:00:01 brd ff:ff:ff:ff:ff:ff promiscuity 0
    veth
    inet 10.0.0.1 peer 10.0.0.2/32 scope link secondary eth0
    inet6 fe80::1/64 scope link
default proto static metric 100
	nexthop via 10.0.0.254 dev eth0 weight 1
	nexthop via 10.0.0.253 dev eth0 weight 1
unreachable 10.1.0.0/16 table blue
100:	not from 10.0.0.0/8 fwmark 0x1/0xff lookup blue suppress_prefixlength 0
`
