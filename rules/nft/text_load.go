package nft

import (
	"fmt"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

var fibFlagNames = []symbol{
	{"saddr", rules.FibSaddr}, {"daddr", rules.FibDaddr}, {"mark", rules.FibMark},
	{"iif", rules.FibIif}, {"oif", rules.FibOifFlag},
}

var fibResults = map[rules.FibResult]metaRow{
	rules.FibOif:      {name: "oif", typ: typeIfindex},
	rules.FibOifname:  {name: "oifname", typ: typeIfname, net: true},
	rules.FibAddrType: {name: "type", typ: typeFib},
}

func (p *printer) fib(x *rules.Fib) typed {
	var flags []string
	for _, f := range fibFlagNames {
		if uint64(x.Flags)&f.value != 0 {
			flags = append(flags, f.name)
		}
	}
	row := fibResults[x.Result]
	t := typed{text: "fib " + strings.Join(flags, " . ") + " " + row.name, typ: row.typ, n: x.Width(), host: !row.net}
	if x.Flags&rules.FibPresent != 0 {
		t.typ = typeBoolean
	}
	if t.typ == nil {
		t.typ = typeBitmask
	}
	return t
}

// rtRows is by NFT_RT_*.
var rtRows = [...]metaRow{
	{name: "rt classid", typ: typeRealm}, {name: "rt ip nexthop", typ: typeIPAddr, net: true},
	{name: "rt ip6 nexthop", typ: typeIP6Addr, net: true}, {name: "rt mtu", typ: typeInteger},
	{name: "rt ipsec", typ: typeBoolean},
}

func (p *printer) rt(x *rules.Rt) typed {
	if int(x.Key) >= len(rtRows) {
		return typed{text: fmt.Sprintf("rt [ %d ? ]", x.Key), typ: typeBitmask, n: x.Len, host: true}
	}
	row := rtRows[x.Key]
	return typed{text: row.name, typ: row.typ, n: x.Len, host: !row.net}
}

// socketRows is by NFT_SOCKET_*.
var socketRows = [...]metaRow{
	{name: "transparent", typ: typeInteger}, {name: "mark", typ: typeMark}, {name: "wildcard", typ: typeInteger},
	{name: "cgroupv2", typ: typeCgroup2},
}

func (p *printer) socket(x *rules.Socket) typed {
	if int(x.Key) >= len(socketRows) {
		return typed{text: fmt.Sprintf("socket [ %d ? ]", x.Key), typ: typeBitmask, n: x.Len, host: true}
	}
	row := socketRows[x.Key]
	t := typed{text: "socket " + row.name, typ: row.typ, n: x.Len, host: true}
	if x.Key == 3 {
		t.text += fmt.Sprintf(" level %d", x.Level)
	}
	return t
}

func numgen(x *rules.Numgen) typed {
	kind := "inc"
	if x.Random {
		kind = "random"
	}
	t := typed{text: fmt.Sprintf("numgen %s mod %d", kind, x.Modulus), typ: typeInteger, n: 4, host: true}
	if x.Offset != 0 {
		t.text += fmt.Sprintf(" offset %d", x.Offset)
	}
	return t
}

func (p *printer) hash(x *rules.Hash) typed {
	t := typed{text: "symhash", typ: typeInteger, n: 4, host: true}
	if !x.Symmetric {
		t.text = "jhash " + p.expr(x.X).text
	}
	t.text += fmt.Sprintf(" mod %d", x.Modulus)
	if x.HasSeed {
		t.text += fmt.Sprintf(" seed 0x%x", x.Seed)
	}
	if x.Offset != 0 {
		t.text += fmt.Sprintf(" offset %d", x.Offset)
	}
	return t
}

// exthdrOption is an option or an extension header, and its fields by offset and
// length in bytes.
type exthdrOption struct {
	name   string
	fields []field
}

// The options by NFT_EXTHDR_OP_*, then by their number.
var exthdrs = [...]struct {
	prefix string
	// present is what precedes the name where only its presence is asked.
	present string
	by      map[byte]exthdrOption
}{
	0: {present: "exthdr ", by: map[byte]exthdrOption{
		0:  {"hbh", []field{{name: "nexthdr", bits: 8, typ: typeProtocol}, {name: "hdrlength", off: 8, bits: 8, typ: typeInteger}}},
		60: {"dst", []field{{name: "nexthdr", bits: 8, typ: typeProtocol}, {name: "hdrlength", off: 8, bits: 8, typ: typeInteger}}},
		43: {"rt", []field{
			{name: "nexthdr", bits: 8, typ: typeProtocol}, {name: "hdrlength", off: 8, bits: 8, typ: typeInteger},
			{name: "type", off: 16, bits: 8, typ: typeInteger}, {name: "seg-left", off: 24, bits: 8, typ: typeInteger},
		}},
		44: {"frag", []field{
			{name: "nexthdr", bits: 8, typ: typeProtocol}, {name: "reserved", off: 8, bits: 8, typ: typeInteger},
			{name: "frag-off", off: 16, bits: 13, typ: typeInteger}, {name: "reserved2", off: 29, bits: 2, typ: typeInteger},
			{name: "more-fragments", off: 31, bits: 1, typ: typeInteger}, {name: "id", off: 32, bits: 32, typ: typeInteger},
		}},
		135: {"mh", []field{
			{name: "nexthdr", bits: 8, typ: typeProtocol}, {name: "hdrlength", off: 8, bits: 8, typ: typeInteger},
			{name: "type", off: 16, bits: 8, typ: typeMHType}, {name: "reserved", off: 24, bits: 8, typ: typeInteger},
			{name: "checksum", off: 32, bits: 16, typ: typeInteger},
		}},
	}},
	1: {prefix: "tcp option ", present: "tcp option ", by: map[byte]exthdrOption{
		0: {"eol", nil}, 1: {"nop", nil},
		2:  {"maxseg", optionFields(field{name: "size", off: 16, bits: 16, typ: typeInteger})},
		3:  {"window", optionFields(field{name: "count", off: 16, bits: 8, typ: typeInteger})},
		4:  {"sack-perm", optionFields()},
		5:  {"sack", optionFields(field{name: "left", off: 16, bits: 32, typ: typeInteger}, field{name: "right", off: 48, bits: 32, typ: typeInteger})},
		8:  {"timestamp", optionFields(field{name: "tsval", off: 16, bits: 32, typ: typeInteger}, field{name: "tsecr", off: 48, bits: 32, typ: typeInteger})},
		19: {"md5sig", optionFields()}, 30: {"mptcp", optionFields(field{name: "subtype", off: 16, bits: 4, typ: typeInteger})},
		34: {"fastopen", optionFields()},
	}},
	2: {prefix: "ip option ", present: "ip option ", by: map[byte]exthdrOption{
		131: {"lsrr", routeFields}, 137: {"ssrr", routeFields}, 7: {"rr", routeFields},
		148: {"ra", optionFields(field{name: "value", off: 16, bits: 16, typ: typeInteger})},
	}},
	3: {prefix: "sctp chunk ", present: "sctp chunk ", by: map[byte]exthdrOption{
		0: {"data", chunkFields}, 1: {"init", chunkFields}, 2: {"init-ack", chunkFields}, 3: {"sack", chunkFields},
		4: {"heartbeat", chunkFields}, 5: {"heartbeat-ack", chunkFields}, 6: {"abort", chunkFields},
		7: {"shutdown", chunkFields}, 8: {"shutdown-ack", chunkFields}, 9: {"error", chunkFields},
		10: {"cookie-echo", chunkFields}, 11: {"cookie-ack", chunkFields}, 12: {"ecne", chunkFields},
		13: {"cwr", chunkFields}, 14: {"shutdown-complete", chunkFields}, 193: {"asconf-ack", chunkFields},
		192: {"forward-tsn", chunkFields},
	}},
}

var (
	routeFields = []field{
		{name: "type", bits: 8, typ: typeInteger}, {name: "length", off: 8, bits: 8, typ: typeInteger},
		{name: "ptr", off: 16, bits: 8, typ: typeInteger}, {name: "addr", off: 24, bits: 32, typ: typeIPAddr},
	}
	chunkFields = []field{
		{name: "type", bits: 8, typ: typeInteger}, {name: "flags", off: 8, bits: 8, typ: typeInteger},
		{name: "length", off: 16, bits: 16, typ: typeInteger},
	}
)

// optionFields are those of every option, and more.
func optionFields(more ...field) []field {
	return append([]field{
		{name: "kind", bits: 8, typ: typeInteger}, {name: "length", off: 8, bits: 8, typ: typeInteger},
	}, more...)
}

func (p *printer) exthdr(x *rules.Exthdr) typed {
	switch x.Op {
	case 0, 2:
		p.drop(rules.PayloadNetwork)
	case 1:
		p.drop(rules.PayloadTransport)
	}
	t := typed{typ: typeBitmask, n: x.Len}
	if x.Present {
		t.typ = typeBoolean
	}
	if int(x.Op) >= len(exthdrs) {
		t.text = fmt.Sprintf("exthdr [ %d %d ? ]", x.Op, x.Type)
		return t
	}
	table := exthdrs[x.Op]
	o, known := table.by[x.Type]
	switch {
	case x.Present && known:
		t.text = table.present + o.name
		return t
	case x.Present && x.Op == 1:
		t.text = fmt.Sprintf("tcp option %d", x.Type)
		return t
	}
	if t, ok := p.option(x, x.Off*8, x.Len*8); ok {
		return t
	}
	if x.Op == 1 {
		t.text = fmt.Sprintf("tcp option @%d,%d,%d", x.Type, x.Off*8, x.Len*8)
		return t
	}
	t.text = fmt.Sprintf("%s[ %d,%d,%d ? ]", table.prefix, x.Type, x.Off*8, x.Len*8)
	return t
}

// option is the field of n bits at off.
func (p *printer) option(x *rules.Exthdr, off, n int) (typed, bool) {
	if int(x.Op) >= len(exthdrs) || x.Present {
		return typed{}, false
	}
	table := exthdrs[x.Op]
	o := table.by[x.Type]
	for _, f := range o.fields {
		if f.off == off && f.bits == n {
			return typed{text: table.prefix + o.name + " " + f.name, typ: f.typ, n: x.Len}, true
		}
	}
	return typed{}, false
}
