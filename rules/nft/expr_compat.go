package nft

import (
	"errors"

	"github.com/ntdiag/ntdiag/rules"
)

// attrCompatName is NFTA_MATCH_NAME and NFTA_TARGET_NAME.
const attrCompatName = 1

// natTargets are the xtables targets that set up NAT.
var natTargets = map[string]bool{
	"SNAT": true, "DNAT": true, "MASQUERADE": true, "REDIRECT": true, "NETMAP": true,
}

// decodeCompatMatch is an xtables match inside nf_tables (nft_match_eval): a
// condition, which writes no register and gives no verdict.
func decodeCompatMatch(d *decoder, a *attrs) error {
	return d.compat(a, "match", &rules.Opaque{})
}

// decodeCompatTarget is an xtables target (nft_target_eval_xt): it may do
// anything but write a register.
func decodeCompatTarget(d *decoder, a *attrs) error {
	return d.compat(a, "target", &rules.Opaque{MayEnd: true, MayNAT: natTargets[a.str(attrCompatName)]})
}

func (d *decoder) compat(a *attrs, kind string, o *rules.Opaque) error {
	name := a.name(attrCompatName)
	if a.err != nil {
		return errors.New("xtables extension without a name")
	}
	o.Span, o.Raw = d.span(), d.raw.Data
	o.Name = kind + " " + name
	o.Why = "an xtables extension"
	d.emit(o)
	return nil
}
