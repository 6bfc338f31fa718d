package simulate

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// RuleName is a rule as answers name it. What is zero says nothing.
type RuleName struct {
	Family, Table, Chain string
	Handle               uint64
	Number               int // of a rule of iptables in its chain, from 1
	Comment              string
}

// ParseRuleName reads the name of a rule: [[[FAMILY] TABLE] CHAIN] and one or
// both of [handle] N or rule N, and "COMMENT".
func ParseRuleName(text string) (RuleName, error) {
	words, err := split(text)
	if err != nil {
		return RuleName{}, fmt.Errorf("rule %q: %w", text, err)
	}
	if len(words) == 0 {
		return RuleName{}, errors.New("no rule is named")
	}
	n, err := parseRuleName(words)
	if err == nil && n.words < len(words) {
		err = fmt.Errorf("rule %q: too many words, from %q on", text, strings.TrimPrefix(words[n.words], `"`))
	}
	return n.RuleName, err
}

type parsedRuleName struct {
	RuleName
	words int // that it took
}

// parseRuleName reads [[[FAMILY] TABLE] CHAIN] and one or both of [handle] N or
// rule N, and [comment] "COMMENT"; the word rule may stand before it all.
func parseRuleName(words []string) (n parsedRuleName, err error) {
	w := words
	if len(w) > 1 && w[0] == "rule" && !isNumber(w[1]) {
		w = w[1:]
	}
	var where []string
	for len(w) > 0 && !begins(w[0]) {
		where, w = append(where, w[0]), w[1:]
	}
	numbered := "handle"
	if len(w) > 1 && (w[0] == "handle" || w[0] == "rule") {
		numbered, w = w[0], w[1:]
	}
	found := false
	if len(w) > 0 && isNumber(w[0]) {
		v, err := strconv.ParseUint(w[0], 10, 32)
		if err != nil || v == 0 {
			return n, notRule(w[:1])
		}
		if numbered == "rule" {
			n.Number = int(v)
		} else {
			n.Handle = v
		}
		found, w = true, w[1:]
	}
	if len(w) > 1 && w[0] == "comment" {
		w = w[1:]
	}
	if len(w) > 0 && strings.HasPrefix(w[0], `"`) && w[0] != `"` {
		n.Comment = w[0][1:]
		found, w = true, w[1:]
	}
	switch {
	case !found && len(where) > 0:
		return n, notRule(where)
	case !found:
		return n, notRule(w)
	case len(where) > 3:
		return n, fmt.Errorf("rule %q: more than a family, a table and a chain", strings.Join(where, " "))
	}
	for i, to := range []*string{&n.Chain, &n.Table, &n.Family}[:len(where)] {
		*to = where[len(where)-1-i]
	}
	n.words = len(words) - len(w)
	return n, nil
}

func notRule(words []string) error {
	return fmt.Errorf("rule %q: neither \"handle N\", \"CHAIN rule N\" nor a comment in quotes", strings.TrimPrefix(strings.Join(words, " "), `"`))
}

func isNumber(w string) bool { return w != "" && w[0] >= '0' && w[0] <= '9' }

// begins tells whether w begins what comes after the chain.
func begins(w string) bool {
	return isNumber(w) || w == "handle" || w == "rule" || w == "comment" || strings.HasPrefix(w, `"`)
}

// Names tells whether r is the rule. A number is one of iptables, whose rules
// are named so; rules of iptables-legacy have no handle, so that there a bare
// number is theirs.
func (n *RuleName) Names(r *rules.Rule) bool {
	if r == nil {
		return false
	}
	t := r.Chain.Table
	switch {
	case n.Chain != "" && n.Chain != r.Chain.Name,
		n.Table != "" && n.Table != t.Name,
		n.Family != "" && n.Family != t.Family.String(),
		n.Comment != "" && n.Comment != r.Comment,
		n.Number != 0 && (n.Number != r.Position || !t.Backend.Iptables()):
		return false
	case n.Handle == 0:
		return true
	case r.Handle == 0:
		return n.Handle == uint64(r.Position)
	}
	return n.Handle == r.Handle
}
