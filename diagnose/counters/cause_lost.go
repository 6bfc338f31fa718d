package counters

import (
	"fmt"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

var deletedOnWay = cause{
	name: "deleted-on-way",
	text: "entries are deleted while their first packet is on its way: a flush, conntrack -D, an address or a link that goes",
	ask:  "ntdiag flows watch --events destroy --for 30s",
}

// portsExhaustedOld: before 4.7 a clash moved insert_failed alone.
var portsExhaustedOld = cause{
	name: portsExhausted.name, text: portsExhausted.text, ask: portsExhausted.ask, look: portsExhausted.look, before: v4_7,
}

var moduleUnload = cause{
	name: "module-unload",
	text: "the module of a helper or of a timeout policy was unloaded while an entry used it",
	ask:  "lsmod | grep nf_conntrack; journalctl -k | grep -i nf_conntrack",
	last: true, since: host.Release{Major: 6}, before: v6_2,
}

var noMemory = cause{
	name: "no-memory", text: "the kernel had no memory for an entry, of which it prints nothing here",
	ask: "dmesg | grep -i 'page allocation failure'; grep nf_conntrack /proc/slabinfo", last: true, told: true,
}

var tcpReopen = cause{
	name: "tcp-reopen",
	text: "a client opened a TCP connection anew, from the same port, while the entry of the old one was being taken away: the SYN is lost once and sent again after a second",
	ask:  "ntdiag flows --state TIME_WAIT",
	look: func(c *Case, f *Finding, x *Cause) string {
		n := c.split.withInvalid
		if n == 0 {
			return "invalid did not move on the CPUs on which drop did"
		}
		if f.Name == "drop" && !c.within() {
			return none // invalid moves for so much else since boot
		}
		x.Grade = Indicated
		x.Evidence = append(x.Evidence, fmt.Sprintf("invalid moved with drop, on the same CPUs, by %d", n))
		return ""
	},
}
