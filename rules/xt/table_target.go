package xt

import "github.com/ntdiag/ntdiag/rules"

// targets are the targets that are understood. The standard target has no
// name.
var targets = indexRows(natTargetRows, otherTargets)

// natTargetRows set up NAT.
var natTargetRows = []row{
	{name: "SNAT", family: rules.FamilyIPv4, decode: decodeNAT0(snat)},
	{name: "SNAT", revision: 1, decode: decodeNAT1(snat)},
	{name: "SNAT", revision: 2, decode: decodeNAT2(snat)},
	{name: "DNAT", family: rules.FamilyIPv4, decode: decodeNAT0(dnat)},
	{name: "DNAT", revision: 1, decode: decodeNAT1(dnat)},
	{name: "DNAT", revision: 2, decode: decodeNAT2(dnat)},
	{name: "MASQUERADE", family: rules.FamilyIPv4, decode: decodeNAT0(masquerade)},
	{name: "MASQUERADE", family: rules.FamilyIPv6, decode: decodeNAT1(masquerade)},
	{name: "REDIRECT", family: rules.FamilyIPv4, decode: decodeNAT0(redirect)},
	{name: "REDIRECT", family: rules.FamilyIPv6, decode: decodeNAT1(redirect)},
	{name: "NETMAP", family: rules.FamilyIPv4, decode: decodeNAT0(netmap)},
	{name: "NETMAP", family: rules.FamilyIPv6, decode: decodeNAT1(netmap)},
}

// otherTargets change the packet, end its way, or only look.
var otherTargets = []row{
	{name: "MARK", revision: 2, decode: decodeMARK2},
}
