package flowjson

import (
	"bytes"
	"encoding/hex"
	"math"
	"net/netip"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// cursor goes through an object as Append writes it: the fields in its order,
// no space between them, nothing escaped. What is anything else is odd, and
// then nothing that was read counts.
type cursor struct {
	b   []byte
	odd bool
}

// readQuick reads what Append writes for most entries, without an allocation
// but for strings that f does not have already. It tells whether it could; what
// it cannot read, or should not, encoding/json decides.
func readQuick(b []byte, f *host.Flow) bool {
	c := cursor{b: bytes.TrimSuffix(b, []byte("\n"))}
	out := host.Flow{}
	c.want("{")
	if c.lit(`"id":`) {
		out.ID = uint32(c.uint(math.MaxUint32))
		out.Has |= host.HasID
		c.want(",")
	}
	c.want(`"family":"`)
	family := c.text()
	c.want(`,"proto":"`)
	c.text()
	c.want(`,"protonum":`)
	proto := uint8(c.uint(math.MaxUint8))
	state := c.state(&out, proto)
	c.want(`,"zone":`)
	out.Zone = uint16(c.uint(math.MaxUint16))
	c.want(`,"mark":`)
	out.Mark = uint32(c.uint(math.MaxUint32))
	c.want(`,"original":`)
	out.Original = c.tuple(proto)
	c.want(`,"reply":`)
	out.Reply = c.tuple(proto)
	if out.Original.Src.Is4() != out.Reply.Src.Is4() {
		return false
	}
	out.Family = rules.FamilyIPv4
	if out.Original.Src.Is6() {
		out.Family = rules.FamilyIPv6
	}
	c.want(`,"status":[`)
	out.Status = c.status()
	c.optional(&out, f)
	c.want("}")
	if c.odd || !state || len(c.b) != 0 || string(family) != FamilyWord(out.Family) {
		return false
	}
	*f = out
	return true
}

// optional reads what few or all entries have. The rest is left to
// encoding/json: what the trackers keep, masters, and ends.
func (c *cursor) optional(out, old *host.Flow) {
	if c.lit(`,"timeout_s":`) {
		out.Timeout = uint32(c.uint(math.MaxUint32))
		out.Has |= host.HasTimeout
	}
	if c.lit(`,"start":"`) {
		out.Start = c.time()
		out.Has |= host.HasStart
	}
	if c.lit(`,"counters":{"original":`) {
		out.Orig = c.counts()
		c.want(`,"reply":`)
		out.Repl = c.counts()
		c.want("}")
		out.Has |= host.HasCounters
	}
	if c.lit(`,"helper":"`) {
		out.Helper = again(old.Helper, c.text())
		out.Has |= host.HasHelper
	}
	if c.lit(`,"status_more":`) {
		out.Status |= host.Status(c.uint(math.MaxUint32))
	}
	switch {
	case c.lit(`,"zone_of":"original"`):
		out.Has |= host.HasZoneOrig
	case c.lit(`,"zone_of":"reply"`):
		out.Has |= host.HasZoneReply
	}
	if !c.lit(`,"no_mark":true`) {
		out.Has |= host.HasMark
	}
	if c.lit(`,"labels":"`) {
		c.labels(&out.Labels)
		out.Has |= host.HasLabels
	}
	if c.lit(`,"secctx":"`) {
		out.Secctx = again(old.Secctx, c.text())
		out.Has |= host.HasSecctx
	}
	if c.lit(`,"use":`) {
		out.Use = uint32(c.uint(math.MaxUint32))
		out.Has |= host.HasUse
	}
	if c.lit(`,"tcp_flags":`) {
		out.TCPFlags = c.bytes()
		out.Has |= host.HasTCPFlags
	}
	if c.lit(`,"tcp_scale":`) {
		out.TCPScale = c.bytes()
		out.Has |= host.HasTCPScale
	}
}

// again is b as a string: the old one where it is the same.
func again(old string, b []byte) string {
	if old == string(b) {
		return old
	}
	return string(b)
}

func (c *cursor) lit(s string) bool {
	if len(c.b) >= len(s) && string(c.b[:len(s)]) == s {
		c.b = c.b[len(s):]
		return true
	}
	return false
}

func (c *cursor) want(s string) {
	if !c.lit(s) {
		c.odd = true
	}
}

// uint reads a number as JSON has it.
func (c *cursor) uint(limit uint64) uint64 {
	n, i := uint64(0), 0
	for ; i < len(c.b) && c.b[i]-'0' <= 9; i++ {
		d := uint64(c.b[i] - '0')
		if n > (limit-d)/10 {
			c.odd = true
			return 0
		}
		n = n*10 + d
	}
	if i == 0 || i > 1 && c.b[0] == '0' {
		c.odd = true
	}
	c.b = c.b[i:]
	return n
}

// text reads a string behind its first quote.
func (c *cursor) text() []byte {
	for i, ch := range c.b {
		switch {
		case ch == '"':
			s := c.b[:i]
			c.b = c.b[i+1:]
			return s
		case ch == '\\' || ch < ' ' || ch >= 0x7f:
			c.odd = true
			return nil
		}
	}
	c.odd = true
	return nil
}

// state tells whether the protocol can have it.
func (c *cursor) state(out *host.Flow, proto uint8) bool {
	if !c.lit(`,"state":"`) {
		return true // by number: odd for what comes next
	}
	word := c.text()
	var names []string
	switch proto {
	case host.ProtoTCP:
		names = host.TCPStates[:]
		out.Has |= host.HasTCPState
	case host.ProtoSCTP:
		names = host.SCTPStates[:]
		out.Has |= host.HasSCTPState
	}
	for i, n := range names {
		if n == string(word) {
			if proto == host.ProtoTCP {
				out.TCPState = uint8(i)
			} else {
				out.L4State = uint8(i)
			}
			return true
		}
	}
	return false
}

func (c *cursor) tuple(proto uint8) rules.Tuple {
	t := rules.Tuple{Proto: proto}
	c.want(`{"src":"`)
	t.Src = c.addr()
	c.want(`,"dst":"`)
	t.Dst = c.addr()
	if t.Src.Is4() != t.Dst.Is4() {
		c.odd = true
	}
	probe := host.Flow{Original: t}
	switch {
	case probe.IsICMP():
		c.want(`,"icmp":{"type":`)
		typ := c.uint(math.MaxUint8)
		c.want(`,"code":`)
		t.DstPort = uint16(typ<<8 | c.uint(math.MaxUint8))
		c.want(`,"id":`)
		t.SrcPort = uint16(c.uint(math.MaxUint16))
		c.want("}")
	case probe.HasPorts():
		c.want(`,"sport":`)
		t.SrcPort = uint16(c.uint(math.MaxUint16))
		c.want(`,"dport":`)
		t.DstPort = uint16(c.uint(math.MaxUint16))
	}
	c.want("}")
	return t
}

// addr reads an address and its last quote.
func (c *cursor) addr() netip.Addr {
	var four [4]byte
	at := 0
	in := c.b
	for i, n, digits := 0, 0, 0; i < len(in) && i < len("255.255.255.255")+1; i++ {
		switch ch := in[i]; {
		case ch-'0' <= 9 && digits < 3 && (digits == 0 || n > 0):
			n, digits = n*10+int(ch-'0'), digits+1
		case ch == '.' && digits > 0 && n < 256 && at < 3:
			four[at] = byte(n)
			n, digits, at = 0, 0, at+1
		case ch == '"' && digits > 0 && n < 256 && at == 3:
			four[3] = byte(n)
			c.b = in[i+1:]
			return netip.AddrFrom4(four)
		default:
			return c.anyAddr()
		}
	}
	return c.anyAddr()
}

func (c *cursor) anyAddr() netip.Addr {
	a, err := netip.ParseAddr(string(c.text()))
	if err != nil || a.Zone() != "" {
		c.odd = true
	}
	return a
}

// status reads names as long as they come in the order of their bits.
func (c *cursor) status() host.Status {
	var s host.Status
	if c.lit("]") {
		return s
	}
	for i, name := range statusBits {
		if len(c.b) < len(name)+3 || c.b[0] != '"' || c.b[len(name)+1] != '"' || string(c.b[1:len(name)+1]) != name {
			continue
		}
		s |= 1 << i
		c.b = c.b[len(name)+2:]
		if c.lit("]") {
			return s
		}
		c.want(",")
	}
	c.odd = true
	return s
}

// time reads a time and its last quote.
func (c *cursor) time() int64 {
	var t time.Time
	if err := t.UnmarshalText(c.text()); err != nil || !time.Unix(0, t.UnixNano()).Equal(t) {
		c.odd = true
	}
	return t.UnixNano()
}

func (c *cursor) counts() host.Counts {
	var n host.Counts
	c.want(`{"packets":`)
	n.Packets = c.uint(math.MaxUint64)
	c.want(`,"bytes":`)
	n.Bytes = c.uint(math.MaxUint64)
	c.want("}")
	return n
}

func (c *cursor) labels(to *[16]byte) {
	text := c.text()
	if len(text) != hex.EncodedLen(len(to)) {
		c.odd = true
		return
	}
	if _, err := hex.Decode(to[:], text); err != nil {
		c.odd = true
	}
}

func (c *cursor) bytes() [2]uint8 {
	c.want("[")
	a := c.uint(math.MaxUint8)
	c.want(",")
	b := c.uint(math.MaxUint8)
	c.want("]")
	return [2]uint8{uint8(a), uint8(b)}
}
