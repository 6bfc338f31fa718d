package xt

import (
	"fmt"
	"net/netip"

	"github.com/ntdiag/ntdiag/rules"
)

const srhAll = 0x3fff // IP6T_SRH_MASK

// srh is struct ip6t_srh and struct ip6t_srh1, which has segments too: that
// before, that after and the last.
type srh struct {
	nextHdr, hdrLen, segsLeft, lastEntry uint8
	tag                                  uint16
	ask, invert                          uint16    // IP6T_SRH_*, the same bits inverted
	addr, mask                           [3]string // as they are printed
}

func decodeSRH(revision uint8) func(*Context, *reader) Extension {
	return func(_ *Context, r *reader) Extension {
		x := &srh{nextHdr: r.u8(), hdrLen: r.u8(), segsLeft: r.u8(), lastEntry: r.u8(), tag: r.u16()}
		if revision > 0 {
			r.align(4)
			var addrs [6]netip.Addr
			for i := range addrs {
				addrs[i] = r.addr(rules.FamilyIPv6)
			}
			for i := range x.addr {
				n, _ := prefixLen(addrs[3+i].AsSlice())
				x.addr[i], x.mask[i] = addrText(addrs[i]), fmt.Sprint(n)
			}
		}
		x.ask, x.invert = r.u16(), r.u16()
		if (x.ask|x.invert)&^srhAll != 0 {
			r.fail("srh: flags %#x, inverted %#x", x.ask, x.invert)
		}
		return x
	}
}

func (x *srh) Statements(c *Context) []rules.Statement { return exthdrOpen(c, "srh") }

// Save lists the options by their bits.
func (x *srh) Save(_ *Context, o *Options) {
	for i, opt := range []struct{ name, value string }{
		{"--srh-next-hdr", number(x.nextHdr)},
		{"--srh-hdr-len-eq", number(x.hdrLen)}, {"--srh-hdr-len-gt", number(x.hdrLen)}, {"--srh-hdr-len-lt", number(x.hdrLen)},
		{"--srh-segs-left-eq", number(x.segsLeft)}, {"--srh-segs-left-gt", number(x.segsLeft)}, {"--srh-segs-left-lt", number(x.segsLeft)},
		{"--srh-last-entry-eq", number(x.lastEntry)}, {"--srh-last-entry-gt", number(x.lastEntry)}, {"--srh-last-entry-lt", number(x.lastEntry)},
		{"--srh-tag", number(x.tag)},
		{"--srh-psid", x.addr[0] + "/" + x.mask[0]}, {"--srh-nsid", x.addr[1] + "/" + x.mask[1]}, {"--srh-lsid", x.addr[2] + "/" + x.mask[2]},
	} {
		flagOption(o, x.ask>>i&1 != 0, x.invert>>i&1 != 0, opt.name, opt.value)
	}
}
