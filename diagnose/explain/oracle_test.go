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
	"strings"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/capture"
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
