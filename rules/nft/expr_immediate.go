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
	v, err := d.verdict(a, attrImmediateData)
	if err != nil {
		return err
	}
	v.Span = d.span()
	d.emit(d.made.verdicts.One(v))
	return nil
}

// verdict reads the NFTA_DATA_VERDICT inside attribute n (nft_verdict_dump). The
// chain is named only where it is not listed.
func (s *scope) verdict(a *attrs, n int) (v rules.Verdict, err error) {
	var data, in attrs
	a.nestIn(n, &data)
	if !data.has(attrDataVerdict) {
		return v, errors.New("verdict is missing")
	}
	data.nestIn(attrDataVerdict, &in)
	v.Code = rules.VerdictCode(int32(in.u32(attrVerdictCode)))
	if name := cbytes(in.get(attrVerdictChain)); len(name) > 0 {
		if v.Chain = s.names.chain(name); v.Chain != nil {
			v.ChainName = v.Chain.Name
		} else {
			v.ChainName = string(name)
		}
	}
	if in.err != nil {
		return v, fmt.Errorf("verdict: %w", in.err)
	}
	jumps := v.Code == rules.VerdictJump || v.Code == rules.VerdictGoto
	switch {
	case jumps && v.ChainName == "":
		return v, fmt.Errorf("%s names no chain", v.Code)
	case v.Code < rules.VerdictReturn || v.Code > rules.VerdictQueue:
		return v, fmt.Errorf("verdict %d is not known", v.Code)
	}
	return v, nil
}

// verdictMask is NF_VERDICT_MASK: above it are a queue's number and flags,
// which the kernel takes from a queue expression only.
const verdictMask = 0xff
