package ticket

import (
	"fmt"
	"slices"
	"unicode"
	"unicode/utf8"

	"github.com/ntdiag/ntdiag/report"
)

// drawing is a picture as shapes of one coordinate system, in pixels.
type drawing struct {
	W, H   int
	Shapes []shape
}

// shape is a rectangle, a piece of text, or an arrow from X, Y to X, Y2.
type shape struct {
	Kind       string // rect, text, arrow
	X, Y, W, H int
	Y2         int
	Points     bool // an arrow with a head
	Class      string
	Text       string
	Fit        int // the width that text is set to, 0 for its own
}

// Measures of a picture.
const (
	laneWidth   = 372 // of one way
	narrowWidth = 352
	laneGap     = 16
	inset       = 12
	lineHeight  = 17
	gap         = 18 // between places, where the arrow is
	arrowAt     = 20 // from the left edge of a lane
	glyph       = 7  // about the width of a character
)

// draw sets the way there and the way back side by side, or one below the other.
func draw(all []station, wide bool) drawing {
	c := &canvas{lane: narrowWidth, total: narrowWidth}
	there := lane{x: 0, class: "there"}
	home := lane{x: 0, class: "back", home: true}
	if !answered(all) {
		home.class += " unseen"
	}
	if wide {
		c = &canvas{lane: laneWidth, total: 2*laneWidth + laneGap}
		home.x = laneWidth + laneGap
		c.column(all, there, home)
		return c.done()
	}
	c.column(all, there)
	back := slices.Clone(all)
	slices.Reverse(back)
	c.y += lineHeight + gap
	c.text(0, c.y, c.lane, "the way back", "title")
	c.y += lineHeight / 2
	home.down = true
	c.column(slices.DeleteFunc(back, func(s station) bool { return s.kind == atHook && len(s.home) == 0 }), home)
	return c.done()
}

// answered tells whether the way back was seen.
func answered(all []station) bool {
	for i := range all {
		for _, l := range all[i].home {
			if l.class == report.Warning {
				return false
			}
		}
	}
	return true
}

// lane is one direction: on the way back what is done there, and arrows upwards
// unless it is drawn from the server down.
type lane struct {
	x     int
	class string
	home  bool
	down  bool
}

func (l *lane) of(s *station) (title string, lines []line) {
	switch {
	case s.kind == atEnd:
		return s.title, s.there
	case l.home:
		return s.back, s.home
	}
	return s.title, s.there
}

type canvas struct {
	drawing
	lane, total int
	y           int
	frames      []shape // behind all others
}

func (c *canvas) done() drawing {
	c.W, c.H = c.total, c.y+1
	c.Shapes = append(c.frames, c.Shapes...)
	return c.drawing
}

// column draws the stations from top to bottom, in each of the lanes.
func (c *canvas) column(all []station, lanes ...lane) {
	host := 0 // where this host begins
	for i := range all {
		s := &all[i]
		if i > 0 {
			c.arrows(gap, lanes, all[i-1].kind != onWire, s.kind != onWire)
		}
		if s.kind == atHook && host == 0 {
			host = c.y
			c.text(inset, c.y+lineHeight-2, c.lane, "this host", "title host")
			c.y += lineHeight + 6
		}
		h := 0
		for _, l := range lanes {
			title, lines := l.of(s)
			h = max(h, height(title, lines))
		}
		c.station(s, h, lanes)
		c.y += h
		if host > 0 && (i+1 == len(all) || all[i+1].kind != atHook) {
			c.y += 8
			c.frames = append(c.frames, shape{Kind: "rect", X: 1, Y: host, W: c.total - 2, H: c.y - host, Class: "host"})
			host = 0
		}
	}
}

func (c *canvas) station(s *station, h int, lanes []lane) {
	if s.kind == onWire {
		c.arrows(h, lanes, false, false)
		c.y -= h
	}
	for i, l := range lanes {
		title, lines := l.of(s)
		switch s.kind {
		case atEnd:
			if i == 0 {
				c.rect(1, c.y, c.total-2, h, "end")
				c.lines(0, title, lines, c.total)
			}
		case onWire:
			c.lines(l.x+arrowAt, "", lines, c.lane-arrowAt)
		case atHook:
			c.rect(l.x+8, c.y, c.lane-16, h, hookClass(s))
			c.lines(l.x+8, title, lines, c.lane-16)
		}
	}
}

// arrows go on by h in each lane, with a head where they come to a box, which
// may be above or below.
func (c *canvas) arrows(h int, lanes []lane, above, below bool) {
	for _, l := range lanes {
		s := shape{Kind: "arrow", X: l.x + arrowAt, Y: c.y, Y2: c.y + h, Class: l.class, Points: below}
		if l.home && !l.down {
			s.Y, s.Y2, s.Points = s.Y2, s.Y, above
		}
		c.Shapes = append(c.Shapes, s)
	}
	c.y += h
}

func (c *canvas) rect(x, y, w, h int, class string) {
	c.Shapes = append(c.Shapes, shape{Kind: "rect", X: x, Y: y, W: w, H: h, Class: class})
}

// text is one line that takes at most room; what is longer is cut, and what may
// be wider in another font is set to fit.
func (c *canvas) text(x, y, room int, s, class string) {
	s = fit(printableText(s), room*10/65)
	sh := shape{Kind: "text", X: x, Y: y, Class: class, Text: s}
	if width(s)*glyph+glyph > room {
		sh.Fit = room
	}
	c.Shapes = append(c.Shapes, sh)
}

// fit cuts s to so many columns.
func fit(s string, most int) string {
	n := 0
	for i, r := range s {
		if n += columns(r); n > most {
			// what was cut off makes room for the sign that says so
			_, last := utf8.DecodeLastRuneInString(s[:i])
			return s[:i-last] + "…"
		}
	}
	return s
}

// width is how many columns s takes.
func width(s string) int {
	n := 0
	for _, r := range s {
		n += columns(r)
	}
	return n
}

// columns is 2 for wide characters.
func columns(r rune) int {
	if unicode.In(r, unicode.Han, unicode.Hangul, unicode.Hiragana, unicode.Katakana) || r >= 0xff01 && r <= 0xff60 || r >= 0x1f300 && r <= 0x1faff {
		return 2
	}
	return 1
}

func height(title string, lines []line) int {
	n := len(lines)
	if title != "" {
		n++
	}
	return n*lineHeight + 10
}

func (c *canvas) lines(x int, title string, lines []line, room int) {
	y := c.y + lineHeight
	if title != "" {
		c.text(x+inset, y, room-2*inset, title, "title")
		y += lineHeight
	}
	for _, l := range lines {
		c.text(x+inset, y, room-2*inset, l.text, l.class)
		y += lineHeight
	}
}

// hookClass is "hook", and "made" where something was rewritten.
func hookClass(s *station) string {
	if len(s.home) > 0 {
		return "hook made"
	}
	return "hook"
}

// Head is the head of an arrow that has one.
func (s shape) Head() string {
	if !s.Points {
		return ""
	}
	by := 6 // above the point
	if s.Y2 < s.Y {
		by = -by
	}
	return fmt.Sprintf("M%d %dL%d %dL%d %dZ", s.X, s.Y2, s.X-4, s.Y2-by, s.X+4, s.Y2-by)
}
