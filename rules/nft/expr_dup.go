package nft

import (
	"errors"
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// NFTA_DUP_*, NFTA_FWD_*.
const (
	attrDupAddr   = 1
	attrDupDevice = 2

	attrFwdDevice = 1
	attrFwdAddr   = 2
	attrFwdFamily = 3
)

// ifindexLen is the length of a device's index in a register.
const ifindexLen = 4

// decodeDup follows nft_dup_ipv4_init, nft_dup_ipv6_init and
// nft_dup_netdev_init.
func decodeDup(d *decoder, a *attrs) error {
	n := natAddrLens[d.family]
	switch {
	case a.has(attrDupAddr) && n == 0:
		return fmt.Errorf("dup of family %s has an address", d.family)
	case !a.has(attrDupAddr) && !a.has(attrDupDevice):
		return errors.New("dup has neither address nor device")
	}
	addr, err := d.optional(a, attrDupAddr, n)
	if err != nil {
		return err
	}
	dev, err := d.optional(a, attrDupDevice, ifindexLen)
	if err != nil {
		return err
	}
	d.emit(&rules.Dup{Span: d.span(addr, dev), Addr: addr.x, Device: dev.x})
	return nil
}

// decodeFwd follows nft_fwd_netdev_init and nft_fwd_neigh_init.
func decodeFwd(d *decoder, a *attrs) error {
	family := a.opt32(attrFwdFamily)
	st := &rules.Fwd{Family: rules.Family(family)}
	switch {
	case a.err != nil:
		return a.err
	case !a.has(attrFwdDevice):
		return errors.New("fwd has no device")
	case a.has(attrFwdAddr) && (family > 0xff || natAddrLens[st.Family] == 0):
		return fmt.Errorf("fwd family %d is not known", family)
	}
	dev, err := d.optional(a, attrFwdDevice, ifindexLen)
	if err != nil {
		return err
	}
	addr, err := d.optional(a, attrFwdAddr, natAddrLens[st.Family])
	if err != nil {
		return err
	}
	st.Span, st.Device, st.Addr = d.span(dev, addr), dev.x, addr.x
	d.emit(st)
	return nil
}
