package xt

// targets are the targets that are understood. The standard target has no
// name.
var targets = indexRows(natTargetRows, otherTargets)

// natTargetRows set up NAT.
var natTargetRows = []row{
	{name: "DNAT", revision: 2, decode: decodeNAT2(dnat)},
}

// otherTargets change the packet, end its way, or only look.
var otherTargets = []row{
	{name: "MARK", revision: 2, decode: decodeMARK2},
}
