package report

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// terminal plays the sequences that a Screen writes, and no others.
type terminal struct {
	t     *testing.T
	lines []string
	row   int
}

func (m *terminal) Write(b []byte) (int, error) {
	text := string(b)
	for text != "" {
		var rest string
		switch {
		case strings.HasPrefix(text, "\x1b[K"):
			rest = text[3:]
		case strings.HasPrefix(text, "\x1b[J"):
			m.lines, rest = m.lines[:m.row], text[3:]
		case strings.HasPrefix(text, "\x1b[H"):
			m.row, rest = 0, text[3:]
		case strings.HasPrefix(text, "\x1b["):
			end := strings.IndexAny(text, "Am")
			if text[end] == 'A' {
				n := 0
				for _, c := range text[2:end] {
					n = n*10 + int(c-'0')
				}
				m.row -= n
			}
			rest = text[end+1:]
		case text[0] == '\r':
			rest = text[1:]
		default:
			end := strings.IndexAny(text, "\n\x1b")
			if end == 0 {
				m.row++
				rest = text[1:]
				break
			}
			if end < 0 {
				end = len(text)
			}
			for len(m.lines) <= m.row {
				m.lines = append(m.lines, "")
			}
			m.lines[m.row], rest = text[:end], text[end:]
		}
		text = rest
	}
	return len(b), nil
}

func TestScreen(t *testing.T) {
	m := &terminal{t: t}
	s := NewScreen(m)
	for _, tt := range []struct {
		text string
		want []string
	}{
		{"one\ntwo\nthree\n", []string{"one", "two", "three"}},
		{"1\n", []string{"1"}},
		{"a\nb\nc\nd\ne\nf\ng\n", []string{"a", "b", "c", "d"}},
		{strings.Repeat("ü", 30) + "\n2\n", []string{strings.Repeat("ü", 20), "2"}},
	} {
		if err := s.Draw(tt.text, 20, 5); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(m.lines, "|"); got != strings.Join(tt.want, "|") {
			t.Errorf("%q shows %q, want %q", tt.text, got, tt.want)
		}
	}
}

// TestScreenNarrower: where the terminal has broken the lines nothing of them is
// left behind.
func TestScreenNarrower(t *testing.T) {
	m := &terminal{t: t}
	s := NewScreen(m)
	draw := func(width int, want ...string) {
		t.Helper()
		if err := s.Draw("0123456789abc\nx\n", width, 9); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(m.lines, "|"); got != strings.Join(want, "|") {
			t.Errorf("%d columns show %q, want %q", width, got, want)
		}
	}
	draw(20, "0123456789abc", "x")
	draw(15, "0123456789abc", "x")
	m.lines, m.row = []string{"0123456789", "abc", "x"}, 3 // as a terminal of 10 columns breaks them
	draw(10, "0123456789", "x")
	draw(20, "0123456789abc", "x")
}

func TestCut(t *testing.T) {
	for _, tt := range []struct {
		in    string
		width int
		want  string
	}{
		{"abcdef", 3, "abc"},
		{"abc", 3, "abc"},
		{"\x1b[31mabcdef\x1b[0m", 3, "\x1b[31mabc\x1b[0m"},
		{"a\x1b[31mb\x1b[0mcdef", 3, "a\x1b[31mb\x1b[0mc"},
		{"äöüß", 2, "äö"},
		{"a\xff\xfeb", 2, "a\ufffd"},
	} {
		if got := cut(tt.in, tt.width); got != tt.want {
			t.Errorf("%q at %d: %q, want %q", tt.in, tt.width, got, tt.want)
		}
		if n := utf8.RuneCountInString(cut(strings.ToValidUTF8(tt.in, "?"), tt.width)); n > len(tt.in) {
			t.Errorf("%q: %d", tt.in, n)
		}
	}
}
