package redact

import (
	"encoding/hex"
	"net/netip"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/invalid"
)

// LogLine maps one line of the kernel's log, with or without its level and
// stamp. What stays is what the kernel itself prints: the reasons of conntrack,
// the fields of a packet, numbers. The prefix of a rule is a token, the same as
// Name(LogPrefix, …) gives; so is each word that the kernel does not print
// there. A line that is not netfilter's is one token.
func (m *Mapper) LogLine(s string) string {
	stamp := stampOf(s)
	body := s[len(stamp):]
	if body == "" {
		return s
	}
	at := packetAt(body)
	if at < 0 {
		return stamp + m.message(body)
	}
	return stamp + m.before(body[:at], body) + m.packet(body[at:])
}

// stampOf is the level and the stamp that dmesg writes ("<5>[  12.345678] "), or
// what /dev/kmsg has before the text ("5,389,941538850,-;").
func stampOf(s string) string {
	rest := s
	if i := strings.IndexByte(rest[:min(len(rest), 64)], ';'); i > 0 && strings.Trim(rest[:i], "0123456789,-") == "" {
		return s[:i+1]
	}
	if i := strings.IndexByte(rest[:min(len(rest), 6)], '>'); i > 1 && rest[0] == '<' && isDigits(rest[1:i]) {
		rest = rest[i+1:]
	}
	if i := strings.IndexByte(rest[:min(len(rest), 40)], ']'); i > 0 && rest[0] == '[' && strings.Trim(rest[1:i], " .0123456789") == "" {
		rest = strings.TrimLeft(rest[i+1:], " ")
	}
	return s[:len(s)-len(rest)]
}

// isDigits tells whether there are digits only, of any number.
func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// packetAt is where nf_log_syslog begins to print the packet, -1 where it does
// not: "IN=eth0 OUT=" (nf_log_dump_packet_common, ebt_log), "ARP HTYPE=" of
// before 5.14, which names no device.
func packetAt(s string) int {
	for from := 0; ; {
		i := strings.Index(s[from:], "IN=")
		if i < 0 {
			return -1
		}
		i += from
		device := s[i+3:]
		if j := strings.IndexByte(device, ' '); j >= 0 && strings.HasPrefix(device[j:], " OUT=") {
			return i
		}
		from = i + 3
	}
}

// message maps a line without a packet.
func (m *Mapper) message(s string) string {
	var msg invalid.Message
	if invalid.Parse([]byte(s), &msg) && len(msg.Rest) == 0 && msg.Reason != nil {
		return m.kernelText(s, &msg)
	}
	return m.Name(Word, s)
}

// kernelText maps a text that conntrack or NAT printed: its deviceText, its helper,
// its addresses.
func (m *Mapper) kernelText(s string, msg *invalid.Message) string {
	if dev := string(msg.Out); dev != "" && strings.HasPrefix(s, dev+" ") { // "eth0 ate my IP address"
		return m.Name(Device, dev) + s[len(dev):]
	}
	if h := string(msg.Args.Helper); h != "" {
		return strings.Replace(s, h, m.Name(Helper, h), 1)
	}
	return m.text(s, false)
}

// before maps what stands before the packet of a line: a reason of the
// kernel's, a trace, or the prefix of a rule.
func (m *Mapper) before(s, line string) string {
	head := strings.TrimRight(s, " \n")
	tail := s[len(head):]
	if head == "" {
		return s
	}
	var msg invalid.Message
	if invalid.Parse([]byte(line), &msg) && msg.Reason != nil && string(msg.Text) != "" && strings.HasSuffix(head, strings.TrimRight(string(msg.Text), " \n")) {
		return m.kernelText(head, &msg) + tail
	}
	if rest, is := strings.CutPrefix(head, "TRACE: "); is {
		return "TRACE: " + m.trace(rest) + tail
	}
	return m.Name(LogPrefix, s)
}

// trace maps "raw:PREROUTING:policy:2" (trace_packet of ip_tables.c). A name of
// a chain may hold colons.
func (m *Mapper) trace(s string) string {
	table, rest, ok := strings.Cut(s, ":")
	i := strings.LastIndexByte(rest, ':')
	if !ok || i < 0 || !isDigits(rest[i+1:]) {
		return m.Name(LogPrefix, s)
	}
	j := strings.LastIndexByte(rest[:i], ':')
	if j < 0 || !traceKinds.has(rest[j+1:i]) {
		return m.Name(LogPrefix, s)
	}
	return m.Name(Table, table) + ":" + m.Name(Chain, rest[:j]) + rest[j:]
}

var traceKinds = words("rule return policy")

// logFields are what nf_log_syslog and ebt_log print as KEY=value, and how a
// value is mapped. What has no function is a number, and stays if it is one.
var logFields = map[string]func(*Mapper, string) string{
	"IN": deviceText, "OUT": deviceText, "PHYSIN": deviceText, "PHYSOUT": deviceText,
	"MAC": hardwareText, "MACSRC": hardwareText, "MACDST": hardwareText,
	"SRC": addressText, "DST": addressText, "IPSRC": addressText, "IPDST": addressText, "GATEWAY": addressText, "TUNNEL": tunnelText,
	"PROTO": protocolText, "MACPROTO": nil, "VPROTO": nil, "VID": nil, "HTYPE": nil, "PTYPE": nil, "OPCODE": nil,
	"LEN": nil, "TOS": nil, "PREC": nil, "TTL": nil, "ID": nil, "SPT": nil, "DPT": nil, "SEQ": nil, "ACK": nil, "WINDOW": nil,
	"RES": nil, "URGP": nil, "TYPE": nil, "CODE": nil, "MTU": nil, "PARAMETER": nil, "POINTER": nil, "SPI": nil, "UID": nil, "GID": nil,
	"MARK": nil, "TC": nil, "HOPLIMIT": nil, "FLOWLBL": nil, "proto": nil, "tos": nil,
}

// logWords are what stands alone between the fields.
var logWords = words(`
	DF MF CE CWR ECE URG ACK PSH RST SYN FIN ARP INCOMPLETE TRUNCATED (TRUNCATED) OPT MAC IP IPv6 source dest bytes] ( ) AH ESP TUNNEL
	INCOMPLETE, ARP, IP, priority= SCTP
`)

func deviceText(m *Mapper, s string) string { return m.Name(Device, s) }

func addressText(m *Mapper, s string) string {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return m.Name(Word, s)
	}
	return (&prose{}).inForm(m.Addr(a), s)
}

// tunnelText maps "192.0.2.1->192.0.2.2", of an SIT device.
func tunnelText(m *Mapper, s string) string {
	from, to, ok := strings.Cut(s, "->")
	if !ok {
		return m.Name(Word, s)
	}
	return addressText(m, from) + "->" + addressText(m, to)
}

// hardwareText maps an address, or the header of a frame: two of them and a
// protocol. Of another link the header may be anything: it is mapped as one.
func hardwareText(m *Mapper, s string) string {
	if s == "" {
		return s
	}
	b, err := hex.DecodeString(strings.ReplaceAll(s, ":", ""))
	if err != nil {
		return m.Name(Word, s)
	}
	if len(b) == 14 || len(b) == 18 && s[36:41] == "81:00" {
		m.MAC(b[:6])
		m.MAC(b[6:12])
	} else {
		m.MAC(b)
	}
	return hardwareInForm(b, s, ':')
}

func protocolText(m *Mapper, s string) string {
	if isDigits(s) || logProtocols.has(s) {
		return s
	}
	return m.Name(Word, s)
}

var logProtocols = words("TCP UDP UDPLITE ICMP ICMPv6 ESP AH SCTP DCCP")

// numbered keeps what is a number, hexadecimal or not.
func (m *Mapper) numbered(s string) string {
	if strings.Trim(strings.TrimPrefix(s, "0x"), "0123456789abcdefABCDEF,") == "" {
		return s
	}
	return m.Name(Word, s)
}

// packet maps the fields of a packet, and of the one that it quotes between
// brackets.
func (m *Mapper) packet(s string) string {
	var out strings.Builder
	ip := true // options that come are of IP, not of TCP
	last := ""
	for i := 0; i < len(s); {
		j := i
		for j < len(s) && (s[j] == ' ' || s[j] == '\n') {
			j++
		}
		out.WriteString(s[i:j])
		i = j
		for j < len(s) && s[j] != ' ' && s[j] != '\n' {
			j++
		}
		w := s[i:j]
		i = j
		if strings.HasPrefix(w, "PROTO=") {
			ip = false
		} else if strings.HasPrefix(w, "[SRC=") {
			ip = true
		}
		if last == "OPT" && strings.HasPrefix(w, "(") {
			w = m.options(w, ip)
		} else {
			w = m.field(w)
		}
		out.WriteString(w)
		last = w
	}
	return out.String()
}

func (m *Mapper) field(w string) string {
	if w == "" || logWords.has(w) || w == "[" || w == "]" {
		return w
	}
	lead := ""
	if strings.HasPrefix(w, "[") && len(w) > 1 {
		lead, w = "[", w[1:]
	}
	if rest, is := strings.CutPrefix(w, "FRAG:"); is {
		return lead + "FRAG:" + m.numbered(rest)
	}
	key, value, is := strings.Cut(w, "=")
	if is {
		f, known := logFields[key]
		tail := ""
		if f == nil && strings.HasSuffix(value, ",") { // ebt_log
			value, tail = strings.TrimSuffix(value, ","), ","
		}
		switch {
		case !known:
		case f != nil:
			return lead + key + "=" + f(m, value) + tail
		default:
			return lead + key + "=" + m.numbered(value) + tail
		}
	}
	// "MAC source = 00:00:5e:00:53:01 MAC dest = …", "[8 bytes]", a word of ours
	if w == "=" || isDigits(w) {
		return lead + w
	}
	if image := m.text(w, false); image != w || m.known(w) {
		return lead + image
	}
	return lead + m.Name(Word, w)
}

// known tells whether a word is an address that stays.
func (m *Mapper) known(w string) bool {
	if _, err := netip.ParseAddr(w); err == nil {
		return true
	}
	_, end, _ := cutHardware(w, 0)
	return end == len(w)
}

// options maps "(020405B4)". TCP's stay; IP's that record addresses lose them
// (RFC 791: record route, timestamps, source routes).
func (m *Mapper) options(w string, ip bool) string {
	b, err := hex.DecodeString(strings.Trim(w, "()"))
	if err != nil {
		return m.Name(Word, w)
	}
	if !ip {
		return w
	}
	for i := 0; i < len(b) && b[i] != 0; {
		if b[i] == 1 {
			i++
			continue
		}
		end := len(b)
		if i+1 < len(b) && b[i+1] >= 2 {
			end = min(i+int(b[i+1]), len(b))
		}
		switch b[i] {
		case 0x07, 0x44, 0x83, 0x89:
			clear(b[min(i+3, end):end])
		}
		i = end
	}
	return "(" + strings.ToUpper(hex.EncodeToString(b)) + ")"
}
