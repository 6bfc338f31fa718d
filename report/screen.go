package report

import (
	"io"
	"strings"
)

// Screen shows a text of a few lines again and again in one place of a
// terminal: nothing scrolls, and what was above stays. Text that comes after it
// goes below.
type Screen struct {
	w     io.Writer
	shown int // lines of the last text
	wide  int // columns of its widest line
}

// NewScreen begins one at the terminal w.
func NewScreen(w io.Writer) *Screen { return &Screen{w: w} }

// Draw puts text where the last one was. Lines beyond height, and what of a
// line is wider than width, are left out: a line that wraps, or scrolls the
// others away, would be left behind. 0 is for no limit. Text from outside has to
// be escaped already; of sequences only colours may be there.
func (s *Screen) Draw(text string, width, height int) error {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if height > 1 && len(lines) > height-1 {
		lines = lines[:height-1] // the cursor stands below the last
	}
	var b strings.Builder
	switch {
	case s.shown > 0 && width > 0 && s.wide > width:
		// the terminal became narrower, and how it broke the lines is not known
		b.WriteString("\x1b[H") // CUP: the top; ED below clears the rest
	case s.shown > 0:
		b.WriteString("\x1b[" + itoa(s.shown) + "A") // CUU: to the first line
	}
	s.wide = 0
	for _, line := range lines {
		line = cut(line, width)
		s.wide = max(s.wide, columns(line))
		b.WriteString("\r" + line + "\x1b[K\n") // EL: what was there longer
	}
	b.WriteString("\x1b[J") // ED: lines that are no more
	s.shown = len(lines)
	_, err := io.WriteString(s.w, b.String())
	return err
}

// cut is the part of a line that fits width columns, colours aside; a colour
// that is on at its end is ended.
func cut(line string, width int) string {
	if width <= 0 || columns(line) <= width {
		return line
	}
	var b strings.Builder
	n, on := 0, false
	for i := 0; i < len(line) && n < width; {
		if strings.HasPrefix(line[i:], "\x1b[") {
			if end := strings.IndexByte(line[i:], 'm'); end > 0 {
				seq := line[i : i+end+1]
				b.WriteString(seq)
				on = seq != "\x1b[0m"
				i += end + 1
				continue
			}
		}
		r := []rune(line[i:min(i+4, len(line))])[0]
		b.WriteRune(r)
		i += len(string(r))
		n++
	}
	if on {
		b.WriteString("\x1b[0m")
	}
	return b.String()
}
