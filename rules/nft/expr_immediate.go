package nft

import (
	"errors"
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// NFTA_IMMEDIATE_*.
const (
	attrImmediateDreg = 1
	attrImmediateData = 2
)

// decodeImmediate follows nft_immediate_init.
func decodeImmediate(d *decoder, a *attrs) error {
	dreg := a.u32(attrImmediateDreg)
	if a.err != nil {
		return a.err
	}
	if dreg != regV {
		v := a.value(attrImmediateData)
		if a.err != nil {
			return a.err
		}
		return d.load(dreg, &rules.Const{Data: v})
	}
	v, err := decodeVerdict(a, attrImmediateData)
	if err != nil {
		return err
	}
	v.Span = d.span()
	v.Chain = d.names.chain(v.ChainName)
	d.emit(v)
	return nil
}

// decodeVerdict reads the NFTA_DATA_VERDICT inside attribute n
// (nft_verdict_dump). The chain is named only.
func decodeVerdict(a *attrs, n int) (*rules.Verdict, error) {
	data := a.nest(n)
	if !data.has(attrDataVerdict) {
		return nil, errors.New("verdict is missing")
	}
	in := data.nest(attrDataVerdict)
	v := &rules.Verdict{Code: rules.VerdictCode(int32(in.u32(attrVerdictCode))), ChainName: in.str(attrVerdictChain)}
	if in.err != nil {
		return nil, fmt.Errorf("verdict: %w", in.err)
	}
	jumps := v.Code == rules.VerdictJump || v.Code == rules.VerdictGoto
	switch {
	case jumps && v.ChainName == "":
		return nil, fmt.Errorf("%s names no chain", v.Code)
	case v.Code < rules.VerdictReturn || v.Code > rules.VerdictQueue:
		return nil, fmt.Errorf("verdict %d is not known", v.Code)
	}
	return v, nil
}

// verdictMask is NF_VERDICT_MASK: above it are a queue's number and flags,
// which the kernel takes from a queue expression only.
const verdictMask = 0xff
