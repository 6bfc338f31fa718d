package host

import "github.com/ntdiag/ntdiag/rules"

// Beneath is rules.Host's: by which devices packets come to another one.
func (s *Snapshot) Beneath(index uint32, f rules.Family) (rules.Beneath, bool) {
	if s == nil {
		return rules.Beneath{}, false
	}
	ix := s.ix()
	top, ok := ix.byIndex[index]
	if !ok || ix.lacks[PartLinks] {
		return rules.Beneath{}, false
	}
	b := rules.Beneath{Bridge: top.Kind == "bridge", Links: ix.ports[index], CallsIP: rules.No}
	if below, ok := ix.byIndex[top.Parent]; ok {
		b.Links = append(b.Links[:len(b.Links):len(b.Links)], below)
	}
	if b.Bridge {
		b.CallsIP = s.callsIP(&top, f)
	}
	return b, true
}

// callsIP tells whether br_netfilter runs the hooks of IP for what a bridge
// gets (br_nf_pre_routing): by its own setting, or by that of all bridges.
func (s *Snapshot) callsIP(bridge *rules.Link, f rules.Family) rules.Truth {
	key, own := "net.bridge.bridge-nf-call-iptables", bridge.CallIP
	if f == rules.FamilyIPv6 {
		key, own = "net.bridge.bridge-nf-call-ip6tables", bridge.CallIP6
	}
	all, read := s.Sysctls[key]
	switch {
	case read && all.Why == NotThere:
		return rules.No // the module is not loaded
	case !all.OK:
		return rules.Unknown
	}
	return rules.TruthOf(own || all.Value != "0")
}
