package rules

// XfrmKey is NFT_XFRM_KEY_*.
type XfrmKey uint32

const (
	XfrmDaddrIP4 XfrmKey = 1
	XfrmDaddrIP6 XfrmKey = 2
	XfrmSaddrIP4 XfrmKey = 3
	XfrmSaddrIP6 XfrmKey = 4
	XfrmReqID    XfrmKey = 5
	XfrmSPI      XfrmKey = 6
)

// xfrmWidths is by XfrmKey.
var xfrmWidths = [...]int{0, 4, 16, 4, 16, 4, 4}

// Known tells whether k is a key of nft_xfrm.
func (k XfrmKey) Known() bool { return k > 0 && int(k) < len(xfrmWidths) }

// Xfrm is something of the IPsec state that the packet came through, or will
// go through when Out (nft_xfrm). Addresses and SPI are in network order.
type Xfrm struct {
	Key   XfrmKey
	Out   bool
	Index uint32 // which of the states, 0 the first
}

func (x *Xfrm) Width() int {
	if !x.Key.Known() {
		return 4
	}
	return xfrmWidths[x.Key]
}

// Eval: no entry tells of IPsec; a packet without it ends the rule.
func (x *Xfrm) Eval(*Packet) Value {
	v := UnknownBytes(x.Width(), FromIPsec)
	v.Absent, v.AbsentBy = Unknown, Of(FromIPsec)
	return v
}
