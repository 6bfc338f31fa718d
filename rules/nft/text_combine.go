package nft

import (
	"fmt"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// combined renders a condition that xtables matches become, for a reader: nft
// has no syntax for it. It is false for any other.
func (p *printer) combined(s rules.Statement) bool {
	switch x := s.(type) {
	case *rules.AllOf:
		p.add(p.parts(x.Parts, " "))
	case *rules.AnyOf:
		text := p.parts(x.Parts, " or ")
		if x.Invert {
			text = "not (" + text + ")"
		}
		p.add(text)
	case *rules.NotOf:
		p.add("not (" + p.parts([]rules.Condition{x.Part}, "") + ")")
	case *rules.Fixed:
		p.add(map[bool]string{true: "always", false: "never"}[x.Holds])
	case *rules.Open:
		p.add(Escape(x.Name))
	case *rules.Chance:
		p.add(chanceText(x))
	case *rules.Remark:
		p.add(Escape(x.Name))
	case *rules.InIPSet:
		p.add(x.Options())
	case *rules.FeedIPSet:
		p.add(map[bool]string{false: "--add-set ", true: "--del-set "}[x.Delete] + x.String())
	case *rules.MapIPSet:
		p.add("--map-set " + x.String())
	case fmt.Stringer: // a condition that one xtables match alone has
		p.add(Escape(x.String()))
	default:
		return false
	}
	return true
}

// parts renders each condition apart.
func (p *printer) parts(all []rules.Condition, between string) string {
	var out []string
	for _, c := range all {
		q := p.fresh()
		q.order = p.order
		q.statement(c)
		if t := q.text(); t != "" {
			out = append(out, t)
		}
	}
	return strings.Join(out, between)
}

func chanceText(c *rules.Chance) string {
	not := ""
	if c.Invert {
		not = "not "
	}
	if c.InTurn {
		return fmt.Sprintf("%s%d in %d, in turn", not, c.Hits, c.Of)
	}
	return fmt.Sprintf("%schance %.3g %%", not, 100*float64(c.Hits)/float64(max(c.Of, 1)))
}
