package simulate

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/query"
)

// Expectation is what every outcome, or with Possible one at least, is to be.
type Expectation struct {
	Text     string
	Possible bool
	// None: no rewrite of Kind, or no rewrite at all where Kind is "".
	None bool
	// Kind is dnat or snat for either sort of rewrite of that end, or a
	// statement of that name: masquerade, redirect, netmap. "" for any.
	Kind    string
	Verdict Verdict // "" for any
	// Where is local, forward or "": delivered here, or sent on.
	Where  string
	Out    string // device
	Lo, Hi netip.Addr
	Port   query.Opt
	Rule   *RuleName // nil for any
}

// ExpectHelp is the grammar of an expectation.
const ExpectHelp = `  [possible:] [dnat|snat|masquerade|redirect|netmap] [to ADDR[:PORT]] [by RULE]
  [possible:] no nat | no dnat | no snat
  [possible:] accept | drop | reject | queue | local | forward | out DEV

dnat and snat stand for every rewrite of that end; masquerade, redirect and
netmap for a rule with that statement. ADDR is an address, a prefix, LO-HI, or
absent (to :80). RULE is as answers name it: handle 4, DOCKER rule 7 (of
iptables, by chain and number), or a comment in quotes. A rewrite is judged by
itself: a packet that is dropped later has it all the same, so add accept. An
expectation holds when every outcome fulfils it; after possible: one is enough.`

// ParseExpectation reads one, by the grammar of ExpectHelp.
func ParseExpectation(text string) (Expectation, error) {
	e := Expectation{Text: strings.Join(strings.Fields(text), " ")}
	words, err := split(text)
	if err != nil {
		return e, fmt.Errorf("expectation %q: %w", text, err)
	}
	if len(words) > 0 && (words[0] == "possible:" || words[0] == "any:") {
		e.Possible, words = true, words[1:]
	}
	if len(words) == 0 {
		return e, fmt.Errorf("expectation %q says nothing", text)
	}
	if err := e.parse(words); err != nil {
		return e, fmt.Errorf("expectation %q: %w", text, err)
	}
	return e, nil
}

// split parts words at spaces, and keeps what is in quotes together with its
// first quote.
func split(text string) ([]string, error) {
	var out []string
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		if q := text[0]; q == '"' || q == '\'' {
			i := strings.IndexByte(text[1:], q)
			if i < 0 {
				return nil, errors.New("a quote that does not end")
			}
			out, text = append(out, `"`+text[1:1+i]), text[i+2:]
			continue
		}
		i := strings.IndexAny(text, " \t\n")
		if i < 0 {
			i = len(text)
		}
		word := text[:i]
		if rest, ok := strings.CutPrefix(word, "possible:"); ok && rest != "" {
			out, text = append(out, "possible:"), text[len("possible:"):]
			continue
		}
		out, text = append(out, word), text[i:]
	}
	return out, nil
}

var (
	expectKinds    = map[string]bool{"dnat": true, "snat": true, "masquerade": true, "redirect": true, "netmap": true}
	expectVerdicts = map[string]Verdict{"accept": VerdictAccept, "drop": VerdictDrop, "reject": VerdictReject, "queue": VerdictQueue}
)

func (e *Expectation) parse(words []string) error {
	for len(words) > 0 {
		w, arg := strings.ToLower(words[0]), ""
		if len(words) > 1 {
			arg = words[1]
		}
		used := 1
		switch {
		case w == "no":
			if k := strings.ToLower(arg); k == "nat" || k == "dnat" || k == "snat" {
				e.None, e.Kind, used = true, strings.TrimPrefix(k, "nat"), 2
			} else {
				return errors.New("after no: nat, dnat or snat")
			}
		case expectKinds[w] && e.Kind == "" && !e.None:
			e.Kind = w
		case expectVerdicts[w] != "" && e.Verdict == "":
			e.Verdict = expectVerdicts[w]
		case w == "local" || w == "forward":
			e.Where = w
		case arg == "" && (w == "to" || w == "by" || w == "out"):
			return fmt.Errorf("%s without a value", w)
		case w == "out":
			e.Out, used = arg, 2
		case w == "to":
			used = 2
			if err := e.target(arg); err != nil {
				return err
			}
		case w == "by":
			n, err := parseRuleName(words[1:])
			if err != nil {
				return err
			}
			e.Rule = &n.RuleName
			used += n.words
		default:
			return fmt.Errorf("%q is not understood (ntdiag help simulate says what is)", words[0])
		}
		words = words[used:]
	}
	return nil
}

// target reads ADDR, ADDR:PORT, :PORT, PREFIX or LO-HI.
func (e *Expectation) target(s string) error {
	addr, port := s, ""
	if ap, err := netip.ParseAddrPort(s); err == nil {
		addr, port = ap.Addr().String(), strconv.Itoa(int(ap.Port()))
	} else if strings.HasPrefix(s, ":") && !strings.HasPrefix(s, "::") {
		addr, port = "", s[1:]
	} else if i := strings.LastIndexByte(s, ':'); i > 0 && strings.Count(s, ":") == 1 {
		addr, port = s[:i], s[i+1:]
	}
	if port != "" {
		n, err := query.ParsePort(port)
		if err != nil {
			return err
		}
		e.Port = query.Opt{N: uint32(n), Set: true}
	}
	if addr == "" {
		return nil
	}
	if lo, hi, ok := strings.Cut(addr, "-"); ok {
		a, errA := netip.ParseAddr(lo)
		b, errB := netip.ParseAddr(hi)
		if errA != nil || errB != nil || b.Less(a) {
			return fmt.Errorf("bad range %q", addr)
		}
		e.Lo, e.Hi = a, b
		return nil
	}
	p, err := query.ParsePrefix(addr)
	if err != nil {
		return err
	}
	e.Lo, e.Hi = p.Addr(), lastOf(p)
	return nil
}

// lastOf is the last address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// End is the end whose rewrite is all that is expected, dnat or snat, else "".
func (e *Expectation) End() string {
	switch {
	case e.Verdict != "" || e.Where != "" || e.Out != "":
		return ""
	case e.Kind == "dnat" || e.Kind == "redirect":
		return "dnat"
	case e.Kind == "snat" || e.Kind == "masquerade":
		return "snat"
	}
	return "" // netmap is of either
}

// Check tells whether the expectation holds, and what there is instead: the
// outcomes that do not fulfil it, or all of them for one that is possible.
func (e *Expectation) Check(r *Result) (holds bool, instead []*Outcome) {
	met := 0
	for i := range r.Outcomes {
		if o := &r.Outcomes[i]; e.met(o) {
			met++
		} else {
			instead = append(instead, o)
		}
	}
	if e.Possible {
		return met > 0, instead
	}
	return met > 0 && len(instead) == 0, instead
}

func (e *Expectation) met(o *Outcome) bool {
	switch {
	case e.Verdict != "" && o.Verdict != e.Verdict,
		e.Where == "local" && !o.Local,
		e.Where == "forward" && (o.Local || o.Verdict != VerdictAccept),
		e.Out != "" && o.Out != e.Out:
		return false
	case e.None:
		return !(e.Kind != "snat" && o.DNAT.Changes() || e.Kind != "dnat" && o.SNAT.Changes())
	case e.Kind == "" && !e.Lo.IsValid() && !e.Port.Set && e.Rule == nil:
		return true
	}
	return e.metBy(o.DNAT) || e.metBy(o.SNAT) || e.endedBy(o)
}

func (e *Expectation) metBy(n *NAT) bool {
	switch {
	case n == nil:
		return false
	case e.Kind != "" && e.Kind != n.Manip.String() && e.Kind != n.Kind,
		e.Rule != nil && !e.Rule.Names(n.Rule),
		e.Lo.IsValid() && (!n.To.Lo.IsValid() || n.To.Lo.Less(e.Lo) || e.Hi.Less(n.To.Hi)),
		e.Port.Set && (!n.To.HasPort || n.To.PortLo != n.To.PortHi || uint32(n.To.PortLo) != e.Port.N):
		return false
	}
	return true
}

// endedBy: "drop by 7".
func (e *Expectation) endedBy(o *Outcome) bool {
	return e.Rule != nil && e.Kind == "" && !e.Lo.IsValid() && !e.Port.Set && o.By != nil && e.Rule.Names(o.By)
}
