package main

import (
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// Figure is one SVG: charts side by side, with one legend.
type Figure struct {
	Name, Title string
	Charts      []Chart
}

// Chart is lines over two axes. X is logarithmic; so is Y where LogY is set,
// else it begins at 0.
type Chart struct {
	Title, X string
	LogY     bool
	// Label is a value of Y in words.
	Label  func(y float64) string
	Series []Series
}

// Series is a line; those of one name look alike in every chart of a figure.
type Series struct {
	Name   string
	Look   int // below looks
	Points [][2]float64
}

// Sizes in pixels.
const (
	chartWidth, chartHeight = 400, 260
	left, top, gap, right   = 64, 84, 84, 24
	bottom                  = 56
)

// style is readable on light and on dark.
const style = `<style>
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-size: 16px; font-weight: 600 }
.small { fill: #59636e; font-size: 12px }
.paper { fill: #ffffff }
.grid { stroke: #d1d9e0; stroke-width: 1 }
.axis { stroke: #59636e; stroke-width: 1 }
.line { fill: none; stroke-width: 2; stroke-linejoin: round }
.s0 { stroke: #0969da } .s1 { stroke: #bc4c00 } .s2 { stroke: #1a7f37 } .s3 { stroke: #59636e; stroke-dasharray: 6 4 }
.d0 { fill: #0969da } .d1 { fill: #bc4c00 } .d2 { fill: #1a7f37 } .d3 { fill: #59636e }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc } .small { fill: #9198a1 } .paper { fill: #0d1117 }
.grid { stroke: #3d444d } .axis { stroke: #9198a1 }
.s0 { stroke: #4493f8 } .s1 { stroke: #f0883e } .s2 { stroke: #3fb950 } .s3 { stroke: #9198a1 }
.d0 { fill: #4493f8 } .d1 { fill: #f0883e } .d2 { fill: #3fb950 } .d3 { fill: #9198a1 }
}
</style>
`

// looks is how many lines can be told apart; the last is the reference's.
const looks = 4

// write writes the figure as SVG, which loads nothing and runs nothing.
func (f *Figure) write(w io.Writer) {
	n := len(f.Charts)
	width, height := left+n*chartWidth+(n-1)*gap+right, top+chartHeight+bottom
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">`+"\n", width, height, width, height)
	fmt.Fprintf(w, "<title>%s</title>\n%s<rect class=\"paper\" width=\"%d\" height=\"%d\"/>\n", escape(f.Title), style, width, height)
	text(w, "title", "start", 16, 26, f.Title)
	x := 16
	for _, s := range f.legend() {
		fmt.Fprintf(w, `<path class="line s%d" d="M%d 46h24"/>`+"\n", s.Look, x)
		fmt.Fprintf(w, `<circle class="d%d" cx="%d" cy="46" r="3"/>`+"\n", s.Look, x+12)
		text(w, "", "start", x+30, 50, s.Name)
		x += 30 + 8*len(s.Name) + 20
	}
	for i := range f.Charts {
		f.Charts[i].write(w, left+i*(chartWidth+gap))
	}
	fmt.Fprint(w, "</svg>\n")
}

// legend is one series of each name.
func (f *Figure) legend() (out []Series) {
	seen := map[string]bool{}
	for _, c := range f.Charts {
		for _, s := range c.Series {
			if !seen[s.Name] {
				seen[s.Name] = true
				out = append(out, s)
			}
		}
	}
	return out
}

func (c *Chart) write(w io.Writer, x0 int) {
	xs, ys := c.values()
	across := axis{log: true, lo: least(xs), hi: most(xs), from: float64(x0), to: float64(x0 + chartWidth)}
	up := axis{log: c.LogY, hi: most(ys), from: float64(top + chartHeight), to: float64(top)}
	if c.LogY {
		up.lo = least(ys)
	}
	up.widen()
	for _, v := range up.ticks() {
		y := up.at(v)
		fmt.Fprintf(w, `<path class="grid" d="M%d %.1fh%d"/>`+"\n", x0, y, chartWidth)
		text(w, "small", "end", x0-8, int(y)+4, c.Label(v))
	}
	for _, v := range distinct(xs) {
		x := across.at(v)
		fmt.Fprintf(w, `<path class="axis" d="M%.1f %dv5"/>`+"\n", x, top+chartHeight)
		text(w, "small", "middle", int(x), top+chartHeight+20, short(v))
	}
	fmt.Fprintf(w, `<path class="axis" d="M%d %dV%dH%d" fill="none"/>`+"\n", x0, top, top+chartHeight, x0+chartWidth)
	text(w, "small", "start", x0, top-10, c.Title)
	text(w, "small", "middle", x0+chartWidth/2, top+chartHeight+42, c.X)
	for _, s := range c.Series {
		var path strings.Builder
		for i, p := range s.Points {
			verb := "L"
			if i == 0 {
				verb = "M"
			}
			fmt.Fprintf(&path, "%s%.1f %.1f", verb, across.at(p[0]), up.at(p[1]))
		}
		fmt.Fprintf(w, `<path class="line s%d" d="%s"/>`+"\n", s.Look, path.String())
		for _, p := range s.Points {
			fmt.Fprintf(w, `<circle class="d%d" cx="%.1f" cy="%.1f" r="3"><title>%s: %s at %s</title></circle>`+"\n",
				s.Look, across.at(p[0]), up.at(p[1]), escape(s.Name), escape(c.Label(p[1])), short(p[0]))
		}
	}
}

func (c *Chart) values() (xs, ys []float64) {
	for _, s := range c.Series {
		for _, p := range s.Points {
			xs, ys = append(xs, p[0]), append(ys, p[1])
		}
	}
	return xs, ys
}

// axis puts values on a stretch of pixels.
type axis struct {
	log      bool
	lo, hi   float64
	from, to float64
}

// at is the pixel of v.
func (a axis) at(v float64) float64 {
	lo, hi := a.lo, a.hi
	if a.log {
		lo, hi, v = math.Log(lo), math.Log(hi), math.Log(v)
	}
	if hi == lo {
		return (a.from + a.to) / 2
	}
	return a.from + (v-lo)/(hi-lo)*(a.to-a.from)
}

// widen has the axis end at ticks.
func (a *axis) widen() {
	if a.log {
		a.lo, a.hi = math.Pow(10, math.Floor(math.Log10(a.lo))), math.Pow(10, math.Ceil(math.Log10(a.hi)))
		if a.lo == a.hi {
			a.hi *= 10
		}
		return
	}
	if a.hi <= 0 {
		a.hi = 1
	}
	step := niceStep(a.hi / 5)
	a.hi = math.Ceil(a.hi/step) * step
}

// ticks are round values.
func (a axis) ticks() (out []float64) {
	if a.log {
		for v := a.lo; v <= a.hi*1.001; v *= 10 {
			out = append(out, v)
		}
		return out
	}
	step := niceStep(a.hi / 5)
	for i := 0; float64(i)*step <= a.hi*1.001; i++ {
		out = append(out, float64(i)*step)
	}
	return out
}

// niceStep is 1, 2 or 5 times a power of ten, not below v but for rounding.
func niceStep(v float64) float64 {
	unit := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if m*unit >= v*0.999 {
			return m * unit
		}
	}
	return 10 * unit
}

func least(of []float64) float64 {
	out := math.Inf(1)
	for _, v := range of {
		out = min(out, v)
	}
	return out
}

func most(of []float64) float64 {
	out := math.Inf(-1)
	for _, v := range of {
		out = max(out, v)
	}
	return out
}

func distinct(of []float64) (out []float64) {
	seen := map[float64]bool{}
	for _, v := range of {
		if !seen[v] {
			seen[v] = true
			out = append(out, v)
		}
	}
	return out
}

// short is a number with k or M: 300 k.
func short(v float64) string {
	for _, u := range []struct {
		n    float64
		name string
	}{{1e6, " M"}, {1e3, " k"}} {
		if v >= u.n {
			return strconv.FormatFloat(v/u.n, 'g', 3, 64) + u.name
		}
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

func text(w io.Writer, class, anchor string, x, y int, s string) {
	fmt.Fprintf(w, `<text class="%s" text-anchor="%s" x="%d" y="%d">%s</text>`+"\n", class, anchor, x, y, escape(s))
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder takes all
	return b.String()
}
