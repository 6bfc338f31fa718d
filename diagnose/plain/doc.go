// Package plain prints what was read of a namespace as the usual tools print it:
// nft, iptables-save, ipset, conntrack, ip, sysctl, dmesg. A person reads it
// without ntdiag, and so do other programs. Everything is made from the model,
// so that what was redacted there is redacted here.
//
// What the model does not hold is left out: the qdisc of a device, how long an
// address is valid. Names stand as the tools print them, unescaped.
package plain
