package main

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/packet"
	"github.com/ntdiag/ntdiag/diagnose/query"
)

// insertTimeout is that of an entry for which none is said, in seconds.
const insertTimeout = 120

// tcpLiberal (IP_CT_TCP_FLAG_BE_LIBERAL) keeps the kernel from checking
// windows, of which a new entry knows nothing.
const tcpLiberal = 0x08

const natDone = host.StatusSrcNATDone | host.StatusDstNATDone

// newEntry is an entry as it is asked for.
type newEntry struct {
	flow host.Flow
	text string
	// the tuple by flags
	proto, src, dst, sport, dport, icmpType, icmpCode, icmpID string

	dnat, snat, replySrc, replyDst query.End
	state                          string
	status                         *host.Status
	otag, rtag                     bool
}

// insertValues is every flag that takes a value; those of the tuple are for
// what words name else.
var insertValues = []struct {
	name, help string
	tuple      bool
	set        func(e *newEntry, v string) error
}{
	{"proto", "protocol, by name or number", true, func(e *newEntry, v string) error { return word(&e.proto, v) }},
	{"src", "source address of the original tuple", true, func(e *newEntry, v string) error { return word(&e.src, v) }},
	{"dst", "destination address of the original tuple", true, func(e *newEntry, v string) error { return word(&e.dst, v) }},
	{"sport", "source port of the original tuple", true, func(e *newEntry, v string) error { return word(&e.sport, v) }},
	{"dport", "destination port of the original tuple", true, func(e *newEntry, v string) error { return word(&e.dport, v) }},
	{"icmp-type", "type of an ICMP query", true, func(e *newEntry, v string) error { return word(&e.icmpType, v) }},
	{"icmp-code", "code of an ICMP query", true, func(e *newEntry, v string) error { return word(&e.icmpCode, v) }},
	{"icmp-id", "id of an ICMP query", true, func(e *newEntry, v string) error { return word(&e.icmpID, v) }},
	{"dnat", "ADDR or ADDR:PORT that the destination is rewritten to", false, func(e *newEntry, v string) error { return oneEnd(&e.dnat, v) }},
	{"snat", "ADDR or ADDR:PORT that the source is rewritten to; of ICMP the id in place of the port", false, func(e *newEntry, v string) error { return oneEnd(&e.snat, v) }},
	{"reply-src", "source address of the reply tuple, for an entry that differs without NAT", false, func(e *newEntry, v string) error { return oneAddr(&e.replySrc, v) }},
	{"reply-dst", "destination address of the reply tuple", false, func(e *newEntry, v string) error { return oneAddr(&e.replyDst, v) }},
	{"reply-sport", "source port of the reply tuple", false, func(e *newEntry, v string) error { return onePort(&e.replySrc, v) }},
	{"reply-dport", "destination port of the reply tuple", false, func(e *newEntry, v string) error { return onePort(&e.replyDst, v) }},
	{"state", "state of a TCP or SCTP entry", false, func(e *newEntry, v string) (err error) { e.state, err = query.ParseState(v); return }},
	{"status", "status bits, parted by commas", false, entryStatus},
	{"timeout", "seconds until it ends, or a time as 90s, 5m, 2h", false, entryTimeout},
	{"mark", "ct mark", false, entryMark},
	{"label", "labels, by number or name, parted by commas", false, func(e *newEntry, v string) (err error) { e.flow.Labels, err = parseLabels(v); return }},
	{"zone", "conntrack zone", false, func(e *newEntry, v string) error { return entryZone(e, v, 0) }},
	{"orig-zone", "zone of the original direction only", false, func(e *newEntry, v string) error { return entryZone(e, v, host.HasZoneOrig) }},
	{"reply-zone", "zone of the reply direction only", false, func(e *newEntry, v string) error { return entryZone(e, v, host.HasZoneReply) }},
	{"helper", "conntrack helper, such as ftp", false, func(e *newEntry, v string) error { return word(&e.flow.Helper, v) }},
	{"orig-vtag", "SCTP verification tag of the original direction", false, func(e *newEntry, v string) error { e.otag = true; return entryTag(e, capture.Original, v) }},
	{"reply-vtag", "SCTP verification tag of the reply direction", false, func(e *newEntry, v string) error { e.rtag = true; return entryTag(e, capture.Reply, v) }},
}

func word(to *string, v string) error {
	if v == "" || strings.ContainsAny(v, " \t\n") {
		return fmt.Errorf("bad value %q", v)
	}
	*to = v
	return nil
}

func oneEnd(to *query.End, v string) (err error) {
	if *to, err = query.ParseEnd(v); err != nil {
		return err
	}
	if !to.Addr.IsValid() || !to.Addr.IsSingleIP() {
		return fmt.Errorf("%q is not one address", v)
	}
	return nil
}

func oneAddr(to *query.End, v string) (err error) {
	if to.Addr, err = query.ParsePrefix(v); err == nil && !to.Addr.IsSingleIP() {
		err = fmt.Errorf("%q is not one address", v)
	}
	return err
}

func onePort(to *query.End, v string) (err error) {
	to.HasPort = true
	to.Port, err = query.ParsePort(v)
	return err
}

func entryStatus(e *newEntry, v string) error {
	bits, err := parseSettable(v, capture.SettableStatus|natDone)
	e.status = &bits
	return err
}

func entryTimeout(e *newEntry, v string) (err error) {
	e.flow.Has |= host.HasTimeout
	e.flow.Timeout, err = parseSeconds(v)
	return err
}

func entryMark(e *newEntry, v string) error {
	mark, _, err := query.ParseMark(v)
	if err == nil && strings.Contains(v, "/") {
		err = fmt.Errorf("%q: a new entry takes no mask", v)
	}
	e.flow.Mark, e.flow.Has = mark, e.flow.Has|host.HasMark
	return err
}

func entryZone(e *newEntry, v string, of host.Present) (err error) {
	e.flow.Has |= of
	e.flow.Zone, err = query.ParseZone(v)
	return err
}

func entryTag(e *newEntry, d capture.Direction, v string) error {
	tag, _, err := query.ParseMark(v)
	if err != nil || strings.Contains(v, "/") {
		return fmt.Errorf("bad tag %q", v)
	}
	e.flow.VTags[d], e.flow.Has = tag, e.flow.Has|host.HasVTags
	return nil
}

// words is the tuple of the flags in the words of a packet.
func (e *newEntry) words() []string {
	var out []string
	end := func(addr, port string) string {
		switch {
		case port == "":
			return addr
		case strings.Contains(addr, ":"):
			return "[" + strings.Trim(addr, "[]") + "]:" + port
		}
		return addr + ":" + port
	}
	add := func(w string) {
		if w != "" {
			out = append(out, w)
		}
	}
	add(e.proto)
	add(end(e.src, e.sport))
	if e.src != "" && e.dst != "" {
		add(">")
	}
	add(end(e.dst, e.dport))
	for _, x := range [][2]string{{"type", e.icmpType}, {"code", e.icmpCode}, {"id", e.icmpID}} {
		if x[1] != "" {
			add(x[0] + "=" + x[1])
		}
	}
	return out
}

// finish makes the entry of the words and of what was said beside them.
func (e *newEntry) finish(words []string) error {
	if len(words) == 0 {
		return errors.New("no tuple: name one, for example tcp 10.0.0.10:5536 > 10.0.0.1:8080")
	}
	p, err := query.ParsePacket(words)
	if err != nil {
		return err
	}
	f := &e.flow
	switch {
	case p.SportOpen:
		return errors.New("the source port is missing")
	case p.IDOpen:
		return errors.New("the id of the ICMP query is missing")
	case p.Iif != "" || p.Oif != "" || p.Mark.Set || p.UID.Set || p.GID.Set || p.Priority.Set || p.TOS.Set || p.TTL.Set || p.Length.Set || p.Flags.Set:
		return errors.New("an entry holds no device, packet mark, user or header: name its tuple only")
	case p.CtMark.Set:
		f.Mark, f.Has = p.CtMark.N, f.Has|host.HasMark
	}
	if p.Zone.Set {
		if f.Zone != 0 || f.Has&(host.HasZoneOrig|host.HasZoneReply) != 0 {
			return errors.New("the zone is given twice")
		}
		f.Zone = uint16(p.Zone.N)
	}
	e.text, f.Family, f.Original = p.Text, p.Family, p.Tuple
	f.Reply = packet.Inverse(f.Original)
	if err := e.rewrite(); err != nil {
		return err
	}
	return e.tracker()
}

// rewrite puts the far ends into the reply tuple.
func (e *newEntry) rewrite() error {
	f := &e.flow
	ends := []struct {
		flag string
		end  query.End
		addr *netip.Addr
		port *uint16
	}{
		{"dnat", e.dnat, &f.Reply.Src, &f.Reply.SrcPort}, {"snat", e.snat, &f.Reply.Dst, &f.Reply.DstPort},
		{"reply-src", e.replySrc, &f.Reply.Src, &f.Reply.SrcPort}, {"reply-dst", e.replyDst, &f.Reply.Dst, &f.Reply.DstPort},
	}
	for _, x := range ends {
		if x.end == (query.End{}) {
			continue
		}
		if x.end.Addr.IsValid() {
			if *x.addr = x.end.Addr.Addr(); x.addr.Is4() != f.Original.Src.Is4() {
				return fmt.Errorf("--%s: mixed families: %s with %s", x.flag, x.addr, f.Original.Src)
			}
		}
		if x.end.HasPort {
			switch {
			case f.HasPorts():
				*x.port = x.end.Port
			case f.IsICMP() && x.flag == "snat":
				f.Reply.SrcPort = x.end.Port
			default:
				return fmt.Errorf("--%s: %s has no port", x.flag, query.ProtoName(f.Original.Proto))
			}
		}
	}
	if e.dnat != (query.End{}) {
		f.Status |= host.StatusDstNAT | natDone
	}
	if e.snat != (query.End{}) {
		f.Status |= host.StatusSrcNAT | natDone
	}
	return nil
}

// tracker sets state, status and timeout, or what they are when not said.
func (e *newEntry) tracker() error {
	f := &e.flow
	state := e.state
	if state == "" {
		state = "ESTABLISHED"
	}
	switch proto := f.Original.Proto; proto {
	case host.ProtoTCP:
		i := slices.Index(host.TCPStates[:], state)
		if i < 0 {
			return fmt.Errorf("--state: tcp has no state %s", state)
		}
		f.TCPState, f.TCPFlags = uint8(i), [2]uint8{tcpLiberal, tcpLiberal}
		f.Has |= host.HasTCPState | host.HasTCPFlags
	case host.ProtoSCTP:
		i := slices.Index(host.SCTPStates[:], state)
		switch {
		case i < 0:
			return fmt.Errorf("--state: sctp has no state %s", state)
		case !e.otag || !e.rtag:
			return errors.New("sctp needs --orig-vtag and --reply-vtag: packets with other tags are invalid")
		}
		f.L4State, f.Has = uint8(i), f.Has|host.HasSCTPState
	default:
		if e.state != "" {
			return fmt.Errorf("--state: %s has none", query.ProtoName(proto))
		}
		state = ""
	}
	if e.otag || e.rtag {
		if f.Original.Proto != host.ProtoSCTP {
			return fmt.Errorf("%s has no verification tags", query.ProtoName(f.Original.Proto))
		}
	}
	switch {
	case e.status != nil:
		f.Status |= *e.status
	case state == "ESTABLISHED":
		f.Status |= host.StatusSeenReply | host.StatusAssured
	}
	if f.Has&host.HasTimeout == 0 {
		f.Has, f.Timeout = f.Has|host.HasTimeout, insertTimeout
	}
	return nil
}
