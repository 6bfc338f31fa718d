package packet

import (
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/nft"
)

// RuleName is family, table, chain and handle or number of a rule; one of
// iptables-legacy says so, since iptables-nft has chains of the same names.
func RuleName(r *rules.Rule) string {
	t := r.Chain.Table
	name := fmt.Sprintf("%s %s %s %s", t.Family, nft.Escape(t.Name), nft.Escape(r.Chain.Name), r.Ref())
	if t.Backend == rules.BackendIptablesLegacy {
		return string(t.Backend) + " " + name
	}
	return name
}
