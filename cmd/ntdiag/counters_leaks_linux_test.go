package main

import (
	"bytes"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/counters"
	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/report"
)

// strayTCP is a packet that belongs to nothing known: a RST is never picked up.
func strayTCP(src, dst string) lab.Packet {
	p := syn(src, dst, 1)
	s, d := netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)
	p.L4 = lab.TCP{SPort: s.Port(), DPort: d.Port(), Flags: lab.RST}
	return p
}

// seen tells whether a TCP packet from port sport of src came to tap before the
// UDP packet to port 4999 that is sent after it.
func (c *counting) seen(tap *lab.Tap, src netip.Addr, sport uint16) bool {
	c.t.Helper()
	all, err := tap.Until(func(p []byte) bool {
		return p[0]>>4 == 4 && p[9] == unix.IPPROTO_UDP && p[22] == 4999>>8 && p[23] == 4999&0xff
	})
	if err != nil {
		c.t.Fatal(err)
	}
	from := src.As4()
	for _, p := range all {
		if p[0]>>4 == 4 && p[9] == unix.IPPROTO_TCP && bytes.Equal(p[12:16], from[:]) && p[20] == byte(sport>>8) && p[21] == byte(sport) {
			return true
		}
	}
	return false
}

// leaving is what is said of one invalid packet sent from the client's link, and
// whether it came out at the server with the address it was sent from.
func (c *counting) leaving(src, dst string) (*report.Counters, bool) {
	c.t.Helper()
	tap, err := c.Server.Tap("eth0")
	if err != nil {
		c.t.Fatal(err)
	}
	from := netip.MustParseAddrPort(src)
	d := c.during(func() error { return c.wire.Send(strayTCP(src, dst)) })
	mark := lab.Packet{Src: lab.ClientAddr4, Dst: lab.ServerAddr4, L4: lab.UDP{SPort: 4998, DPort: 4999}}
	if err := c.wire.Send(mark); err != nil {
		c.t.Fatal(err)
	}
	return d, c.seen(tap, from.Addr(), from.Port())
}

// fixed runs the fix of not-dropped.
func (c *counting) fixed(f *report.CounterFinding) {
	c.t.Helper()
	for _, x := range f.Likely {
		if x.Name == "not-dropped" {
			inside(c.t, c.Router, "sh", "-c", x.Fix)
			return
		}
	}
	c.t.Fatal("no fix")
}

// TestCountersLeakDNAT: the client is the backend of what the server asks the
// router for; no flow has its source rewritten.
func TestCountersLeakDNAT(t *testing.T) {
	c := newCounting(t, `table inet nat { chain prerouting { type nat hook prerouting priority dstnat; iifname "s0" tcp dport 8080 dnat ip to 10.0.0.10:80; }; }`)
	if err := c.Client.Listen("tcp", 80); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Server.TCP(netip.MustParseAddrPort("192.168.1.80:5001"), netip.MustParseAddrPort("192.168.1.2:8080")); err != nil {
		t.Fatal(err)
	}
	// of another port of the server, so that the flow that is there stays
	d, left := c.leaving("10.0.0.10:80", "192.168.1.80:5002")
	if !left {
		t.Error("the kernel did not let it leave")
	}
	f := c.holds(d, "invalid", `^warning: 1 packet was invalid in `, `^shown not-dropped: `,
		`^- an answer of tcp 10\.0\.0\.10:80 → 192\.168\.1\.80:5001 would leave by s0 with the address it came with$`,
		`^- one of tcp 192\.168\.1\.80:5001 → 192\.168\.1\.2:8080 would end on this host, which answers with a RST$`, `hook prerouting`)
	c.fixed(f)
	d, left = c.leaving("10.0.0.10:80", "192.168.1.80:5003")
	if left {
		t.Error("it leaves in spite of the rule")
	}
	c.holds(d, "invalid", `^info: 1 packet was invalid in `, `^not what comes of it: .*: an answer of .* would be dropped, by inet ntdiag prerouting handle \d+$`)
}

// TestCountersLeakRules: no flow is there, as after a flush; the rules tell.
func TestCountersLeakRules(t *testing.T) {
	for _, tt := range []struct {
		name, rules string
		want        []string
		leaves      bool
	}{
		{"masquerade", `table ip nat { chain postrouting { type nat hook postrouting priority srcnat; oifname "s0" masquerade; }; }`,
			[]string{`^warning: 1 packet was invalid in `, `^shown not-dropped: `, `^- by the rules, one of a flow as tcp 10\.0\.0\.\d+:40000 → 9\.9\.9\.9:443 would leave by s0 with the address it came with$`}, true},
		{"random", `table ip nat { chain postrouting { type nat hook postrouting priority srcnat; oifname "s0" numgen random mod 2 0 masquerade; }; }`,
			[]string{`^info: 1 packet was invalid in `, `^open not-dropped: whether they leave without NAT is not known$`, `^- no flow has NAT now; whether the rules would rewrite one as tcp .* cannot be told$`}, true},
		{"elsewhere", `table ip nat { chain postrouting { type nat hook postrouting priority srcnat; oifname "ppp0" masquerade; }; }`,
			[]string{`^info: 1 packet was invalid in `, `^open not-dropped: `, `^- no flow has NAT now, and on no way that was tried would the rules rewrite one$`}, true},
		{"no carrier", `table ip nat { chain postrouting { type nat hook postrouting priority srcnat; ip saddr 172.31.9.0/24 masquerade; }; }`,
			[]string{`^info: 1 packet was invalid in `, `^open not-dropped: `, `on no way that was tried would the rules rewrite one$`}, true},
		{"second way", `table ip nat { chain postrouting { type nat hook postrouting priority srcnat; ip saddr 10.0.0.0/24 ip daddr 9.9.9.9 drop; ip saddr 10.0.0.0/24 masquerade; }; }`,
			[]string{`^warning: 1 packet was invalid in `, `^shown not-dropped: `, `^- by the rules, one of a flow as tcp 10\.0\.0\.\d+:40000 → 192\.168\.1\.\d+:443 would leave by s0 `}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCounting(t, tt.rules)
			// a device whose other end is down has no carrier
			inside(t, c.Router, "sh", "-c", "ip link add v9 type veth peer name w9 && ip addr add 172.31.9.1/24 dev v9 && ip link set v9 up")
			d, left := c.leaving("10.0.0.10:4001", "192.168.1.80:80")
			if left != tt.leaves {
				t.Errorf("leaves with its address: %v", left)
			}
			f := c.holds(d, "invalid", tt.want...)
			if f.Severity != counters.Warning {
				return
			}
			inside(t, c.Router, "conntrack", "-F")
			c.fixed(f)
			d, left = c.leaving("10.0.0.10:4002", "192.168.1.80:80")
			if left {
				t.Error("it leaves in spite of the rule")
			}
			c.holds(d, "invalid", `^info: 1 packet was invalid in `, `^not what comes of it: .*: by the rules, one of a flow as .* would be dropped, by inet ntdiag forward handle \d+$`)
		})
	}
}
