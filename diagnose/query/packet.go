package query

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// Packet is a whole packet, the first of a flow, as a user names it: the tuple
// in the notation of a Query, and what else is said of it. Numbers that are not
// set were not said.
type Packet struct {
	Text   string
	Family rules.Family
	Tuple  rules.Tuple
	// SportOpen and IDOpen: the source port, or the id of an ICMP query, was
	// not said; the tuple holds 0.
	SportOpen, IDOpen bool
	// DportOpen: nor was the destination port. A query has to name it; the
	// kernel's log of protocols that it does not read does not.
	DportOpen bool
	// Invalid: conntrack takes it for invalid, whatever it is, so that it has no
	// entry and no NAT.
	Invalid bool
	// Iif and Oif are names of devices, "" when not said.
	Iif, Oif string

	Mark, CtMark, Zone, UID, GID, Priority Opt
	// TOS is the whole field (IPv6: traffic class), TOSMask its bits that were
	// said: dscp leaves the lowest two open.
	TOS     Opt
	TOSMask uint32
	// TTL is that of arrival (IPv6: hop limit); Length counts from the network
	// header on.
	TTL, Length Opt
	// Flags are those of the TCP header; SYN alone when not said.
	Flags Opt
}

// PacketKey is one thing that can be said of a packet besides its tuple: KEY
// VALUE or KEY=VALUE.
type PacketKey struct {
	Names []string
	Value string // what its value is, for help
	Help  string
	set   func(p *Packet, v string) error
}

// PacketKeys lists them.
func PacketKeys() []PacketKey {
	return []PacketKey{
		{[]string{"iif", "iifname", "in"}, "DEV", "device that it comes in by; without it, that of the reverse path", func(p *Packet, v string) error { return device(&p.Iif, v) }},
		{[]string{"oif", "oifname", "out"}, "DEV", "device that it leaves by; without it, that of the route", func(p *Packet, v string) error { return device(&p.Oif, v) }},
		{[]string{"mark", "fwmark"}, "N", "packet mark on arrival, or of the sending socket; 0 is assumed", packetNumber("mark", 32, func(p *Packet) *Opt { return &p.Mark })},
		{[]string{"ctmark", "connmark", "ct-mark"}, "N", "ct mark that the entry begins with; 0 but for expected flows", packetNumber("ct mark", 32, func(p *Packet) *Opt { return &p.CtMark })},
		{[]string{"uid", "skuid"}, "N", "user of the local sender", packetNumber("uid", 32, func(p *Packet) *Opt { return &p.UID })},
		{[]string{"gid", "skgid"}, "N", "group of the local sender", packetNumber("gid", 32, func(p *Packet) *Opt { return &p.GID })},
		{[]string{"ttl", "hoplimit", "hl"}, "N", "TTL or hop limit on arrival", packetNumber("ttl", 8, func(p *Packet) *Opt { return &p.TTL })},
		{[]string{"tos", "tclass"}, "N", "TOS or traffic class", setTOS},
		{[]string{"dscp"}, "N|NAME", "differentiated services code point: a number or cs1, af21, ef, …", setDSCP},
		{[]string{"length", "len"}, "N", "length from the network header on", packetNumber("length", 16, func(p *Packet) *Opt { return &p.Length })},
		{[]string{"flags", "tcp-flags"}, "LIST", "TCP flags, parted by commas; a SYN is assumed", setFlags},
		{[]string{"priority", "prio"}, "N", "skb priority", packetNumber("priority", 32, func(p *Packet) *Opt { return &p.Priority })},
	}
}

func packetKey(name string) (PacketKey, bool) {
	for _, k := range PacketKeys() {
		if slices.ContainsFunc(k.Names, func(n string) bool { return strings.EqualFold(n, name) }) {
			return k, true
		}
	}
	return PacketKey{}, false
}

func device(to *string, v string) error {
	if len(v) > 15 || strings.ContainsAny(v, "/ ") {
		return fmt.Errorf("bad device name %q", v)
	}
	*to = v
	return nil
}

func packetNumber(what string, bits int, at func(*Packet) *Opt) func(*Packet, string) error {
	return func(p *Packet, v string) error { return keyNumber(at(p), what, v, bits) }
}

func setTOS(p *Packet, v string) error {
	p.TOSMask = 0xff
	return keyNumber(&p.TOS, "tos", v, 8)
}

// dscpNames are the code points with a name (RFC 2474, 2597, 3246, 5865).
var dscpNames = map[string]uint32{
	"be": 0, "df": 0, "cs0": 0, "cs1": 8, "cs2": 16, "cs3": 24, "cs4": 32, "cs5": 40, "cs6": 48, "cs7": 56,
	"af11": 10, "af12": 12, "af13": 14, "af21": 18, "af22": 20, "af23": 22, "af31": 26, "af32": 28, "af33": 30,
	"af41": 34, "af42": 36, "af43": 38, "va": 44, "ef": 46, "le": 1,
}

func setDSCP(p *Packet, v string) error {
	n, ok := dscpNames[strings.ToLower(v)]
	if !ok {
		var err error
		if n, err = number("dscp", v, 6); err != nil {
			return err
		}
	}
	p.TOS, p.TOSMask = some(n<<2), 0xfc
	return nil
}

// TCPSYN is the flag of the packet that begins a connection.
const TCPSYN = 2

var tcpFlags = []string{"fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"}

func setFlags(p *Packet, v string) error {
	p.Flags = some(0)
	for _, word := range strings.FieldsFunc(strings.ToLower(v), func(r rune) bool { return r == ',' || r == '|' }) {
		i := slices.Index(tcpFlags, word)
		if i < 0 && word != "none" {
			return fmt.Errorf("unknown TCP flag %q (known: %s)", word, strings.Join(tcpFlags, ", "))
		}
		if i >= 0 {
			p.Flags.N |= 1 << i
		}
	}
	return nil
}

// ParsePacket reads a whole packet, given as one argument or as several: a
// query that leaves nothing of the tuple open but the source port, and
// PacketKeys anywhere between its words. Of a pasted line of the kernel log the
// keys are taken from it.
func ParsePacket(args []string) (Packet, error) {
	text := strings.Join(strings.Fields(strings.Join(args, " ")), " ")
	if text == "" {
		return Packet{}, errors.New("no packet: name one, for example tcp 10.0.0.10:5536 > 10.0.0.1:8080 iif eth0")
	}
	fail := func(err error) (Packet, error) { return Packet{}, fmt.Errorf("packet %s: %w", quoted(text), err) }
	if len(text) > maxText {
		return Packet{}, fmt.Errorf("packet %q…: longer than %d bytes", text[:40], maxText)
	}
	var p Packet
	words := strings.Fields(text)
	var err error
	if isKernelLog(words) {
		err = p.fromLog(words)
	} else {
		words, err = p.takeKeys(words)
	}
	if err != nil {
		return fail(err)
	}
	if len(words) == 0 {
		return fail(errors.New("the tuple is missing: PROTO SRC:PORT > DST:PORT"))
	}
	q, err := Parse(words)
	if err != nil {
		if inner := errors.Unwrap(err); inner != nil {
			err = inner // Parse has quoted the words already
		}
		return fail(err)
	}
	if err := p.tuple(&q); err != nil {
		return fail(err)
	}
	p.Text = text
	return p, nil
}

// takeKeys takes the PacketKeys out of words, and leaves the query. In a pasted
// line only the devices can be the user's own words.
func (p *Packet) takeKeys(words []string) (rest []string, err error) {
	seen := map[string]bool{}
	pasted := isConntrack(words) || isTcpdump(words) || isSS(words)
	for i := 0; i < len(words); i++ {
		w := strings.TrimRight(words[i], ",;")
		name, value, hasValue := strings.Cut(w, "=")
		if strings.EqualFold(w, "ct") {
			if i+1 < len(words) && strings.EqualFold(words[i+1], "mark") {
				words[i+1] = "ctmark"
			}
			continue // ct zone, ct state
		}
		if strings.EqualFold(name, "state") && !pasted {
			if !hasValue && i+1 < len(words) {
				i++
				value = words[i]
			}
			switch strings.ToLower(strings.TrimRight(value, ",;")) {
			case "new":
			case "invalid":
				p.Invalid = true
			default:
				return nil, fmt.Errorf("state %q: a simulated packet is the first of its flow, its ct state is new; or invalid, if you say so", value)
			}
			continue
		}
		if w := strings.ToLower(w); (w == "type" || w == "code") && !pasted && i+1 < len(words) {
			rest = append(rest, w+"="+words[i+1])
			i++
			continue
		}
		k, ok := packetKey(name)
		if !ok || pasted && k.Names[0] != "iif" && k.Names[0] != "oif" {
			rest = append(rest, words[i])
			continue
		}
		if !hasValue && i+1 < len(words) {
			i++
			value = strings.TrimRight(words[i], ",;")
		}
		if value == "" {
			return nil, fmt.Errorf("%s without a value", name)
		}
		if seen[k.Names[0]] {
			return nil, fmt.Errorf("%s is given twice", k.Names[0])
		}
		seen[k.Names[0]] = true
		if err := k.set(p, value); err != nil {
			return nil, err
		}
	}
	return rest, nil
}

// packetLogKeys are fields of nf_log_syslog, besides those of a flow. LEN comes
// first for the network header, and again for UDP.
var packetLogKeys = map[string]string{
	"IN": "iif", "OUT": "oif", "MARK": "mark", "TTL": "ttl", "HOPLIMIT": "ttl", "TOS": "tos", "TC": "tos", "LEN": "length", "UID": "uid", "GID": "gid",
}

func (p *Packet) fromLog(words []string) error {
	seen := map[string]bool{}
	for _, f := range fieldsOf(words) {
		name := packetLogKeys[f.key]
		if name == "" || f.value == "" || seen[f.key] {
			continue
		}
		seen[f.key] = true
		k, _ := packetKey(name)
		if err := k.set(p, f.value); err != nil {
			return err
		}
	}
	if !slices.Contains(words, "PROTO=TCP") {
		return nil
	}
	var flags []string
	for _, w := range words {
		if slices.Contains(tcpFlags, strings.ToLower(w)) {
			flags = append(flags, w)
		}
	}
	if len(flags) == 0 {
		return nil
	}
	return setFlags(p, strings.Join(flags, ","))
}

// Packet is the packet that the query names, when it names a whole one.
func (q *Query) Packet() (Packet, error) {
	p := Packet{Text: q.Text}
	return p, p.tuple(q)
}

// tuple takes the tuple, and says what of it is missing.
func (p *Packet) tuple(q *Query) error {
	p.Family, p.Zone = q.Family, q.Zone
	probe := host.Flow{Original: rules.Tuple{Proto: uint8(q.Proto.N)}}
	switch {
	case q.ID.Set:
		return fmt.Errorf("id %d names an entry, not a packet", q.ID.N)
	case !q.Proto.Set:
		return errors.New("the protocol is missing: tcp, udp, icmp, … or its number")
	case len(q.Any) > 0 && q.Src == (End{}) && q.Dst == (End{}):
		return errors.New("one end only: name both, SRC > DST")
	case !q.Src.whole():
		return missingEnd("source", q.Src)
	case !q.Dst.whole():
		return missingEnd("destination", q.Dst)
	case len(q.Any) > 0:
		return errors.New("name which end is the source: SRC > DST")
	case probe.HasPorts() && !q.Dst.HasPort:
		return errors.New("the destination port is missing")
	}
	p.Tuple = rules.Tuple{Proto: uint8(q.Proto.N), Src: q.Src.Addr.Addr(), Dst: q.Dst.Addr.Addr()}
	switch {
	case probe.HasPorts():
		p.Tuple.SrcPort, p.Tuple.DstPort = q.Src.Port, q.Dst.Port
		p.SportOpen = !q.Src.HasPort
	case probe.IsICMP():
		p.icmp(q)
	}
	if p.Flags.Set && p.Tuple.Proto != host.ProtoTCP {
		return fmt.Errorf("%s has no TCP flags", ProtoName(p.Tuple.Proto))
	}
	return nil
}

// icmp takes the query for an echo request where no type is said.
func (p *Packet) icmp(q *Query) {
	typ := q.ICMPType.N
	if !q.ICMPType.Set {
		typ = 8
		if p.Tuple.Proto == host.ProtoICMPv6 {
			typ = 128
		}
	}
	p.Tuple.DstPort = uint16(typ<<8 | q.ICMPCode.N)
	p.Tuple.SrcPort, p.IDOpen = uint16(q.ICMPID.N), !q.ICMPID.Set
}

func missingEnd(which string, e End) error {
	if e.Addr.IsValid() {
		return fmt.Errorf("the %s is a prefix, %s; a packet has one address", which, e.Addr)
	}
	return fmt.Errorf("the %s address is missing", which)
}
