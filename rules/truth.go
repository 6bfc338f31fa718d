package rules

import (
	"math/bits"
)

// Truth is the three-valued answer to "does this condition hold". The zero
// value is Unknown: what nobody decided is not known.
type Truth uint8

const (
	Unknown Truth = iota
	No
	Yes
)

var truthNames = [...]string{Unknown: "unknown", No: "no", Yes: "yes"}

func (t Truth) String() string { return truthNames[t] }

// Not is Kleene negation: the negation of Unknown is Unknown.
func (t Truth) Not() Truth {
	switch t {
	case Yes:
		return No
	case No:
		return Yes
	}
	return Unknown
}

// And is Kleene conjunction: one No decides, whatever else is unknown.
func (t Truth) And(u Truth) Truth {
	switch {
	case t == No || u == No:
		return No
	case t == Yes && u == Yes:
		return Yes
	}
	return Unknown
}

// Or is Kleene disjunction: one Yes decides, whatever else is unknown.
func (t Truth) Or(u Truth) Truth { return t.Not().And(u.Not()).Not() }

// TruthOf turns a decided condition into a Truth.
func TruthOf(b bool) Truth {
	if b {
		return Yes
	}
	return No
}

// Source names a thing that a rule can look at and that a conntrack entry
// does not record. A value that rests on a Source is either unknown, or
// assumed for a reason that the caller of the walk keeps.
type Source uint8

const (
	// FromEntry is the zero Source: the entry itself tells.
	FromEntry Source = iota
	FromIif
	FromOif
	FromMark
	FromCtMark
	FromCtLabel
	FromCtZone
	FromCtCounters
	FromCtStatus
	FromCtHelper
	FromPriority
	FromLink
	FromIPHeader
	FromTCPHeader
	FromICMPHeader
	FromPayload
	FromLength
	FromFragment
	FromExthdr
	FromPktType
	FromSocket
	FromCgroup
	FromTime
	FromCPU
	FromRandom
	FromHash
	FromRoute
	FromIPsec
	FromLimit
	FromQuota
	FromSet // an element that came and went with the packets
	FromCtState
	FromChainOrder
	FromVerdict // an earlier rule that may have ended the way
	FromOpaque
	FromTrace
	FromQueue
	FromTunnel
	FromIPVS
	FromPort // a source port that nobody has told
	FromNAT  // an address or a port that NAT chooses
	numSources
)

var sourceNames = [numSources]string{
	FromEntry:      "the entry",
	FromIif:        "input interface",
	FromOif:        "output interface",
	FromMark:       "packet mark",
	FromCtMark:     "ct mark at the first packet",
	FromCtLabel:    "ct labels at the first packet",
	FromCtZone:     "conntrack zone",
	FromCtCounters: "ct packet and byte counts",
	FromCtStatus:   "ct status at the first packet",
	FromCtHelper:   "ct helper at the first packet",
	FromPriority:   "packet priority",
	FromLink:       "link-layer header",
	FromIPHeader:   "IP header fields besides the addresses",
	FromTCPHeader:  "TCP header fields besides the ports",
	FromICMPHeader: "ICMP header fields besides type, code and id",
	FromPayload:    "packet payload",
	FromLength:     "packet length",
	FromFragment:   "fragment fields",
	FromExthdr:     "extension headers and options",
	FromPktType:    "packet type",
	FromSocket:     "owning socket",
	FromCgroup:     "cgroup",
	FromTime:       "time of the first packet",
	FromCPU:        "cpu",
	FromRandom:     "a random number",
	FromHash:       "a hash",
	FromRoute:      "route of the first packet",
	FromIPsec:      "IPsec state",
	FromLimit:      "a rate limit",
	FromQuota:      "a quota",
	FromSet:        "set elements that come and go with the traffic",
	FromCtState:    "ct state of the first packet",
	FromChainOrder: "order of chains with equal priority",
	FromVerdict:    "an earlier rule that may have matched",
	FromOpaque:     "an expression that is not understood",
	FromTrace:      "nftrace flag",
	FromQueue:      "what a program did with a queued packet",
	FromTunnel:     "tunnel metadata",
	FromIPVS:       "IPVS state",
	FromPort:       "source port",
	FromNAT:        "the address or port that NAT chooses",
}

func (s Source) String() string { return sourceNames[s] }

// Sources is a set of Source, FromEntry never in it.
type Sources uint64

// Of returns the set that holds s, empty for FromEntry.
func Of(s Source) Sources {
	if s == FromEntry {
		return 0
	}
	return 1 << s
}

// Has tells whether s is in the set.
func (ss Sources) Has(s Source) bool { return ss&Of(s) != 0 }

// List returns the members in the order of their declaration.
func (ss Sources) List() []Source {
	out := make([]Source, 0, bits.OnesCount64(uint64(ss)))
	for s := FromEntry + 1; s < numSources; s++ {
		if ss.Has(s) {
			out = append(out, s)
		}
	}
	return out
}

// Answer is a Truth with what it rests on.
type Answer struct {
	Truth Truth
	// Assumed are the sources whose assumed value decided Truth: were the
	// assumption wrong, Truth could be another.
	Assumed Sources
	// Unknown are the sources that kept it open; empty unless Truth is Unknown.
	Unknown Sources
}

// Not negates the truth and keeps what it rests on.
func (a Answer) Not() Answer { a.Truth = a.Truth.Not(); return a }

// And joins two conditions that both must hold. A No that rests on nothing
// assumed is preferred as the reason over one that does.
func (a Answer) And(b Answer) Answer {
	switch {
	case a.Truth == No && b.Truth == No:
		if b.Assumed == 0 {
			return b
		}
		return a
	case a.Truth == No:
		return a
	case b.Truth == No:
		return b
	}
	return Answer{Truth: a.Truth.And(b.Truth), Assumed: a.Assumed | b.Assumed, Unknown: a.Unknown | b.Unknown}
}

// Or joins two conditions of which one is enough.
func (a Answer) Or(b Answer) Answer { return a.Not().And(b.Not()).Not() }

// Decided is an Answer that rests on the entry alone.
func Decided(b bool) Answer { return Answer{Truth: TruthOf(b)} }
