package xt

import (
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/pattern"
)

// What iptables -L prints is for people: of every rule the words of its
// extensions stand behind its addresses, without their options' names. Those of
// listWords are read as the options that they were; what is left of a rule is
// opaque.

// listHead is the first line of a chain: "Chain INPUT (policy ACCEPT 3 packets,
// 180 bytes)", "Chain WEB (1 references)".
var listHead = pattern.New(`^Chain (\S+) \((?:policy (\S+)(?: (\d+[KMGT]?) packets, (\d+[KMGT]?) bytes)?|.* references)\)`)

// listing is where a listing stands.
type listing struct {
	chain   *rules.Chain
	columns []string // of the line below the chain's
}

func (l *listing) has(column string) bool { return slices.Contains(l.columns, column) }

// listLine reads a line of a listing; false when it is none.
func (p *saveParser) listLine(s string) bool {
	if m := listHead.FindStringSubmatch(s); m != nil {
		if p.table == nil {
			p.table = p.tableNamed(p.loose)
		}
		if p.table == nil {
			return true
		}
		c := p.chain(p.table, m[1])
		p.list = &listing{chain: c}
		if c.Base != nil && m[2] != "" {
			p.policy(c, m[2])
			if n, ok := scaled(m[3]); ok {
				c.Base.HasCounter, c.Base.Packets = true, n
				c.Base.Bytes, _ = scaled(m[4])
			}
		}
		return true
	}
	w := strings.Fields(s)
	switch {
	case p.list == nil || strings.HasPrefix(s, "-") || strings.HasPrefix(s, "["):
		return false
	case slices.Contains(w, "target") && slices.Contains(w, "prot") && slices.Contains(w, "source"):
		p.list.columns = w
		return true
	case p.list.columns == nil:
		return false
	}
	p.listRule(s)
	return true
}

// scaled reads a count that -x would have printed in full: 10K is about 10000.
func scaled(s string) (uint64, bool) {
	factor := uint64(1)
	if s != "" {
		if i := strings.IndexByte("KMGT", s[len(s)-1]); i >= 0 {
			for range i + 1 {
				factor *= 1000
			}
			s = s[:len(s)-1]
		}
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return n * factor, err == nil
}

// listComment is a comment, which may hold what looks like anything.
var listComment = pattern.New(`/\* (.*?) \*/`)

// listRule reads a rule's line: the columns of its header, then the words of its
// extensions.
func (p *saveParser) listRule(s string) {
	l := p.list
	var comments []string
	s = listComment.ReplaceAllStringFunc(s, func(c string) string {
		comments = append(comments, listComment.FindStringSubmatch(c)[1])
		return "/*"
	})
	w := splitWords(s)
	var counted *rules.Counter
	if l.has("num") && len(w) > 0 {
		w = w[1:]
	}
	if l.has("pkts") && len(w) > 1 {
		n, ok1 := scaled(w[0].s)
		b, ok2 := scaled(w[1].s)
		if ok1 && ok2 {
			counted, w = &rules.Counter{Packets: n, Bytes: b}, w[2:]
		}
	}
	target, proto, frag, w := listTarget(w)
	fixed := 2
	if l.has("in") {
		fixed = 4
	}
	if proto == "" || len(w) < fixed {
		p.problem("not a rule of iptables -L: %.60q", s)
		return
	}
	var head []word
	add := func(option, value string, any ...string) {
		if slices.Contains(any, value) {
			return
		}
		if v, not := strings.CutPrefix(value, "!"); not {
			head = append(head, word{s: "!"})
			value = v
		}
		head = append(head, word{s: option}, word{s: value})
	}
	add("-p", proto, "all", "0")
	if l.has("in") {
		add("-i", w[0].s, "*", "any")
		add("-o", w[1].s, "*", "any")
		w = w[2:]
	}
	add("-s", w[0].s, "0.0.0.0/0", "::/0", "anywhere")
	add("-d", w[1].s, "0.0.0.0/0", "::/0", "anywhere")
	if frag != "" {
		add("-f", frag)
		head = head[:len(head)-1]
	}
	r := p.rule(l.chain, append(head, p.listExtras(target, w[2:], comments, l.has("in"))...), counted)
	l.chain.Rules = append(l.chain.Rules, r)
}

// listTarget reads target, protocol and what -f asks for. A rule without a
// target has nothing in its column, and ip6tables had none for -f.
func listTarget(w []word) (target, proto, frag string, rest []word) {
	at := slices.IndexFunc(w[:min(len(w), 3)], func(x word) bool { return x.is("--", "-f", "!f") })
	known := func(i int) bool {
		if i >= len(w) {
			return false
		}
		_, err := protoNumber(strings.TrimPrefix(w[i].s, "!"))
		return err == nil
	}
	switch {
	case at > 0:
		if frag = ""; !w[at].is("--") {
			frag = strings.Replace(w[at].s, "!f", "!", 1)
		}
		proto, rest = w[at-1].s, w[at+1:]
		if at == 2 {
			target = w[0].s
		}
	case known(1):
		target, proto, rest = w[0].s, w[1].s, w[2:]
	case known(0):
		proto, rest = w[0].s, w[1:]
	}
	return target, proto, frag, rest
}

// listExtras turns the words of a rule's extensions into options: matches, the
// target, its own options. What is not understood becomes a match of its own.
func (p *saveParser) listExtras(target string, w []word, comments []string, devices bool) []word {
	var matches, own, left []word
	jump := "-j"
	not := false
	if i := slices.IndexFunc(w, func(x word) bool { return x.is("NOTRACK") }); target == "CT" && i >= 0 {
		target, w = "NOTRACK", slices.Delete(w, i, i+1) // CT was given by that name
	}
	for len(w) > 0 {
		if w[0].is("!") {
			not, w = true, w[1:]
			continue
		}
		if w[0].is("[goto]") {
			jump, w = "-g", w[1:]
			continue
		}
		if w[0].is("/*") && len(comments) > 0 {
			matches = append(matches, word{s: "-m"}, word{s: "comment"}, word{s: "--comment"},
				word{s: comments[0], quoted: true, raw: quote(comments[0])})
			comments, w = comments[1:], w[1:]
			continue
		}
		m, t, used := listWord(target, w)
		if used == 0 {
			if not {
				left = append(left, word{s: "!"})
			}
			left, w, not = append(left, w[0]), w[1:], false
			continue
		}
		if not && len(m) > 2 { // -m NAME --option
			m = slices.Insert(m, 2, word{s: "!"})
		}
		matches, own = joinMatch(matches, m), append(own, t...)
		w, not = w[used:], false
	}
	if !devices {
		left = append(left, word{s: "in and out, which -v shows"})
	}
	if len(left) > 0 {
		matches = append(matches, word{s: "-m"}, word{s: "listing"})
		for _, x := range left {
			matches = append(matches, word{s: x.s, quoted: true, raw: quote(x.s)})
		}
	}
	if target != "" {
		matches = append(matches, word{s: jump}, word{s: target})
	}
	return append(matches, own...)
}

// joinMatch adds a match, or what it asks for to the one before it, which is of
// the same extension and does not ask for that yet.
func joinMatch(matches, m []word) []word {
	if len(m) < 3 {
		return append(matches, m...)
	}
	option := m[2]
	if option.is("!") {
		option = m[3]
	}
	for i := len(matches) - 2; i >= 0; i-- {
		if matches[i].is(option.s) {
			break
		}
		if matches[i].is("-m") {
			if matches[i+1].s == m[1].s {
				return append(matches, m[2:]...)
			}
			break
		}
	}
	return append(matches, m...)
}

// listForm is how the words of an extension are read: the first words, then
// values; made is the options, in which $1 is the first value. A value that
// begins with an exclamation mark inverts what it stands in.
type listForm struct {
	pattern string // a regular expression, from the front
	made    string
	target  string // of the target of that name alone; its own options then
}

var listForms = []listForm{
	{pattern: `ctstate (\S+)`, made: "-m conntrack --ctstate $1"},
	{pattern: `state (\S+)`, made: "-m state --state $1"},
	{pattern: `ctstatus (\S+)`, made: "-m conntrack --ctstatus $1"},
	{pattern: `ctorigdst ((?:! ?)?\S+)`, made: "-m conntrack --ctorigdst $1"},
	{pattern: `ctorigsrc ((?:! ?)?\S+)`, made: "-m conntrack --ctorigsrc $1"},
	{pattern: `ctorigdstport (\S+)`, made: "-m conntrack --ctorigdstport $1"},
	{pattern: `ctproto (\S+)`, made: "-m conntrack --ctproto $1"},
	{pattern: `ctorigsrcport (\S+)`, made: "-m conntrack --ctorigsrcport $1"},
	{pattern: `MAC (\S+)`, made: "-m mac --mac-source $1"},
	{pattern: `HL match HL == (\d+)`, made: "-m hl --hl-eq $1"},
	{pattern: `ctdir (\S+)`, made: "-m conntrack --ctdir $1"},
	{pattern: `icmptype (\d+) code (\d+)`, made: "-m icmp --icmp-type $1/$2"},
	{pattern: `icmptype (\d+)`, made: "-m icmp --icmp-type $1"},
	{pattern: `ipv6-icmptype (\d+) code (\d+)`, made: "-m icmp6 --icmpv6-type $1/$2"},
	{pattern: `ipv6-icmptype (\d+)`, made: "-m icmp6 --icmpv6-type $1"},
	{pattern: `multiport (sports|dports|ports) (\S+)`, made: "-m multiport --$1 $2"},
	{pattern: `mark match ((?:! ?)?\S+)`, made: "-m mark --mark $1"},
	{pattern: `connmark match ((?:! ?)?\S+)`, made: "-m connmark --mark $1"},
	{pattern: `match-set (\S+) (\S+)`, made: "-m set --match-set $1 $2"},
	{pattern: `ADDRTYPE match src-type (\S+) dst-type (\S+)`, made: "-m addrtype --src-type $1 --dst-type $2"},
	{pattern: `ADDRTYPE match (src|dst)-type (\S+)`, made: "-m addrtype --$1-type $2"},
	{pattern: `limit: avg (\S+) burst (\d+)`, made: "-m limit --limit $1 --limit-burst $2"},
	{pattern: `statistic mode random probability (\S+)`, made: "-m statistic --mode random --probability $1"},
	{pattern: `statistic mode nth every (\d+)(?: packet (\d+))?`, made: "-m statistic --mode nth --every $1 --packet $2"},
	{pattern: `source IP range ((?:! ?)?\S+)`, made: "-m iprange --src-range $1"},
	{pattern: `destination IP range ((?:! ?)?\S+)`, made: "-m iprange --dst-range $1"},
	{pattern: `owner UID match ((?:! ?)?\S+)`, made: "-m owner --uid-owner $1"},
	{pattern: `owner GID match ((?:! ?)?\S+)`, made: "-m owner --gid-owner $1"},
	{pattern: `policy match dir (in|out) pol (ipsec|none)`, made: "-m policy --dir $1 --pol $2"},
	{pattern: `PKTTYPE = (\S+)`, made: "-m pkttype --pkt-type $1"},
	{pattern: `PHYSDEV match --physdev-is-bridged`, made: "-m physdev --physdev-is-bridged"},
	{pattern: `PHYSDEV match --physdev-(in|out) (\S+)`, made: "-m physdev --physdev-$1 $2"},
	{pattern: `tcpmss match ((?:! ?)?\S+)`, made: "-m tcpmss --mss $1"},
	{pattern: `length ((?:! ?)?\S+)`, made: "-m length --length $1"},
	{pattern: `TTL match TTL == (\d+)`, made: "-m ttl --ttl-eq $1"},
	{pattern: `rpfilter invert`, made: "-m rpfilter --invert"},

	{target: "DNAT", pattern: `to:(\S+)`, made: "--to-destination $1"},
	{target: "SNAT", pattern: `to:(\S+)`, made: "--to-source $1"},
	{target: "NETMAP", pattern: `(?:to:)?(\d+\.\S+|\S*:\S*/\S+)`, made: "--to $1"},
	{target: "MASQUERADE", pattern: `masq ports: (\S+)`, made: "--to-ports $1"},
	{target: "REDIRECT", pattern: `redir ports (\S+)`, made: "--to-ports $1"},
	{target: "DNAT", pattern: `(random-fully|random|persistent)`, made: "--$1"},
	{target: "SNAT", pattern: `(random-fully|random|persistent)`, made: "--$1"},
	{target: "MASQUERADE", pattern: `(random-fully|random)`, made: "--$1"},
	{target: "REDIRECT", pattern: `(random-fully|random)`, made: "--$1"},
	{target: "MARK", pattern: `MARK set (\S+)`, made: "--set-mark $1"},
	{target: "MARK", pattern: `MARK xset (\S+)`, made: "--set-xmark $1"},
	{target: "MARK", pattern: `MARK (and|or|xor) (\S+)`, made: "--$1-mark $2"},
	{target: "CONNMARK", pattern: `CONNMARK set (\S+)`, made: "--set-mark $1"},
	{target: "CONNMARK", pattern: `CONNMARK xset (\S+)`, made: "--set-xmark $1"},
	{target: "CONNMARK", pattern: `CONNMARK (and|or|xor) (\S+)`, made: "--$1-mark $2"},
	{target: "CONNMARK", pattern: `CONNMARK (save|restore) mask (\S+)`, made: "--$1-mark --mask $2"},
	{target: "CONNMARK", pattern: `CONNMARK (save|restore)$`, made: "--$1-mark"},
	{target: "REJECT", pattern: `reject-with (\S+)`, made: "--reject-with $1"},
	{target: "LOG", pattern: `LOG flags 0 level (\d+)(?: prefix "([^"]*)")?`, made: "--log-level $1 --log-prefix $2"},
	{target: "TCPMSS", pattern: `TCPMSS clamp to PMTU`, made: "--clamp-mss-to-pmtu"},
	{target: "TCPMSS", pattern: `TCPMSS set (\d+)`, made: "--set-mss $1"},
	{target: "CT", pattern: `CT notrack`, made: "--notrack"},
	{target: "CT", pattern: `CT helper (\S+)`, made: "--helper $1"},
	{target: "CT", pattern: `CT zone (\S+)`, made: "--zone $1"},
	{target: "CHECKSUM", pattern: `CHECKSUM fill`, made: "--checksum-fill"},
	{target: "TPROXY", pattern: `TPROXY redirect (\S+):(\d+) mark (\S+)`, made: "--on-ip $1 --on-port $2 --tproxy-mark $3"},
}

// listPatterns are the forms, compiled.
var listPatterns = func() []*pattern.Regexp {
	out := make([]*pattern.Regexp, len(listForms))
	for i, f := range listForms {
		out[i] = pattern.New("^" + f.pattern)
	}
	return out
}()

// listWord reads the words of one extension off the front: the options of a
// match, or of the target, and how many words they were.
func listWord(target string, w []word) (match, own []word, used int) {
	if m, n := listPorts(w); n > 0 {
		return m, nil, n
	}
	text := ""
	for i, x := range w {
		if i > 0 {
			text += " "
		}
		if x.raw != "" {
			text += x.raw
		} else {
			text += x.s
		}
	}
	for i, f := range listForms {
		if f.target != "" && f.target != target {
			continue
		}
		at := listPatterns[i].FindStringSubmatchIndex(text)
		if at == nil || at[1] < len(text) && text[at[1]] != ' ' {
			continue
		}
		made := listOptions(f.made, text, at)
		n := len(splitWords(text[:at[1]]))
		if f.target != "" {
			return nil, made, n
		}
		return made, nil, n
	}
	return nil, nil, 0
}

// listOptions fills a form in. An option whose value is not there is left out;
// one whose value is inverted has its sign before it.
func listOptions(made, text string, at []int) []word {
	var out []word
	for _, part := range strings.Fields(made) {
		if i := strings.IndexByte(part, '$'); i < 0 {
			out = append(out, word{s: part})
			continue
		}
		value := os.Expand(part, func(n string) string {
			i, _ := strconv.Atoi(n)
			if at[2*i] < 0 {
				return ""
			}
			return text[at[2*i]:at[2*i+1]]
		})
		if value == "" && len(out) > 0 {
			out = out[:len(out)-1]
			continue
		}
		if v, not := strings.CutPrefix(value, "!"); not && len(out) > 0 {
			out = slices.Insert(out, len(out)-1, word{s: "!"})
			value = strings.TrimSpace(v)
		}
		out = append(out, word{s: value, raw: quoteWord(value)})
	}
	return out
}

func quoteWord(s string) string {
	if strings.ContainsAny(s, " \"") {
		return quote(s)
	}
	return s
}

// listPort is one port, or one range, of a listing: "dpt:80", "spts:!1:1023".
var listPort = pattern.New(`^([sd])pts?:(!?)([0-9]+(?::[0-9]+)?)$`)

var listFlags = pattern.New(`^flags:(!?)(0x[0-9A-Fa-f]+|[A-Z,]+)/(0x[0-9A-Fa-f]+|[A-Z,]+)$`)

// listPorts reads "tcp dpt:80 flags:0x17/0x02".
func listPorts(w []word) (match []word, used int) {
	if !w[0].is("tcp", "udp", "sctp", "dccp", "udplite") {
		return nil, 0
	}
	match = []word{{s: "-m"}, {s: w[0].s}}
	for _, x := range w[1:] {
		if m := listPort.FindStringSubmatch(x.s); m != nil {
			if m[2] != "" {
				match = append(match, word{s: "!"})
			}
			match = append(match, word{s: "--" + m[1] + "port"}, word{s: m[3]})
		} else if m := listFlags.FindStringSubmatch(x.s); m != nil {
			if m[1] != "" {
				match = append(match, word{s: "!"})
			}
			match = append(match, word{s: "--tcp-flags"}, word{s: flagWords(m[2])}, word{s: flagWords(m[3])})
		} else {
			break
		}
		used++
	}
	return match, used + 1
}

// flagWords are the names of flags that a listing has as a number.
func flagWords(s string) string {
	if n, err := strconv.ParseUint(s, 0, 8); err == nil {
		return tcpFlagNames(uint8(n))
	}
	return s
}
