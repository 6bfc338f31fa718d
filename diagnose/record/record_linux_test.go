package record

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/history"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/lab"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m.Run)) }

// patience is how long a record may take; none takes as long.
const patience = 20 * time.Second

// recording is a host whose changes are recorded.
type recording struct {
	t      *testing.T
	host   *lab.Host
	dir    string
	live   *capture.Live
	stored chan *history.Change
	stop   func()
	ended  chan error
}

func newHost(t *testing.T) *lab.Host {
	t.Helper()
	l, err := lab.New()
	if err != nil {
		lab.LeaveOut(t, err)
	}
	t.Cleanup(func() { l.Close() })
	h, err := l.Host("router")
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// needTools leaves a test out where a program is not installed.
func needTools(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			lab.LeaveOut(t, err)
		}
	}
}

func begin(t *testing.T, h *lab.Host, dir string, poll time.Duration) *recording {
	t.Helper()
	live, err := capture.Open(h.Path())
	if err != nil {
		t.Fatal(err)
	}
	id, err := live.Identity()
	if err != nil {
		t.Fatal(err)
	}
	store, err := history.Create(dir, id)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &recording{t: t, host: h, dir: dir, live: live, stored: make(chan *history.Change, 10000), ended: make(chan error, 1)}
	rec := &Recorder{
		Live: live, Store: store, Netns: id, Poll: poll, Version: "test",
		Stored: func(c *history.Change) { r.stored <- c },
		Failed: func(err error) { t.Errorf("writing: %v", err) },
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.ended <- rec.Run(ctx)
		store.Close()
		live.Close()
	}()
	r.stop = func() { cancel(); <-done }
	t.Cleanup(r.stop)
	if c := r.next(); c.Kind != history.KindStart || c.Start == nil {
		t.Fatalf("the first record is %+v", c)
	}
	return r
}

func (r *recording) next() *history.Change {
	r.t.Helper()
	select {
	case c := <-r.stored:
		return c
	case err := <-r.ended:
		r.t.Fatalf("recording ended: %v", err)
	case <-time.After(patience):
		r.t.Fatal("no record")
	}
	return nil
}

// until takes records to the first that fits.
func (r *recording) until(fits func(*history.Change) bool) *history.Change {
	r.t.Helper()
	for {
		if c := r.next(); fits(c) {
			return c
		}
	}
}

func (r *recording) kind(k history.Kind) *history.Change {
	r.t.Helper()
	return r.until(func(c *history.Change) bool { return c.Kind == k })
}

// do runs a program inside the host, and tells its process id.
func (r *recording) do(stdin, name string, args ...string) int {
	r.t.Helper()
	return do(r.t, r.host, stdin, name, args...)
}

func do(t *testing.T, h *lab.Host, stdin, name string, args ...string) (pid int) {
	t.Helper()
	needTools(t, name)
	err := h.Do(func() error {
		c := exec.Command(name, args...)
		c.Stdin = strings.NewReader(stdin)
		out, err := c.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s %q: %w: %s", name, args, err, out)
		}
		pid = c.Process.Pid
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

const someRules = `table ip nat {
	map dns { type inet_service : ipv4_addr; elements = { 53 : 10.244.1.7 } }
	chain pre {
		type nat hook prerouting priority dstnat; policy accept;
		tcp dport 8080 dnat to 10.244.1.5:80 comment "web"
		dnat ip to udp dport map @dns
	}
}
`

// Each change of rules by nft and iptables-nft is recorded with who made it.
func TestRecordNft(t *testing.T) {
	needTools(t, "nft", "iptables-nft")
	r := begin(t, newHost(t), t.TempDir(), time.Hour)
	for _, step := range []struct {
		stdin string
		cmd   string
		want  []string
		by    string
	}{
		{someRules, "nft -f -", []string{"added tcp dport 8080 dnat to 10.244.1.5:80", "added dnat to udp dport map @dns", "dns added: 53 : 10.244.1.7",
			"added table nat", "added chain pre", "added map dns"}, "nft"},
		{"", "nft add rule ip nat pre tcp dport 9 redirect", []string{"added tcp dport 9 redirect"}, "nft"},
		{"replace rule ip nat pre handle 3 tcp dport 8080 dnat to 10.244.1.6:80\n", "nft -f -", []string{"replaced tcp dport 8080 dnat to 10.244.1.6:80"}, "nft"},
		{"add element ip nat dns { 54 : 10.244.1.8 }\ndelete element ip nat dns { 53 : 10.244.1.7 }\n", "nft -f -",
			[]string{"dns added: 54 : 10.244.1.8", "dns removed: 53 : 10.244.1.7"}, "nft"},
		{"flush chain ip nat pre\nadd rule ip nat pre tcp dport 9 redirect\n", "nft -f -", []string{
			"removed tcp dport 8080 dnat to 10.244.1.6:80", "removed dnat to udp dport map @dns", "reloaded pre 1"}, "nft"},
		{"", "nft delete table ip nat", []string{"removed tcp dport 9 redirect", "dns removed: 54 : 10.244.1.8", "removed table nat", "removed chain pre", "removed map dns"}, "nft"},
		{"", "iptables-nft -t nat -A PREROUTING -p tcp --dport 80 -j DNAT --to-destination 10.244.1.5:80",
			[]string{"added -A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.244.1.5:80", "added table nat", "added chain PREROUTING"}, "iptables-nft"},
		{"", "iptables-nft -t nat -D PREROUTING 1", []string{"removed -A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.244.1.5:80"}, "iptables-nft"},
	} {
		before := time.Now()
		pid := r.do(step.stdin, "sh", "-c", "exec "+step.cmd)
		c := r.kind(history.KindRules)
		got := ops(c)
		slices.Sort(got)
		slices.Sort(step.want)
		if step.by == "nft" && !slices.Equal(got, step.want) || step.by != "nft" && !contains(got, step.want) {
			t.Errorf("%s:\n got %q\nwant %q", step.cmd, got, step.want)
		}
		if len(c.By) != 1 || c.By[0].Program != step.by || c.By[0].Generation != c.Generation {
			t.Errorf("%s: by %+v", step.cmd, c.By)
		} else if initialPIDs() && c.By[0].PID != uint32(pid) {
			t.Errorf("%s: pid %d, want %d", step.cmd, c.By[0].PID, pid)
		}
		if c.At.Before(before) || c.At.After(time.Now()) || !c.After.IsZero() {
			t.Errorf("%s: at %v, after %v", step.cmd, c.At, c.After)
		}
	}
}

// initialPIDs tells whether this is the initial pid namespace, whose number is
// always the same (PROC_PID_INIT_INO).
func initialPIDs() bool {
	ns, err := os.Readlink("/proc/self/ns/pid")
	return err == nil && ns == "pid:[4026531836]"
}

func contains(all, some []string) bool {
	for _, s := range some {
		if !slices.Contains(all, s) {
			return false
		}
	}
	return true
}

// The process of a transaction that goes on living is known with its parent
// and command line.
func TestRecordAuthor(t *testing.T) {
	if !initialPIDs() {
		lab.LeaveOut(t, errors.New("the process ids here are not the ones that the kernel tells"))
	}
	r := begin(t, newHost(t), t.TempDir(), time.Hour)
	needTools(t, "nft")
	err := r.host.Do(func() error {
		c := exec.Command("nft", "-i")
		in, err := c.StdinPipe()
		if err != nil {
			return err
		}
		if err := c.Start(); err != nil {
			return err
		}
		defer c.Wait()
		defer in.Close()
		if _, err := in.Write([]byte("add table ip one\n")); err != nil {
			return err
		}
		a := r.kind(history.KindRules).By
		self, err := os.ReadFile("/proc/self/comm")
		if err != nil {
			return err
		}
		if len(a) != 1 || a[0].Command != "nft -i" || a[0].Parent != strings.TrimSpace(string(self)) {
			t.Errorf("by %+v", a)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Transactions that follow each other faster than rules are read are told
// apart by what each touched.
func TestRecordBurst(t *testing.T) {
	needTools(t, "nft", "iptables-nft")
	r := begin(t, newHost(t), t.TempDir(), time.Hour)
	var script strings.Builder
	for i := range 8 {
		fmt.Fprintf(&script, "nft 'add table ip t%d; add chain ip t%d c; add rule ip t%d c tcp dport %d drop' &\n", i, i, i, i+1)
	}
	script.WriteString("iptables-nft -A INPUT -p udp --dport 99 -j DROP\nwait\n")
	r.do(script.String(), "sh")
	seen := map[uint32]bool{}
	for range 9 {
		c := r.kind(history.KindRules)
		if len(c.By) != 1 || seen[c.Generation] {
			t.Fatalf("by %+v", c)
		}
		seen[c.Generation] = true
		if c.By[0].Program == "nft" && (len(c.Rules.Rules) != 1 || len(c.Rules.Objects) != 2) {
			t.Errorf("generation %d: %q", c.Generation, ops(c))
		}
		if c.By[0].Program != "nft" && !contains(ops(c), []string{"added -A INPUT -p udp -m udp --dport 99 -j DROP"}) {
			t.Errorf("by %s: %q", c.By[0].Program, ops(c))
		}
	}
}

// What packets and time do to sets is nobody's change.
func TestRecordVolatile(t *testing.T) {
	r := begin(t, newHost(t), t.TempDir(), time.Hour)
	r.do(`table ip f {
	set seen { type ipv4_addr; flags dynamic; size 100; }
	set short { type ipv4_addr; flags timeout; elements = { 10.0.0.1 timeout 50ms, 10.0.0.2 } }
	chain out { type filter hook output priority filter; add @seen { ip daddr }; }
}
`, "nft", "-f", "-")
	r.kind(history.KindRules)
	if err := r.host.Do(func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	r.do("", "sh", "-c", "echo x >/dev/udp/127.0.0.1/9 2>/dev/null || exec bash -c 'echo x >/dev/udp/127.0.0.1/9'")
	r.do("", "nft", "add", "rule", "ip", "f", "out", "accept")
	c := r.kind(history.KindRules)
	if got := ops(c); len(got) != 1 || got[0] != "added accept" {
		t.Errorf("%q", got)
	}
	r.do("", "nft", "delete", "element", "ip", "f", "short", "{ 10.0.0.2 }")
	c = r.kind(history.KindRules)
	if got := ops(c); !contains(got, []string{"short removed: 10.0.0.2"}) || !c.Rules.Sets[0].Volatile {
		t.Errorf("%q", got)
	}
}

// iptables-legacy and ipsets are compared.
func TestRecordCompared(t *testing.T) {
	r := begin(t, newHost(t), t.TempDir(), 20*time.Millisecond)
	r.do("", "iptables-legacy", "-t", "nat", "-A", "PREROUTING", "-p", "tcp", "--dport", "80", "-j", "DNAT", "--to-destination", "10.244.1.5:80")
	// a reading can fall between the table, which is loaded first, and the rule
	c := r.until(func(c *history.Change) bool {
		return slices.Contains(ops(c), "added -A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.244.1.5:80")
	})
	if len(c.By) > 0 || c.After.IsZero() || !c.After.Before(c.At) {
		t.Errorf("%+v", c)
	}
	r.do("", "ipset", "create", "lan", "hash:ip")
	r.do("", "ipset", "add", "lan", "10.0.0.7")
	c = r.until(func(c *history.Change) bool { return slices.Contains(ops(c), "lan added: 10.0.0.7") })
	if c.Rules.Sets[0].Backend != "ipset" {
		t.Errorf("%+v", c.Rules.Sets[0])
	}
	r.do("", "iptables-legacy", "-t", "nat", "-R", "PREROUTING", "1", "-p", "tcp", "--dport", "80", "-j", "DNAT", "--to-destination", "10.244.1.6:80")
	c = r.kind(history.KindRules)
	if got := ops(c); len(got) != 1 || got[0] != "replaced -A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.244.1.6:80" {
		t.Errorf("%q", got)
	}
}

// find is the one of a list that fits.
func find[T any](list []T, fits func(*T) bool) *T {
	for i := range list {
		if fits(&list[i]) {
			return &list[i]
		}
	}
	return nil
}

func (r *recording) route(dst string) (out history.RouteChange) {
	r.t.Helper()
	r.until(func(c *history.Change) bool {
		x := find(c.Routes, func(x *history.RouteChange) bool { return x.Dst.String() == dst })
		if x != nil {
			out = *x
		}
		return x != nil
	})
	return out
}

func (r *recording) addr(prefix string) (out history.AddrChange) {
	r.t.Helper()
	r.until(func(c *history.Change) bool {
		x := find(c.Addrs, func(x *history.AddrChange) bool { return x.Prefix.String() == prefix })
		if x != nil {
			out = *x
		}
		return x != nil
	})
	return out
}

// Addresses, links, routes and policy rules of both families.
func TestRecordHost(t *testing.T) {
	r := begin(t, newHost(t), t.TempDir(), time.Hour)
	ip := func(args string) { r.do("", "ip", strings.Fields(args)...) }
	ip("link add wan1 type veth peer name far1")
	c := r.kind(history.KindLink)
	if x := find(c.Links, func(x *history.LinkChange) bool { return x.Name == "wan1" }); x == nil || x.Text != "wan1 veth down" || x.Op != history.Added {
		t.Errorf("%+v", c.Links)
	}
	ip("link add wan2 type veth peer name far2")
	for _, dev := range []string{"far1", "far2", "wan1", "wan2"} {
		ip("link set " + dev + " up")
	}
	ip("addr add 203.0.113.5/24 dev wan1")
	if a := r.addr("203.0.113.5/24"); a.Op != history.Added || a.Dev != "wan1" {
		t.Errorf("%+v", a)
	}
	ip("addr add 198.51.100.7/24 dev wan2")
	ip("route add default via 203.0.113.1 proto static")
	if x := r.route("0.0.0.0/0"); x.Op != history.Added || x.Text != "default via 203.0.113.1 dev wan1 proto static" {
		t.Errorf("%+v", x)
	}
	ip("route replace default via 198.51.100.1 proto static")
	if x := r.route("0.0.0.0/0"); x.Op != history.Replaced || x.Was != "default via 203.0.113.1 dev wan1 proto static" || x.Text != "default via 198.51.100.1 dev wan2 proto static" {
		t.Errorf("%+v", x)
	}
	ip("-6 route add 2001:db8::/32 dev wan1 metric 7")
	if x := r.route("2001:db8::/32"); x.Text != "2001:db8::/32 dev wan1 proto boot metric 7" {
		t.Errorf("%+v", x)
	}
	ip("-6 rule add from 2001:db8::/32 fwmark 1 lookup 100 pref 50")
	c = r.kind(history.KindPolicy)
	if x := c.Policies[0]; x.Op != history.Added || x.Text != "50: from 2001:db8::/32 fwmark 0x1/0xffffffff lookup 100" {
		t.Errorf("%+v", c.Policies)
	}
	// IPv4 routes go with the device without a word of their own
	ip("link set wan2 down")
	if x := r.route("0.0.0.0/0"); x.Op != history.Removed {
		t.Errorf("%+v", x)
	}
	ip("addr del 203.0.113.5/24 dev wan1")
	if a := r.addr("203.0.113.5/24"); a.Op != history.Removed {
		t.Errorf("%+v", a)
	}
}

// What a second recording knows of the time between it and the first.
func TestRecordAgain(t *testing.T) {
	h, dir := newHost(t), t.TempDir()
	r := begin(t, h, dir, time.Hour)
	r.do(someRules, "nft", "-f", "-")
	r.kind(history.KindRules)
	r.do("", "nft", "delete", "rule", "ip", "nat", "pre", "handle", "4")
	r.stop()
	read := func() *history.History {
		id := host.NetnsID{}
		err := h.Do(func() error {
			l, err := capture.Open("")
			if err != nil {
				return err
			}
			defer l.Close()
			id, err = l.Identity()
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		out, err := history.Read(dir, id)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	all := read()
	n := len(all.Changes)
	if all.Changes[n-1].Kind != history.KindStop || all.Changes[n-2].Kind != history.KindRules {
		t.Errorf("what changed before the end is not there: %+v", all.Changes[n-1])
	}
	r = begin(t, h, dir, time.Hour)
	r.stop()
	h2 := read()
	if s := h2.Changes[n].Start; s == nil || !s.SameRules || !s.Last.Equal(h2.Changes[n-1].At) || s.NATRules != 1 || s.Elements != 1 {
		t.Errorf("start again: %+v", s)
	}
	do(t, h, "add table ip x", "nft", "-f", "-")
	begin(t, h, dir, time.Hour).stop()
	h3 := read()
	if s := h3.Changes[len(h2.Changes)].Start; s == nil || s.SameRules {
		t.Errorf("start after a change: %+v", s)
	}
	if g := h3.Gaps(); len(g) != 2 || !strings.Contains(g[0].Why, "did not change") || strings.Contains(g[1].Why, "did not change") {
		t.Errorf("gaps %+v", g)
	}
}

// Two recorders of one namespace.
func TestRecordTwice(t *testing.T) {
	h, dir := newHost(t), t.TempDir()
	r := begin(t, h, dir, time.Hour)
	id, err := r.live.Identity()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := history.Create(dir, id); !errors.Is(err, history.ErrLocked) {
		t.Errorf("%v", err)
	}
	if _, err := history.Read(dir, id); err != nil {
		t.Errorf("read while it is recorded: %v", err)
	}
}
