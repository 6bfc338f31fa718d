// Package rules is what netfilter is: tables, chains, rules and sets, both
// backends alike, and what a rule can say of a packet of which some bits are
// known. It is pure: no I/O, no operating system.
//
// The way of a packet through the hooks, with the priorities at which the
// kernel's own functions sit (include/uapi/linux/netfilter_ipv4.h):
//
//	               ingress of the device, bridge
//	               -400 defrag
//	               -300 raw
//	               -200 conntrack (nf_conntrack_in)
//	               -150 mangle
//	               -100 nat: dnat, redirect
//	                  │
//	received ──▶ prerouting ──▶ route ──▶ forward ──▶ postrouting ──▶ sent
//	                              │                     ▲   │
//	                              ▼                     │  -150 mangle
//	                            input                 route  100 nat: snat,
//	                              │ 0 filter            ▲        masquerade
//	                              │ 100 nat: snat       │   max confirm
//	                              │ max confirm       output
//	                              ▼                     │ -200 conntrack
//	                        local process ──────────────┘ -100 nat: dnat
//
// Only the first packet of a flow meets the nat chains; what they decided is
// kept in the conntrack entry as the difference of its two tuples.
package rules
