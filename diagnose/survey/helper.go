package survey

import "github.com/ntdiag/ntdiag/diagnose/host"

// HelperPort is a port that needs a helper behind NAT.
type HelperPort struct {
	Port   uint16
	Proto  uint8 // 0 for TCP and UDP
	Helper string
	What   string // what fails without
}

// Helpers are the usual ports of the kernel's helpers.
var Helpers = [...]HelperPort{
	{21, host.ProtoTCP, "ftp", "data connections of active FTP"},
	{69, host.ProtoUDP, "tftp", "answers of TFTP, which come from another port"},
	{137, host.ProtoUDP, "netbios-ns", "answers to NetBIOS broadcasts"},
	{161, host.ProtoUDP, "snmp", "answers to SNMP broadcasts"},
	{1719, host.ProtoUDP, "RAS", "H.323 calls"},
	{1720, host.ProtoTCP, "Q.931", "H.323 calls"},
	{1723, host.ProtoTCP, "pptp", "GRE packets of PPTP"},
	{5060, 0, "sip", "audio streams of SIP calls"},
	{6566, host.ProtoTCP, "sane", "data connections of scanners"},
	{6667, host.ProtoTCP, "irc", "DCC connections of IRC"},
	{10080, host.ProtoUDP, "amanda", "data connections of Amanda"},
}

func (s *Survey) helper(f *host.Flow, i int) {
	p := f.Original.Proto
	if want := Helpers[i].Proto; want != p && (want != 0 || p != host.ProtoTCP && p != host.ProtoUDP) {
		return
	}
	w := &s.watched[i]
	w.flows++
	if f.Has&host.HasHelper != 0 || f.Status.Has(host.StatusHelper) {
		w.with++
	}
}

// HelperUse is how many flows go to such a port, and how many have a helper.
type HelperUse struct {
	HelperPort
	Flows, With int
}

// HelperPorts are those that flows go to.
func (s *Survey) HelperPorts() []HelperUse {
	var out []HelperUse
	for i, w := range s.watched {
		if w.flows > 0 {
			out = append(out, HelperUse{Helpers[i], w.flows, w.with})
		}
	}
	return out
}
