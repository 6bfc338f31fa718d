package stale

import (
	"github.com/ntdiag/ntdiag/diagnose/host"
)

// tcpEstablished is TCP_CONNTRACK_ESTABLISHED.
const tcpEstablished = 3

// Risks lists them.
func Risks() []Risk {
	return []Risk{RiskWorks, RiskTCPLoose, RiskReversed, RiskInvalid, RiskOffload, RiskMaster}
}

// Risks are the traps of deleting f, stale or not.
func (j *Judge) Risks(f *host.Flow) []Risk { return (&judging{Judge: j, f: f}).risks() }

// risks are the traps of deleting the flow.
func (c *judging) risks() []Risk {
	f := c.f
	var out []Risk
	replied := f.Status.Has(host.StatusSeenReply)
	if f.Original.Proto == host.ProtoTCP && c.loose() {
		out = append(out, RiskTCPLoose)
	}
	if replied && (f.Original.Proto != host.ProtoTCP || c.loose()) && !f.IsICMP() {
		out = append(out, RiskReversed)
	}
	if f.Original.Proto == host.ProtoTCP && !c.loose() && len(f.Rewrites()) == 0 {
		out = append(out, RiskInvalid)
	}
	if f.Status&(host.StatusOffload|host.StatusHWOffload) != 0 {
		out = append(out, RiskOffload)
	}
	// answers to an address that is gone do not come here
	if f.Original.Proto == host.ProtoTCP && f.TCPState == tcpEstablished && f.Status.Has(host.StatusAssured) && c.out.Class != SNATAddressGone {
		out = append(out, RiskWorks)
	}
	if f.Status.Has(host.StatusHelper) || f.Has&host.HasHelper != 0 {
		out = append(out, RiskMaster)
	}
	return out
}

// loose tells whether TCP is picked up in the middle, as it is unless it is
// known not to be.
func (c *judging) loose() bool {
	s := c.host.Sysctls["net.netfilter.nf_conntrack_tcp_loose"]
	return !s.OK || s.Value != "0"
}
