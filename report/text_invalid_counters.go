package report

import (
	"fmt"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/invalid"
)

// maxSilentCauses bounds the silent causes that are named for one counter.
const maxSilentCauses = 3

// invalidCounters sets messages against counters.
func invalidCounters(b *strings.Builder, d *Invalid, s Style) {
	if len(d.Counters) == 0 {
		return
	}
	heading(b, s, "Counters:")
	for i := range d.Counters {
		wrap(b, s.width(), "  ", "      ", counterText(d, &d.Counters[i]))
	}
}

func counterText(d *Invalid, c *InvalidCounter) string {
	if c.SinceBoot {
		return fmt.Sprintf("%s %s since the namespace was made, of which this log need not have all", c.Counter, thousands(int(c.Delta)))
	}
	text := fmt.Sprintf("%s +%s", c.Counter, thousands(int(c.Delta)))
	if c.Explained > 0 || len(c.Parts) > 0 {
		var parts []string
		for _, p := range c.account.Parts {
			parts = append(parts, thousands(int(p.N))+" "+reasonName(p.Group)+behind(d, p.Group))
		}
		text += ": " + thousands(int(c.Explained)) + " logged (" + strings.Join(parts, "; ") + ")"
	}
	if rest := c.Delta - c.Explained; rest > 0 {
		text += map[bool]string{true: ", ", false: ": "}[strings.Contains(text, ":")] + thousands(int(rest)) + " not logged"
		var causes []string
		for _, x := range c.account.Silent[:min(len(c.account.Silent), maxSilentCauses)] {
			causes = append(causes, safe(x.What))
			if x.Likely {
				break
			}
		}
		if len(causes) > 0 {
			text += ": " + strings.Join(causes, "; or ")
		}
	}
	if c.Over > 0 {
		text += "; the log has " + thousands(int(c.Over)) + " more than were counted: it began before, or they are of another namespace"
	}
	return text
}

// behind names the rule behind the flows of a group, where it is one.
func behind(d *Invalid, g *invalid.Group) string {
	for i := range d.Messages {
		m := &d.Messages[i]
		if m.group != g || len(m.Flows) == 0 || m.Flows[0].Rule == nil || m.Others > 0 {
			continue
		}
		name := longName(m.Flows[0].Rule)
		for j := range m.Flows {
			if r := m.Flows[j].Rule; r == nil || longName(r) != name {
				return ""
			}
		}
		if len(m.Flows) == 1 {
			return " on the flow behind " + name
		}
		return " on the " + itoa(len(m.Flows)) + " flows behind " + name
	}
	return ""
}
