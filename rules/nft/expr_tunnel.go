package nft

import (
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// NFTA_TUNNEL_*.
const (
	attrTunnelKey  = 1
	attrTunnelDreg = 2
	attrTunnelMode = 3
)

// tunnelModeMax is NFT_TUNNEL_MODE_TX.
const tunnelModeMax = 2

// decodeTunnel follows nft_tunnel_get_init.
func decodeTunnel(d *decoder, a *attrs) error {
	dreg := a.u32(attrTunnelDreg)
	x := &rules.Tunnel{Key: rules.TunnelKey(a.u32(attrTunnelKey)), Mode: rules.TunnelMode(a.opt32(attrTunnelMode))}
	switch {
	case a.err != nil:
		return a.err
	case x.Key > rules.TunnelID:
		return fmt.Errorf("tunnel key %d is not known", x.Key)
	case x.Mode > tunnelModeMax:
		return fmt.Errorf("tunnel mode %d is not known", x.Mode)
	}
	return d.load(dreg, x)
}
