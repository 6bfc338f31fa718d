package nft

import (
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// NFTA_SYNPROXY_*.
const (
	attrSynproxyMSS    = 1
	attrSynproxyWscale = 2
	attrSynproxyFlags  = 3
)

// synproxyFlags is NF_SYNPROXY_OPT_MASK.
const synproxyFlags = rules.SynproxyMSS | rules.SynproxyWscale | rules.SynproxySackPerm | rules.SynproxyTimestamp

// decodeSynproxy follows nft_synproxy_do_init.
func decodeSynproxy(d *decoder, a *attrs) error {
	st := synproxyOf(a)
	switch {
	case a.err != nil:
		return a.err
	case st.Flags&^synproxyFlags != 0:
		return fmt.Errorf("synproxy flags %#x are not known", uint32(st.Flags))
	}
	st.Span = d.span()
	d.emit(st)
	return nil
}

// synproxyOf reads what a statement and an object have in common.
func synproxyOf(a *attrs) *rules.Synproxy {
	st := &rules.Synproxy{Flags: rules.SynproxyFlags(a.opt32(attrSynproxyFlags))}
	if a.has(attrSynproxyMSS) {
		st.MSS = a.u16(attrSynproxyMSS)
	}
	if a.has(attrSynproxyWscale) {
		st.Wscale = a.u8(attrSynproxyWscale)
	}
	return st
}
