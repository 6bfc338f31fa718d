package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/lab"
)

// record is what the test reads of a line of jsonl.
type record struct {
	Event string
	At    time.Time
	Found bool
	Lost  uint64
	First bool
	New   int
	Gone  int
	Flow  struct {
		ID       uint32
		Proto    string
		State    string
		Status   []string
		Original struct {
			Src, Dst     string
			Sport, Dport int
		}
	}
	Rewrites []struct {
		Kind, Cause, Grade string
		To                 struct {
			Addr string
			Port int
		}
		Rules []struct {
			Chain, Comment, Text string
			Handle               int
		}
		Unknown []string
	}
}

// by is the rewrites in short: dnat prerouting "web" exact.
func (r *record) by() string {
	var out []string
	for _, rw := range r.Rewrites {
		var names []string
		for _, rule := range rw.Rules {
			names = append(names, rule.Chain+" "+rule.Comment)
		}
		out = append(out, strings.Join([]string{rw.Kind, strings.Join(names, " or "), rw.Cause, rw.Grade}, " "))
	}
	return strings.Join(out, ", ")
}

// watching is `ntdiag flows watch` as it runs.
type watching struct {
	t       testing.TB
	cmd     *exec.Cmd
	lines   chan string
	all     []string
	stderr  strings.Builder
	drained chan struct{}
}

func watchFlows(t testing.TB, n *lab.Net, args ...string) *watching {
	t.Helper()
	w := &watching{t: t, lines: make(chan string, 1<<12), drained: make(chan struct{})}
	w.cmd = exec.Command("ntdiag", append([]string{"--netns", n.Router.Path(), "flows", "watch"}, args...)...)
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	errs, err := w.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.cmd.Process.Kill() })
	go func() {
		in := bufio.NewScanner(out)
		in.Buffer(nil, 1<<20)
		for in.Scan() {
			w.lines <- in.Text()
		}
		close(w.lines)
	}()
	go func() {
		io.Copy(&w.stderr, errs)
		close(w.drained)
	}()
	return w
}

// line waits for the next line, "" at the end.
func (w *watching) line() string {
	w.t.Helper()
	select {
	case line := <-w.lines:
		w.all = append(w.all, line)
		return line
	case <-time.After(10 * time.Second):
		w.t.Fatalf("no line in 10 s after:\n%s", strings.Join(w.all, "\n"))
	}
	return ""
}

// until reads lines until one fits.
func (w *watching) until(what string, fits func(*record) bool) *record {
	w.t.Helper()
	for {
		line := w.line()
		if line == "" {
			<-w.drained
			w.t.Fatalf("%s: the watch ended: %s", what, w.stderr.String())
		}
		var r record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			w.t.Fatalf("%q: %v", line, err)
		}
		if fits(&r) {
			return &r
		}
	}
}

// started waits until the watch knows the table.
func (w *watching) started() {
	w.t.Helper()
	w.until("first reading", func(r *record) bool { return r.Event == "resync" && r.First })
}

// interrupt ends the watch as a user does and returns its exit code.
func (w *watching) interrupt() int {
	w.t.Helper()
	if err := w.cmd.Process.Signal(os.Interrupt); err != nil {
		w.t.Error(err)
	}
	for range w.lines {
	}
	<-w.drained
	w.cmd.Wait() // the exit code tells
	return w.cmd.ProcessState.ExitCode()
}

func isEvent(kind string, sport int) func(*record) bool {
	return func(r *record) bool { return r.Event == kind && r.Flow.Original.Sport == sport }
}

const (
	byWeb = `dnat prerouting web rule exact, snat postrouting wan rule exact`
	byWan = `snat postrouting wan rule exact`
)

func TestFlowsWatch(t *testing.T) {
	n := scriptLab(t)
	if err := n.Router.Sysctl("net.netfilter.nf_conntrack_events=1"); err != nil {
		t.Fatal(err)
	}
	if err := tcp(n.Client, "10.0.0.10:6000", "10.8.2.12:80"); err != nil {
		t.Fatal(err)
	}
	w := watchFlows(t, n, "-o", "jsonl", "--proto", "tcp")
	w.started()
	conn, err := n.Client.TCP(addrPort("10.0.0.10:6001"), addrPort("10.0.0.1:8080"))
	if err != nil {
		t.Fatal(err)
	}
	made := w.until("new", isEvent("new", 6001))
	if made.by() != byWeb || made.Flow.State != "SYN_SENT" || made.Found || time.Since(made.At).Abs() > time.Minute {
		t.Errorf("new: %s: %+v", made.by(), made)
	}
	// the handle is the one that the rule has
	if h := handleOf(t, n, "web"); made.Rewrites[0].Rules[0].Handle != h {
		t.Errorf("handle %d, nft has %d", made.Rewrites[0].Rules[0].Handle, h)
	}
	up := w.until("established", func(r *record) bool { return isEvent("update", 6001)(r) && r.Flow.State == "ESTABLISHED" })
	if up.by() != byWeb || up.Flow.ID != made.Flow.ID {
		t.Errorf("update: %s: %+v", up.by(), up)
	}
	conn.Close()
	w.until("closing", func(r *record) bool { return isEvent("update", 6001)(r) && r.Flow.State == "FIN_WAIT" })
	// a ping is not asked for; what comes after it is
	ping := n.Client.Ping(netip.MustParseAddr("10.0.0.10"), netip.MustParseAddr("10.8.2.12"), 99, true)
	if err := ping; err != nil {
		t.Fatal(err)
	}
	inside(t, n.Router, "conntrack", "-D", "-p", "tcp", "--sport", "6001")
	gone := w.until("destroy", func(r *record) bool {
		if r.Flow.Proto == "icmp" {
			t.Errorf("not asked for: %+v", r)
		}
		return r.Event == "destroy"
	})
	if gone.by() != byWeb || gone.Flow.ID != made.Flow.ID {
		t.Errorf("destroy: %s: %+v", gone.by(), gone)
	}
	// one that was there before
	inside(t, n.Router, "conntrack", "-D", "-p", "tcp", "--sport", "6000")
	if old := w.until("older", isEvent("destroy", 6000)); old.by() != byWan {
		t.Errorf("older flow: %s: %+v", old.by(), old)
	}
	if code := w.interrupt(); code != 0 {
		t.Errorf("exit code %d: %s", code, w.stderr.String())
	}
	if !regexp.MustCompile(`^\d+ events in \S+s: [1-9] new, [1-9] update, [1-9] destroy\n$`).MatchString(w.stderr.String()) {
		t.Errorf("sum: %s", w.stderr.String())
	}
}

func addrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// handleOf is the handle of the rule with the comment, as nft lists it.
func handleOf(t *testing.T, n *lab.Net, comment string) (handle int) {
	t.Helper()
	for line := range strings.Lines(inside(t, n.Router, "nft", "-a", "list", "ruleset")) {
		if strings.Contains(line, `"`+comment+`"`) {
			fmt.Sscanf(line[strings.LastIndex(line, "# handle"):], "# handle %d", &handle)
		}
	}
	return handle
}

// Rules that change while flows come: each flow is told with the rule that it
// met, and keeps that to its end.
func TestFlowsWatchRuleChange(t *testing.T) {
	n := scriptLab(t)
	w := watchFlows(t, n, "-o", "jsonl", "--proto", "tcp", "--events", "new,destroy")
	w.started()
	port := 7000
	connect := func() *record {
		t.Helper()
		port++
		if err := tcp(n.Client, fmt.Sprintf("10.0.0.10:%d", port), "10.0.0.1:8080"); err != nil {
			t.Fatal(err)
		}
		return w.until("new", isEvent("new", port))
	}
	first := connect()
	if first.by() != byWeb {
		t.Errorf("before: %s", first.by())
	}
	for i := range 3 {
		old := handleOf(t, n, "web")
		// the same rewrite by another rule: the entry does not show the change
		inside(t, n.Router, "nft", "replace", "rule", "inet", "nat", "prerouting", "handle", fmt.Sprint(old),
			`iifname "c0" tcp dport 8080 counter dnat ip to 192.168.1.80:80 comment "web"`)
		now, sure := handleOf(t, n, "web"), false
		for limit := time.Now().Add(20 * time.Second); time.Now().Before(limit); {
			r := connect()
			rules := r.Rewrites[0].Rules
			switch {
			case len(rules) == 1 && rules[0].Handle == now && r.by() == byWeb:
				sure = true
			case r.Rewrites[0].Grade == "ambiguous" && len(rules) == 2 && (rules[0].Handle == now || rules[1].Handle == now):
				continue // the watch had not been told of the change when it came
			case r.Rewrites[0].Grade == "inferred" && len(rules) == 1 && rules[0].Handle == now:
				continue // nor had it read the rules since
			default:
				t.Fatalf("after change %d: %s %+v, the rule was %d and is %d", i, r.by(), rules, old, now)
			}
			break
		}
		if !sure {
			t.Error("it is still not sure which rule new flows meet")
		}
	}
	inside(t, n.Router, "nft", "flush", "chain", "inet", "nat", "prerouting")
	inside(t, n.Router, "conntrack", "-D", "-p", "tcp", "--sport", "7001")
	if gone := w.until("destroy", isEvent("destroy", 7001)); gone.by() != byWeb || gone.Rewrites[0].Rules[0].Handle != first.Rewrites[0].Rules[0].Handle {
		t.Errorf("end of a flow whose rule is gone: %s", gone.by())
	}
	if code := w.interrupt(); code != 0 {
		t.Errorf("exit code %d: %s", code, w.stderr.String())
	}
}

// A burst beyond the buffer: the gap is told, the table read, the exit code 3.
func TestFlowsWatchLoss(t *testing.T) {
	n := scriptLab(t)
	w := watchFlows(t, n, "-o", "jsonl", "--buffer", "4")
	w.started()
	if err := n.Router.Fill(5000, benchEntry); err != nil {
		t.Fatal(err)
	}
	seen := map[uint32]int{}
	count := func(r *record) {
		if r.Event == "new" {
			seen[r.Flow.ID]++
		}
	}
	lost := w.until("lost", func(r *record) bool { count(r); return r.Event == "lost" })
	if lost.Lost == 0 {
		t.Errorf("lost: %+v", lost)
	}
	for len(seen) < 5000 {
		w.until("new", func(r *record) bool { count(r); return r.Event == "new" })
	}
	for id, times := range seen {
		if times > 1 {
			t.Errorf("entry %d is told %d times", id, times)
		}
	}
	if code := w.interrupt(); code != exitIncomplete || !strings.Contains(w.stderr.String(), "the answer is not complete: ") {
		t.Errorf("exit code %d: %s", code, w.stderr.String())
	}
}

// The table for people.
func TestFlowsWatchTable(t *testing.T) {
	n := scriptLab(t)
	w := watchFlows(t, n, "10.0.0.10", "--limit", "2", "--events", "new", "--remember", "0")
	if head := w.line(); head != "TIME         EVENT   PROTO  SOURCE           DESTINATION    STATE" {
		t.Errorf("header: %q", head)
	}
	if err := tcp(n.Client, "10.0.0.10:6001", "10.0.0.1:8080"); err != nil {
		t.Fatal(err)
	}
	if err := n.Client.Ping(netip.MustParseAddr("10.0.0.10"), netip.MustParseAddr("10.8.2.13"), 98, true); err != nil {
		t.Fatal(err)
	}
	web, wan := handleOf(t, n, "web"), handleOf(t, n, "wan")
	for _, want := range []string{
		fmt.Sprintf(`NEW     tcp    10.0.0.10:6001 → 192.168.1.2:6001  10.0.0.1:8080 → 192.168.1.80:80  SYN_SENT unreplied  dst by prerouting handle %d "web", src by postrouting handle %d "wan"`, web, wan),
		fmt.Sprintf(`NEW     icmp   10.0.0.10 id 98 → 192.168.1.2 id 98  10.8.2.13                        unreplied           src by postrouting handle %d "wan"`, wan),
		"2 events in",
	} {
		if line := w.line(); !strings.Contains(line, want) {
			t.Errorf("%q, want %q", line, want)
		}
	}
	w.cmd.Wait() // the exit code tells
	if code := w.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// What the ftp helper expects: as its PORT command passes, until the connection
// comes; and one that was expected before.
func TestFlowsWatchExpect(t *testing.T) {
	n := scriptLab(t)
	if err := n.Router.Sysctl("net.netfilter.nf_conntrack_events=1"); err != nil {
		t.Fatal(err)
	}
	inside(t, n.Router, "nft", `table ip helper { ct helper std { type "ftp" protocol tcp; }; chain pre { type filter hook prerouting priority mangle; tcp dport 21 ct helper set "std"; }; }`)
	port := func(from string, at int) *bufio.Reader {
		t.Helper()
		conn, err := n.Client.TCP(addrPort(from), addrPort("10.8.2.12:21"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "PORT 10,0,0,10,%d,%d\r\n", at>>8, at&255)
		in := bufio.NewReader(conn)
		if _, err := in.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		return in
	}
	port("10.0.0.10:6100", 1031)
	w := watchFlows(t, n, "--expect", "-o", "jsonl")
	type expectation struct {
		Event       string
		Found       bool
		Expectation struct {
			Helper, Proto string
			ID            uint32
			Tuple, Master struct {
				Src, Dst     string
				Sport, Dport *int
			}
			NAT *struct{ Sport int }
		}
	}
	next := func() (x expectation) {
		t.Helper()
		line := w.line()
		if err := json.Unmarshal([]byte(line), &x); err != nil {
			t.Fatalf("%q: %v: %s", line, err, w.stderr.String())
		}
		return x
	}
	check := func(what string, x expectation, event string, found bool, master, dport int) {
		t.Helper()
		e := x.Expectation
		if x.Event != event || x.Found != found || e.Helper != "ftp" || e.Proto != "tcp" || e.Tuple.Src != "10.8.2.12" || e.Tuple.Sport != nil ||
			e.Tuple.Dst != "192.168.1.2" || e.Tuple.Dport == nil || *e.Tuple.Dport != dport || e.Master.Sport == nil || *e.Master.Sport != master || e.NAT == nil || e.NAT.Sport != dport {
			t.Errorf("%s: %+v\n%s", what, x, w.all[len(w.all)-1])
		}
	}
	if x := next(); x.Event != "start" {
		t.Errorf("first: %+v", x)
	}
	check("there before", next(), "new", true, 6100, 1031)
	port("10.0.0.10:6101", 1032)
	made := next()
	check("new", made, "new", false, 6101, 1032)
	inside(t, n.Router, "conntrack", "-D", "-p", "tcp", "--sport", "6101")
	gone := next()
	check("gone with its master", gone, "destroy", false, 6101, 1032)
	if gone.Expectation.ID != made.Expectation.ID {
		t.Errorf("id %d, then %d", made.Expectation.ID, gone.Expectation.ID)
	}
	if code := w.interrupt(); code != 0 {
		t.Errorf("exit code %d: %s", code, w.stderr.String())
	}
	table := watchFlows(t, n, "--expect", "--limit", "1")
	table.line()
	const want = "NEW     tcp    10.8.2.12        192.168.1.2:1031  expected     helper ftp, master 10.0.0.10:6100 → 10.8.2.12:21, timeout "
	if line := table.line(); !strings.Contains(line, want) || !strings.HasSuffix(line, "s, found in the table") {
		t.Errorf("%q, want %q", line, want)
	}
	table.cmd.Wait()
}
