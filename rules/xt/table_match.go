package xt

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
	{name: "comment", decode: decodeComment},
}
