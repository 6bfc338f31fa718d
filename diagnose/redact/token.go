package redact

import (
	"crypto/sha256"
	"slices"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// tokens are what names become: the beginning tells the kind, letters follow
// that are in no number and make no word.
var tokenStems = [...]string{
	Device: "dev-", Hostname: "host-", Namespace: "netns-", Table: "tbl-", Chain: "chn-", SetName: "set-",
	Object: "obj-", Comment: "cmt-", LogPrefix: "log-", Helper: "hlp-", Secctx: "sec-", Cgroup: "cgrp-",
	Path: "path-", Program: "prog-", Word: "word-",
}

// String is the kind as the key file names it.
func (k Kind) String() string { return kindNames[k] }

var kindNames = [...]string{
	Device: "device", Hostname: "host", Namespace: "namespace", Table: "table", Chain: "chain", SetName: "set", Object: "object",
	Comment: "comment", LogPrefix: "log prefix", Helper: "helper", Secctx: "security context", Cgroup: "cgroup", Path: "path",
	Program: "program", Word: "text",
}

func kindNamed(s string) (Kind, bool) {
	i := slices.Index(kindNames[:], s)
	return Kind(max(i, 0)), i >= 0
}

const (
	tokenLetters = "ghjkmnpqrstvwxyz"
	tokenLength  = 8 // letters: 32 bits
	deviceLength = 15
)

// Name is one name of a kind.
type Name struct {
	Kind Kind
	Text string
}

// names gives names their tokens, and takes them back.
type names struct {
	key     Key
	tokens  map[Name]string
	back    map[string]Name
	found   wordIndex // of the tokens
	devices deviceTokens
}

func newNames(key Key, c *Constraints) names {
	n := names{key: key, tokens: map[Name]string{}, back: map[string]Name{}}
	n.devices = newDeviceTokens(&n, c.devices)
	return n
}

// Name is the token of a name; well-known words stay.
func (m *Mapper) Name(k Kind, s string) string {
	if s == "" {
		return ""
	}
	if t, has := m.names.tokens[Name{k, s}]; has {
		return t
	}
	if k == LogPrefix { // what ends it stands before the packet
		if head := strings.TrimRight(s, " :"); head != "" && head != s {
			return m.Name(k, head) + s[len(head):]
		}
	}
	t := m.names.make(k, s)
	m.names.tokens[Name{k, s}] = t
	if t != s {
		m.words.add(k, s, t)
	}
	return t
}

func (n *names) make(k Kind, s string) string {
	if isKnown(k, s) {
		return s
	}
	if k == Device {
		return n.unique(Name{k, s}, n.devices.token)
	}
	parts, patterns := openParts(k, s)
	return n.unique(Name{k, s}, func(name Name, try int) (string, bool) {
		if patterns == nil {
			return tokenStems[k] + n.letters(byte(k), s, try, tokenLength), true
		}
		var b strings.Builder
		for _, p := range parts {
			if p.open {
				b.WriteString(n.letters(byte(k), p.text, try, tokenLength))
			} else {
				b.WriteString(p.text)
			}
		}
		_, same := rules.OwnerFixed(ownerNames[k], b.String())
		return b.String(), slices.Equal(same, patterns)
	})
}

// unique tries until a token is nobody else's. make says no to one that would
// be taken for something else.
func (n *names) unique(name Name, make func(Name, int) (string, bool)) string {
	for try := 0; ; try++ {
		t, ok := make(name, try)
		if !ok && try < 64 {
			continue
		}
		owner, taken := n.back[t]
		if taken && owner != name {
			continue
		}
		if t != name.Text {
			n.back[t] = name
			n.found.putBack(name.Kind, t, name.Text)
		}
		return t
	}
}

// letters are n letters that hang on the key and the text.
func (n *names) letters(tag byte, s string, try, count int) string {
	h := sha256.New()
	h.Write(n.key[:])
	h.Write([]byte{'N', tag, byte(try), byte(try >> 8)})
	h.Write([]byte(s))
	sum := h.Sum(nil)
	out := make([]byte, count)
	for i := range out {
		out[i] = tokenLetters[sum[i/2]>>(i%2*4)&15]
	}
	return string(out)
}

// reveal is the name of a token; what is none stays.
func (n *names) reveal(t string) string {
	if name, has := n.back[t]; has {
		return name.Text
	}
	return t
}

// part is a run of a name.
type part struct {
	text string
	open bool // it says nothing of who made the name: it becomes letters
}

var ownerNames = map[Kind]rules.OwnerName{Table: rules.OwnerTable, Chain: rules.OwnerChain, Comment: rules.OwnerComment}

// openParts cuts a name by the patterns that owners of rules are recognised by.
// Words of such names that say what they are for stay too. There are no
// patterns where none fits.
func openParts(k Kind, s string) (parts []part, patterns []string) {
	of, has := ownerNames[k]
	if !has {
		return nil, nil
	}
	fixed, patterns := rules.OwnerFixed(of, s)
	if len(patterns) == 0 {
		return nil, nil
	}
	add := func(text string, open bool) {
		if n := len(parts); n > 0 && parts[n-1].open == open {
			parts[n-1].text += text
		} else {
			parts = append(parts, part{text, open})
		}
	}
	for i := 0; i < len(s); {
		j := i + 1
		for j < len(s) && fixed[j] == fixed[i] {
			j++
		}
		if fixed[i] {
			add(s[i:j], false)
		} else {
			words := cutWords(s[i:j])
			open := func(k int) bool {
				return k >= 0 && k < len(words) && !isSeparator(words[k][0]) && !ownerWords.has(words[k])
			}
			for k, w := range words {
				add(w, open(k) || isSeparator(w[0]) && open(k-1) && open(k+1))
			}
		}
		i = j
	}
	return parts, patterns
}

const separators = "-_ :.,/=\"'()[]<>@"

func isSeparator(c byte) bool { return strings.IndexByte(separators, c) >= 0 }

// cutWords cuts before and after each run of separators.
func cutWords(s string) []string {
	var out []string
	for i := 0; i < len(s); {
		j := i + 1
		for j < len(s) && isSeparator(s[j]) == isSeparator(s[i]) {
			j++
		}
		out = append(out, s[i:j])
		i = j
	}
	return out
}
