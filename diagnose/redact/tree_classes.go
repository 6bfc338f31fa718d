package redact

import "net/netip"

// What the blocks of addresses are, and what of them stays, from the IANA
// registries of special-purpose, multicast and IPv6 addresses.
//
// An address stays in the blocks that it is in, and outside of those that it is
// not in. So it keeps as many bits as it shares with the nearest block: 8.8.8.8
// begins with 8 or 9, because 10.0.0.0/8 is near.

// class is one block.
type class struct {
	block string
	name  string
	// still: what is in it stays as it is. loose: no rule carries its hosts to
	// another network, so that HostPart leaves it alone.
	still, loose bool
}

var classes4 = []class{
	{block: "0.0.0.0/8", name: "this network", loose: true},
	{block: "0.0.0.0/31", name: "any", still: true}, // ::1 is 0.0.0.1 in ::/96
	{block: "10.0.0.0/8", name: "private"},
	{block: "100.64.0.0/10", name: "CGNAT"},
	{block: "127.0.0.0/8", name: "loopback", loose: true},
	{block: "127.0.0.1/32", name: "localhost", still: true},                // nf_nat_redirect_ipv4 knows it
	{block: "127.255.255.255/32", name: "loopback broadcast", still: true}, // a route of every machine
	{block: "169.254.0.0/16", name: "link-local", loose: true},
	{block: "169.254.169.254/32", name: "cloud metadata", still: true},
	{block: "172.16.0.0/12", name: "private"},
	{block: "192.0.0.0/24", name: "IETF protocols"},
	{block: "192.0.2.0/24", name: "documentation"},
	{block: "192.88.99.0/24", name: "6to4 relays"},
	{block: "192.168.0.0/16", name: "private"},
	{block: "198.18.0.0/15", name: "benchmarks"},
	{block: "198.51.100.0/24", name: "documentation"},
	{block: "203.0.113.0/24", name: "documentation"},
	{block: "224.0.0.0/4", name: "multicast", loose: true},
	{block: "224.0.0.0/24", name: "well-known multicast", still: true},
	{block: "240.0.0.0/4", name: "reserved", loose: true},
	{block: "255.255.255.255/32", name: "broadcast", still: true},
}

// An address of IPv4 inside one of IPv6 is mapped as it is alone.
var classes6 = []class{
	{block: "::/96", name: "any, loopback, IPv4-compatible", loose: true},
	{block: "::ffff:0:0/96", name: "IPv4-mapped", loose: true},
	{block: "64:ff9b::/96", name: "NAT64", loose: true},
	{block: "64:ff9b:1::/48", name: "local NAT64"},
	{block: "100::/64", name: "discard"},
	{block: "2000::/3", name: "public"},
	{block: "2001::/32", name: "Teredo"},
	{block: "2001::/23", name: "IETF protocols"},
	{block: "2001:db8::/32", name: "documentation"},
	{block: "2002::/16", name: "6to4", loose: true},
	{block: "3fff::/20", name: "documentation"},
	{block: "5f00::/16", name: "SRv6 SIDs"},
	{block: "fc00::/8", name: "unique local, assigned"},
	{block: "fd00::/8", name: "unique local"},
	{block: "fe80::/10", name: "link-local", loose: true},
	{block: "fe80::/64", name: "link-local", loose: true},
	{block: "fec0::/10", name: "site-local"},
	{block: "ff00::/8", name: "multicast", loose: true},
}

// embedded are the blocks of IPv6 that hold an address of IPv4 at a bit.
var embedded = []struct {
	block block
	at    int
}{
	{blockOf(netip.MustParsePrefix("::/96")), 96},
	{blockOf(netip.MustParsePrefix("::ffff:0:0/96")), 96},
	{blockOf(netip.MustParsePrefix("64:ff9b::/96")), 96},
	{blockOf(netip.MustParsePrefix("2002::/16")), 16},
}

// stillMAC are groups of switches and of IP, and what is no address at all.
// Their bytes, and how many bits count.
var stillMAC = []struct {
	at   [6]byte
	bits int
}{
	{[6]byte{}, 48},
	{[6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 48},
	{[6]byte{0x01, 0x80, 0xc2, 0, 0, 0}, 40}, // IEEE 802.1D, 802.1Q
	{[6]byte{0x01, 0x00, 0x5e, 0, 0, 0}, 40}, // 224.0.0.0/24
	{[6]byte{0x33, 0x33, 0, 0, 0, 0}, 31},    // ff0x::0 to ff0x::1:ffff
}

// closedMAC hold the groups of IPv4 and of IPv6.
var closedMAC = []struct {
	at   [6]byte
	bits int
}{
	{[6]byte{0x01, 0x00, 0x5e}, 25},
	{[6]byte{0x33, 0x33}, 16},
}

func newTree4(key Key) *tree {
	t := &tree{key: key, name: '4', width: 32}
	t.add(classes4)
	return t
}

func newTree6(key Key) *tree {
	t := &tree{key: key, name: '6', width: 128}
	t.add(classes6)
	// Flags and scope of a group say how far it reaches. Groups with a short
	// number are protocols' own; ff02::1:ff00:0/104 hold the end of an address,
	// and are not among them.
	for _, flags := range []byte{0, 1, 3, 7} {
		for scope := range byte(16) {
			group := block{wordOf([]byte{0xff, flags<<4 | scope}), 16}
			t.closed(group)
			if flags == 0 {
				group.n = 111
				t.keep(group)
				group.at.lo, group.n = 0x1ff000000, 104
				t.closed(group)
			}
		}
	}
	return t
}

func newTreeMAC(key Key) *tree {
	t := &tree{key: key, name: 'M', width: 48}
	t.flat = wordOf([]byte{0x03}) // local, group
	for _, b := range stillMAC {
		t.keep(block{wordOf(b.at[:]).first(b.bits), b.bits})
	}
	for _, b := range closedMAC {
		t.closed(block{wordOf(b.at[:]).first(b.bits), b.bits})
	}
	return t
}

func (t *tree) add(classes []class) {
	for _, c := range classes {
		b := blockOf(netip.MustParsePrefix(c.block))
		t.closed(b)
		if c.still {
			t.keep(b)
		}
		if c.loose {
			t.loose = append(t.loose, b)
		}
	}
}
