package xt

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// Problem is something in a text that was not understood as it stands.
type Problem struct {
	Line int // from 1
	Why  string
}

func (p Problem) String() string { return fmt.Sprintf("line %d: %s", p.Line, p.Why) }

// Text is what a listing of rules is read with.
type Text struct {
	Family rules.Family // FamilyIPv4 or FamilyIPv6
	// Order is that of meta and ct values in the statements, little-endian when
	// nil: a text has none.
	Order binary.ByteOrder
	// IPSet finds a set by its name; nil where there are none.
	IPSet func(name string) *rules.IPSet
	// Table is that of lines before which none is named, "" to tell it by the
	// chains.
	Table string
}

// maxLine is how long a line may be: KUBE-SERVICES of a busy cluster has none
// of a thousandth of it.
const maxLine = 1 << 20

// ParseSave reads what iptables-save prints, or iptables -S, or iptables -L -n
// -v, or the lines of a script: every rule becomes the statements that
// DecodeTable makes of its blob. What is not understood becomes opaque, and a problem that names its line. An
// error is one of reading.
func ParseSave(x Text, r io.Reader) ([]*rules.Table, []Problem, error) {
	if _, ok := layouts[x.Family]; !ok {
		return nil, nil, fmt.Errorf("iptables rules of family %s", x.Family)
	}
	if x.Order == nil {
		x.Order = binary.LittleEndian
	}
	p := &saveParser{Text: x, layout: layouts[x.Family], backend: rules.BackendIptablesLegacy}
	in := bufio.NewScanner(r)
	in.Buffer(nil, maxLine)
	var lines []string
	for in.Scan() {
		lines = append(lines, strings.TrimSpace(in.Text()))
	}
	if err := in.Err(); errors.Is(err, bufio.ErrTooLong) {
		return nil, nil, fmt.Errorf("line %d: longer than %d bytes", len(lines)+1, maxLine)
	} else if err != nil {
		return nil, nil, err
	}
	p.declare(lines)
	for i, s := range lines {
		p.no = i + 1
		p.lineOf(s)
	}
	p.finish()
	return p.tables, p.problems, nil
}

type saveParser struct {
	Text
	layout   layout
	backend  rules.Backend
	no       int
	table    *rules.Table
	tables   []*rules.Table
	chains   map[*rules.Table]map[string]*rules.Chain
	declared map[string]bool // chains that a line makes, "table name"
	loose    string          // the table of lines outside of one
	list     *listing        // of iptables -L
	problems []Problem
}

func (p *saveParser) problem(format string, args ...any) {
	p.problems = append(p.problems, Problem{p.no, fmt.Sprintf(format, args...)})
}

// declare looks through the text for the chains that it makes, so that a jump
// is known by its target wherever that stands, and for the table of lines that
// name none.
func (p *saveParser) declare(lines []string) {
	p.declared, p.chains = map[string]bool{}, map[*rules.Table]map[string]*rules.Chain{}
	table := ""
	base := map[string]bool{}
	for _, s := range lines {
		w := splitWords(s)
		_, table2, rest := command(w)
		switch {
		case s == "" || s[0] == '#':
		case s[0] == '*':
			table = strings.TrimSpace(s[1:])
		case s == "COMMIT":
			table = ""
		case listHead.MatchString(s):
			name := listHead.FindStringSubmatch(s)[1]
			p.declared[" "+name] = true
			base[name] = true
		case s[0] == ':' && len(w) > 0:
			p.declared[table+" "+w[0].s[1:]] = true
		case len(rest) > 1 && (rest[0].s == "-N" || rest[0].s == "-P"):
			if table2 == "" {
				table2 = table
			}
			p.declared[table2+" "+rest[1].s] = true
			if rest[0].s == "-P" && table2 == "" {
				base[rest[1].s] = true
			}
		}
	}
	if p.loose = p.Text.Table; p.loose == "" {
		p.loose = tableOf(base)
	}
	for key := range p.declared {
		if name, ok := strings.CutPrefix(key, " "); ok {
			p.declared[p.loose+" "+name] = true
		}
	}
}

// tableOf tells a table by its base chains; filter, which iptables takes when
// none is named, where there are none.
func tableOf(base map[string]bool) string {
	switch {
	case base["FORWARD"] && base["PREROUTING"]:
		return "mangle"
	case base["FORWARD"] || len(base) == 0:
		return "filter"
	case base["POSTROUTING"]:
		return "nat"
	case base["PREROUTING"]:
		return "raw"
	}
	return "filter"
}

// command takes the program off a line of a script, and the table that it names
// off its words.
func command(w []word) (program, table string, rest []word) {
	for len(w) > 0 && !w[0].quoted {
		name := path.Base(w[0].s)
		if name != "sudo" && !strings.HasPrefix(name, "iptables") && !strings.HasPrefix(name, "ip6tables") {
			break
		}
		program, w = name, w[1:]
	}
	for len(w) > 0 && !w[0].quoted {
		switch s := w[0].s; {
		case len(w) > 1 && (s == "-t" || s == "--table"):
			table, w = w[1].s, w[2:]
			continue
		case strings.HasPrefix(s, "--table="):
			table, w = s[len("--table="):], w[1:]
			continue
		case program != "" && (s == "-w" || s == "--wait"):
			w = w[1:]
			continue
		}
		break
	}
	return program, table, w
}

// lineOf reads one line.
func (p *saveParser) lineOf(s string) {
	switch {
	case s == "":
	case s[0] == '#':
		p.remark(s)
	case s[0] == '*':
		p.table = p.tableNamed(strings.TrimSpace(s[1:]))
	case s == "COMMIT":
		p.table = nil
	case s[0] == ':':
		p.chainLine(splitWords(s[1:]))
	case p.listLine(s):
	default:
		p.ruleLine(s)
	}
}

// remark takes from the tool's remarks which backend it listed, and what it
// did not list.
func (p *saveParser) remark(s string) {
	switch {
	case strings.Contains(s, "(nf_tables)") || strings.Contains(s, "nft-save"):
		p.backend = rules.BackendIptablesNft
	case strings.Contains(s, "legacy tables present"):
		p.problem("the rules of iptables-legacy are not in this text, and there are some")
	case strings.Contains(s, "is incompatible, use 'nft' tool"):
		p.problem("a table is not in this text: it holds rules of nft (%s)", strings.TrimLeft(s, "# "))
	}
}

// tableNamed finds or makes a table of the text.
func (p *saveParser) tableNamed(name string) *rules.Table {
	if _, ok := legacyTables[name]; !ok {
		p.problem("table %q is not one of iptables", name)
		return nil
	}
	for _, t := range p.tables {
		if t.Name == name {
			return t
		}
	}
	t := &rules.Table{Backend: p.backend, Family: p.Family, Name: name}
	p.tables = append(p.tables, t)
	p.chains[t] = map[string]*rules.Chain{}
	return t
}

// chainLine is CHAIN POLICY [PACKETS:BYTES].
func (p *saveParser) chainLine(w []word) {
	if len(w) < 2 {
		p.problem("a chain without a policy")
		return
	}
	if p.table == nil {
		p.table = p.tableNamed(p.loose)
	}
	c := p.chain(p.table, w[0].s)
	if c.Base == nil {
		return
	}
	p.policy(c, w[1].s)
	if len(w) > 2 {
		if n, b, ok := counters(w[2].s); ok {
			c.Base.HasCounter, c.Base.Packets, c.Base.Bytes = true, n, b
		}
	}
}

func (p *saveParser) policy(c *rules.Chain, s string) {
	switch s {
	case "ACCEPT":
		c.Base.Policy = rules.VerdictAccept
	case "DROP":
		c.Base.Policy = rules.VerdictDrop
	default:
		p.problem("policy %q of chain %s is not known: taken for ACCEPT", s, c.Name)
	}
}

// counters reads [PACKETS:BYTES].
func counters(s string) (packets, bytes uint64, ok bool) {
	s, closed := strings.CutSuffix(s, "]")
	s, opened := strings.CutPrefix(s, "[")
	a, b, both := strings.Cut(s, ":")
	packets, err1 := strconv.ParseUint(a, 10, 64)
	bytes, err2 := strconv.ParseUint(b, 10, 64)
	return packets, bytes, closed && opened && both && err1 == nil && err2 == nil
}

// chain finds or makes a chain. One of the table's own hangs at its hook.
func (p *saveParser) chain(t *rules.Table, name string) *rules.Chain {
	if c := p.chains[t][name]; c != nil {
		return c
	}
	c := &rules.Chain{Table: t, Name: name}
	if h := slices.Index(legacyChains[:], name); h >= 0 {
		c.Base = baseChain(t.Name, rules.Hook(h))
		if !p.declared[t.Name+" "+name] {
			p.problem("the policy of chain %s is not given: taken for ACCEPT", name)
		}
	}
	p.chains[t][name] = c
	t.Chains = append(t.Chains, c)
	return c
}

// ruleLine is "-A CHAIN …", "-P CHAIN POLICY", "-N CHAIN", with what may stand
// before it.
func (p *saveParser) ruleLine(s string) {
	w := splitWords(s)
	var counted *rules.Counter
	if len(w) > 0 {
		if n, b, ok := counters(w[0].s); ok {
			counted, w = &rules.Counter{Packets: n, Bytes: b}, w[1:]
		}
	}
	_, table, w := command(w)
	if len(w) < 2 || w[0].quoted {
		p.problem("not a line of iptables-save: %.60q", s)
		return
	}
	t := p.table
	if table != "" {
		t = p.tableNamed(table)
	} else if t == nil {
		t = p.tableNamed(p.loose)
	}
	if t == nil {
		return
	}
	switch w[0].s {
	case "-P", "--policy":
		if c := p.chain(t, w[1].s); c.Base != nil && len(w) > 2 {
			p.policy(c, w[2].s)
			p.policyCounters(c, w[3:])
		}
	case "-N", "--new-chain":
		p.chain(t, w[1].s)
	case "-A", "--append":
		p.add(t, w[1].s, -1, w[2:], counted)
	case "-I", "--insert":
		c, at := w[1].s, 0
		w = w[2:]
		if len(w) > 0 {
			if n, err := strconv.Atoi(w[0].s); err == nil && n > 0 {
				at, w = n-1, w[1:]
			}
		}
		p.add(t, c, at, w, counted)
	default:
		p.problem("not a line of iptables-save: %.60q", s)
	}
}

// policyCounters reads the -c PACKETS BYTES that iptables -S -v adds.
func (p *saveParser) policyCounters(c *rules.Chain, w []word) {
	if len(w) != 3 || w[0].s != "-c" {
		return
	}
	if n, b, ok := counters("[" + w[1].s + ":" + w[2].s + "]"); ok {
		c.Base.HasCounter, c.Base.Packets, c.Base.Bytes = true, n, b
	}
}

// add puts a rule into a chain, at the end for a negative place.
func (p *saveParser) add(t *rules.Table, name string, at int, w []word, counted *rules.Counter) {
	c := p.chain(t, name)
	for _, one := range p.addresses(w) {
		r := p.rule(c, one, counted)
		if at < 0 || at > len(c.Rules) {
			c.Rules = append(c.Rules, r)
			continue
		}
		c.Rules = slices.Insert(c.Rules, at, r)
	}
}

// finish numbers the rules, and ties jumps to their chains.
func (p *saveParser) finish() {
	for _, t := range p.tables {
		t.Backend = p.backend
		for _, c := range t.Chains {
			for i, r := range c.Rules {
				r.Position = i + 1
				for _, s := range r.Statements {
					if v, ok := s.(*rules.Verdict); ok && v.ChainName != "" {
						v.Chain = p.chains[t][v.ChainName]
					}
				}
			}
		}
		cutLoops(t)
	}
}
