package evidence

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"

	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/pattern"
)

var (
	nftChain  = pattern.New(`^\s*chain (\S+) \{`)
	nftHandle = pattern.New(`# handle (\d+)$`)
	nftHead   = pattern.New(`^\s*(?:add )?table (\S+) (\S+) \{`)
)

// ownHandles gives the rules that were loaded the handles of their text, which
// nft -a prints behind each, and none where it has none: those of the namespace
// in which they were loaded are of nothing else.
func ownHandles(lines []string, tables []*rules.Table) {
	of := map[string][]uint64{} // by family, table and chain
	table, chain := "", ""
	for _, s := range lines {
		if m := nftHead.FindStringSubmatch(s); m != nil {
			table, chain = m[1]+" "+m[2]+" ", ""
		} else if m := nftChain.FindStringSubmatch(s); m != nil {
			chain = table + m[1]
		} else if m := nftHandle.FindStringSubmatch(s); m != nil && chain != "" {
			n, err := strconv.ParseUint(m[1], 10, 64)
			if err != nil {
				n = 0
			}
			of[chain] = append(of[chain], n)
		} else if s == "\t}" {
			chain = ""
		}
	}
	for _, t := range tables {
		for _, c := range t.Chains {
			handles := of[t.Family.String()+" "+t.Name+" "+c.Name]
			for i, r := range c.Rules {
				r.Handle = 0
				if len(handles) == len(c.Rules) {
					r.Handle = handles[i]
				}
			}
		}
	}
}

// withoutTwice leaves out of a table of nft the chains that iptables-save gave
// too: they are the same, and that text tells their extensions.
func (b *builder) withoutTwice(t *rules.Table) {
	for _, o := range b.snap.Rules.Tables {
		if o.Family != t.Family || o.Name != t.Name || o.Backend != rules.BackendIptablesNft {
			continue
		}
		t.Chains = slices.DeleteFunc(t.Chains, func(c *rules.Chain) bool { return o.Chain(c.Name) != nil })
	}
}

// hostOrder is the order of bytes of this machine.
func hostOrder() binary.ByteOrder {
	if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		return binary.LittleEndian
	}
	return binary.BigEndian
}

// nftBeside is what iptables-nft remarks of a table in which nft has chains of
// its own (nft_is_table_tainted).
var nftBeside = pattern.New("^# Table `(\\S+)' contains incompatible base-chains")

// nativeChains says where iptables-save tells of chains that it does not print.
func (b *builder) nativeChains() string {
	for _, v := range b.saves {
		for i, line := range v.s.lines {
			if m := nftBeside.FindStringSubmatch(line); m != nil {
				return fmt.Sprintf("%s:%d: table %s has chains of nft that iptables-save does not print", v.s.file, v.s.first+i, m[1])
			}
		}
	}
	return ""
}
