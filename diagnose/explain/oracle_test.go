//go:build linux

package explain_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/explain"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/rules"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m.Run)) }

// TestOracle compares what is said of an entry with what the kernel did when
// it was made, by the kernel's own trace.
func TestOracle(t *testing.T) {
	needKernel(t)
	cases, err := readCases("testdata/oracle/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) == 0 {
		t.Fatal("no cases in testdata/oracle")
	}
	for _, c := range cases {
		for _, flavour := range c.flavours {
			c, name := *c, c.name
			c.flavour = flavour
			if len(c.flavours) > 1 {
				name += "/" + flavour
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				run := &oracleRun{oracleCase: &c}
				if c.needsRoot != "" && lab.UserNamespace() {
					lab.LeaveOut(t, fmt.Errorf("not root, but in a user namespace: %s", c.needsRoot))
				}
				if err := run.play(t); err != nil {
					t.Fatalf("the case itself: %v", err)
				}
				run.compare(t)
				run.bundled(t)
			})
		}
	}
}

// needKernel leaves a test out where there is no trace to hold answers against.
func needKernel(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("nft"); err != nil {
		lab.LeaveOut(t, err)
	}
	if err := traceNamesEntries(); err != nil {
		lab.LeaveOut(t, err)
	}
	probe, err := lab.New()
	if err != nil {
		lab.LeaveOut(t, err)
	}
	probe.Close()
}

// oracleRun is one case being played.
type oracleRun struct {
	*oracleCase
	net       *lab.Net
	extra     map[string]*lab.Host
	producer  *producer
	trace     *lab.Trace
	flows     map[string]uint32 // entry by flow: "1", "2", …, "data"
	events    []lab.TraceEvent
	verdicts  map[uint32]*verdict
	legacy    map[ruleID]legacyRule  // as counted last
	legacyRan map[uint32][2]*ruleID  // by entry
	left      map[ruleID]rules.Manip // NAT rules present at the end
	snapshot  *host.Snapshot
	entries   map[uint32]*host.Flow
	prove     []proveFlow // of TestProve, instead of traffic
	xtEvents  []lab.XTTraceEvent
	tracer    string // instead of the usual one
	listing   string // the ruleset with handles
	// unrouted, when set, takes the packets that the router could not send for
	// want of a route.
	unrouted map[rules.Tuple]bool
	// before, when set, is called when all is built and nothing is sent yet.
	before func(*oracleRun) error
}

// play loads the rules, sends the traffic, and captures what came of it.
func (r *oracleRun) play(t *testing.T) error {
	if err := r.build(t); err != nil {
		return err
	}
	nat, err := present(r.net.Router)
	if err != nil {
		return err
	}
	r.flows, r.legacyRan = map[string]uint32{}, map[uint32][2]*ruleID{}
	if err := r.countLegacy(nil); err != nil {
		return err
	}
	for i, tr := range r.traffic {
		if err := r.send(i, tr); err != nil {
			events, _ := r.trace.Events() // the error at hand tells more
			return fmt.Errorf("flow %d, %s: %w\n%s", i+1, tr.line, err, printTrace(events, 0))
		}
	}
	r.verdicts = judge(r.events, nat)
	if _, err := nft(r.net.Router, "delete table inet tracer"); err != nil {
		return err
	}
	if r.then != "" {
		if _, err := nft(r.net.Router, r.then); err != nil {
			return err
		}
	}
	if r.thenScript != "" {
		if err := r.producer.then(); err != nil {
			return err
		}
	}
	if r.left, err = present(r.net.Router); err != nil {
		return err
	}
	if err := r.judgeLegacy(); err != nil {
		return err
	}
	return r.capture()
}

func (r *oracleRun) build(t *testing.T) error {
	l, err := lab.New()
	if err != nil {
		return err
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	if r.net, err = l.Typical(r.outside); err != nil {
		return err
	}
	router := r.net.Router
	if err := router.Sysctl(r.sysctl...); err != nil {
		return err
	}
	if err := r.addHosts(l); err != nil {
		return err
	}
	for _, a := range r.addrs {
		h, err := r.host(a.host)
		if err != nil {
			return err
		}
		if err := h.Addr(a.dev, a.prefix); err != nil {
			return err
		}
	}
	for _, x := range r.listen {
		if err := router.Listen(x.proto, x.port); err != nil {
			return err
		}
	}
	for _, port := range r.transparent {
		if err := router.ListenTransparent(port); err != nil {
			return err
		}
	}
	for _, words := range r.run {
		if _, err := router.Run("", words[0], words[1:]...); err != nil {
			return err
		}
	}
	if r.setup != "" {
		if err := r.produce(t); err != nil {
			return err
		}
	}
	for _, script := range []string{cmp.Or(r.tracer, tracers[r.flavour]), r.rules} {
		if _, err := nft(router, script); err != nil {
			return err
		}
	}
	for _, line := range r.iptables {
		words := strings.Fields(line)
		if _, err := router.Run("", words[0], words[1:]...); err != nil {
			return err
		}
	}
	if r.ipsets != "" {
		if _, err := router.Run(r.ipsets, "ipset", "restore"); err != nil {
			return err
		}
	}
	for tool, script := range r.restore {
		if _, err := router.Run(script, tool+"-"+r.flavour+"-restore", "--noflush"); err != nil {
			return err
		}
	}
	r.trace, err = router.Trace()
	return err
}

// send makes one flow and finds its entry by the trace.
func (r *oracleRun) send(i int, tr traffic) error {
	before := len(r.events)
	data, err := r.transmit(i, tr)
	if err != nil {
		return err
	}
	if r.events, err = r.trace.Events(); err != nil {
		return err
	}
	ids := fresh(r.events[before:])
	want := 1
	if data {
		want = 2
	}
	if len(ids) > want {
		return fmt.Errorf("%d entries were made, not %d", len(ids), want)
	}
	for k, id := range ids {
		r.flows[[]string{fmt.Sprint(i + 1), "data"}[k]] = id
	}
	return r.countLegacy(ids)
}

func (r *oracleRun) transmit(i int, tr traffic) (data bool, err error) {
	h, err := r.host(tr.host)
	if err != nil {
		return false, err
	}
	h = h.Marked(tr.mark)
	src := tr.src
	if !src.IsValid() {
		src = defaultSource(tr)
	}
	switch tr.proto {
	case "tcp":
		if tr.noreply {
			return false, h.Knock(src, tr.dst)
		}
		_, err = h.TCP(src, tr.dst)
	case "udp":
		_, err = h.UDP(src, tr.dst, !tr.noreply)
	case "icmp":
		id := src.Port()
		if id == 0 {
			id = uint16(1000 + i)
		}
		err = h.Ping(src.Addr(), tr.dst.Addr(), id, !tr.noreply)
	case "other":
		err = h.Datagram(253, src.Addr(), tr.dst.Addr())
	case "ftp":
		return true, r.ftp(h, src, tr.dst)
	}
	return false, err
}

func (r *oracleRun) host(name string) (*lab.Host, error) {
	if h := r.hosts()[name]; h != nil {
		return h, nil
	}
	return nil, fmt.Errorf("host %q", name)
}

func (r *oracleRun) hosts() map[string]*lab.Host {
	hosts := map[string]*lab.Host{"client": r.net.Client, "router": r.net.Router, "server": r.net.Server}
	maps.Copy(hosts, r.extra)
	return hosts
}

// addHosts makes the case's own hosts; they answer everything, and what links
// them is the case's matter.
func (r *oracleRun) addHosts(l *lab.Lab) error {
	r.extra = map[string]*lab.Host{}
	for _, name := range r.hostNames {
		h, err := l.Host(name)
		if err != nil {
			return err
		}
		if err := h.AnswerAll(); err != nil {
			return err
		}
		r.extra[name] = h
	}
	return nil
}

// defaultSource is the first address of client and server, which have many;
// the router chooses for itself.
func defaultSource(tr traffic) netip.AddrPort {
	var a netip.Addr
	switch {
	case tr.host == "client" && tr.dst.Addr().Is4():
		a = lab.ClientAddr4
	case tr.host == "client":
		a = lab.ClientAddr6
	case tr.host == "server" && tr.dst.Addr().Is4():
		a = lab.ServerAddr4
	case tr.host == "server":
		a = lab.ServerAddr6
	default:
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a, 0)
}

// ftp opens a control connection, sends PORT, and has the server connect to
// what it was told. The server echoes, so that the answer holds the command as
// the server got it, rewritten on the way.
func (r *oracleRun) ftp(h *lab.Host, src, dst netip.AddrPort) error {
	conn, err := h.TCP(src, dst)
	if err != nil {
		return err
	}
	local := netip.MustParseAddrPort(conn.LocalAddr().String()).Addr().As4()
	fmt.Fprintf(conn, "PORT %d,%d,%d,%d,4,7\r\n", local[0], local[1], local[2], local[3])
	var v [6]int
	if _, err := fmt.Fscanf(conn, "PORT %d,%d,%d,%d,%d,%d", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5]); err != nil {
		return fmt.Errorf("PORT as the server got it: %w", err)
	}
	addr := netip.AddrFrom4([4]byte{byte(v[0]), byte(v[1]), byte(v[2]), byte(v[3])})
	_, err = r.net.Server.TCP(netip.AddrPortFrom(lab.ServerAddr4, 20), netip.AddrPortFrom(addr, uint16(v[4]<<8|v[5])))
	return err
}

func (r *oracleRun) capture() error {
	live, err := capture.Open(r.net.Router.Path())
	if err != nil {
		return err
	}
	defer live.Close()
	ctx := context.Background()
	if r.snapshot, err = live.Snapshot(ctx); err != nil {
		return err
	}
	r.entries = map[uint32]*host.Flow{}
	_, err = live.Flows(ctx, capture.Filter{}, func(f *host.Flow) error {
		c := *f
		c.Helper = strings.Clone(f.Helper)
		r.entries[f.ID] = &c
		return nil
	})
	return err
}

// compare holds every flow of the case against the kernel's trace.
func (r *oracleRun) compare(t *testing.T) {
	ex := explain.New(r.snapshot)
	seen := map[string]bool{}
	for i := range r.traffic {
		r.compareFlow(t, ex, fmt.Sprint(i+1), seen)
	}
	if _, ok := r.flows["data"]; ok {
		r.compareFlow(t, ex, "data", seen)
	}
	if err := r.heldAlike(1); err != nil {
		t.Error(err)
	}
	for _, w := range r.wants {
		if key := w.flow + " " + w.kind; w.kind != "none" && !seen[key] {
			t.Errorf("flow %s: there is no %s rewrite", w.flow, w.kind)
		}
	}
}

func (r *oracleRun) compareFlow(t *testing.T, ex *explain.Explainer, name string, seen map[string]bool) {
	id, traced := r.flows[name]
	entry := r.entries[id]
	wantNone := r.want(name, "none") != nil
	if !traced || entry == nil {
		if !wantNone {
			t.Errorf("flow %s: no entry (id %d, traced %v)", name, id, traced)
		}
		return
	}
	x := ex.Explain(entry, explain.Options{Path: true, Not: true})
	var bad []string
	if why := r.indexed(entry); why != "" {
		bad = append(bad, why)
	}
	if wantNone != (len(x.Rewrites) == 0) {
		bad = append(bad, fmt.Sprintf("%d rewrites", len(x.Rewrites)))
	}
	if len(x.Rewrites) == 0 && x.WhyNone == "" {
		bad = append(bad, "no rewrite, and it is not said why")
	}
	for _, rw := range x.Rewrites {
		seen[name+" "+rw.Manip.String()] = true
		if why := r.wrong(name, &rw); why != "" {
			bad = append(bad, rw.Manip.String()+": "+why)
		}
	}
	for _, say := range r.says {
		if say.flow == name && !strings.Contains(notes(x), say.text) {
			bad = append(bad, fmt.Sprintf("does not say %q", say.text))
		}
	}
	if len(bad) > 0 {
		t.Errorf("flow %s: %s\n%s  kernel's trace:\n%s", name, strings.Join(bad, "; "), printExplanation(x), printTrace(r.events, id))
		return
	}
	for _, rw := range x.Rewrites {
		t.Logf("flow %s %s %s %s", name, rw.Manip, rw.Cause, rw.Grade)
	}
}

// notes are what is said of a rewrite beside the rule: notes, the chains that
// lead to it, and those that set the mark it asks for.
func notes(x *explain.Explanation) string {
	all := x.WhyNone
	for _, rw := range x.Rewrites {
		all += "\n" + rw.Note + "\n" + rw.Manip.String() + " via"
		for _, r := range rw.Via {
			all += " " + r.Chain.Name
		}
		all += "\n" + rw.Manip.String() + " marked by"
		for _, r := range rw.Marks {
			all += " " + r.Chain.Name
		}
	}
	return all + "\n"
}

func (r *oracleRun) want(flow, kind string) *want {
	for i, w := range r.wants {
		if w.flow == flow && w.kind == kind {
			return &r.wants[i]
		}
	}
	return nil
}

// wrong says what is wrong with the answer about one rewrite, "" for nothing.
func (r *oracleRun) wrong(flow string, rw *explain.Rewrite) string {
	kernel := r.verdicts[r.flows[flow]].rule[rw.Manip]
	w := r.want(flow, rw.Manip.String())
	gone := kernel != nil && !r.isLeft(*kernel)
	switch {
	case w != nil && w.grade != "" && string(rw.Grade) != w.grade:
		return fmt.Sprintf("grade %s, want %s", rw.Grade, w.grade)
	case w != nil && string(rw.Cause) != w.cause:
		return fmt.Sprintf("cause %s, want %s", rw.Cause, w.cause)
	case kernel == nil && w == nil:
		return fmt.Sprintf("cause %s; the kernel ran no rule, and the case does not say what to expect", rw.Cause)
	case gone && w == nil && rw.Cause != explain.CauseRuleGone:
		return fmt.Sprintf("cause %s, want rule-gone: %s is there no more", rw.Cause, kernel)
	}
	if kernel == nil && r.allowAmbiguous != "" && rw.Grade == explain.GradeAmbiguous && orNoRule(rw) {
		return ""
	}
	unnamed := w != nil && w.cause != string(explain.CauseRule) // also a rule that is left but changed its target
	if kernel == nil || unnamed || gone && w == nil {
		if len(rw.Rules) > 0 || rw.Grade != explain.GradeNone && rw.Cause == explain.CauseRuleGone {
			return "rules are named, but no present rule made it"
		}
		return ""
	}
	if gone { // an equal rule in its place
		return ""
	}
	named := slices.ContainsFunc(rw.Rules, func(x *rules.Rule) bool {
		return x.Handle == kernel.handle && x.Chain.Table.Name == kernel.table && x.Chain.Table.Family.String() == kernel.family
	})
	noted := rw.Grade == explain.GradeInferred && regexp.MustCompile(fmt.Sprintf(`handle %d\b`, kernel.handle)).MatchString(rw.Note)
	switch {
	case !named && noted && r.allowNoted != "":
		return ""
	case !named:
		return fmt.Sprintf("%s, but the kernel ran %s", rw.Grade, kernel)
	case rw.Cause != explain.CauseRule:
		return fmt.Sprintf("cause %s, but the kernel ran %s", rw.Cause, kernel)
	case rw.Grade == explain.GradeAmbiguous && r.allowAmbiguous == "":
		return fmt.Sprintf("ambiguous, but only %s can be", kernel)
	case rw.Grade != explain.GradeAmbiguous && len(rw.Rules) != 1:
		return fmt.Sprintf("%s with %d rules", rw.Grade, len(rw.Rules))
	case rw.Grade == explain.GradeNone:
		return "grade none with a rule"
	case (r.exact[""] || r.exact[flow]) && rw.Grade != explain.GradeExact:
		return fmt.Sprintf("%s, want exact", rw.Grade)
	}
	return ""
}

// orNoRule tells whether the answer leaves open that no rule was met.
func orNoRule(rw *explain.Rewrite) bool { return strings.HasPrefix(rw.Note, "or no rule") }

func (r *oracleRun) isLeft(id ruleID) bool { _, ok := r.left[id]; return ok }
