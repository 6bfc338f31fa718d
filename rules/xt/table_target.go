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
	{name: "CONNMARK", revision: 1, decode: decodeCONNMARK1},
	{name: "CONNMARK", revision: 2, decode: decodeCONNMARK2},
	{name: "CT", revision: 0, decode: decodeCT(0)},
	{name: "CT", revision: 1, decode: decodeCT(1)},
	{name: "CT", revision: 2, decode: decodeCT(2)},
	{name: "NOTRACK", decode: decodeNOTRACK},
	{name: "TPROXY", revision: 0, family: rules.FamilyIPv4, decode: decodeTPROXY0},
	{name: "TPROXY", revision: 1, decode: decodeTPROXY1},
	{name: "REJECT", decode: decodeREJECT},
	{name: "NFQUEUE", revision: 0, decode: decodeNFQUEUE(0)},
	{name: "NFQUEUE", revision: 1, decode: decodeNFQUEUE(1)},
	{name: "NFQUEUE", revision: 2, decode: decodeNFQUEUE(2)},
	{name: "NFQUEUE", revision: 3, decode: decodeNFQUEUE(3)},
	{name: "SYNPROXY", decode: decodeSYNPROXY},
	{name: "LOG", decode: decodeLOG},
	{name: "NFLOG", decode: decodeNFLOG},
	{name: "TRACE", decode: decodeTRACE},
	{name: "AUDIT", decode: decodeAUDIT},
	{name: "CLASSIFY", decode: decodeCLASSIFY},
	{name: "HMARK", decode: decodeHMARK},
	{name: "SET", revision: 0, decode: decodeSET(0)},
	{name: "SET", revision: 1, decode: decodeSET(1)},
	{name: "SET", revision: 2, decode: decodeSET(2)},
	{name: "SET", revision: 3, decode: decodeSET(3)},
	{name: "TCPMSS", decode: decodeTCPMSSTarget},
	{name: "TCPOPTSTRIP", decode: decodeTCPOPTSTRIP},
	{name: "DSCP", decode: decodeDSCPTarget},
	{name: "TOS", revision: 1, decode: decodeTOSTarget},
	{name: "TTL", family: rules.FamilyIPv4, decode: decodeTTLTarget},
	{name: "HL", family: rules.FamilyIPv6, decode: decodeHLTarget},
	{name: "ECN", family: rules.FamilyIPv4, decode: decodeECNTarget},
	{name: "CHECKSUM", decode: decodeCHECKSUM},
	{name: "TEE", revision: 1, decode: decodeTEE},
	{name: "SNPT", family: rules.FamilyIPv6, decode: decodeSNPT},
	{name: "DNPT", family: rules.FamilyIPv6, decode: decodeDNPT},
	{name: "SECMARK", revision: 0, decode: decodeSECMARK0},
	{name: "SECMARK", revision: 1, decode: decodeSECMARK1},
	{name: "CONNSECMARK", decode: decodeCONNSECMARK},
	{name: "IDLETIMER", revision: 0, decode: decodeIDLETIMER0},
	{name: "IDLETIMER", revision: 1, decode: decodeIDLETIMER1},
	{name: "LED", decode: decodeLED},
	{name: "RATEEST", decode: decodeRATEEST},
}
