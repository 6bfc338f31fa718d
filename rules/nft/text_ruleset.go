package nft

import (
	"fmt"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// RulesetText is the whole ruleset in the form that nft -f reads: tables with
// their objects, sets with elements, and chains with rules. What nft itself
// does not show, legacy tables, is left out.
func RulesetText(rs *rules.Ruleset) string {
	var b strings.Builder
	for _, t := range rs.Tables {
		if t.Backend != rules.BackendIptablesLegacy {
			w := tableWriter{Builder: &b, rs: rs, table: t}
			w.write()
		}
	}
	return b.String()
}

type tableWriter struct {
	*strings.Builder
	rs    *rules.Ruleset
	table *rules.Table
}

func (w tableWriter) line(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }

func (w tableWriter) printer() *printer {
	p := newPrinter(w.table.Family, w.rs.Order)
	p.links, p.indent = w.rs.DeviceName, "\t\t"
	return p
}

var tableFlagNames = []symbol{{"dormant", 1}, {"owner", 2}, {"persist", 4}}

func (w tableWriter) write() {
	w.line("table %s %s {", w.table.Family, Escape(w.table.Name))
	var flags []string
	for _, f := range tableFlagNames {
		if uint64(w.table.Flags)&f.value != 0 {
			flags = append(flags, f.name)
		}
	}
	sep := ""
	if len(flags) > 0 {
		w.line("\tflags %s", strings.Join(flags, ","))
		sep = "\n"
	}
	if w.table.Comment != "" {
		w.line("\tcomment %s", quote(w.table.Comment))
	}
	for _, o := range w.table.Objects {
		w.WriteString(sep)
		w.object(o)
		sep = "\n"
	}
	for _, s := range w.table.Sets {
		if s.Flags&rules.SetAnonymous == 0 {
			w.WriteString(sep)
			w.set(s)
			sep = "\n"
		}
	}
	for _, f := range w.table.Flowtables {
		w.WriteString(sep)
		w.flowtable(f)
		sep = "\n"
	}
	for _, c := range w.table.Chains {
		if !c.Binding {
			w.WriteString(sep)
			w.chain(c)
			sep = "\n"
		}
	}
	w.line("}")
}

func (w tableWriter) chain(c *rules.Chain) {
	w.line("\tchain %s {", Escape(c.Name))
	if c.Comment != "" {
		w.line("\t\tcomment %s", quote(c.Comment))
	}
	if c.Base != nil {
		w.line("\t\t%s", baseText(w.table.Family, c.Base))
	}
	for _, r := range c.Rules {
		p := w.printer()
		text := p.rule(r) + commentOf(r, true)
		if !r.Decoded() {
			text = "# " + strings.ReplaceAll(text, "\n", "\n# ")
		}
		w.line("\t\t%s", text)
	}
	w.line("\t}")
}

// baseText is the line of a base chain.
func baseText(f rules.Family, b *rules.BaseChain) string {
	hook := b.Hook.String()
	if f == rules.FamilyNetdev && b.Hook == rules.Ingress+1 {
		hook = "egress"
	}
	out := fmt.Sprintf("type %s hook %s", b.Type, hook)
	if len(b.Devices) == 1 {
		out += " device " + quote(b.Devices[0].String())
	} else if len(b.Devices) > 1 {
		out += " devices = " + devicesText(b.Devices)
	}
	return out + fmt.Sprintf(" priority %s; policy %s;", PriorityText(f, b.Hook, b.Priority), b.Policy)
}

// priority is one of nft's names for priorities.
type priority struct {
	value int32
	name  string
	hook  int // the only hook at which it is used, or -1
}

var (
	priorities = []priority{
		{-300, "raw", -1}, {-150, "mangle", -1}, {-100, "dstnat", int(rules.Prerouting)},
		{0, "filter", -1}, {50, "security", -1}, {100, "srcnat", int(rules.Postrouting)},
	}
	bridgePriorities = []priority{
		{-300, "dstnat", int(rules.Prerouting)}, {-200, "filter", -1},
		{100, "out", int(rules.Output)}, {300, "srcnat", int(rules.Postrouting)},
	}
)

// priorityReach is how far from a named priority one is written as an offset.
const priorityReach = 10

// PriorityText is a base chain's priority as nft prints it: filter, dstnat + 5,
// -200 (prio2str).
func PriorityText(f rules.Family, h rules.Hook, prio int32) string {
	table := priorities
	if f == rules.FamilyBridge {
		table = bridgePriorities
	}
	for _, p := range table {
		d := int64(prio) - int64(p.value)
		if d < -priorityReach || d > priorityReach {
			continue
		}
		only := f == rules.FamilyARP || f == rules.FamilyNetdev
		if p.hook >= 0 && p.hook != int(h) || only && p.value != 0 {
			break
		}
		switch {
		case d > 0:
			return fmt.Sprintf("%s + %d", p.name, d)
		case d < 0:
			return fmt.Sprintf("%s - %d", p.name, -d)
		}
		return p.name
	}
	return fmt.Sprint(prio)
}

var setFlagNames = []struct {
	flag rules.SetFlags
	name string
}{{rules.SetConstant, "constant"}, {rules.SetEval, "dynamic"}, {rules.SetInterval, "interval"}, {rules.SetTimeout, "timeout"}}

func (w tableWriter) set(s *rules.Set) {
	kind := "set"
	if s.Flags&(rules.SetMap|rules.SetObject) != 0 {
		kind = "map"
	}
	p := w.printer()
	p.counters = false
	key, data := p.key(s), typed{}
	if s.Flags&rules.SetMap != 0 {
		data = p.dataType(s)
	}
	w.line("\t%s %s {", kind, Escape(s.Name))
	w.line("\t\t%s", p.declaration(s, &key, &data))
	if s.Flags&rules.SetConstant == 0 {
		if s.Policy != 0 {
			w.line("\t\tpolicy memory")
		}
		if s.Size != 0 {
			w.line("\t\tsize %d", s.Size)
		}
	}
	var flags []string
	for _, f := range setFlagNames {
		if s.Flags&f.flag != 0 {
			flags = append(flags, f.name)
		}
	}
	// a default timeout says that elements time out
	if len(flags) > 1 || len(flags) == 1 && (flags[0] != "timeout" || s.Timeout == 0) {
		w.line("\t\tflags %s", strings.Join(flags, ","))
	}
	if len(s.Exprs) > 0 {
		var out []string
		for _, e := range s.Exprs {
			out = append(out, p.inner(e))
		}
		w.line("\t\t%s", strings.Join(out, " "))
	}
	if !isZero(userdata(s.UserData, udataSetAutoMerge)) {
		w.line("\t\tauto-merge")
	}
	if s.Timeout != 0 {
		w.line("\t\ttimeout %s", timeText(s.Timeout))
	}
	if s.GCInterval != 0 {
		w.line("\t\tgc-interval %s", timeText(uint64(s.GCInterval)))
	}
	if s.Comment != "" {
		w.line("\t\tcomment %s", quote(s.Comment))
	}
	if len(s.Elements) > 0 {
		w.line("\t\telements = { %s }", inLines(p.elements(s, key, data), key))
	}
	w.line("\t}")
}

// elementsPerLine is how many elements nft writes in one line, by the type of
// the key; one of any other type (calculate_delim).
var elementsPerLine = map[*datatype]int{
	typeNfproto: 5, typeInteger: 5, typeArpop: 5, typeProtocol: 5, typeService: 5, typeTCPFlags: 5, typeDCCPType: 5,
	typeMark: 5, typeIfindex: 5, typeClassid: 5, typeUID: 5, typeGID: 5, typeCtDir: 5,
	typeIPAddr: 2, typeCtState: 2, typeCtStatus: 2, typePkttype: 2,
}

// inLines joins the elements of a named set.
func inLines(elements []string, key typed) string {
	n := 1
	if len(key.parts) == 0 {
		n = max(n, elementsPerLine[key.typ])
	}
	var out strings.Builder
	for i, e := range elements {
		switch {
		case i == 0:
		case i%n == 0:
			out.WriteString(",\n\t\t\t     ")
		default:
			out.WriteString(", ")
		}
		out.WriteString(e)
	}
	return out.String()
}

// typeText names a type as set declarations do.
func typeText(t typed) string {
	if len(t.parts) == 0 {
		return t.typ.name
	}
	var out []string
	for _, part := range t.parts {
		out = append(out, typeText(part))
	}
	return strings.Join(out, " . ")
}
