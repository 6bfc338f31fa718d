package nft

import "github.com/ntdiag/ntdiag/rules"

// NFTA_COUNTER_*.
const (
	attrCounterBytes   = 1
	attrCounterPackets = 2
)

// decodeCounter follows nft_counter_do_dump.
func decodeCounter(d *decoder, a *attrs) error {
	st := rules.Counter{Span: d.span(), Bytes: a.opt64(attrCounterBytes), Packets: a.opt64(attrCounterPackets)}
	if a.err != nil {
		return a.err
	}
	d.emit(d.made.counters.One(st))
	return nil
}
