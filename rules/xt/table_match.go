package xt

import "github.com/ntdiag/ntdiag/rules"

// matches are the matches that are understood.
var matches = indexRows(headerMatches, metaMatches, openMatches)

// headerMatches look at headers that an entry tells.
var headerMatches = []row{
	{name: "tcp", decode: decodeTCP},
	{name: "udp", decode: decodeUDP},
	{name: "udplite", decode: decodeUDP},
	{name: "multiport", revision: 1, decode: decodeMultiport},
}

// metaMatches look at marks, devices, conntrack and the machine.
var metaMatches = []row{
	{name: "conntrack", revision: 1, decode: decodeConntrack(1)},
	{name: "conntrack", revision: 2, decode: decodeConntrack(2)},
	{name: "conntrack", revision: 3, decode: decodeConntrack(3)},
	{name: "state", decode: decodeState},
	{name: "mark", revision: 1, decode: decodeMark},
	{name: "connmark", revision: 1, decode: decodeConnmark},
	{name: "connlabel", decode: decodeConnlabel},
}

// openMatches look, most of them, at what no entry records.
var openMatches = []row{
	{name: "bpf", decode: decodeBPF0},
	{name: "bpf", revision: 1, decode: decodeBPF1},
	{name: "cgroup", decode: decodeCgroup0},
	{name: "cgroup", revision: 1, decode: decodeCgroup1},
	{name: "cgroup", revision: 2, decode: decodeCgroup2},
	{name: "comment", decode: decodeComment},
	{name: "connbytes", decode: decodeConnbytes},
	{name: "connlimit", revision: 1, decode: decodeConnlimit},
	{name: "dscp", decode: decodeDSCP},
	{name: "hashlimit", revision: 1, decode: decodeHashlimit(1)},
	{name: "hashlimit", revision: 2, decode: decodeHashlimit(2)},
	{name: "hashlimit", revision: 3, decode: decodeHashlimit(3)},
	{name: "helper", decode: decodeHelper},
	{name: "hl", family: rules.FamilyIPv6, decode: decodeHL},
	{name: "ipvs", decode: decodeIPVS},
	{name: "l2tp", decode: decodeL2TP},
	{name: "length", decode: decodeLength},
	{name: "limit", decode: decodeLimit},
	{name: "osf", family: rules.FamilyIPv4, decode: decodeOSF},
	{name: "policy", decode: decodePolicy},
	{name: "quota", decode: decodeQuota},
	{name: "rateest", decode: decodeRateest},
	{name: "realm", family: rules.FamilyIPv4, decode: decodeRealm},
	{name: "recent", decode: decodeRecent(0)},
	{name: "recent", revision: 1, decode: decodeRecent(1)},
	{name: "rpfilter", decode: decodeRpfilter},
	{name: "set", family: rules.FamilyIPv4, decode: decodeSet0},
	{name: "set", revision: 1, decode: decodeSet1},
	{name: "set", revision: 2, decode: decodeSet1},
	{name: "set", revision: 3, decode: decodeSet3},
	{name: "set", revision: 4, decode: decodeSet4},
	{name: "socket", family: rules.FamilyIPv4, decode: decodeSocket(0)},
	{name: "socket", revision: 1, decode: decodeSocket(1)},
	{name: "socket", revision: 2, decode: decodeSocket(2)},
	{name: "socket", revision: 3, decode: decodeSocket(3)},
	{name: "statistic", decode: decodeStatistic},
	{name: "string", decode: decodeString(0)},
	{name: "string", revision: 1, decode: decodeString(1)},
	{name: "tcpmss", decode: decodeTCPMSS},
	{name: "time", decode: decodeTime},
	{name: "tos", family: rules.FamilyIPv4, decode: decodeTOS0},
	{name: "tos", revision: 1, decode: decodeTOS1},
	{name: "ttl", family: rules.FamilyIPv4, decode: decodeTTL},
	{name: "u32", decode: decodeU32},
}
