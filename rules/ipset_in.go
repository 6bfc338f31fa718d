package rules

import (
	"strconv"
	"strings"
)

// InIPSet asks whether the packet is in an ipset: the match "set" of xtables
// (xt_set.c), revisions 0 to 4. A decoder fills the reference with
// Ruleset.IPSetRef(info.index, dirs...) and copies the flags; a match of an
// early revision leaves at zero what it does not have.
//
// Test follows match_set, ip_set_test and the kadt function of the set's type.
// What the set holds is what it held when it was read: an answer that depends
// on it is assumed (FromSet), or Unknown where elements come and go with time
// or traffic, and with Packet.SetsOpen. Decided is only what no change of the
// set can alter: a set of the other family, or too few directions.
type InIPSet struct {
	Span
	IPSetRef
	Invert bool // IPSET_INV_MATCH, IPSET_MATCH_INV in revision 0
	// ReturnNomatch: only elements with nomatch match (IPSET_RETURN_NOMATCH of
	// revisions 1 and 2 in the set's own flags, IPSET_FLAG_RETURN_NOMATCH in
	// those of the match since 3).
	ReturnNomatch bool
	// KeepCounters and KeepSubcounters: the counters of the element, or of
	// those in a list's members, stay as they are
	// (IPSET_FLAG_SKIP_COUNTER_UPDATE, IPSET_FLAG_SKIP_SUBCOUNTER_UPDATE).
	KeepCounters, KeepSubcounters bool
	// Physdev compares bridge ports instead of devices (IPSET_FLAG_PHYSDEV);
	// no version of iptables sets it.
	Physdev bool
	// Packets and Bytes must hold of the element's counters, the packet
	// itself counted already. They count for a list's own counters, not for
	// those of its members, and for sets without counters not at all.
	Packets, Bytes IPSetCounterMatch
}

// IPSetCounterOp is IPSET_COUNTER_*.
type IPSetCounterOp uint8

const (
	IPSetCounterNone IPSetCounterOp = iota
	IPSetCounterEq
	IPSetCounterNe
	IPSetCounterLt
	IPSetCounterGt
)

// IPSetCounterMatch compares one counter of an element with a value.
type IPSetCounterMatch struct {
	Op    IPSetCounterOp
	Value uint64
}

// Options is the match as iptables-save prints it after "-m set ":
// "! --match-set NAME src,dst --return-nomatch".
func (c *InIPSet) Options() string {
	var b strings.Builder
	if c.Invert {
		b.WriteString("! ")
	}
	b.WriteString("--match-set " + c.IPSetRef.String())
	for _, o := range [...]struct {
		set  bool
		text string
	}{
		{c.ReturnNomatch, " --return-nomatch"},
		{c.KeepCounters, " ! --update-counters"},
		{c.KeepSubcounters, " ! --update-subcounters"},
	} {
		if o.set {
			b.WriteString(o.text)
		}
	}
	return b.String() + c.Packets.option("packets") + c.Bytes.option("bytes")
}

func (m IPSetCounterMatch) option(name string) string {
	words := [...]string{
		IPSetCounterEq: " --%-eq ", IPSetCounterNe: " ! --%-eq ",
		IPSetCounterLt: " --%-lt ", IPSetCounterGt: " --%-gt ",
	}
	if int(m.Op) >= len(words) || words[m.Op] == "" {
		return ""
	}
	return strings.Replace(words[m.Op], "%", name, 1) + strconv.FormatUint(m.Value, 10)
}

// AsksMark tells whether the packet's mark is looked at: by hash:ip,mark, or
// by one in a list.
func (c *InIPSet) AsksMark() bool {
	if c.Set == nil {
		return false
	}
	for _, s := range append(c.Set.Members[:len(c.Set.Members):len(c.Set.Members)], c.Set) {
		if s == nil {
			continue
		}
		if t := s.row(); t != nil && t.has(ipsetMark) {
			return true
		}
	}
	return false
}
