// Package xt is xtables: the matches and targets of iptables, read from the
// bytes that the kernel has of them. nft_compat, by which iptables-nft puts
// them into nf_tables, and iptables-legacy hold the same bytes, so that one
// decoder serves both. A rule prints as iptables-save prints it.
//
// Numbers in the blobs are in the byte order of the machine, addresses and
// most ports in network order. Layouts are those of
// include/uapi/linux/netfilter/xt_*.h and netfilter_ipv4/ipt_*.h.
//
// Adding an extension is one file, match_NAME.go or target_NAME.go, and one row
// for each revision in table_match.go or table_target.go.
package xt
