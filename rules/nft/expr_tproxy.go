package nft

import (
	"errors"
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// NFTA_TPROXY_*.
const (
	attrTProxyFamily = 1
	attrTProxyAddr   = 2
	attrTProxyPort   = 3
)

// decodeTProxy follows nft_tproxy_init.
func decodeTProxy(d *decoder, a *attrs) error {
	family := a.u32(attrTProxyFamily)
	st := &rules.TProxy{Family: rules.Family(family)}
	switch {
	case a.err != nil:
		return a.err
	case family > 0xff || st.Family != rules.FamilyUnspec && natAddrLens[st.Family] == 0:
		return fmt.Errorf("tproxy family %d is not known", family)
	case !a.has(attrTProxyAddr) && !a.has(attrTProxyPort):
		return errors.New("tproxy has neither address nor port")
	case a.has(attrTProxyAddr) && st.Family == rules.FamilyUnspec:
		return errors.New("tproxy has an address of no family")
	}
	addr, err := d.optional(a, attrTProxyAddr, natAddrLens[st.Family])
	if err != nil {
		return err
	}
	port, err := d.optional(a, attrTProxyPort, 2)
	if err != nil {
		return err
	}
	st.Addr, st.Port, st.Span = addr.x, port.x, d.span(addr, port)
	d.emit(st)
	return nil
}

// optional reads n bytes at the register that attribute attr names, if any.
func (d *decoder) optional(a *attrs, attr, n int) (operand, error) {
	if !a.has(attr) {
		return operand{}, nil
	}
	reg := a.u32(attr)
	if a.err != nil {
		return operand{}, a.err
	}
	return d.read(reg, n)
}
