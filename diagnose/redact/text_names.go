package redact

import (
	"cmp"
	"slices"
	"strings"
)

// wordIndex finds names in text: by the first word of theirs, how long they are.
type wordIndex struct {
	lengths map[string][]size // longest first
	names   map[string]indexed
}

// size is of a name: all its bytes, and those before the first word.
type size struct{ all, lead int }

type indexed struct {
	token string
	kind  Kind
}

// leastName is how long a name has to be to be looked for in free text.
const leastName = 3

// add takes a name that has a token. One name of two kinds is taken for the
// first.
func (x *wordIndex) add(k Kind, name, token string) {
	if isDistinct(name) {
		x.put(k, name, token)
	}
}

func (x *wordIndex) put(k Kind, name, token string) {
	if x.names == nil {
		x.names, x.lengths = map[string]indexed{}, map[string][]size{}
	}
	if old, has := x.names[name]; has && old.kind <= k {
		return
	}
	x.names[name] = indexed{token, k}
	first, lead := firstWord(name)
	one, list := size{len(name), lead}, x.lengths[first]
	i, has := slices.BinarySearchFunc(list, one, func(a, b size) int {
		return cmp.Or(cmp.Compare(b.all, a.all), cmp.Compare(a.lead, b.lead))
	})
	if !has {
		x.lengths[first] = slices.Insert(list, i, one)
	}
}

// putBack takes a token and the name that it is of. Where the token has quotes in
// it, they are escaped in JSON, and once more in the rules of iptables there.
func (x *wordIndex) putBack(k Kind, token, name string) {
	x.put(k, token, name)
	if !strings.ContainsAny(token, "\"\\") {
		return
	}
	x.put(k, jsonText(token), name)
	x.put(k, jsonText(inRule.Replace(token)), name)
}

// inRule is how iptables writes what stands between quotes.
var inRule = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// inQuotes tells whether what begins at a place stands between quotes that the
// text itself has, not those of JSON.
func (p *prose) inQuotes(at int) bool {
	before := p.in[:at]
	if p.escape != nil {
		return strings.HasSuffix(before, `\"`)
	}
	return strings.HasSuffix(before, `"`)
}

// isDistinct tells whether a name can be told from other text.
func isDistinct(name string) bool {
	if len(name) < leastName || isCommon(name) || keywords.has(name) || isKnownToAny(name) {
		return false
	}
	for i := range len(name) {
		if isWordByte(name[i]) && !isDigit(name[i]) {
			return true
		}
	}
	return false
}

func firstWord(name string) (word string, lead int) {
	for lead < len(name) && !isWordByte(name[lead]) {
		lead++
	}
	end := lead
	for end < len(name) && isWordByte(name[end]) {
		end++
	}
	return name[lead:end], lead
}

// name maps the longest known name whose first word begins at a place.
func (p *prose) name(at int) int {
	if len(p.names.names) == 0 || !isWordByte(p.in[at]) {
		return 0
	}
	end := at
	for end < len(p.in) && isWordByte(p.in[end]) {
		end++
	}
	for _, n := range p.names.lengths[p.in[at:end]] {
		from := at - n.lead
		to := from + n.all
		if from < p.done || to > len(p.in) || isWordByte(p.in[to-1]) && !p.after(to) {
			continue
		}
		if name, has := p.names.names[p.in[from:to]]; has {
			token := name.token
			if p.back && p.inQuotes(from) {
				token = inRule.Replace(token)
			}
			if p.escape != nil {
				token = p.escape(token)
			}
			return p.put(from, to, token)
		}
	}
	return 0
}

// keywords are words of nft and iptables, and of what prints them: a set that
// is called so is not looked for in free text.
var keywords = words(`
	add counter counters packets bytes saddr daddr sport dport iif oif iifname oifname ether vlan meta mark state status protocol l4proto
	nfproto type hook priority policy flags interval timeout elements element comment jump goto queue limit rate over burst quota snat dnat
	redirect masquerade masq fib lookup vmap concat typeof dynamic constant size gc set map ipset list hash bitmap table chain rule handle inet
	bridge arp netdev ingress egress established new related untracked assured expected zone helper label labels tcp udp sctp dccp icmp icmpv6
	ipv4_addr ipv6_addr ether_addr inet_proto inet_service ifname true false null src dst ctstate conntrack addrtype comment match set tproxy
	family name value values index key expr left right range prefix addr len via dev proto kernel scope link host metric default unreachable
	blackhole prohibit throw broadcast multicast local unicast IN OUT MAC SRC DST LEN TOS PREC TTL PROTO SPT DPT SEQ ACK WINDOW RES SYN URGP
`)
