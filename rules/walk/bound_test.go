package walk

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/ntdiag/ntdiag/rules"
)

// ladder is a table of chains each of which may jump to the next as often as
// jumps says, the last with one NAT rule.
func ladder(backend rules.Backend, chains, jumps int) *rules.Ruleset {
	t := &rules.Table{Backend: backend, Family: rules.FamilyIPv4, Name: "nat"}
	t.Chains = []*rules.Chain{{Table: t, Name: "PREROUTING", Base: &rules.BaseChain{Type: rules.ChainNAT, Priority: -100, Policy: rules.VerdictAccept}}}
	for i := range chains {
		t.Chains = append(t.Chains, &rules.Chain{Table: t, Name: fmt.Sprintf("c%d", i)})
	}
	for i, c := range t.Chains[:chains] {
		for range jumps {
			r := &rules.Rule{Chain: c, Position: len(c.Rules) + 1, Statements: []rules.Statement{
				&rules.Open{Name: "time", From: rules.FromTime},
				&rules.Verdict{Code: rules.VerdictJump, Chain: t.Chains[i+1], ChainName: t.Chains[i+1].Name},
			}}
			c.Rules = append(c.Rules, r)
		}
	}
	last := t.Chains[chains]
	last.Rules = []*rules.Rule{{Chain: last, Position: 1, Statements: []rules.Statement{
		&rules.NAT{Kind: rules.DNAT, Family: rules.FamilyIPv4, Flags: rules.NATMapIPs, AddrMin: &rules.Const{Data: []byte{10, 0, 0, 1}}},
	}}}
	return &rules.Ruleset{Order: binary.LittleEndian, Tables: []*rules.Table{t}}
}

// TestBounded: what is followed no further is not known, and takes no longer.
func TestBounded(t *testing.T) {
	for _, tt := range []struct {
		name          string
		backend       rules.Backend
		chains, jumps int
		cut           bool
	}{
		{"few ways", rules.BackendIptablesNft, 8, 2, false},
		{"nft, deep", rules.BackendIptablesNft, 17, 1, true},
		{"legacy, deep", rules.BackendIptablesLegacy, 100, 1, false},
		{"legacy, too deep", rules.BackendIptablesLegacy, 300, 1, true},
		{"too many ways", rules.BackendIptablesLegacy, 60, 2, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &rules.Packet{Family: rules.FamilyIPv4, Order: binary.LittleEndian, Host: rules.NoHost{}, Tracked: rules.Yes}
			p.Mark = rules.KnownUint(binary.LittleEndian, 4, 0)
			steps := 0
			res := New(ladder(tt.backend, tt.chains, tt.jumps)).Hook(p, rules.Prerouting, Options{Trace: func(Step) { steps++ }})
			cut, nat := 0, 0
			for _, c := range res.Candidates {
				if c.Opaque != nil {
					cut++
				} else {
					nat++
				}
				if c.Answer.Truth == rules.Yes {
					t.Errorf("%v is sure", c)
				}
			}
			if cut > 1 || (cut == 1) != tt.cut || !tt.cut && nat == 0 {
				t.Errorf("cut %d times, %d nat rules", cut, nat)
			}
			if known := res.Packet.Mark.IsKnown(); known == tt.cut {
				t.Errorf("mark known: %v", known)
			}
			if steps > maxSteps/forkSteps+maxDepthLegacy || len(res.Candidates) > maxCandidates+1 {
				t.Errorf("%d steps, %d candidates", steps, len(res.Candidates))
			}
		})
	}
}
