// Package capture reads a machine: it is the only package that talks to a
// kernel. It never loads a module, and never makes a table by asking for it.
// It reads only, but for Entries, which change the conntrack table, and SetSysctl.
package capture

import (
	"errors"
	"net/netip"

	"github.com/ntdiag/ntdiag/rules"
)

// ErrStop, returned by the callback of Flows, ends the dump without an error.
var ErrStop = errors.New("stop")

// ErrNotFound: the table has no such entry.
var ErrNotFound = errors.New("no such conntrack entry")

// ErrExists: the table has an entry with one of the tuples.
var ErrExists = errors.New("an entry with one of its tuples exists")

// ErrChanged: the entry that has the tuple now is another one.
var ErrChanged = errors.New("another entry has its tuple now")

// ErrLinux: there is no kernel here whose state could be read.
var ErrLinux = errors.New("live capture needs Linux")

// ErrGroupTaken: another program receives what is logged to the group.
var ErrGroupTaken = errors.New("the group has a listener")

// OpError is one operation that failed and why, in one line.
type OpError struct {
	What, Why string
	Err       error
}

func (e *OpError) Error() string { return e.What + ": " + e.Why }
func (e *OpError) Unwrap() error { return e.Err }

// Direction is IP_CT_DIR_*: which of an entry's tuples is meant.
type Direction uint8

const (
	Original Direction = 0
	Reply    Direction = 1
)

// Filter is what the kernel is asked to leave out of a dump. It only saves
// time: kernels ignore what they do not know, so that callers filter what they
// are given all the same.
type Filter struct {
	Family rules.Family // FamilyUnspec for both

	// Mark: entry mark & MarkMask == Mark. A MarkMask of 0 means all bits.
	HasMark        bool
	Mark, MarkMask uint32

	// Status: IPS_* bits, as Mark (5.15).
	HasStatus          bool
	Status, StatusMask uint32

	HasZone bool // 6.8
	Zone    uint16

	// Orig and Reply are exact parts of the tuples (CTA_FILTER, 5.8).
	Orig, Reply TuplePart
}

// TuplePart is some of a tuple: what is zero, or invalid, is not asked for.
// Ports count only for protocols whose ports the kernel compares: TCP and UDP.
type TuplePart struct {
	Src, Dst         netip.Addr
	Proto            uint8
	SrcPort, DstPort uint16
}

// Empty tells whether the filter asks for nothing.
func (f Filter) Empty() bool { return f == Filter{} }

// FlowsInfo is what there is to say of a dump beside its entries.
type FlowsInfo struct {
	Count    int    // entries handed to the callback
	Filtered bool   // the kernel applied the filter (NLM_F_DUMP_FILTERED); false as well when no entry came
	Unparsed int    // entries left out because they could not be read
	Why      string // the first reason for Unparsed, or why there is no filter
	Turnover Turnover
}
