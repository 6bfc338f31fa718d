package capture

import (
	"time"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

// EventKind is what an Event tells.
type EventKind uint8

const (
	// EventStart: the watch began; it comes before all others, once.
	EventStart EventKind = iota
	EventNew
	EventUpdate
	EventDestroy
	// EventLost: events did not come through. What became of the entries
	// meanwhile follows, found by reading the table, and then an EventResync.
	EventLost
	// EventResync: the table was read, and everything that it tells has been
	// told.
	EventResync
)

// EventKinds are the kinds that a watch may be asked for: those of flows.
var EventKinds = [...]EventKind{EventNew, EventUpdate, EventDestroy}

var eventNames = [...]string{
	EventStart: "start", EventNew: "new", EventUpdate: "update", EventDestroy: "destroy",
	EventLost: "lost", EventResync: "resync",
}

func (k EventKind) String() string { return eventNames[k] }

// Event is one thing that a watch tells.
type Event struct {
	Kind EventKind
	// Flow is the entry of EventNew, EventUpdate and EventDestroy: what the
	// kernel put into the message, which is less than a dump has. State and
	// mark, which it leaves out where they did not change, are those known from
	// before.
	Flow host.Flow
	// Expect is the expectation of an event of WatchExpectations; nil for one of
	// a flow.
	Expect *Expectation
	At     time.Time
	// Stamped: At is the kernel's own time (CTA_TIMESTAMP_EVENT, 6.14, only with
	// net.netfilter.nf_conntrack_timestamp); else it is when the event was
	// received.
	Stamped bool
	// Found: the table told, not an event; At is when it was read.
	Found bool
	// Since and Until are the revisions of the rules between which the event
	// happened, when WatchOptions.Revisions was given.
	Since, Until Revision
	// Backlog is how full the receive buffer was when the event was taken from
	// it, in percent: at 100 events are lost.
	Backlog int

	Start  WatchStart  // of EventStart
	Lost   WatchLost   // of EventLost
	Resync WatchResync // of EventResync
}

// WatchStart is what a watch begins with.
type WatchStart struct {
	// Setting is net.netfilter.nf_conntrack_events: 0 no entry sends events,
	// 1 every entry does, 2 those do that were made while somebody listened
	// (nf_ct_ecache_ext_add).
	Setting host.Fact[string]
	// Before is how many entries there were, of every kind.
	Before int
	// Buffer is the size of the receive buffer as the kernel counts it, in
	// bytes: an event takes about 1 KiB of it.
	Buffer int
}

// WatchLost is a gap.
type WatchLost struct {
	// Events is how many did not come through, 0 when the kernel does not say.
	Events uint64
	// From and To hold the gap: until From everything was received, and from To
	// on it is again.
	From, To time.Time
	Why      string
}

// WatchResync is what reading the table brought.
type WatchResync struct {
	// First: what was there when the watch began is remembered now.
	First              bool
	Entries            int // read, of those asked for
	New, Changed, Gone int // against what was known
	// Unsure entries are there and were not known; since some had been
	// forgotten they cannot be called new.
	Unsure int
	// Forgotten entries are beyond WatchOptions.Remember.
	Forgotten int
	Took      time.Duration
	// Unparsed entries could not be read, Why for the first.
	Unparsed int
	Why      string
}

// Revision names what an attribution rests on. It is the same for as long as
// neither changes.
type Revision struct {
	Generation uint32 // NFTA_GEN_ID, 0 without nf_tables
	Routing    uint32 // how often rtnetlink has told of a change
}

// ctaTimestampEvent is CTA_TIMESTAMP_EVENT: ns since the epoch.
const ctaTimestampEvent = 27

// nlmCreate is NLM_F_CREATE, which marks a new entry (ctnetlink_conntrack_event).
const nlmCreate = 0x400

// parseEvent reads one message of the groups NFNLGRP_CONNTRACK_*: payload is
// what follows the nlmsghdr. At is set only when the message has the time.
func parseEvent(typ, flags uint16, payload []byte, e *Event) error {
	switch {
	case typ == ctDelete:
		e.Kind = EventDestroy
	case typ != ctNew:
		return badAttr("conntrack event: message type")
	case flags&nlmCreate != 0:
		e.Kind = EventNew
	default:
		e.Kind = EventUpdate
	}
	if len(payload) < 4 {
		return badAttr("conntrack event")
	}
	if err := ParseFlow(payload[4:], &e.Flow); err != nil {
		return err
	}
	e.Stamped = false
	for a := (attrs{b: payload[4:]}); a.next(); {
		if a.typ != ctaTimestampEvent {
			continue
		}
		ns, ok := beU64(a.val)
		if !ok {
			return badAttr("conntrack event: time")
		}
		e.At, e.Stamped = time.Unix(0, int64(ns)), true
	}
	return nil
}
