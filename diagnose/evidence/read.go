package evidence

import (
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/bundle"
	"github.com/ntdiag/ntdiag/diagnose/counters"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/kernlog"
	"github.com/ntdiag/ntdiag/diagnose/query"
	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/xt"
)

// readFlows reads conntrack -L, and -E, whose later lines tell of the entry
// what is true then.
func readFlows(b *builder, s *section) {
	for i, line := range s.lines {
		if !query.IsFlowLine(line) {
			if w := words(line); len(w) > 0 && !strings.HasPrefix(line, "conntrack v") && !strings.Contains(line, "flow entries have been shown") {
				b.problem(s, i, "not a line of conntrack: %.60q", line)
			}
			continue
		}
		f, _, err := query.ParseFlow(line)
		if err != nil {
			b.problem(s, i, "%v", err)
			b.unreadFlows++
			continue
		}
		b.flow(&f)
	}
	b.has[partFlows] = true
}

// flowKey is what the kernel tells entries apart by.
type flowKey struct {
	original rules.Tuple
	zone     uint16
}

func (b *builder) flow(f *host.Flow) {
	k := flowKey{f.Original, f.Zone}
	if at, ok := b.flowAt[k]; ok {
		b.flows[at] = *f
		return
	}
	b.flowAt[k] = len(b.flows)
	b.flows = append(b.flows, *f)
}

func readStats(b *builder, s *section) {
	r, err := counters.Read(strings.NewReader(s.text()), s.file)
	if err != nil {
		b.problem(s, 0, "%v", err)
		return
	}
	b.stats(r)
}

func readSave4(b *builder, s *section) {
	if sixIn(s) {
		b.save(s, rules.FamilyIPv6)
		return
	}
	b.save(s, rules.FamilyIPv4)
}

func readSave6(b *builder, s *section) { b.save(s, rules.FamilyIPv6) }

// sixIn tells rules of IPv6 by the command, the file's name, or what only they
// have.
func sixIn(s *section) bool {
	if p := programOf(s.command); p != "" {
		return strings.HasPrefix(p, "ip6tables")
	}
	if strings.Contains(base(s.file), "ip6tables") {
		return true
	}
	return slices.ContainsFunc(s.lines, func(line string) bool {
		return strings.Contains(line, "ip6tables") || strings.Contains(line, "-p ipv6-icmp") || strings.Contains(line, "icmp6-")
	})
}

// save keeps the rules of a text for when all sets are known.
func (b *builder) save(s *section, f rules.Family) {
	b.saves = append(b.saves, saved{s, f})
	b.has[partRules] = true
}

type saved struct {
	s      *section
	family rules.Family
}

// tableOf is the table that a listing without one is of, by its command or the
// file's name ("iptables_-t_nat_-nvL").
func tableOf(s *section) string {
	w := words(s.command)
	if len(w) == 0 {
		w = strings.Split(base(s.file), "_")
	}
	for i := 0; i+1 < len(w); i++ {
		if w[i] == "-t" || w[i] == "--table" {
			return w[i+1]
		}
	}
	return ""
}

// parseSaves reads the texts of rules.
func (b *builder) parseSaves() {
	for _, v := range b.saves {
		x := xt.Text{Family: v.family, Order: b.snap.Order, IPSet: b.snap.Rules.IPSetByName, Table: tableOf(v.s)}
		tables, problems, err := xt.ParseSave(x, strings.NewReader(v.s.text()))
		if err != nil {
			b.problem(v.s, 0, "%v", err)
			continue
		}
		if !slices.ContainsFunc(v.s.lines, func(line string) bool { return strings.HasPrefix(strings.TrimSpace(line), "*") }) {
			b.partial[v.family] = true
		}
		for _, p := range problems {
			b.problem(v.s, p.Line-1, "%s", p.Why)
		}
		for _, t := range tables {
			b.addTable(v.s, t)
		}
	}
}

// addTable adds a table. One that is there already was given twice: the first
// counts.
func (b *builder) addTable(s *section, t *rules.Table) {
	for _, o := range b.snap.Rules.Tables {
		if o.Family == t.Family && o.Name == t.Name && o.Backend.Iptables() == t.Backend.Iptables() {
			if len(o.Chains) > 0 && !sameTable(o, t) {
				b.problem(s, 0, "table %s of %s was given before, in another file, which counts", t.Name, t.Family)
			}
			return
		}
	}
	t.Ruleset = b.snap.Rules
	t.Handle = uint64(len(b.snap.Rules.Tables) + 1)
	b.snap.Rules.Tables = append(b.snap.Rules.Tables, t)
	b.families[t.Family] = true
}

func sameTable(a, b *rules.Table) bool { return xt.TableText(a) == xt.TableText(b) }

// readSysctls reads sysctl -a.
func readSysctls(b *builder, s *section) {
	for _, line := range s.lines {
		k, v, ok := strings.Cut(line, "=")
		if k = strings.TrimSpace(k); !ok || !strings.HasPrefix(k, "net.") && !strings.HasPrefix(k, "kernel.") {
			continue
		}
		b.snap.Sysctls[k] = host.Known(strings.TrimSpace(v))
		switch k {
		case "kernel.hostname":
			b.snap.Hostname = strings.TrimSpace(v)
		case "kernel.osrelease":
			b.snap.Kernel = strings.TrimSpace(v)
		}
	}
	b.has[partSysctls] = true
}

// readUname reads uname -a, or -r.
func readUname(b *builder, s *section) {
	for _, line := range s.lines {
		w := words(line)
		if len(w) > 2 && w[0] == "Linux" {
			b.snap.Hostname, b.snap.Kernel = w[1], w[2]
			return
		}
	}
	if w := words(s.text()); len(w) == 1 {
		b.snap.Kernel = w[0]
	}
}

// readLog reads dmesg, or what the journal printed of it.
func readLog(b *builder, s *section) {
	r, err := kernlog.Open([]string{"-"}, strings.NewReader(s.text()))
	if err != nil {
		b.problem(s, 0, "%v", err)
		return
	}
	defer r.Close()
	var rec kernlog.Record
	for {
		err := r.Next(&rec)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			b.problem(s, 0, "%v", err)
			break
		}
		b.state.Log = append(b.state.Log, bundle.LogLine{
			At: rec.Time(), Text: string(rec.Text), Seq: rec.Seq, HasSeq: rec.HasSeq, Continues: rec.Continues, Foreign: rec.Foreign, Repeats: rec.Repeats,
		})
	}
	b.state.LogLost += r.Lost()
	b.has[bundle.PartLog] = true
}
