package redact

import (
	"encoding/json"
	"html"
	"strings"
)

// Reveal takes a text back: tokens, addresses, networks, ranges and hardware
// addresses in it become what they were. In JSON and in HTML names are escaped
// as they have to be. What is none of these stays.
func (m *Mapper) Reveal(s string) string {
	p := &prose{m: m, in: s, names: &m.names.found, back: true, escape: escapeFor(s)}
	return p.run()
}

// escapeFor is how a name is written in a document; nil for plain text.
func escapeFor(s string) func(string) string {
	switch head := strings.TrimSpace(s[:min(len(s), 64)]); {
	case strings.HasPrefix(head, "<"):
		return html.EscapeString
	case strings.HasPrefix(head, "{"), strings.HasPrefix(head, "["):
		first, _, _ := strings.Cut(s, "\n")
		if json.Valid([]byte(s)) || json.Valid([]byte(first)) {
			return jsonText
		}
	}
	return nil
}

// jsonText is what stands between the quotes.
func jsonText(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(s) != nil {
		return s
	}
	return strings.TrimSuffix(b.String(), "\n")[1 : b.Len()-2]
}

// Stays tells whether a text is the same before and after: a word that everyone
// has, an address that stays.
func (m *Mapper) Stays(s string) bool {
	if isKnownToAny(s) {
		return true
	}
	p := &prose{m: m, in: s, back: true}
	return isAddressText(s) && p.run() == s
}
