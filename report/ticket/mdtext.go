package ticket

import (
	"fmt"
	"strings"

	"github.com/ntdiag/ntdiag/rules/pattern"
)

// plainWord is a word that GitHub's Markdown takes for nothing but text: no
// markup, no autolink, no mention, no issue, no emoji, no commit.
var (
	plainWord = pattern.New(`^\(?([A-Za-z][A-Za-z'-]*|[0-9][0-9,]*)%?[,.;:]?\)?[,.;:]?$`)
	listItem  = pattern.New(`^[0-9]+[.)]`)
	commit    = pattern.New(`^[0-9a-f]{7,}[,.;:)]*$`)
	// signs that stand alone between words
	plainSigns = map[string]bool{"→": true, "—": true, "·": true}
)

// isPlain tells whether a word is plain; first is one that may begin a line,
// and there a list.
func isPlain(word string, first bool) bool {
	return plainSigns[word] || plainWord.MatchString(word) && !(first && listItem.MatchString(word)) && !commit.MatchString(word)
}

// prose is a sentence in which all that could be markup stands as code: names,
// addresses and rules are easier to read so, and nothing of them links, mentions
// or formats.
func prose(s string) string { return sentence(s, span) }

// tableProse is the same within a row of a table.
func tableProse(s string) string { return sentence(s, tableSpan) }

// tableSpan is a code span within a row, which ends its cell at a bar even there.
func tableSpan(s string) string {
	parts := strings.Split(s, "|")
	for i := range parts {
		parts[i] = span(parts[i])
	}
	return strings.Join(parts, "&#124;")
}

// sentence sets runs of words that are not plain by code, without the
// punctuation behind them.
func sentence(s string, code func(string) string) string {
	var out, run []string
	flush := func(tail string) {
		if len(run) > 0 {
			out = append(out, code(strings.Join(run, " "))+tail)
			run = nil
		}
	}
	for _, w := range strings.Fields(s) {
		if isPlain(w, len(out)+len(run) == 0) {
			flush("")
			out = append(out, w)
			continue
		}
		core := strings.TrimRight(w, ",;:")
		if core == "" {
			core = w
		}
		if run = append(run, core); core != w {
			flush(w[len(core):])
		}
	}
	flush("")
	return strings.Join(out, " ")
}

// span is a code span: its fence is longer than any within.
func span(s string) string {
	if strings.TrimSpace(s) == "" {
		return ""
	}
	fence := strings.Repeat("`", longest(s, '`')+1)
	if strings.HasPrefix(s, "`") || strings.HasSuffix(s, "`") {
		s = " " + s + " "
	}
	return fence + s + fence
}

// fenced is a block of code.
func fenced(lines []string) string {
	text := strings.Join(lines, "\n")
	fence := strings.Repeat("`", max(longest(text, '`')+1, 3))
	return fence + "text\n" + text + "\n" + fence + "\n"
}

// longest is the longest run of c in s.
func longest(s string, c rune) int {
	most, n := 0, 0
	for _, r := range s {
		if r != c {
			n = 0
			continue
		}
		n++
		most = max(most, n)
	}
	return most
}

// entities writes what is no letter, digit or space as a character reference: text
// of a block of HTML.
func entities(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r == ' ' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r > 0x7f {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, "&#%d;", r)
		}
	}
	return b.String()
}
