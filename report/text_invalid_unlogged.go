package report

import "strings"

// unloggedAlone is the answer where nothing of what was invalid or dropped was
// logged.
func unloggedAlone(u *InvalidUnlogged) string {
	was := func(n uint64) string {
		if n == 1 {
			return "1 packet was "
		}
		return packets(n) + " were "
	}
	none := func(n uint64) string {
		if n == 1 {
			return "not logged"
		}
		return "none was logged"
	}
	if u.Invalid == 0 {
		return was(u.Dropped) + "dropped by conntrack and " + none(u.Dropped) + unloggedWhy(u)
	}
	text := was(u.Invalid) + "invalid and " + none(u.Invalid) + unloggedWhy(u)
	if u.Invalid == 1 {
		text += "; NAT leaves such a packet alone, and where it went is not known"
	} else {
		text += "; NAT leaves such packets alone, and where they went is not known"
	}
	if u.Dropped > 0 {
		text += "; " + thousands(int(u.Dropped)) + " dropped by conntrack"
	}
	return text
}

// unloggedToo is what follows on those that were logged.
func unloggedToo(u *InvalidUnlogged) string {
	var parts []string
	if u.Invalid > 0 {
		parts = append(parts, thousands(int(u.Invalid))+" more invalid and not logged")
	}
	if u.Dropped > 0 {
		parts = append(parts, thousands(int(u.Dropped))+" dropped by conntrack and not logged")
	}
	return strings.Join(parts, ", ")
}

// unloggedWhy is the likely cause, where there is one.
func unloggedWhy(u *InvalidUnlogged) string {
	if !u.Likely {
		return ""
	}
	what := safe(u.Causes[0].What)
	if u.Causes[0].because {
		return ": " + what
	}
	return ": likely " + what
}

// invalidUnlogged says what can be behind packets that were not logged, and
// what to do, where a cause does not say it. Beside packets that were logged the
// line of their counter is enough.
func invalidUnlogged(b *strings.Builder, d *Invalid, s Style) {
	u := d.Verdict.Unlogged
	if u == nil || len(u.Causes) == 0 || d.Verdict.Invalid > 0 || len(d.Verdict.Causes) > 0 {
		return
	}
	heading(b, s, "Counted and not logged ("+packets(max(u.Invalid, u.Dropped))+"):")
	n := len(u.Causes)
	switch {
	case u.Likely:
		n = 1
	case !s.Wide:
		n = min(n, maxSilentCauses)
	}
	for i := range u.Causes[:n] {
		c := &u.Causes[i]
		sure := " (possible)"
		switch {
		case c.because:
			sure = ""
		case u.Likely:
			sure = " (likely)"
		}
		wrap(b, s.width(), "  ", "    ", s.paintWords(bold, safe(c.What))+sure)
		wrap(b, s.width(), "      ", "        ", safe(c.Cause))
		if u.Likely {
			doText(b, s, "      ", c.Fix, "")
		}
	}
	if rest := len(u.Causes) - n; rest > 0 && !u.Likely {
		wrap(b, s.width(), "  ", "    ", counted(rest, "more way", "more ways")+": -o wide lists them")
	}
}
