package capture

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/rules"
)

// ipsetGen draws elements and probes from so small a world that they meet.
type ipsetGen struct {
	*rand.Rand
	v6 bool
	// filled: elements of bitmap:ip,mac have their MAC address, which a packet
	// that asks for them would give them otherwise.
	filled bool
}

func (g *ipsetGen) pick(of ...string) string { return of[g.IntN(len(of))] }

// addr is one of a few addresses in a few networks.
func (g *ipsetGen) addr() netip.Addr {
	if g.v6 {
		return netip.AddrFrom16([16]byte{0xfd, 0, byte(g.IntN(2)), 0, 14: byte(g.IntN(2)), 15: byte(1 + g.IntN(6))})
	}
	return netip.AddrFrom4([4]byte{10, byte(g.IntN(2)), byte(g.IntN(2)), byte(1 + g.IntN(6))})
}

func (g *ipsetGen) net() string {
	bits := []int{8, 15, 16, 24, 30, 31, 32}
	if g.v6 {
		bits = []int{16, 23, 24, 64, 112, 126, 127, 128}
	}
	p, _ := g.addr().Prefix(bits[g.IntN(len(bits))])
	return p.String()
}

var (
	ipsetPorts  = []uint16{0, 53, 80, 443}
	ipsetIfaces = []string{"eth0", "eth1", "eth10", "wg0"}
	ipsetMACs   = []string{"02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:0A"}
	ipsetMarks  = []uint32{0, 1, 0x10, 0x4000}
)

func (g *ipsetGen) probe() ipsetProbeCase {
	c := ipsetProbeCase{
		ip: g.addr(), ip2: g.addr(), mac: g.pick(ipsetMACs...), iface: g.pick(ipsetIfaces...),
		mark: ipsetMarks[g.IntN(len(ipsetMarks))], port: ipsetPorts[g.IntN(len(ipsetPorts))],
	}
	protos := []uint8{6, 17, 132, 136, 1}
	if g.v6 {
		protos[4] = 58
	}
	c.proto = protos[g.IntN(len(protos))]
	if c.proto == 1 || c.proto == 58 {
		c.port = []uint16{0x0800, 0x0303, 0x8000, 0x0104, 0x2a01}[g.IntN(5)]
	}
	return c
}

var protoWords = map[uint8]string{6: "tcp", 17: "udp", 132: "sctp", 136: "udplite", 1: "icmp", 58: "icmpv6"}

// text is the probe as an element of a type; nets are what stands for a "net".
func (c *ipsetProbeCase) text(typ string, nets ...string) string {
	kind, fields, _ := strings.Cut(typ, ":")
	ips := []string{c.ip.String(), c.ip2.String()}
	var out []string
	for _, f := range strings.Split(fields, ",") {
		switch f {
		case "ip":
			out, ips = append(out, ips[0]), ips[1:]
		case "net":
			if len(nets) > 0 {
				ips[0], nets = nets[0], nets[1:]
			}
			out, ips = append(out, ips[0]), ips[1:]
		case "port":
			port := fmt.Sprint(c.port)
			if kind == "bitmap" {
				out = append(out, port)
				break
			}
			if c.proto == 1 || c.proto == 58 {
				port = fmt.Sprintf("%d/%d", c.port>>8, c.port&0xff)
			}
			out = append(out, protoWords[c.proto]+":"+port)
		case "mac":
			out = append(out, c.mac)
		case "mark":
			out = append(out, fmt.Sprintf("0x%x", c.mark))
		case "iface":
			out = append(out, c.iface)
		}
	}
	return strings.Join(out, ",")
}

// ipsetVariant is one way to make a set of a type.
type ipsetVariant struct {
	name, typ string
	family    rules.Family
	options   string
}

var ipsetTypeRE = regexp.MustCompile(`(?m)^    ([a-z]+:[a-z,]+)\s`)

// ipsetVariants are all types that ipset knows, in both families, with all
// extensions and with each kind of mask.
func ipsetVariants(t *testing.T) (out []ipsetVariant) {
	if _, err := exec.LookPath("ipset"); err != nil {
		lab.LeaveOut(t, err)
	}
	var types []string
	for _, m := range ipsetTypeRE.FindAllStringSubmatch(run(t, "", "ipset", "help"), -1) {
		if !slices.Contains(types, m[1]) {
			types = append(types, m[1])
		}
	}
	slices.Sort(types) // list:set, which wants others, last
	if len(types) < 16 {
		t.Fatalf("ipset lists %d types: %v", len(types), types)
	}
	add := func(typ string, family rules.Family, options string) {
		out = append(out, ipsetVariant{fmt.Sprintf("s%d", len(out)), typ, family, options})
	}
	for _, typ := range types {
		kind, _, _ := strings.Cut(typ, ":")
		base := map[string]string{"bitmap:port": " range 0-1024"}[typ]
		if strings.HasPrefix(typ, "bitmap:ip") {
			base = " range 10.0.0.0-10.0.255.255"
		}
		extensions := " timeout 100000 counters comment skbinfo"
		if kind == "hash" {
			extensions += " forceadd"
		}
		families := []rules.Family{rules.FamilyUnspec}
		if kind == "hash" && typ != "hash:mac" {
			families = []rules.Family{rules.FamilyIPv4, rules.FamilyIPv6}
		}
		for _, f := range families {
			own, netmask, bitmask := base, " netmask 24", " bitmask 255.255.0.7"
			if f == rules.FamilyIPv6 {
				own, netmask, bitmask = " family inet6", " netmask 120", " bitmask ffff:ff00::7"
			}
			if kind == "bitmap" {
				netmask = " range 10.0.0.0/15 netmask 24"
			}
			add(typ, f, own)
			add(typ, f, own+extensions)
			switch typ {
			case "hash:ip", "hash:ip,port", "hash:net,net":
				add(typ, f, own+netmask)
				add(typ, f, own+bitmask)
			case "bitmap:ip":
				add(typ, f, netmask)
			case "hash:ip,mark":
				add(typ, f, own+" markmask 0xf0")
			}
		}
	}
	return out
}

// elements draws lines that add to the set.
func (g *ipsetGen) elements(v ipsetVariant, n int, members []string) string {
	g.v6 = v.family == rules.FamilyIPv6
	extended := strings.Contains(v.options, "timeout")
	var b strings.Builder
	for range n {
		c := g.probe()
		if b4 := c.ip.As16(); strings.HasPrefix(v.typ, "bitmap:ip") && !strings.Contains(v.options, "netmask") {
			c.ip = netip.AddrFrom4([4]byte{10, 0, b4[14], b4[15]}) // inside the range
		}
		if v.typ == "bitmap:port" {
			c.port %= 1024
		}
		elem, flags := c.text(v.typ, g.net(), g.net()), ""
		if v.typ == "list:set" {
			elem = g.pick(members...)
		}
		if v.typ == "bitmap:ip,mac" && !g.filled && g.IntN(3) == 0 {
			elem = c.ip.String()
		}
		if v.typ == "hash:net,iface" {
			switch g.IntN(4) {
			case 0:
				elem, flags = strings.TrimSuffix(elem, c.iface)+"eth", " wildcard"
			case 1:
				elem = strings.TrimSuffix(elem, c.iface) + "physdev:" + c.iface
			}
		}
		if strings.Contains(v.typ, "net") && g.IntN(3) == 0 {
			flags += " nomatch"
		}
		if extended {
			flags += g.pick("", " timeout 0", " timeout 50000") + g.pick("", " packets 7 bytes 4711") +
				g.pick("", ` comment "it's the web, 1"`) + g.pick("", " skbmark 0x10/0xff skbprio 1:a skbqueue 3", " skbmark 0x77")
		}
		fmt.Fprintf(&b, "add %s %s%s\n", v.name, elem, flags)
	}
	return b.String()
}

// makeIPSets makes a set of each variant that this kernel has, lists last.
func makeIPSets(t *testing.T, g *ipsetGen, n int) (made []ipsetVariant) {
	var names []string
	absent := map[string]bool{}
	for _, v := range ipsetVariants(t) {
		create := exec.Command("ipset", strings.Fields("create "+v.name+" "+v.typ+v.options)...)
		if out, err := create.CombinedOutput(); err != nil {
			if !strings.Contains(string(out), "not supported") {
				t.Fatalf("create %s%s: %s", v.typ, v.options, out)
			}
			absent[v.typ] = true
			continue
		}
		run(t, g.elements(v, n, names), "ipset", "-exist", "restore")
		if v.typ != "list:set" {
			names = append(names, v.name)
		}
		made = append(made, v)
	}
	for typ := range absent {
		t.Logf("this kernel has no %s", typ)
	}
	return made
}

// readIPSets is what the reader under test has.
func readIPSets(t *testing.T) *rules.Ruleset {
	t.Helper()
	rs := snapshot(t).Rules
	for _, s := range rs.IPSets {
		if s.Missing != "" {
			t.Errorf("ipset %s: %s", s.Name, s.Missing)
		}
	}
	return rs
}
