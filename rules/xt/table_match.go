package xt

// matches are the matches that are understood.
var matches = indexRows(headerMatches, metaMatches, openMatches)

// headerMatches look at headers that an entry tells.
var headerMatches = []row{
	{name: "tcp", decode: decodeTCP},
	{name: "udp", decode: decodeUDP},
	{name: "udplite", decode: decodeUDP},
}

// metaMatches look at marks, devices, conntrack and the machine.
var metaMatches = []row{}

// openMatches look, most of them, at what no entry records.
var openMatches = []row{
	{name: "comment", decode: decodeComment},
}
