package remove

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/journal"
	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/diagnose/stale"
)

// hooked does something right after each delete.
type hooked struct {
	*table
	after func() error
}

func (h *hooked) Delete(ctx context.Context, f *host.Flow) error {
	return errors.Join(h.table.Delete(ctx, f), h.after())
}

const (
	natRules = `table ip nat {
	chain prerouting {
		type nat hook prerouting priority dstnat
		iifname "c0" udp dport 53 dnat to 192.168.1.80
		iifname "c0" tcp dport 80 dnat to 192.168.1.80
	}
}`
	movedRules = `flush ruleset
table ip nat {
	chain prerouting {
		type nat hook prerouting priority dstnat
		iifname "c0" udp dport 53 dnat to 192.168.1.99
		iifname "c0" tcp dport 80 dnat to 192.168.1.99
	}
}`
	noRules = `flush ruleset
table ip nat {
	chain prerouting {
		type nat hook prerouting priority dstnat
		iifname "c0" udp dport 5353 dnat to 192.168.1.99
	}
}`
)

// scene is a flow through a router, from 10.0.0.10 to 10.8.2.12, which a rule
// sends to 192.168.1.80. Without the rule its packets go there too, unheard.
type scene struct {
	*table              // of the router
	client func() error // one more packet of the flow
	server func() error // one more answer
	old    host.Flow
}

func newScene(t *testing.T, proto string) *scene {
	t.Helper()
	l, err := lab.New()
	if err != nil {
		lab.LeaveOut(t, err)
	}
	t.Cleanup(func() { l.Close() })
	hosts := map[string]*lab.Host{}
	for _, name := range []string{"client", "router", "server"} {
		if hosts[name], err = l.Host(name); err != nil {
			t.Fatal(err)
		}
	}
	end := func(name, dev, addr string) lab.End {
		return lab.End{Host: hosts[name], Dev: dev, Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}}
	}
	everywhere := netip.MustParsePrefix("0.0.0.0/0")
	s := &scene{table: tableOf(t, hosts["router"])}
	for _, step := range []func() error{
		func() error { return l.Link(end("client", "eth0", "10.0.0.10/24"), end("router", "c0", "10.0.0.1/24")) },
		func() error {
			return l.Link(end("server", "eth0", "192.168.1.80/24"), end("router", "s0", "192.168.1.2/24"))
		},
		func() error { return hosts["router"].Sysctl("net.ipv4.ip_forward=1") },
		func() error { return hosts["client"].Route(everywhere, netip.MustParseAddr("10.0.0.1")) },
		func() error { return hosts["server"].Route(everywhere, netip.MustParseAddr("192.168.1.2")) },
		func() error {
			return hosts["router"].Route(netip.MustParsePrefix("10.8.2.0/24"), netip.MustParseAddr("192.168.1.80"))
		},
		func() error { s.nft(natRules); return nil },
		func() error { return s.converse(proto, hosts["client"], hosts["server"]) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	flows := s.dump()
	if len(flows) != 1 || !flows[0].Status.Has(host.StatusDstNAT|host.StatusSeenReply) {
		t.Fatalf("flows: %+v", flows)
	}
	s.old = flows[0]
	return s
}

// converse makes the flow, answered once, all by hand: nobody sends anything
// that the test does not.
func (s *scene) converse(proto string, client, server *lab.Host) error {
	if proto == "tcp" {
		return s.connect(client, server)
	}
	pc, err := listen(s.t, server, net.ListenPacket, "udp4", "192.168.1.80:53")
	if err != nil {
		return err
	}
	conn, err := client.UDP(netip.MustParseAddrPort("10.0.0.10:4000"), netip.MustParseAddrPort("10.8.2.12:53"), false)
	if err != nil {
		return err
	}
	buf := make([]byte, 100)
	_, from, err := pc.ReadFrom(buf)
	if err != nil {
		return err
	}
	s.client = func() error { _, err := conn.Write([]byte("more")); return err }
	s.server = func() error { _, err := pc.WriteTo([]byte("answer"), from); return err }
	if err := s.server(); err != nil {
		return err
	}
	_, err = conn.Read(buf)
	return err
}

// connect leaves it at the handshake, after which no packet is on its way. The
// client is kept from resetting what it does not know.
func (s *scene) connect(client, server *lab.Host) error {
	ln, err := listen(s.t, server, net.Listen, "tcp4", "192.168.1.80:80")
	if err != nil {
		return err
	}
	var conn net.Conn
	if err := client.Do(func() (err error) {
		conn, err = net.DialTimeout("tcp4", "10.8.2.12:80", 2*time.Second)
		return err
	}); err != nil {
		return err
	}
	s.t.Cleanup(func() { conn.Close() })
	accepted, err := ln.Accept()
	if err != nil {
		return err
	}
	s.t.Cleanup(func() { accepted.Close() })
	s.client = func() error { _, err := conn.Write([]byte("more")); return err }
	s.server = func() error { _, err := accepted.Write([]byte("answer")); return err }
	quiet := &table{t: s.t, host: client}
	quiet.nft(`table ip quiet {
	chain in {
		type filter hook input priority 0
		tcp sport 80 drop
	}
}`)
	return nil
}

func listen[T io.Closer](t testing.TB, h *lab.Host, how func(network, addr string) (T, error), network, addr string) (T, error) {
	var c T
	err := h.Do(func() (err error) {
		c, err = how(network, addr)
		return err
	})
	if err == nil {
		t.Cleanup(func() { c.Close() })
	}
	return c, err
}

// sent waits until a packet that send sends has made its entry.
func (s *scene) sent(send func() error) error {
	if err := send(); err != nil {
		return err
	}
	for range 2000 {
		if n, _, err := s.live.Count(); err != nil || n > 0 {
			return err
		}
		time.Sleep(time.Millisecond)
	}
	return errors.New("no entry came")
}

// TestBack: what comes back in the place of a flow is told for what it is.
func TestBack(t *testing.T) {
	silent := func(*scene) error { return nil }
	client := func(s *scene) error { return s.sent(s.client) }
	server := func(s *scene) error { return s.sent(s.server) }
	program := func(s *scene) error { return s.Insert(context.Background(), &s.old) }
	for _, tt := range []struct {
		name, proto, rules string
		after              func(*scene) error
		judged             bool
		want               Back
	}{
		{"silent", "udp", movedRules, silent, true, BackNone},
		{"as the rules say now", "udp", movedRules, client, true, BackFresh},
		{"a rule that is gone", "udp", noRules, client, true, BackFresh},
		{"a rule that is gone, unjudged", "udp", noRules, client, false, BackPlain},
		{"another target, unjudged", "udp", movedRules, client, false, BackOther},
		{"put back by a program", "udp", movedRules, program, true, BackSame},
		{"the answer comes first", "udp", movedRules, server, true, BackReversed},
		{"tcp in mid-stream", "tcp", movedRules, client, true, BackFresh},
		{"tcp in mid-stream, answer first", "tcp", movedRules, server, true, BackReversed},
		{"tcp in mid-stream, rule gone, unjudged", "tcp", noRules, client, false, BackPlain},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene(t, tt.proto)
			s.nft(tt.rules)
			var o Options
			if tt.judged {
				snap, err := s.live.Snapshot(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				o.Judge = stale.New(snap)
				if v := o.Judge.Judge(&s.old); v.Fate != stale.Stale {
					t.Fatalf("%v: %s", v.Fate, v.Why)
				}
			}
			w := newJournal(t, t.TempDir())
			then := &hooked{s.table, func() error { return tt.after(s) }}
			results, err := Run(context.Background(), then, w, []Planned{{Flow: s.old}}, o)
			if err := errors.Join(err, w.Close()); err != nil {
				t.Fatal(err)
			}
			r := results[0]
			if r.Action != journal.Deleted || r.Back != tt.want || (r.Now == nil) != (tt.want == BackNone) {
				t.Errorf("%s, back %q, want %q: %+v", r.Action, r.Back, tt.want, r.Now)
			}
			if what, _ := BackText(r.Back, &r.Flow); (what == "") != (tt.want == BackNone) {
				t.Errorf("said: %q", what)
			}
		})
	}
}

var _ Table = (*capture.Entries)(nil)
