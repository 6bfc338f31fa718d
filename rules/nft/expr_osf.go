package nft

import (
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// NFTA_OSF_*.
const (
	attrOsfDreg  = 1
	attrOsfTTL   = 2
	attrOsfFlags = 3
)

// osfVersion is NFT_OSF_F_VERSION.
const osfVersion = 1

// decodeOsf follows nft_osf_init.
func decodeOsf(d *decoder, a *attrs) error {
	dreg, flags := a.u32(attrOsfDreg), a.opt32(attrOsfFlags)
	x := &rules.Osf{Version: flags&osfVersion != 0}
	if a.has(attrOsfTTL) {
		x.TTL = rules.OsfTTL(a.u8(attrOsfTTL))
	}
	switch {
	case a.err != nil:
		return a.err
	case flags&^osfVersion != 0:
		return fmt.Errorf("osf flags %#x are not known", flags)
	case x.TTL > rules.OsfTTLNoCheck:
		return fmt.Errorf("osf ttl %d is not known", x.TTL)
	}
	return d.load(dreg, x)
}
