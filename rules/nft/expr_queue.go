package nft

import (
	"errors"
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// NFTA_QUEUE_*.
const (
	attrQueueNum   = 1
	attrQueueTotal = 2
	attrQueueFlags = 3
	attrQueueSreg  = 4
)

const (
	queueBypass = 1 // NFT_QUEUE_FLAG_BYPASS
	queueFanout = 2 // NFT_QUEUE_FLAG_CPU_FANOUT
)

// decodeQueue follows nft_queue_init and nft_queue_sreg_init.
func decodeQueue(d *decoder, a *attrs) error {
	if a.has(attrQueueNum) == a.has(attrQueueSreg) {
		return errors.New("queue needs either a number or a register")
	}
	st := &rules.Queue{Total: 1}
	if a.has(attrQueueNum) {
		st.Num = a.u16(attrQueueNum)
	}
	if a.has(attrQueueTotal) {
		st.Total = a.u16(attrQueueTotal)
	}
	var flags uint16
	if a.has(attrQueueFlags) {
		flags = a.u16(attrQueueFlags)
	}
	st.Bypass, st.Fanout = flags&queueBypass != 0, flags&queueFanout != 0
	switch {
	case a.err != nil:
		return a.err
	case flags&^(queueBypass|queueFanout) != 0:
		return fmt.Errorf("queue flags %#x are not known", flags)
	case st.Total == 0 || uint32(st.Num)+uint32(st.Total)-1 > 0xffff:
		return fmt.Errorf("queue of %d from %d", st.Total, st.Num)
	}
	from, err := d.optional(a, attrQueueSreg, 4)
	if err != nil {
		return err
	}
	st.From, st.Span = from.x, d.span(from)
	d.emit(st)
	return nil
}
