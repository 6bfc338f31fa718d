package lab

import (
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"
)

// rule is a rule with a comment.
func rule(t *nftables.Table, c *nftables.Chain, comment string, parts ...[]expr.Any) *nftables.Rule {
	return &nftables.Rule{Table: t, Chain: c, Exprs: join(parts...),
		UserData: userdata.AppendString(nil, userdata.TypeComment, comment)}
}

var counter = []expr.Any{&expr.Counter{}}

// dnatTo is `dnat to ADDR:PORT` for the family of addr; port 0 is none.
func dnatTo(addr string, p uint16) []expr.Any {
	a := netip.MustParseAddr(addr)
	nat := &expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: 1}
	if a.Is6() {
		nat.Family = unix.NFPROTO_IPV6
	}
	out := []expr.Any{&expr.Immediate{Register: 1, Data: a.AsSlice()}}
	if p != 0 {
		out = append(out, &expr.Immediate{Register: 2, Data: port(p)})
		nat.RegProtoMin, nat.Specified = 2, true
	}
	return append(out, nat)
}

// addrIs compares an IPv4 address of the packet, at 12 the source, at 16 the
// destination.
func addrIs(off uint32, addr string) []expr.Any {
	a := netip.MustParseAddr(addr).As4()
	return join(nfproto(unix.NFPROTO_IPV4), []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: off, Len: 4},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: a[:]},
	})
}

// demoRules loads the demonstration's rules. The function it returns deletes
// one of them and gives another a new target: their flows outlive that.
func (h *Host) demoRules() (change func() error, err error) {
	var old, moved *nftables.Rule
	err = h.nft(func(c *nftables.Conn) error {
		mangle := c.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: "mangle"})
		demoMarks(c, mangle)
		nat := c.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: "nat"})
		var err error
		old, moved, err = demoPrerouting(c, nat)
		demoOutput(c, nat)
		demoPostrouting(c, nat)
		return err
	})
	return func() error {
		return h.nft(func(c *nftables.Conn) error {
			moved.Exprs = tunnelTo("192.168.1.88")
			c.ReplaceRule(moved)
			return c.DelRule(old)
		})
	}, err
}

func demoMarks(c *nftables.Conn, t *nftables.Table) {
	chain := c.AddChain(&nftables.Chain{Table: t, Name: "prerouting", Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityMangle})
	c.AddRule(rule(t, chain, "guest", addrIs(12, "10.0.0.12"), []expr.Any{
		&expr.Immediate{Register: 1, Data: binaryutil.NativeEndian.PutUint32(0x2a)},
		&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: 1},
	}))
}

// tunnelTo is `ip daddr 10.0.0.1 udp dport 4789 counter dnat ip to ADDR`.
func tunnelTo(addr string) []expr.Any {
	return join(addrIs(16, "10.0.0.1"), l4proto(unix.IPPROTO_UDP), dportIs(4789), counter, dnatTo(addr, 0))
}

// demoPrerouting returns the rule to delete, and the one that gets another
// target.
func demoPrerouting(c *nftables.Conn, t *nftables.Table) (old, moved *nftables.Rule, err error) {
	tls := c.AddChain(&nftables.Chain{Table: t, Name: "tls"})
	chain := c.AddChain(natChain(t, "prerouting", nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest))
	tcp, udp := l4proto(unix.IPPROTO_TCP), l4proto(unix.IPPROTO_UDP)
	v4, v6 := nfproto(unix.NFPROTO_IPV4), nfproto(unix.NFPROTO_IPV6)
	fromClient := ifname(expr.MetaKeyIIFNAME, "c0")

	c.AddRule(rule(t, tls, "tls", v4, tcp, counter, dnatTo("192.168.1.81", 443)))
	c.AddRule(rule(t, chain, "web", v4, fromClient, tcp, dportIs(8080), counter, dnatTo("192.168.1.80", 80)))
	c.AddRule(rule(t, chain, "web6", v6, fromClient, tcp, dportIs(8080), counter, dnatTo("fd00:b::80", 80)))

	services := &nftables.Set{Table: t, Name: "services", IsMap: true,
		KeyType: nftables.TypeInetService, DataType: nftables.TypeVerdict}
	toTLS := &expr.Verdict{Kind: expr.VerdictGoto, Chain: "tls"}
	err = c.AddSet(services, []nftables.SetElement{
		{Key: port(443), VerdictData: toTLS}, {Key: port(8443), VerdictData: toTLS},
	})
	if err != nil {
		return nil, nil, err
	}
	toRouter := addrIs(16, "10.0.0.1")
	c.AddRule(rule(t, chain, "services", toRouter, tcp, loadDport(), []expr.Any{
		&expr.Lookup{SourceRegister: 1, IsDestRegSet: true, SetName: services.Name, SetID: services.ID},
	}))
	if err := demoMap(c, t, chain); err != nil {
		return nil, nil, err
	}
	c.AddRule(rule(t, chain, "resolver", fromClient, udp, dportIs(53), counter, redirectTo(5353)))
	old = rule(t, chain, "database", toRouter, tcp, dportIs(3306), counter, dnatTo("192.168.1.86", 0))
	moved = rule(t, chain, "tunnel", tunnelTo("192.168.1.87"))
	return c.AddRule(old), c.AddRule(moved), nil
}

// demoMap is `dnat ip to tcp dport map { PORT : ADDR . PORT, … }`.
func demoMap(c *nftables.Conn, t *nftables.Table, chain *nftables.Chain) error {
	data, err := nftables.ConcatSetType(nftables.TypeIPAddr, nftables.TypeInetService)
	if err != nil {
		return err
	}
	ssh := &nftables.Set{Table: t, Name: "ssh", IsMap: true, KeyType: nftables.TypeInetService, DataType: data}
	// each part of a concatenation takes whole registers of four bytes
	at := func(addr string, p uint16) []byte {
		a := netip.MustParseAddr(addr).As4()
		return append(append(a[:], port(p)...), 0, 0)
	}
	err = c.AddSet(ssh, []nftables.SetElement{
		{Key: port(2201), Val: at("192.168.1.82", 22)}, {Key: port(2202), Val: at("192.168.1.83", 22)},
	})
	if err != nil {
		return err
	}
	const secondPart = 9 // NFT_REG32_01: the register after the address in NFT_REG_1
	c.AddRule(rule(t, chain, "ssh", nfproto(unix.NFPROTO_IPV4), l4proto(unix.IPPROTO_TCP), loadDport(), []expr.Any{
		&expr.Lookup{SourceRegister: 1, DestRegister: 1, IsDestRegSet: true, SetName: ssh.Name, SetID: ssh.ID},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: 1, RegProtoMin: secondPart, Specified: true},
	}))
	return nil
}

func demoOutput(c *nftables.Conn, t *nftables.Table) {
	chain := c.AddChain(natChain(t, "output", nftables.ChainHookOutput, nftables.ChainPriorityNATDest))
	c.AddRule(rule(t, chain, "own", addrIs(16, "10.9.9.9"), l4proto(unix.IPPROTO_TCP), counter, dnatTo("192.168.1.84", 8080)))
}

// demoOnePort loads `oifname "s0" udp dport 3478 snat ip to 192.168.1.2:3478`
// before all other source NAT.
func (h *Host) demoOnePort() error {
	return h.nft(func(c *nftables.Conn) error {
		t := c.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: "voice"})
		first := nftables.ChainPriorityRef(*nftables.ChainPriorityNATSource - 10)
		chain := c.AddChain(natChain(t, "postrouting", nftables.ChainHookPostrouting, first))
		to := netip.MustParseAddr("192.168.1.2").As4()
		c.AddRule(rule(t, chain, "phones", nfproto(unix.NFPROTO_IPV4), ifname(expr.MetaKeyOIFNAME, "s0"), l4proto(unix.IPPROTO_UDP), dportIs(3478), counter, []expr.Any{
			&expr.Immediate{Register: 1, Data: to[:]},
			&expr.Immediate{Register: 2, Data: port(3478)},
			&expr.NAT{Type: expr.NATTypeSourceNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: 1, RegProtoMin: 2, Specified: true},
		}))
		return nil
	})
}

func demoPostrouting(c *nftables.Conn, t *nftables.Table) {
	chain := c.AddChain(natChain(t, "postrouting", nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource))
	out := netip.MustParseAddr("192.168.1.2").As4()
	c.AddRule(rule(t, chain, "guests", nfproto(unix.NFPROTO_IPV4), l4proto(unix.IPPROTO_TCP), []expr.Any{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(0x2a)},
		&expr.Immediate{Register: 1, Data: out[:]},
		&expr.Immediate{Register: 2, Data: port(40000)},
		&expr.Immediate{Register: 3, Data: port(40999)},
		&expr.NAT{Type: expr.NATTypeSourceNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: 1, RegProtoMin: 2, RegProtoMax: 3, Specified: true},
	}))
	c.AddRule(rule(t, chain, "wan", ifname(expr.MetaKeyOIFNAME, "s0"), counter, []expr.Any{&expr.Masq{}}))
}
