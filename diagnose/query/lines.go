package query

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// fields collects KEY=VALUE words in order.
type field struct{ key, value string }

func fieldsOf(words []string) []field {
	var out []field
	for _, w := range words {
		w = strings.Trim(w, "[],;")
		if k, v, ok := strings.Cut(w, "="); ok && k != "" {
			out = append(out, field{k, v})
		}
	}
	return out
}

func countKey(words []string, key string) int {
	n := 0
	for _, f := range fieldsOf(words) {
		if f.key == key {
			n++
		}
	}
	return n
}

// isConntrack: conntrack -L, -E and /proc/net/nf_conntrack print two tuples.
func isConntrack(words []string) bool {
	return countKey(words, "src") >= 2 && countKey(words, "dst") >= 2
}

// parseConntrack takes the original tuple, the id and the zone; mark, state,
// timeout and counters have changed since the line was printed.
func parseConntrack(p *parser, words []string) error {
	for _, w := range words {
		if n, ok := protoByName(w); ok && !p.q.Proto.Set {
			p.q.Proto = some(uint32(n))
		}
	}
	tuple, icmpIDs := 0, 0
	for _, f := range fieldsOf(words) {
		if f.key == "src" {
			tuple++
		}
		if f.key == "type" {
			icmpIDs++
		}
		if err := p.conntrackField(f, tuple, &icmpIDs); err != nil {
			return err
		}
	}
	return p.conntrackProto(words)
}

func (p *parser) conntrackField(f field, tuple int, icmpIDs *int) error {
	switch {
	case f.key == "zone" || f.key == "zone-orig":
		return keyZone(p, f.value)
	case f.key == "id" && *icmpIDs > 0:
		// each tuple of an ICMP entry has the query's id after its type
		*icmpIDs--
		if tuple == 1 {
			return keyNumber(&p.q.ICMPID, "ICMP id", f.value, 16)
		}
		return nil
	case f.key == "id":
		return keyNumber(&p.q.ID, "id", f.value, 32)
	case tuple != 1:
		return nil
	}
	switch f.key {
	case "src":
		return keySrc(p, f.value)
	case "dst":
		return keyDst(p, f.value)
	case "sport":
		return keySport(p, f.value)
	case "dport":
		return keyDport(p, f.value)
	case "srckey", "dstkey":
		return p.greKey(f)
	case "type":
		return keyType(p, f.value)
	case "code":
		return keyCode(p, f.value)
	}
	return nil
}

// greKey: conntrack prints the keys of GRE in hexadecimal.
func (p *parser) greKey(f field) error {
	n, err := number("GRE key", f.value, 16)
	e := &p.q.Src
	if f.key == "dstkey" {
		e = &p.q.Dst
	}
	e.Port, e.HasPort = uint16(n), true
	return err
}

// conntrackProto: a protocol without a name is printed as "unknown 50".
func (p *parser) conntrackProto(words []string) error {
	if p.q.Proto.Set {
		return nil
	}
	i := slices.Index(words, "unknown")
	if i < 0 || i+1 >= len(words) {
		return nil
	}
	n, err := ParseProto(words[i+1])
	if err != nil {
		return err
	}
	return p.setProto(n)
}

// isKernelLog: nf_log prints SRC= and DST= in capitals.
func isKernelLog(words []string) bool {
	return countKey(words, "SRC") >= 1 && countKey(words, "DST") >= 1
}

// logKeys are the fields of nf_log_syslog that name a flow. ID is the echo's
// only after TYPE; before it, it is the IP header's.
var logKeys = map[string]func(*parser, string) error{
	"SRC": keySrc, "DST": keyDst, "SPT": keySport, "DPT": keyDport,
	"PROTO": func(p *parser, v string) error { p.q.Proto = Opt{}; return keyProto(p, v) },
	"TYPE":  keyType, "CODE": keyCode,
}

// parseKernelLog takes the packet; of an ICMP error the packet that it quotes
// in brackets, since that belongs to the flow.
func parseKernelLog(p *parser, words []string) error {
	if i := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(w, "[SRC=") }); i >= 0 {
		words = words[i:]
	}
	typed := false
	for _, f := range fieldsOf(words) {
		if f.key == "TYPE" {
			typed = true
		}
		if f.key == "ID" && typed {
			if err := keyNumber(&p.q.ICMPID, "ICMP id", f.value, 16); err != nil {
				return err
			}
			continue
		}
		if set := logKeys[f.key]; set != nil && f.value != "" {
			if err := set(p, f.value); err != nil {
				return err
			}
		}
	}
	return nil
}

// isTcpdump: "IP" or "IP6", then A > B.
func isTcpdump(words []string) bool {
	return tcpdumpArrow(words) > 0 && (slices.Contains(words, "IP") || slices.Contains(words, "IP6"))
}

// tcpdumpArrow is the place of the arrow between the two ends; with -e there
// is one between two link-layer addresses first.
func tcpdumpArrow(words []string) int {
	at := -1
	for i, w := range words {
		if w == ">" && i > 0 && i+1 < len(words) && strings.Count(words[i-1], ":") != 5 {
			at = i
			break
		}
	}
	return at
}

// tcpdumpProtos tells the protocol by what tcpdump prints after the ends.
var tcpdumpProtos = []struct{ mark, proto string }{
	{"Flags [", "tcp"}, {"proto TCP", "tcp"}, {" tcp ", "tcp"},
	{"ICMP6", "icmpv6"}, {"ICMP", "icmp"},
	{"UDP", "udp"}, {" udp ", "udp"}, {"sctp", "sctp"}, {"GREv", "gre"}, {"ESP(", "esp"},
}

func parseTcpdump(p *parser, words []string) error {
	at := tcpdumpArrow(words)
	family := families["ip"]
	if slices.Contains(words, "IP6") {
		family = families["ip6"]
	}
	if err := p.setFamily(family); err != nil {
		return err
	}
	text := strings.Join(words, " ")
	for _, row := range tcpdumpProtos {
		if strings.Contains(text, row.mark) {
			if err := keyProto(p, row.proto); err != nil {
				return err
			}
			break
		}
	}
	p.hasArrow, p.arrow = true, 1
	for _, w := range []string{words[at-1], strings.TrimRight(words[at+1], ":")} {
		e, err := parseEnd(w)
		if err != nil {
			return err
		}
		p.ends = append(p.ends, e)
	}
	if p.icmp() {
		return p.tcpdumpICMP(text, words)
	}
	return nil
}

// tcpdumpICMP takes the id of "echo request, id 77, seq 1".
func (p *parser) tcpdumpICMP(text string, words []string) error {
	if !strings.Contains(text, "echo") {
		return errors.New("of ICMP only echo requests and replies name a flow; for an error name the flow that it quotes")
	}
	i := slices.Index(words, "id")
	if i < 0 || i+1 >= len(words) {
		return nil
	}
	return keyNumber(&p.q.ICMPID, "ICMP id", strings.TrimRight(words[i+1], ","), 16)
}

// ssStates are the words by which a line of ss or netstat is known.
var ssStates = map[string]bool{
	"ESTAB": true, "ESTABLISHED": true, "SYN-SENT": true, "SYN_SENT": true, "SYN-RECV": true,
	"SYN_RECV": true, "FIN-WAIT-1": true, "FIN_WAIT1": true, "FIN-WAIT-2": true, "FIN_WAIT2": true,
	"TIME-WAIT": true, "TIME_WAIT": true, "CLOSE-WAIT": true, "CLOSE_WAIT": true, "LAST-ACK": true,
	"LAST_ACK": true, "CLOSING": true, "UNCONN": true, "LISTEN": true,
}

func isSS(words []string) bool {
	ends := 0
	for _, w := range words {
		if strings.Contains(w, ":") && !strings.Contains(w, "=") && !strings.Contains(w, "(") {
			ends++
		}
	}
	return ends >= 2 && slices.ContainsFunc(words, func(w string) bool { return ssStates[w] })
}

// parseSS takes the two ends; a socket that listens has one flow at most a
// client, so its local end is asked for at either end.
func parseSS(p *parser, words []string) error {
	for _, w := range words {
		if n, ok := protoByName(strings.TrimSuffix(strings.ToLower(w), "6")); ok && !p.q.Proto.Set {
			p.q.Proto = some(uint32(n))
			continue
		}
		if len(p.ends) == 2 || !strings.ContainsAny(w, ".:*") || strings.HasPrefix(w, "users:") {
			continue
		}
		e, err := parseEnd(w)
		if err != nil {
			return err
		}
		p.ends = append(p.ends, e)
	}
	if len(p.ends) < 2 {
		return fmt.Errorf("%d of two ends found in what looks like a line of ss", len(p.ends))
	}
	if p.ends[1].any() || !p.ends[1].Addr.IsValid() || p.ends[1].Addr.Addr().IsUnspecified() {
		p.ends = p.ends[:1]
	}
	if p.ends[0].Addr.IsValid() && p.ends[0].Addr.Addr().IsUnspecified() {
		p.ends[0].Addr = End{}.Addr
	}
	return nil
}
