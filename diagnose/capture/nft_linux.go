package capture

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/nft"
)

const nftModule = "nf_tables"

// Message types of nf_tables: the subsystem, then NFT_MSG_*.
const (
	nftGetTable     = nftSubsys | 1
	nftGetChain     = nftSubsys | 4
	nftGetRule      = nftSubsys | 7
	nftGetSet       = nftSubsys | 10
	nftGetSetElem   = nftSubsys | 13
	nftGetGen       = nftSubsys | 16
	nftGetObj       = nftSubsys | 19
	nftGetFlowtable = nftSubsys | 23
)

// nftTries is how often a dump that a change ran through is begun again.
const nftTries = 5

// nftKinds is one row a dump, in the order in which the Builder needs them;
// the elements of each set come between flowtables and rules.
var nftKinds = [...]struct {
	what string
	typ  uint16
	add  func(*nft.Builder, []byte) error
	// optional kinds are unknown to some kernels: that is no damage.
	optional bool
	elements bool // the kernel lists these set by set
}{
	{what: "tables", typ: nftGetTable, add: (*nft.Builder).AddTable},
	{what: "chains", typ: nftGetChain, add: (*nft.Builder).AddChain},
	{what: "sets", typ: nftGetSet, add: (*nft.Builder).AddSet},
	{what: "objects", typ: nftGetObj, add: (*nft.Builder).AddObject, optional: true},
	{what: "flowtables", typ: nftGetFlowtable, add: (*nft.Builder).AddFlowtable, optional: true},
	{what: "set elements", typ: nftGetSetElem, add: (*nft.Builder).AddElements, elements: true},
	{what: "rules", typ: nftGetRule, add: (*nft.Builder).AddRule},
}

// setName is what an element dump asks for.
type setName struct {
	family      uint8
	table, name string
}

// nftReader reads one ruleset through one socket.
type nftReader struct {
	c       *conn
	ahead   ahead
	b       *nft.Builder
	ipsets  []*rules.IPSet
	sets    []setName
	missing []host.Missing
	changed bool // a dump was interrupted by a change
}

// ruleset reads every nf_tables table, the same generation before and after
// when that can be had. ipsets are those that its rules may refer to.
func (l *Live) ruleset(ctx context.Context, ipsets []*rules.IPSet) (*rules.Ruleset, []host.Missing) {
	const what = host.PartNft + " ruleset"
	empty := &rules.Ruleset{Order: ne, IPSets: ipsets}
	empty.PrepareIPSets()
	if wouldLoad(nftModule) {
		return empty, nil // not loaded: there is no table
	}
	c, err := l.ns.dial(unix.NETLINK_NETFILTER)
	if err != nil {
		err = explainErr(what, err, netlinkReasons(nftModule))
		return empty, []host.Missing{{What: what, Why: whyOf(err)}}
	}
	defer c.close()
	r := &nftReader{c: c, ahead: ahead{buf: make([]byte, nftBuffer)}, ipsets: empty.IPSets}
	for try := 1; ; try++ {
		gen, err := r.readOnce(ctx)
		if err != nil {
			err = explainErr(what, err, netlinkReasons(nftModule))
			return empty, []host.Missing{{What: what, Why: whyOf(err)}}
		}
		if r.changed && try < nftTries && ctx.Err() == nil {
			continue
		}
		if r.changed {
			r.missing = append(r.missing, host.Missing{What: what, Why: fmt.Sprintf("it changed while it was read, %d times in a row", try)})
		}
		rs := r.b.Finish(gen)
		if r.changed {
			for _, t := range rs.Tables {
				t.Incomplete = append(t.Incomplete, "the ruleset changed while it was read")
			}
		}
		return rs, r.missing
	}
}

// readOnce dumps everything once. An error means that nothing can be read.
func (r *nftReader) readOnce(ctx context.Context) (uint32, error) {
	r.b, r.sets, r.missing, r.changed = nft.NewBuilder(ne), nil, nil, false
	r.b.SetIPSets(r.ipsets)
	before, err := r.generation(ctx)
	if err != nil {
		return 0, err
	}
	for _, k := range nftKinds {
		if k.elements {
			r.elements(ctx)
			continue
		}
		err := r.dump(ctx, k.typ, nil, 0, func(payload []byte) error {
			if k.typ == nftGetSet {
				r.noteSet(payload)
			}
			return k.add(r.b, payload)
		})
		if err == nil || k.optional && (errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL)) {
			continue
		}
		if k.typ == nftGetTable {
			return 0, err
		}
		r.miss(host.PartNft+" "+k.what, err)
	}
	after, err := r.generation(ctx)
	if err != nil {
		return 0, err
	}
	r.changed = r.changed || before != after
	return after, nil
}

func (r *nftReader) miss(what string, err error) {
	err = explainErr(what, err, netlinkReasons(nftModule))
	r.missing = append(r.missing, host.Missing{What: what, Why: whyOf(err)})
}

// dump hands over the payload of each message. A message that the Builder
// refuses is noted and passed over.
func (r *nftReader) dump(ctx context.Context, typ uint16, req []byte, family uint8, add func([]byte) error) error {
	refused := 0
	var first error
	info, err := r.ahead.dump(ctx, r.c, typ, nfgen(family, req), func(m message) error {
		if len(m.payload) < 4 {
			return nil
		}
		if err := add(m.payload); err != nil {
			if refused++; first == nil {
				first = err
			}
		}
		return nil
	})
	if refused > 0 {
		r.missing = append(r.missing, host.Missing{What: host.PartNft + " ruleset", Why: fmt.Sprintf("%d messages could not be read: %v", refused, first)})
	}
	r.changed = r.changed || info.interrupted
	return err
}

// generation is NFTA_GEN_ID.
func (r *nftReader) generation(ctx context.Context) (uint32, error) {
	b, err := r.c.ask(ctx, nftGetGen, nfgen(0, nil), r.ahead.buf)
	if err != nil {
		return 0, err
	}
	if len(b) < 4 {
		return 0, badAttr("nftables generation")
	}
	for a := (attrs{b: b[4:]}); a.next(); {
		if id, ok := beU32(a.val); ok && a.typ == 1 {
			return id, nil
		}
	}
	return 0, badAttr("nftables generation")
}

// Generation is that of the nf_tables ruleset now (NFTA_GEN_ID), which each
// transaction that is committed counts up; 0 when nf_tables is not loaded.
func (l *Live) Generation(ctx context.Context) (uint32, error) {
	const what = "nftables generation"
	if wouldLoad(nftModule) {
		return 0, nil
	}
	c, err := l.ns.dial(unix.NETLINK_NETFILTER)
	if err != nil {
		return 0, explainErr(what, err, netlinkReasons(nftModule))
	}
	defer c.close()
	r := &nftReader{c: c, ahead: ahead{buf: make([]byte, generationBuffer)}}
	gen, err := r.generation(ctx)
	if err != nil {
		return 0, explainErr(what, err, netlinkReasons(nftModule))
	}
	return gen, nil
}

// generationBuffer holds one NFT_MSG_NEWGEN.
const generationBuffer = 4096

// noteSet keeps which set the message announces: NFTA_SET_TABLE 1, _NAME 2.
func (r *nftReader) noteSet(payload []byte) {
	s := setName{family: payload[0]}
	for a := (attrs{b: payload[4:]}); a.next(); {
		switch a.typ {
		case 1:
			s.table = string(cstr(a.val))
		case 2:
			s.name = string(cstr(a.val))
		}
	}
	r.sets = append(r.sets, s)
}

// elements dumps every set's elements; one that fails is marked as missing.
func (r *nftReader) elements(ctx context.Context) {
	for _, s := range r.sets {
		if err := r.elementsOf(ctx, s, r.b.AddElements); err != nil {
			// the set went away between its listing and now
			r.changed = r.changed || errors.Is(err, unix.ENOENT)
			why := whyOf(explainErr("elements", err, netlinkReasons(nftModule)))
			r.b.SetMissing(rules.Family(s.family), s.table, s.name, why)
		}
	}
}

// elementsOf dumps the elements of one set: NFTA_SET_ELEM_LIST_TABLE 1, _SET 2.
func (r *nftReader) elementsOf(ctx context.Context, s setName, add func([]byte) error) error {
	var w builder
	w.str(1, s.table)
	w.str(2, s.name)
	return r.dump(ctx, nftGetSetElem, w.b, s.family, add)
}
