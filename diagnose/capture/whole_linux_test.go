package capture

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/history"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/kernlog"
	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/rules"
)

func TestExpectations(t *testing.T) {
	w := newWire(t, nat+ftpRules)
	l := openHere(t, "")
	if got, err := l.Expectations(context.Background()); err != nil || len(got) != 0 {
		t.Fatalf("before: %v, %v", got, err)
	}
	w.ftpAsks(plain(end{"192.0.2.1", 4000}, end{"192.0.2.2", 21}))
	got, err := l.Expectations(context.Background())
	if err != nil || len(got) != 1 {
		t.Fatalf("%v, %v", got, err)
	}
	x := got[0]
	if x.Helper != "ftp" || x.Tuple.Dst != netip.MustParseAddr("192.0.2.1") || x.Tuple.DstPort != 5005 || x.Master.DstPort != 21 || x.Timeout == 0 {
		t.Errorf("%+v", x)
	}
}

func TestNeighbours(t *testing.T) {
	newNetns(t)
	run(t, `link add d0 type veth peer name d1
link set d0 up
link set d1 up
neigh add 192.0.2.9 lladdr 02:00:00:00:00:09 dev d0 nud permanent
neigh add 192.0.2.10 lladdr 02:00:00:00:00:0a dev d0 router nud noarp
neigh add 2001:db8::9 lladdr 02:00:00:00:00:09 dev d0 nud stale
neigh add 192.0.2.11 dev d0 nud failed
`, "ip", "-batch", "-")
	l := openHere(t, "")
	// the kernel adds entries of its own while the devices come up
	theirs := toolNeighbours(t)
	ours := neighbours(t, l)
	for again := toolNeighbours(t); !slices.Equal(theirs, again); again = toolNeighbours(t) {
		theirs, ours = again, neighbours(t, l)
	}
	if d := cmp.Diff(theirs, ours); d != "" || len(ours) < 4 {
		t.Errorf("ip -, ours +:\n%s", d)
	}
}

// toolNeighbours is what ip tells of each neighbour, sorted.
func toolNeighbours(t *testing.T) (out []string) {
	t.Helper()
	var list []struct {
		Dst, Dev, Lladdr string
		State            []string
	}
	if err := json.Unmarshal([]byte(run(t, "", "ip", "-j", "neigh", "show", "nud", "all")), &list); err != nil {
		t.Fatal(err)
	}
	for _, n := range list {
		out = append(out, fmt.Sprint(n.Dst, n.Dev, n.Lladdr, n.State))
	}
	slices.Sort(out)
	return out
}

// neighbours is the same of what l reads.
func neighbours(t *testing.T, l *Live) (out []string) {
	t.Helper()
	list, err := l.Neighbours(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	names := map[uint16]string{0: "NONE", 1: "INCOMPLETE", 2: "REACHABLE", 4: "STALE", 8: "DELAY", 16: "PROBE", 32: "FAILED", 64: "NOARP", 128: "PERMANENT"}
	for _, n := range list {
		dev, err := net.InterfaceByIndex(int(n.Index))
		if err != nil {
			t.Fatal(err)
		}
		mac := ""
		if n.HasMAC {
			mac = net.HardwareAddr(n.MAC[:]).String()
		}
		out = append(out, fmt.Sprint(n.Addr, dev.Name, mac, []string{names[n.State]}))
	}
	slices.Sort(out)
	return out
}

func TestXfrmPolicies(t *testing.T) {
	newNetns(t)
	run(t, `link add d0 type veth peer name d1
xfrm policy add src 10.0.0.0/24 dst 10.8.0.0/16 proto tcp sport 80 dport 443 dev d0 dir out action block priority 7 index 129
xfrm policy add src 10.8.0.0/16 dst 10.0.0.0/24 dir in priority 3 mark 0x10 mask 0xf0 if_id 0x2a tmpl src 192.0.2.2 dst 192.0.2.1 proto esp spi 0x1234 reqid 5 mode tunnel level use tmpl proto comp mode transport
xfrm policy add src 2001:db8::/32 dst 2001:db8:1::/48 dir fwd tmpl src 2001:db8::1 dst 2001:db8::2 proto ah mode tunnel
`, "ip", "-batch", "-")
	l := openHere(t, "")
	got, err := l.XfrmPolicies(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	dev, err := net.InterfaceByName("d0")
	if err != nil {
		t.Fatal(err)
	}
	prefix, addr := netip.MustParsePrefix, netip.MustParseAddr
	want := []host.XfrmPolicy{
		{Family: rules.FamilyIPv4, Src: prefix("10.0.0.0/24"), Dst: prefix("10.8.0.0/16"), Proto: 6, SrcPort: 80, DstPort: 443, Ifindex: uint32(dev.Index), Dir: 1, Action: 1, Priority: 7, Index: 129},
		{
			Family: rules.FamilyIPv4, Src: prefix("10.8.0.0/16"), Dst: prefix("10.0.0.0/24"), Dir: 0, Priority: 3, Mark: 0x10, Mask: 0xf0, IfID: 0x2a,
			Templates: []host.XfrmTemplate{
				{Src: addr("192.0.2.2"), Dst: addr("192.0.2.1"), Proto: 50, SPI: 0x1234, Reqid: 5, Mode: 1, Optional: true},
				{Src: addr("0.0.0.0"), Dst: addr("0.0.0.0"), Proto: 108},
			},
		},
		{
			Family: rules.FamilyIPv6, Src: prefix("2001:db8::/32"), Dst: prefix("2001:db8:1::/48"), Dir: 2,
			Templates: []host.XfrmTemplate{{Src: addr("2001:db8::1"), Dst: addr("2001:db8::2"), Proto: 51, Mode: 1}},
		},
	}
	slices.SortFunc(got, func(a, b host.XfrmPolicy) int { return int(b.Priority) - int(a.Priority) })
	for i := range got {
		if i > 0 {
			got[i].Index = 0 // the kernel's choice
		}
	}
	if d := cmp.Diff(want, got, byComparable...); d != "" {
		t.Errorf("want -, got +:\n%s", d)
	}
}

func TestLog(t *testing.T) {
	l := openHere(t, "")
	writeKmsg(t, kmsgMark+" of others")
	writeKmsg(t, kmsgMark+" nf_conntrack: of netfilter")
	openKmsg(t, true).Close()
	var got []string
	if _, err := l.Log(context.Background(), func(r *kernlog.Record) error {
		if strings.HasPrefix(string(r.Text), kmsgMark) {
			got = append(got, strings.TrimPrefix(string(r.Text), kmsgMark))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, []string{" nf_conntrack: of netfilter"}) {
		t.Errorf("%q", got)
	}
	end := errors.New("end")
	if _, err := l.Log(context.Background(), func(*kernlog.Record) error { return end }); !errors.Is(err, end) {
		t.Errorf("the callback's error: %v", err)
	}
}

func TestUptime(t *testing.T) {
	l := openHere(t, "")
	read := func() time.Duration {
		b, err := os.ReadFile("/proc/uptime")
		if err != nil {
			t.Fatal(err)
		}
		d, err := time.ParseDuration(strings.Fields(string(b))[0] + "s")
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	before := read()
	got := l.Uptime()
	// in hundredths of seconds, cut off
	if after := read() + 10*time.Millisecond; !got.OK || got.Value < before || got.Value > after {
		t.Errorf("%v, not between %v and %v", got, before, after)
	}
}

func TestHistoryOfNamespace(t *testing.T) {
	newNetns(t)
	l := openHere(t, "")
	l.StateDir = t.TempDir()
	if _, err := l.History(); !errors.Is(err, history.ErrNoStore) {
		t.Errorf("without a store: %v", err)
	}
	id, err := l.Identity()
	if err != nil {
		t.Fatal(err)
	}
	s, err := history.Create(l.StateDir, id)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if h, err := l.History(); err != nil || h.Path != history.Path(l.StateDir, id) {
		t.Errorf("%+v, %v", h, err)
	}
}

// binds gives a namespace a name, in a mount namespace of the test's thread.
func binds(t *testing.T, from, to string) {
	t.Helper()
	if err := os.WriteFile(to, nil, 0o400); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(from, to, "", unix.MS_BIND, ""); err != nil {
		lab.LeaveOut(t, fmt.Errorf("bind: %w", err))
	}
	t.Cleanup(func() { _ = unix.Unmount(to, unix.MNT_DETACH) })
}

func TestNamespaces(t *testing.T) {
	outside, err := netnsInode("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	newNetns(t)
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		lab.LeaveOut(t, fmt.Errorf("no mount namespace can be made: %w", err))
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	old := namedDirs
	namedDirs = append(slices.Clone(namedDirs[:0]), old[0], old[2])
	namedDirs[0].dir, namedDirs[1].dir = filepath.Join(dir, "ip"), filepath.Join(dir, "docker")
	t.Cleanup(func() { namedDirs = old })
	for _, d := range namedDirs {
		if err := os.Mkdir(d.dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	own, err := netnsInode("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	binds(t, "/proc/thread-self/ns/net", filepath.Join(dir, "ip", "own"))

	// one that a process keeps, without a name
	sleep := exec.Command("sleep", "1000")
	sleep.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sleep.Process.Kill(); _ = sleep.Wait() })
	// one that has no process, but a name
	lb, err := lab.New()
	if err != nil {
		lab.LeaveOut(t, err)
	}
	t.Cleanup(func() { lb.Close() })
	h, err := lb.Host("x")
	if err != nil {
		t.Fatal(err)
	}
	docker := filepath.Join(dir, "docker", "8f0c")
	binds(t, h.Path(), docker)
	byName, err := netnsInode(docker)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "docker", "left"), nil, 0o400); err != nil {
		t.Fatal(err)
	}

	all, missing, err := Namespaces(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 3 || all[0].Name != "" || all[0].Inode != own || !slices.Equal(all[0].Names, []string{"own"}) || all[0].Processes != 0 {
		t.Errorf("the first: %+v", all[0])
	}
	seen := map[uint64]int{}
	for _, n := range all {
		seen[n.Inode]++
		if seen[n.Inode] > 1 {
			t.Errorf("listed twice: %+v", n)
		}
	}
	i := slices.IndexFunc(all, func(n Namespace) bool { return n.Inode == outside })
	if i < 0 || all[i].Processes == 0 || all[i].First[0].Comm == "" {
		t.Errorf("that of the test: %d %+v", i, all)
	}
	i = slices.IndexFunc(all, func(n Namespace) bool { return n.Name == fmt.Sprint(sleep.Process.Pid) })
	if i < 0 || all[i].Processes != 1 || all[i].First[0].Comm != "sleep" {
		t.Errorf("that of a process: %d %+v", i, all)
	}
	if n := (Namespace{Name: docker, Inode: byName, Names: []string{docker}}); !cmp.Equal(all[1], n) {
		t.Errorf("that of a name: %+v", all[1])
	}
	if !slices.ContainsFunc(missing, func(m host.Missing) bool {
		return strings.Contains(m.What, "docker/left") && m.Why == "not a network namespace"
	}) {
		t.Errorf("missing %v", missing)
	}
}
