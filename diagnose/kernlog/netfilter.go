package kernlog

import "bytes"

// netfilterWords begin a word of what netfilter's parts print: names of modules
// (pr_fmt), of functions, of what they look for.
var netfilterWords = [][]byte{
	[]byte("nf_"), []byte("nft_"), []byte("nfnetlink"), []byte("nfnl_"), []byte("xt_"), []byte("x_tables"),
	[]byte("ip_tables"), []byte("ip6_tables"), []byte("arp_tables"), []byte("ipt_"), []byte("ip6t_"), []byte("arpt_"),
	[]byte("iptable"), []byte("ip6table"), []byte("ebtable"), []byte("ebt_"), []byte("br_netfilter"), []byte("ip_set"),
	[]byte("conntrack"), []byte("ctnetlink"), []byte("netfilter"), []byte("Netfilter"), []byte("IPVS"), []byte("bridge: "),
	[]byte("ate my IP address"),
	// says how many lines of others were not printed, those of a full table too
	[]byte("net_ratelimit: "),
}

// Netfilter tells whether text is netfilter's: a message of one of its parts, a
// packet that a rule or conntrack logged, or a line that may stand for such.
func Netfilter(text []byte) bool {
	for _, w := range netfilterWords {
		if beginsWord(text, w) {
			return true
		}
	}
	// a helper, whose name can be anything (nf_ct_helper_log)
	if bytes.Contains(text, []byte("dropping packet: ")) {
		return true
	}
	// a packet (nf_log_syslog): what a rule puts before it ends anywhere
	_, after, in := bytes.Cut(text, []byte("IN="))
	return in && bytes.Contains(after, []byte(" OUT="))
}

func beginsWord(text, w []byte) bool {
	for at := 0; ; {
		i := bytes.Index(text[at:], w)
		if i < 0 {
			return false
		}
		at += i
		if at == 0 || !wordByte(text[at-1]) {
			return true
		}
		at++
	}
}

func wordByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
