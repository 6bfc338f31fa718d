package xt_test

import (
	"slices"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/rules"
)

// states that are asked of every packet, tracked or not.
var stateQuestions = ask(
	"-m conntrack --ctstate NEW",
	"-m conntrack ! --ctstate NEW",
	"-m conntrack --ctstate INVALID",
	"-m conntrack --ctstate UNTRACKED",
	"-m conntrack --ctstate NEW,UNTRACKED",
	"-m conntrack ! --ctstate INVALID,UNTRACKED",
	"-m conntrack --ctstate RELATED,ESTABLISHED",
	"-m conntrack ! --ctstate RELATED,ESTABLISHED",
	"-m conntrack --ctstate DNAT",
	"-m conntrack ! --ctstate DNAT",
	"-m conntrack --ctstate SNAT,DNAT,INVALID",
	"-m conntrack ! --ctstate SNAT,DNAT,INVALID",
	"-m conntrack --ctstate SNAT,NEW",
	"-m state --state NEW",
	"-m state ! --state INVALID,UNTRACKED",
	// without an entry the state alone decides
	"-m conntrack --ctstate INVALID,UNTRACKED --ctproto 99 --ctorigsrc 9.9.9.9",
	"-m conntrack ! --ctstate ESTABLISHED --ctdir REPLY",
	"-m conntrack --ctstate NEW --ctdir REPLY",
	"-m conntrack --ctdir ORIGINAL",
	"-m conntrack --ctdir REPLY",
	"-m conntrack --ctproto tcp",
	"-m conntrack ! --ctproto tcp",
	"-m conntrack --ctorigsrc @S",
	"-m conntrack ! --ctorigsrc @S",
	"-m conntrack --ctorigdst @D/24",
	"-m conntrack ! --ctorigdst @S",
	"-m conntrack --ctreplsrc @D --ctrepldst @S",
	"-m conntrack ! --ctreplsrc @D",
	"-m conntrack --ctorigsrcport 4000:5000",
	"-m conntrack ! --ctorigsrcport 4000:5000",
	"-m conntrack --ctorigdstport 80",
	"-m conntrack ! --ctorigdstport 80",
	"-m conntrack --ctreplsrcport 80 ! --ctrepldstport 0:1",
	"-m conntrack --ctstatus NONE",
	"-m conntrack ! --ctstatus NONE",
	"-m conntrack --ctstatus EXPECTED,ASSURED",
	"-m conntrack ! --ctstatus EXPECTED,ASSURED",
	"-m connmark --mark 0",
	"-m connmark ! --mark 0",
	"-m connmark ! --mark 0x1/0x1",
	"-m connlabel --label 3",
	"-m connlabel ! --label 3",
	"-m mark --mark 0",
	"-m mark ! --mark 0x10/0x10",
)

// templateQuestions: the state of a packet with a template is new, and what
// else stands in the template nothing tells.
var templateQuestions = slices.Concat(ask(
	"-m conntrack --ctstate NEW",
	"-m conntrack ! --ctstate NEW",
	"-m conntrack --ctstate INVALID,UNTRACKED",
	"-m conntrack ! --ctstate INVALID",
	"-m state --state NEW",
), open(
	"-m conntrack --ctorigsrc @S",
	"-m connmark --mark 0",
	"-m conntrack --ctstate NEW --ctproto tcp",
	"-m connlabel --label 1 --set",
	"-m connlabel ! --label 1 --set",
	"-m cluster --cluster-total-nodes 2 --cluster-local-nodemask 0x1 --cluster-hash-seed 0x1",
))

func v6Questions(v6 bool, q []question) []question {
	q = families(v6, q)
	if v6 {
		for i := range q {
			if q[i].options == "-m conntrack --ctstate INVALID,UNTRACKED --ctproto 99 --ctorigsrc 9.9.9.9" {
				q[i].options = "-m conntrack --ctstate INVALID,UNTRACKED --ctproto 99 --ctorigsrc 9::9"
			}
		}
	}
	return q
}

// TestKernelConntrack asks of a packet with an entry, with one that was
// rewritten, with none and of one that conntrack was kept from.
func TestKernelConntrack(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		src, dst := toServer(v6, 4711, 80)
		suffix, to := "4", "192.168.1.81:8080"
		if v6 {
			suffix, to = "6", "[fd00:b::81]:8080"
		}
		base := probe{hook: rules.Forward, proto: 6, src: src, dst: dst, in: "c0", out: "s0", send: knock(src, dst), ask: v6Questions(v6, stateQuestions)}

		q := base
		q.name = "tracked" + suffix
		q.ask = slices.Concat(base.ask, open("-m conntrack --ctexpire 1:10", "-m conntrack --ctstate NEW ! --ctexpire 1:10"))
		askKernel(t, &q)

		q = base
		q.name = "dnat" + suffix
		q.setup = "*nat\n-A PREROUTING -p tcp --dport 80 -j DNAT --to-destination " + to + "\nCOMMIT\n"
		q.gate = "-p tcp --dport 8080 --syn"
		q.packet = func(p *rules.Packet) {
			now := lab.ServerAddr4.Next()
			if v6 {
				now = lab.ServerAddr6.Next()
			}
			p.SetAddr(true, now)
			p.Trans.Set(2, []byte{0x1f, 0x90}, rules.FromEntry)
			p.Ct.Reply.Src, p.Ct.Reply.SrcPort = now, 8080
			p.Ct.Status = rules.KnownUint(p.Order, 4, 1<<5|1<<8)
		}
		askKernel(t, &q)

		q = base
		q.name = "untracked" + suffix
		q.setup = "*raw\n-A PREROUTING -j CT --notrack\nCOMMIT\n"
		q.packet = func(p *rules.Packet) { p.Tracked, p.Untracked = rules.No, rules.Yes }
		askKernel(t, &q)

		// a packet with a template, not yet seen by conntrack
		q = base
		q.name = "template" + suffix
		q.table, q.hook, q.out = "raw", rules.Prerouting, ""
		q.first = "-j CT --zone 5"
		q.packet = func(p *rules.Packet) { p.Tracked, p.Template = rules.No, rules.HasTemplate }
		q.ask = v6Questions(v6, templateQuestions)
		askKernel(t, &q)

		// in table raw conntrack has not seen it yet
		q = base
		q.name = "before" + suffix
		q.packet = func(p *rules.Packet) { p.Tracked = rules.No }
		q.table = "raw"
		q.hook, q.out = rules.Prerouting, ""
		askKernel(t, &q)
	}
}
