package invalid_test

import (
	"os/exec"
	"slices"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/lab"
)

// ftp gives the connection to port 80 the helper for FTP.
const ftp = `table ip helpers {
	ct helper ftp { type "ftp" protocol tcp; }
	chain pre { type filter hook prerouting priority filter; tcp dport 80 ct helper set "ftp"; }
}
`

// login is a connection with one whole line from each end: the helper reads what
// follows a line.
var login = slices.Concat(established, []sent{
	server(seg(ack|psh, 5001, 1001, "220 ready\r\n")), client(seg(ack|psh, 1001, 5012, "USER a\r\n")),
})

// helperCases follow nf_ct_helper_log: it prints whatever log_invalid is, and
// the packet is dropped without a counter. It is logged behind NAT.
var helperCases = []kernelCase{
	{name: "ftp: PORT in one piece", rules: ftp, before: login,
		send: client(seg(ack|psh, 1009, 5012, "PORT 10,0,1,10,4,1\r\n")), state: "established", leaves: same},
	{name: "ftp: PORT that ends within the address", rules: ftp, before: login,
		send:  client(seg(ack|psh, 1009, 5012, "PORT 10,0,1,10,4")),
		log:   []line{{"helper-parse", "nf_ct_ftp: dropping packet: partial matching of `PORT' "}},
		state: "established", leaves: nothing},
	{name: "ftp: PORT that ends within the address, log_invalid=0", rules: ftp, before: login,
		sysctls: []string{"net.netfilter.nf_conntrack_log_invalid=0"},
		send:    client(seg(ack|psh, 1009, 5012, "PORT 10,0,1,10,4")),
		log:     []line{{"helper-parse", "nf_ct_ftp: dropping packet: partial matching of `PORT' "}},
		state:   "established", leaves: nothing},
	{name: "ftp, masquerade: answer to PASV that ends within the address", nat: masquerade, rules: ftp, before: login,
		send:  server(seg(ack|psh, 5012, 1009, "227 (203,0,113,80,4")),
		log:   []line{{"helper-parse", "nf_ct_ftp: dropping packet: partial matching of `227 ' "}},
		as:    "tcp 203.0.113.80:80 > 10.0.1.10:4000",
		state: "established", leaves: nothing},
}

// onePort is a range of one port, for which nf_nat does not look whether it is
// free.
const onePort = `table ip nat { chain postrouting { type nat hook postrouting priority srcnat; meta l4proto { tcp, udp } snat to 192.0.2.2:7000; }; }`

// entryCases follow nf_conntrack_tuple_taken and __nf_conntrack_confirm.
var entryCases = []kernelCase{
	{name: "masquerade: the port is taken by another client: it takes another", nat: masquerade, before: []sent{client(seg(syn, 1000, 0))},
		send: client(seg(syn, 1000, 0)).as("10.0.1.11"), moves: "found=1", state: "new",
		leaves: "tcp 192.0.2.2:* > 203.0.113.80:80"},
	{name: "snat to one port: the second client finds it taken", rules: onePort, before: []sent{client(seg(syn, 1000, 0))},
		send: client(seg(syn, 1000, 0)).as("10.0.1.11"), silent: []string{"nf_ct_resolve_clash"}, moves: "drop=1 insert_failed=1",
		state: "new", leaves: nothing},
	{name: "snat to one port, udp: the same", rules: onePort, before: []sent{client(query)},
		send: client(query).as("10.0.1.11"), silent: []string{"nf_ct_resolve_clash"}, moves: "drop=1 found=1 insert_failed=1",
		state: "new", leaves: nothing},
	{name: "snat to one port: to another server it is free", rules: onePort, before: []sent{client(seg(syn, 1000, 0))},
		send: client(seg(syn, 1000, 0)).as("10.0.1.11").to("203.0.113.81"), state: "new",
		leaves: "tcp 192.0.2.2:7000 > 203.0.113.81:80"},
}

// clashCase is packets that are between two hooks at one time: each has an
// entry, none is confirmed.
type clashCase struct {
	name    string
	rules   string
	packets []sent
	moves   string
	leaves  string
}

// targets sends every second flow to another server.
const targets = `table ip nat { chain prerouting { type nat hook prerouting priority dstnat;
	meta l4proto { tcp, udp } dnat to numgen inc mod 2 map { 0 : 203.0.113.81, 1 : 203.0.113.82 }; }; }`

var (
	opening = client(seg(syn, 1000, 0))
	echo    = client(lab.ICMP{Type: 8, Rest: 1<<16 | 1})
)

// clashCases follow nf_ct_resolve_clash: what may clash (allow_clash) is made
// one flow of, and nothing is lost.
var clashCases = []clashCase{
	{"udp: two first packets", "", []sent{client(query), client(query)}, "clash_resolve=1",
		"udp 10.0.1.10:4000 > 203.0.113.80:80, udp 10.0.1.10:4000 > 203.0.113.80:80"},
	{"udp: two first packets, two targets: both arrive, the second entry is hidden (IPS_NAT_CLASH)", targets,
		[]sent{client(query), client(query)}, "clash_resolve=1",
		"udp 10.0.1.10:4000 > 203.0.113.81:80, udp 10.0.1.10:4000 > 203.0.113.82:80"},
	{"tcp: two first packets", "", []sent{opening, opening}, "drop=1 insert_failed=1",
		"tcp 10.0.1.10:4000 > 203.0.113.80:80"},
	{"tcp: two first packets, two targets", targets, []sent{opening, opening}, "drop=1 insert_failed=1",
		"tcp 10.0.1.10:4000 > 203.0.113.81:80"},
	{"icmp: two pings of one id", "", []sent{echo, echo}, "drop=1 insert_failed=1", "icmp 10.0.1.10 > 203.0.113.80"},
}

func TestKernelClash(t *testing.T) {
	if _, err := exec.LookPath("iptables"); err != nil {
		lab.LeaveOut(t, err)
	}
	b := newBed(t)
	hold, err := b.router.Hold(5)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range clashCases {
		t.Run(c.name, func(t *testing.T) {
			b.reset(t, c.rules)
			if _, err := b.router.Run("", "iptables", "-t", "mangle", "-A", "FORWARD", "!", "-p", "253", "-j", "NFQUEUE", "--queue-num", "5"); err != nil {
				t.Fatal(err)
			}
			got := b.observe(t, atClient, ends4, func() error {
				for _, s := range c.packets {
					if err := b.put(s.from, s.wire(ends4, noNAT)); err != nil {
						return err
					}
				}
				if err := hold.Wait(len(c.packets)); err != nil {
					return err
				}
				return hold.Release()
			})
			if got.moved != c.moves && exact {
				t.Errorf("moved %q, want %q", got.moved, c.moves)
			}
			if left := shownAll(got.left); left != c.leaves && exact {
				t.Errorf("left as %q, want %q", left, c.leaves)
			}
		})
	}
}
