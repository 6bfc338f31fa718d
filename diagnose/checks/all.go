package checks

// All is every check, in the order in which they run.
var All = []Check{
	{"unreachable", "a rule that no packet can meet, and the rule that keeps them away", unreachable},
	{"never-hit", "a rule whose counter is 0 while packets passed its chain", neverHit},
	{"no-entry", "a chain that no packet enters: nothing jumps to it, or its table is dormant", noEntry},
	{"no-device", "a rule or chain bound to a device that does not exist", noDevice},
	{"same-priority", "chains of several tables at one hook and priority, whose order depends on when they were made", samePriority},
	{"exemption", "accept in a nat chain, which does not keep the packet from the next nat chain", exemption},
	{"backends", "NAT of several backends at once, and which runs when", backends},
}
