package nft

import (
	"errors"
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// NFTA_EXTHDR_*.
const (
	attrExthdrDreg   = 1
	attrExthdrType   = 2
	attrExthdrOffset = 3
	attrExthdrLen    = 4
	attrExthdrFlags  = 5
	attrExthdrOp     = 6
	attrExthdrSreg   = 7
)

const (
	exthdrOpTCP    = 1 // NFT_EXTHDR_OP_TCPOPT
	exthdrOpMax    = 4 // NFT_EXTHDR_OP_DCCP
	exthdrFPresent = 1
)

// decodeExthdr follows nft_exthdr_init and nft_exthdr_tcp_set_init.
func decodeExthdr(d *decoder, a *attrs) error {
	if !a.has(attrExthdrDreg) && !a.has(attrExthdrSreg) {
		return decodeStrip(d, a)
	}
	typ := a.u8(attrExthdrType)
	off, n := a.u32(attrExthdrOffset), a.u32(attrExthdrLen)
	flags, op := a.opt32(attrExthdrFlags), a.opt32(attrExthdrOp)
	switch {
	case a.err != nil:
		return a.err
	case op > exthdrOpMax:
		return fmt.Errorf("exthdr operation %d is not known", op)
	case flags&^exthdrFPresent != 0:
		return fmt.Errorf("exthdr flags %#x are not known", flags)
	case off > maxOffset:
		return fmt.Errorf("exthdr offset %d is beyond any packet", off)
	case n == 0 || n > maxData:
		return fmt.Errorf("exthdr length is %d", n)
	}
	return d.loadOrAssign(a, attrExthdrDreg, attrExthdrSreg, rules.Assign{
		Target: rules.AssignExthdr,
		Dest: &rules.Exthdr{
			Op: op, Type: typ, Off: int(off), Len: int(n), Present: flags&exthdrFPresent != 0,
		},
	})
}

// decodeStrip follows nft_exthdr_tcp_strip_init: neither read nor written, an
// option is taken out.
func decodeStrip(d *decoder, a *attrs) error {
	st := &rules.StripOption{Span: d.span(), Option: a.u8(attrExthdrType)}
	switch op, flags := a.opt32(attrExthdrOp), a.opt32(attrExthdrFlags); {
	case a.err != nil:
		return a.err
	case op != exthdrOpTCP || flags != 0:
		return errors.New("stripping something else than a TCP option is not known")
	}
	d.emit(st)
	return nil
}
