package capture

import "github.com/ntdiag/ntdiag/rules"

const (
	nftSubsys = 10 << 8        // NFNL_SUBSYS_NFTABLES
	nftNewGen = nftSubsys | 15 // NFT_MSG_NEWGEN
)

// nftGen is NFT_MSG_NEWGEN: NFTA_GEN_ID 1, _PROC_PID 2, _PROC_NAME 3.
type nftGen struct {
	id, pid uint32
	program string
}

func parseGen(payload []byte) (g nftGen, ok bool) {
	if len(payload) < 4 {
		return g, false
	}
	a := attrs{b: payload[4:]}
	for a.next() {
		switch a.typ {
		case 1:
			g.id, ok = beU32(a.val)
		case 2:
			g.pid, _ = beU32(a.val)
		case 3:
			g.program = string(cstr(a.val))
		}
	}
	return g, ok && !a.bad
}

// nftTouches is one row a message that tells of a change: which attributes
// name the table, the thing, and a rule's handle.
var nftTouches = map[uint16]struct {
	kind                TouchKind
	table, name, handle uint16
}{
	nftSubsys:      {kind: TouchTable, table: 1},
	nftSubsys | 2:  {kind: TouchTable, table: 1},
	nftSubsys | 3:  {kind: TouchChain, table: 1, name: 3},
	nftSubsys | 5:  {kind: TouchChain, table: 1, name: 3},
	nftSubsys | 6:  {kind: TouchRule, table: 1, name: 2, handle: 3},
	nftSubsys | 8:  {kind: TouchRule, table: 1, name: 2, handle: 3},
	nftSubsys | 9:  {kind: TouchSet, table: 1, name: 2},
	nftSubsys | 11: {kind: TouchSet, table: 1, name: 2},
	nftSubsys | 12: {kind: TouchSet, table: 1, name: 2},
	nftSubsys | 14: {kind: TouchSet, table: 1, name: 2},
	nftSubsys | 18: {kind: TouchObject, table: 1, name: 2},
	nftSubsys | 20: {kind: TouchObject, table: 1, name: 2},
	nftSubsys | 22: {kind: TouchFlowtable, table: 1, name: 2},
	nftSubsys | 24: {kind: TouchFlowtable, table: 1, name: 2},
}

// parseTouch reads what a message of nf_tables is about (nf_tables_fill_*):
// false when it is about nothing that is followed.
func parseTouch(typ uint16, payload []byte) (t Touch, ok bool) {
	row, ok := nftTouches[typ]
	if !ok || len(payload) < 4 {
		return t, false
	}
	t = Touch{Kind: row.kind, Family: rules.Family(payload[0]).String()}
	a := attrs{b: payload[4:]}
	for a.next() {
		switch a.typ {
		case row.table:
			t.Table = string(cstr(a.val))
		case row.name:
			t.Name = string(cstr(a.val))
		case row.handle:
			t.Handle, _ = beU64(a.val)
		}
	}
	return t, !a.bad && t.Table != ""
}
