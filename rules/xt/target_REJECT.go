package xt

import "github.com/ntdiag/ntdiag/rules"

// NFT_REJECT_*.
const (
	rejectUnreach = 0
	rejectReset   = 1
)

// rejectWith is one row of what REJECT answers with: enum ipt_reject_with, enum
// ip6t_reject_with. Code is that of the ICMP message.
type rejectWith struct {
	name string
	typ  uint32
	code uint8
}

var rejects = map[rules.Family]map[uint32]rejectWith{
	rules.FamilyIPv4: {
		0: {"icmp-net-unreachable", rejectUnreach, 0},
		1: {"icmp-host-unreachable", rejectUnreach, 1},
		2: {"icmp-proto-unreachable", rejectUnreach, 2},
		3: {"icmp-port-unreachable", rejectUnreach, 3},
		5: {"icmp-net-prohibited", rejectUnreach, 9},
		6: {"icmp-host-prohibited", rejectUnreach, 10},
		7: {"tcp-reset", rejectReset, 0},
		8: {"icmp-admin-prohibited", rejectUnreach, 13},
	},
	rules.FamilyIPv6: {
		0: {"icmp6-no-route", rejectUnreach, 0},
		1: {"icmp6-adm-prohibited", rejectUnreach, 1},
		3: {"icmp6-addr-unreachable", rejectUnreach, 3},
		4: {"icmp6-port-unreachable", rejectUnreach, 4},
		6: {"tcp-reset", rejectReset, 0},
		7: {"icmp6-policy-fail", rejectUnreach, 5},
		8: {"icmp6-reject-route", rejectUnreach, 6},
	},
}

// reject is struct ipt_reject_info and ip6t_reject_info.
type reject struct{ with rejectWith }

func decodeREJECT(c *Context, r *reader) Extension {
	n := r.u32()
	with, ok := rejects[c.Family][n]
	if !ok {
		r.fail("answer %d", n)
	}
	return &reject{with}
}

// Statements follows reject_tg and reject_tg6: whatever is sent, the packet is
// dropped.
func (x *reject) Statements(c *Context) []rules.Statement {
	return []rules.Statement{&rules.Reject{Span: c.Span, Type: x.with.typ, Code: x.with.code}}
}

func (x *reject) Save(_ *Context, o *Options) { o.Word("--reject-with", x.with.name) }
