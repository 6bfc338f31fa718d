package xt

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// ruleText is a rule while its words are read.
type ruleText struct {
	*saveParser
	ctx     *Context
	where   string // the table
	head    header
	matches []*extension
	target  *extension
	current *extension // that options belong to first
	jump    string     // a verdict or a chain
	isGoto  bool
	counted *rules.Counter
	invert  bool // an exclamation mark was read
}

// extension is a match or a target while its options are read.
type extension struct {
	name  string
	row   *textRow // nil for one that is not known
	given given
	words []word // what it was given, for one that is not understood
}

// headerOptions are those that every rule can have (command_default of
// iptables); each reads its values off the front of w and returns the rest.
var headerOptions = map[string]func(r *ruleText, w []word) []word{
	"-s": (*ruleText).source, "--source": (*ruleText).source, "--src": (*ruleText).source,
	"-d": (*ruleText).destination, "--destination": (*ruleText).destination, "--dst": (*ruleText).destination,
	"-i": (*ruleText).input, "--in-interface": (*ruleText).input,
	"-o": (*ruleText).output, "--out-interface": (*ruleText).output,
	"-p": (*ruleText).protocol, "--protocol": (*ruleText).protocol, "--proto": (*ruleText).protocol,
	"-f": (*ruleText).fragment, "--fragment": (*ruleText).fragment,
	"-m": (*ruleText).match, "--match": (*ruleText).match,
	"-j": (*ruleText).jumpTo, "--jump": (*ruleText).jumpTo,
	"-g": (*ruleText).goTo, "--goto": (*ruleText).goTo,
	"-c": (*ruleText).counters, "--set-counters": (*ruleText).counters,
}

// addresses takes a rule with lists of addresses apart, as iptables does: one
// rule for each source and destination.
func (p *saveParser) addresses(w []word) [][]word {
	out := [][]word{w}
	for i := 0; i+1 < len(w); i++ {
		if !w[i].is("-s", "--source", "--src", "-d", "--destination", "--dst") || !strings.Contains(w[i+1].s, ",") {
			continue
		}
		var next [][]word
		for _, rule := range out {
			for a := range strings.SplitSeq(w[i+1].s, ",") {
				one := append([]word(nil), rule...)
				one[i+1].s = a
				next = append(next, one)
			}
		}
		if len(next) > maxExpanded {
			p.problem("more than %d rules in one", maxExpanded)
			return out[:1]
		}
		out = next
	}
	return out
}

const maxExpanded = 4096

// rule reads the words behind -A CHAIN.
func (p *saveParser) rule(c *rules.Chain, w []word, counted *rules.Counter) *rules.Rule {
	r := &ruleText{
		saveParser: p, where: c.Table.Name, counted: counted, head: header{layout: p.layout},
		ctx: &Context{Order: p.Order, Family: p.Family, setNamed: p.IPSet},
	}
	r.head.blob = make([]byte, p.layout.size)
	for len(w) > 0 {
		w = r.next(w)
	}
	if r.invert {
		r.invert = false
		r.stray(word{s: "!"})
	}
	return r.build(c)
}

// next reads one option.
func (r *ruleText) next(w []word) []word {
	x := w[0]
	if x.is("!") {
		r.invert = true
		return w[1:]
	}
	if x.quoted || !strings.HasPrefix(x.s, "-") {
		r.stray(x)
		return w[1:]
	}
	name, value, joined := strings.Cut(x.s, "=")
	if joined && strings.HasPrefix(x.s, "--") {
		x.s = name
		w = append([]word{x, {s: value, quoted: true, raw: quote(value)}}, w[1:]...)
	}
	if e, n, canonical := r.owner(x.s); e != nil {
		return r.take(e, canonical, n, w)
	}
	if set := headerOptions[x.s]; set != nil {
		rest := set(r, w[1:])
		r.invert = false
		return rest
	}
	if e := r.implied(x.s); e != nil {
		return r.next(w)
	}
	r.stray(x)
	return w[1:]
}

// owner finds the extension that an option is of: that which was named last,
// then the others, from the last on.
func (r *ruleText) owner(option string) (e *extension, values int, canonical string) {
	if !strings.HasPrefix(option, "--") {
		return nil, 0, ""
	}
	try := []*extension{r.current, r.target}
	for i := len(r.matches) - 1; i >= 0; i-- {
		try = append(try, r.matches[i])
	}
	for _, e := range try {
		if e == nil || e.row == nil {
			continue
		}
		if n, name, ok := e.row.option(option[2:]); ok {
			return e, n, name
		}
	}
	return nil, 0, ""
}

const mayHaveValue = -1

// option finds an option by one of its names.
func (t *textRow) option(name string) (values int, canonical string, ok bool) {
	for spec := range strings.FieldsSeq(t.options) {
		names, n, _ := strings.Cut(spec, "=")
		first, _, _ := strings.Cut(names, ",")
		for one := range strings.SplitSeq(names, ",") {
			if one == name {
				if n == "?" {
					return mayHaveValue, first, true
				}
				values, _ = strconv.Atoi(n)
				return values, first, true
			}
		}
	}
	return 0, "", false
}

// take gives an option to its extension.
func (r *ruleText) take(e *extension, name string, values int, w []word) []word {
	o := option{name: name, invert: r.invert}
	if r.invert {
		e.words = append(e.words, word{s: "!"})
	}
	r.invert = false
	e.words, w = append(e.words, w[0]), w[1:]
	if values == mayHaveValue {
		values = 0
		if len(w) > 0 && !w[0].is("!") && (w[0].quoted || !strings.HasPrefix(w[0].s, "-")) {
			values = 1
		}
	}
	for len(o.values) < values && len(w) > 0 {
		if len(o.values) == 0 && w[0].is("!") { // before 1.4.3 it stood here
			o.invert = true
		} else {
			o.values = append(o.values, w[0].s)
		}
		e.words, w = append(e.words, w[0]), w[1:]
	}
	if len(o.values) < values {
		e.given.fail("--%s has no value", name)
	}
	e.given.opts = append(e.given.opts, o)
	return w
}

// impliedMatches are loaded by -p when an option asks for them.
var impliedMatches = map[uint8]string{
	1: "icmp", protoTCP: "tcp", protoUDP: "udp", 33: "dccp", 50: "esp", 51: "ah", 58: "icmp6", 132: "sctp", 135: "mh", 136: "udplite",
}

func (r *ruleText) implied(option string) *extension {
	name := impliedMatches[r.head.proto]
	row := findText(matchTexts, r.Family, name)
	if row == nil || !strings.HasPrefix(option, "--") {
		return nil
	}
	if _, _, ok := row.option(option[2:]); !ok {
		return nil
	}
	return r.begin(name, row)
}

func (r *ruleText) begin(name string, row *textRow) *extension {
	e := &extension{name: name, row: row}
	r.matches = append(r.matches, e)
	r.current = e
	return e
}

// stray is a word that has no place. It belongs to what was named last, which
// is not understood then.
func (r *ruleText) stray(x word) {
	if r.current == nil {
		r.begin("", nil)
	}
	if r.invert {
		r.current.words = append(r.current.words, word{s: "!"})
		r.invert = false
	}
	r.current.words = append(r.current.words, x)
	r.current.given.fail("%q is not known", x.s)
}

// value takes the value of an option of the rule itself.
func (r *ruleText) value(w []word, option string) (string, []word) {
	if len(w) > 0 && w[0].is("!") {
		r.invert, w = true, w[1:]
	}
	if len(w) == 0 {
		r.head.fail(fmt.Errorf("%s has no value", option))
		return "", nil
	}
	return w[0].s, w[1:]
}

func (r *ruleText) source(w []word) []word {
	s, w := r.value(w, "-s")
	r.head.address(0, s, r.invert, invSrc)
	return w
}

func (r *ruleText) destination(w []word) []word {
	s, w := r.value(w, "-d")
	r.head.address(1, s, r.invert, invDst)
	return w
}

func (r *ruleText) input(w []word) []word {
	s, w := r.value(w, "-i")
	r.head.device(0, s, r.invert, invIn)
	return w
}

func (r *ruleText) output(w []word) []word {
	s, w := r.value(w, "-o")
	r.head.device(1, s, r.invert, invOut)
	return w
}

func (r *ruleText) protocol(w []word) []word {
	s, w := r.value(w, "-p")
	r.head.protocol(r.ctx, s, r.invert)
	return w
}

func (r *ruleText) fragment(w []word) []word {
	if r.Family != rules.FamilyIPv4 {
		r.head.fail(errors.New("-f is of IPv4"))
		return w
	}
	r.head.words("-f", "", r.invert)
	r.head.blob[r.layout.flags] |= fragFlag4
	if r.invert {
		r.head.blob[r.layout.flags+1] |= invFrag
	}
	return w
}

func (r *ruleText) match(w []word) []word {
	name, w := r.value(w, "-m")
	if name == "icmpv6" || name == "ipv6-icmp" {
		name = "icmp6"
	}
	row := findText(matchTexts, r.Family, name)
	e := r.begin(name, row)
	if row == nil && name != "" {
		return r.unknown(e, w)
	}
	return w
}

// unknown takes all words of an extension that is not known: up to the next
// option of the rule itself.
func (r *ruleText) unknown(e *extension, w []word) []word {
	for len(w) > 0 {
		next := w[0]
		if next.is("!") && len(w) > 1 {
			next = w[1]
		}
		if next.is("-s", "-d", "-i", "-o", "-p", "-f", "-m", "-j", "-g", "-c", "--jump", "--match", "--goto") {
			break
		}
		e.words, w = append(e.words, w[0]), w[1:]
	}
	return w
}

func (r *ruleText) jumpTo(w []word) []word {
	name, w := r.value(w, "-j")
	if r.target != nil || r.jump != "" {
		r.head.fail(errors.New("more than one target"))
	}
	switch {
	case stdVerdicts[name] != 0 || r.isChain(name) && findText(targetTexts, r.Family, name) == nil:
		r.jump = name
		return w
	}
	r.target = &extension{name: name, row: findText(targetTexts, r.Family, name)}
	r.current = r.target
	if r.target.row == nil {
		return r.unknown(r.target, w)
	}
	return w
}

func (r *ruleText) goTo(w []word) []word {
	r.jump, w = r.value(w, "-g")
	r.isGoto = true
	return w
}

// counters are what iptables -S -v prints in the rule.
func (r *ruleText) counters(w []word) []word {
	if len(w) > 1 {
		if n, b, ok := counters("[" + w[0].s + ":" + w[1].s + "]"); ok {
			r.counted = &rules.Counter{Packets: n, Bytes: b}
			return w[2:]
		}
	}
	r.head.fail(errors.New("-c wants packets and bytes"))
	return w
}

// isChain tells whether the text makes a chain of that name in the table that
// the rule stands in.
func (r *ruleText) isChain(name string) bool {
	return r.declared[r.where+" "+name]
}

var stdVerdicts = map[string]int{"ACCEPT": stdAccept, "DROP": stdDrop, "QUEUE": stdQueue, "RETURN": stdReturn}

var stdCodes = map[int]rules.VerdictCode{
	stdAccept: rules.VerdictAccept, stdDrop: rules.VerdictDrop, stdQueue: rules.VerdictQueue, stdReturn: rules.VerdictReturn,
}
