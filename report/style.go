package report

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ntdiag/ntdiag/rules/nft"
)

// Style is how text is laid out.
type Style struct {
	Color bool
	Width int // columns; 0 means 80
	Rows  int // rows of a listing shown; 0 means all
	// Fold is the width at which a listing gives a flow a second line; 0 keeps
	// one line each, which is what grep wants.
	Fold    int
	Wide    bool
	Verbose bool
	brief   bool   // only the first line of each answer
	host    string // --netns of commands that are told
	// Now is what ages are counted from; zero means the time of writing.
	Now time.Time
	// Redacted: addresses and names of the answer are not those of the machine.
	Redacted bool
}

func (s Style) width() int {
	if s.Width <= 0 {
		return 80
	}
	return max(s.Width, 40)
}

func (s Style) now() time.Time {
	if s.Now.IsZero() {
		return time.Now()
	}
	return s.Now
}

// netns is the flag that names the namespace, for commands that are told.
func (s Style) netns() string {
	if s.host == "" {
		return ""
	}
	return " --netns " + ShellWord(safe(s.host))
}

// Colours by what they say (ECMA-48 SGR).
const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
)

func (s Style) paint(sgr, text string) string {
	if !s.Color || text == "" || sgr == "" {
		return text
	}
	return "\x1b[" + sgr + "m" + text + "\x1b[0m"
}

// safe makes text from outside harmless on a terminal.
func safe(text string) string { return nft.Escape(text) }

// columns is how wide text is on a terminal, escape sequences aside.
func columns(text string) int {
	n := utf8.RuneCountInString(text)
	for {
		i := strings.Index(text, "\x1b[")
		if i < 0 {
			return n
		}
		j := strings.IndexByte(text[i:], 'm')
		if j < 0 {
			return n
		}
		n -= j + 1
		text = text[i+j+1:]
	}
}

// wrap writes words after first, going on under rest at the width. A word
// that is longer than a line gets one of its own.
func wrap(b *strings.Builder, width int, first, rest, text string) {
	b.WriteString(first)
	at, fresh := columns(first), true
	for _, w := range strings.Fields(text) {
		n := columns(w)
		if !fresh && at+1+n > width {
			b.WriteString("\n" + rest)
			at, fresh = columns(rest), true
		}
		if !fresh {
			b.WriteByte(' ')
			at++
		}
		b.WriteString(w)
		at, fresh = at+n, false
	}
	b.WriteByte('\n')
}

// right writes left, and tail at the right edge: on the same line when both
// fit, else on a line of its own.
func right(b *strings.Builder, width int, left, tail string) {
	gap := width - columns(left) - columns(tail)
	if tail == "" {
		b.WriteString(left + "\n")
		return
	}
	if gap < 2 {
		b.WriteString(left + "\n")
		left, gap = "", width-columns(tail)
	}
	b.WriteString(left + strings.Repeat(" ", max(gap, 0)) + tail + "\n")
}
