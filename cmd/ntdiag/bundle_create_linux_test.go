package main

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/bundle"
	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/collect"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/lab"
)

// create makes a bundle and returns what was said.
func createBundle(t *testing.T, ctx context.Context, args ...string) (code int, said string) {
	t.Helper()
	var out bytes.Buffer
	code = execute(ctx, append([]string{"bundle", "create"}, args...), &out, &out)
	return code, out.String()
}

// unpacked is a bundle of a namespace, as files.
func unpacked(t *testing.T, args ...string) (dir, file string) {
	t.Helper()
	dir = t.TempDir()
	file = filepath.Join(dir, "b.tar.zst")
	code, said := createBundle(t, context.Background(), append(args, "--interval", "0s", file)...)
	// /dev/kmsg is not for all, and rules may change under it
	if code != exitOK && code != exitIncomplete {
		t.Fatalf("exit code %d: %s", code, said)
	}
	if out, err := exec.Command("tar", "--zstd", "-xf", file, "-C", dir).CombinedOutput(); err != nil {
		t.Fatalf("tar: %v: %s", err, out)
	}
	return dir, file
}

func read(t *testing.T, elem ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(elem...))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// ticking is what passes meanwhile.
var ticking = regexp.MustCompile(`( +\d+ +)(\d+ )|delta-time=\d+`)

// TestBundleContent: what a bundle holds is what the tools print, and its
// findings are what commands say of it.
func TestBundleContent(t *testing.T) {
	n := scriptLab(t)
	dir, file := unpacked(t, "--netns", n.Router.Path(), "--no-redact")
	text := func(name string) string { return read(t, dir, "netns-0", "text", name) }
	lines := func(s string) []string {
		s = ticking.ReplaceAllString(s, "$1")
		out := strings.Split(strings.TrimSuffix(s, "\n"), "\n")
		slices.Sort(out)
		return out
	}
	tool := func(args ...string) string {
		t.Helper()
		out, err := n.Router.Run("", args[0], args[1:]...)
		if errors.Is(err, exec.ErrNotFound) {
			lab.LeaveOut(t, err)
		}
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	want := lines(tool("conntrack", "-L", "-f", "ipv4", "-o", "extended,id") + tool("conntrack", "-L", "-f", "ipv6", "-o", "extended,id"))
	for _, round := range []string{"conntrack-1", "conntrack-2"} {
		if d := cmp.Diff(want, lines(text(round+"/0001.txt"))); d != "" {
			t.Errorf("%s: the tool -, bundle +:\n%s", round, d)
		}
	}
	for name, args := range map[string][]string{"ip-rule.txt": {"ip", "rule"}, "conntrack-stats.txt": {"conntrack", "-S"}} {
		if d := cmp.Diff(tool(args...), text(name)); d != "" {
			t.Errorf("%s: the tool -, bundle +:\n%s", name, d)
		}
	}
	packets := regexp.MustCompile(` packets \d+ bytes \d+`)
	if d := cmp.Diff(packets.ReplaceAllString(tool("nft", "list", "ruleset"), ""), packets.ReplaceAllString(text("ruleset.nft"), "")); d != "" {
		t.Errorf("the ruleset: nft -, bundle +:\n%s", d)
	}
	for _, name := range []string{"rules", "counters"} {
		var out bytes.Buffer
		execute(context.Background(), []string{name, "--from", file, "--round", "2", "-o", "json"}, &out, &bytes.Buffer{})
		if d := cmp.Diff(out.String(), read(t, dir, "netns-0", "findings", name+".json")); d != "" {
			t.Errorf("%s: of the bundle -, in it +:\n%s", name, d)
		}
	}
}

// TestBundleTouchesNothing: no module comes, no table, no hook.
func TestBundleTouchesNothing(t *testing.T) {
	l, err := lab.New()
	needKernel(t, err)
	defer l.Close()
	h, err := l.Host("untouched")
	if err != nil {
		t.Fatal(err)
	}
	state := func() string {
		out, err := h.Run("", "sh", "-c", `cat /proc/modules /proc/net/ip_tables_names /proc/net/ip6_tables_names 2>/dev/null; nft list ruleset; nft list hooks 2>/dev/null; ls /proc/sys/net /proc/sys/net/netfilter; true`)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	before := state()
	unpacked(t, "--netns", h.Path(), "--no-redact")
	if d := cmp.Diff(before, state()); d != "" {
		t.Errorf("before -, after +:\n%s", d)
	}
}

// TestBundleInterrupted: a signal leaves no file.
func TestBundleInterrupted(t *testing.T) {
	n := scriptLab(t)
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan string)
	go func() {
		code, said := createBundle(t, ctx, "--netns", n.Router.Path(), "--no-redact", "--interval", "1h", filepath.Join(dir, "b.tar.zst"))
		if code != exitIncomplete {
			said += " with another exit code"
		}
		done <- said
	}()
	for end := time.Now().Add(30 * time.Second); ; runtime.Gosched() {
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			break // it is being written
		}
		if time.Now().After(end) {
			t.Fatal("no file within 30 s")
		}
	}
	cancel()
	if said := <-done; said != "ntdiag: interrupted: no file is left\n" {
		t.Errorf("%q", said)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestBundleDiskFull: no half of a file stays.
func TestBundleDiskFull(t *testing.T) {
	n := scriptLab(t)
	// mounts of this thread alone, which ends with the test
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		lab.LeaveOut(t, err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := unix.Mount("full", dir, "tmpfs", 0, "size=4k"); err != nil {
		lab.LeaveOut(t, err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	code, said := createBundle(t, context.Background(), "--netns", n.Router.Path(), "--no-redact", "--interval", "0s", filepath.Join(dir, "b.tar.zst"))
	if code != exitIncomplete || !strings.Contains(said, "no space left on device") {
		t.Errorf("exit code %d: %s", code, said)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestBundleWhileItChanges: the table and the rules move on under it; each
// round is whole lines, and the file can be read.
func TestBundleWhileItChanges(t *testing.T) {
	n := scriptLab(t)
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			err := n.Router.Fill(50, func(k int) lab.Entry {
				return lab.Entry{Proto: 17, Src: netip.AddrPortFrom(lab.ClientAddr4, 10000+uint16((i*50+k)%50000)), Dst: addrPort("10.8.2.12:53")}
			})
			if err == nil {
				_, err = n.Router.Run("", "nft", "add table ip moving; delete table ip moving")
			}
			if err != nil {
				stopped <- err
				return
			}
		}
	}()
	_, file := unpacked(t, "--netns", n.Router.Path(), "--no-redact")
	close(stop)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	in, err := bundle.Open(context.Background(), file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	for _, r := range in.Manifest().Namespaces[0].Rounds {
		if r.Kept != r.Seen || r.Seen < 4 || r.Unparsed > 0 {
			t.Errorf("%+v", r)
		}
	}
	src, err := in.Source(context.Background(), &in.Manifest().Namespaces[0], 2)
	if err != nil {
		t.Fatal(err)
	}
	web := 0
	if _, err := src.Flows(context.Background(), capture.Filter{}, func(f *host.Flow) error {
		if f.Original.DstPort == 8080 {
			web++
		}
		return nil
	}); err != nil || web != 1 {
		t.Errorf("%d flows to port 8080, %v", web, err)
	}
}

// TestBundleLeak: a file in which an original is found does not stay.
func TestBundleLeak(t *testing.T) {
	n := scriptLab(t)
	a := &app{netns: n.Router.Path()}
	cmd := newBundleCreateCmd(a)
	cmd.SetContext(context.Background())
	s, err := a.openSpaces(context.Background(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	r := &bundleRun{app: a, cmd: cmd, spaces: s, flags: &bundleFlags{redact: true, max: bundle.DefaultMaxBytes}}
	if err := r.prepare(context.Background()); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "b.tar.zst")
	if _, _, err := r.write(context.Background(), path); err != nil {
		t.Fatalf("redacted: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	// what was met is known now; this time nothing stands before the kernel
	r.of[0] = &collect.Space{Source: s.live[0], Name: r.of[0].Name}
	r.of[0].Snapshot, err = collect.Snapshot(context.Background(), s.live[0])
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = r.write(context.Background(), path)
	if err == nil || !strings.Contains(err.Error(), "redaction failed: netns-0/") {
		t.Errorf("%v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestReadmeBundle holds the README's example against what is printed.
func TestReadmeBundle(t *testing.T) {
	n := scriptLab(t)
	block := regexp.MustCompile("(?s)```console bundle\n\\$ sudo ntdiag bundle create (.*?)\n(.*?)```").FindStringSubmatch(read(t, "../../README.md"))
	if block == nil {
		t.Fatal("no example")
	}
	t.Chdir(t.TempDir())
	code, said := createBundle(t, context.Background(), append(strings.Fields(block[1]), "--netns", n.Router.Path(), "--interval", "0s")...)
	if code == exitIncomplete && lab.UserNamespace() {
		lab.LeaveOut(t, errors.New(said))
	}
	size := regexp.MustCompile(`[\d.]+ KiB`)
	if d := cmp.Diff(size.ReplaceAllString(block[2], "N KiB"), size.ReplaceAllString(said, "N KiB")); d != "" {
		t.Errorf("README -, printed +:\n%s", d)
	}
}
