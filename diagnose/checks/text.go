package checks

import (
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/order"
	"github.com/ntdiag/ntdiag/rules"
)

// near names rule b for a reader of rule a: with its chain when that is
// another one.
func near(a, b *rules.Rule) string {
	switch {
	case a == nil || a.Chain == nil || b.Chain == nil:
		return full(b)
	case a.Chain == b.Chain:
		return b.Ref()
	case a.Chain.Table == b.Chain.Table:
		return b.Chain.Name + " " + b.Ref()
	}
	return full(b)
}

// full names a rule with its table and chain.
func full(r *rules.Rule) string {
	if r.Chain == nil {
		return r.Ref()
	}
	return order.Name(r.Chain) + " " + r.Ref()
}

// list joins names as a sentence does.
func list(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

func nearAll(a *rules.Rule, bs []*rules.Rule) string {
	var out []string
	for _, b := range bs {
		out = append(out, near(a, b))
	}
	return list(out)
}
