package lab

import (
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// echoPort is where AnswerAll listens.
const echoPort = 7

// AnswerAll makes the host answer whatever reaches it: every TCP and UDP port
// of any address echoes, every echo request is answered.
func (h *Host) AnswerAll() error {
	for _, proto := range []string{"tcp", "udp"} {
		if err := h.Listen(proto, echoPort); err != nil {
			return err
		}
	}
	return h.nft(func(c *nftables.Conn) error {
		table := c.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: "answer"})
		chain := c.AddChain(natChain(table, "prerouting", nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest))
		for _, proto := range []byte{unix.IPPROTO_TCP, unix.IPPROTO_UDP} {
			c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: join(l4proto(proto), redirectTo(echoPort))})
		}
		c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{&expr.Redir{}}})
		return nil
	})
}

// nft hands f a connection into the host and sends what f has queued as one
// transaction.
func (h *Host) nft(f func(*nftables.Conn) error) error {
	c, err := nftables.New(nftables.WithNetNSFd(h.Fd()))
	if err != nil {
		return fmt.Errorf("host %s: nf_tables: %w", h.Name, err)
	}
	if err := f(c); err != nil {
		return fmt.Errorf("host %s: nf_tables: %w", h.Name, err)
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("host %s: nf_tables: %w", h.Name, err)
	}
	return nil
}

func natChain(t *nftables.Table, name string, hook *nftables.ChainHook, prio *nftables.ChainPriority) *nftables.Chain {
	return &nftables.Chain{Table: t, Name: name, Type: nftables.ChainTypeNAT, Hooknum: hook, Priority: prio}
}

func join(parts ...[]expr.Any) []expr.Any {
	var out []expr.Any
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

func l4proto(proto byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{proto}},
	}
}

// nfproto keeps a rule of an inet table to one family.
func nfproto(family byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{family}},
	}
}

func port(p uint16) []byte { return binaryutil.BigEndian.PutUint16(p) }

func dportIs(p uint16) []expr.Any {
	return append(loadDport(), &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: port(p)})
}

func loadDport() []expr.Any {
	return []expr.Any{&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2}}
}

func ifname(key expr.MetaKey, name string) []expr.Any {
	b := make([]byte, unix.IFNAMSIZ)
	copy(b, name)
	return []expr.Any{&expr.Meta{Key: key, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: b}}
}

func redirectTo(p uint16) []expr.Any {
	return []expr.Any{&expr.Immediate{Register: 1, Data: port(p)}, &expr.Redir{RegisterProtoMin: 1}}
}
