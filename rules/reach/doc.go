// Package reach tells which rules no packet can ever meet, and what keeps the
// packets away: an earlier rule that takes every one of them, conditions that
// exclude each other, a jump that lets none in.
//
// It goes through the chains as nft_do_chain does, for packets of which only
// the family is known, and keeps two things: what every packet that comes here
// has in common (the conditions of the jumps on the way), and what none of
// them has (the conditions of the rules that took those packets). A rule is
// dead when what it asks for leaves nothing between the two.
//
// A claim is made only where it holds for every packet. A condition that is
// not understood, or whose answer can change from one rule to the next (a rate
// limit, a random number, the time, a counter), never takes a packet away. What
// a rule writes is forgotten from there on. Named sets are taken as they are
// now, and the claim names them. Two things are left aside: userspace changing
// a set, a route or a ct mark while one packet is on its way, and a flow that
// is older than the first NAT rule, which meets all nat chains and is changed
// by none (nf_nat_setup_info).
package reach
