package ticket

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"

	"github.com/ntdiag/ntdiag/diagnose/lab"
)

// startBrowser starts one browser, in which every test has a tab.
func startBrowser(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		lab.LeaveOut(t, err)
	}
	options := []chromedp.ExecAllocatorOption{chromedp.ExecPath(path)}
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	ctx, cancel := chromedp.NewContext(t.Context(), chromedp.WithAllocatorOptions(options...))
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil { // no sandbox for who is not root, …
		lab.LeaveOut(t, err)
	}
	return ctx
}

// tab is a page in the browser, with what it said and asked for.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu                  sync.Mutex
	said, asked, opened []string
}

// limit is how long a page may take for one thing.
const limit = 30 * time.Second

// view is how a page is looked at.
type view struct {
	width    int64
	scheme   string // light or dark
	media    string // screen or print
	noScript bool
}

// open shows a page; when the test ends, it may have said nothing and asked for
// nothing but its own file.
func open(t *testing.T, browser context.Context, text string, v view) *tab {
	t.Helper()
	file := filepath.Join(t.TempDir(), "report.html")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := chromedp.NewContext(browser)
	t.Cleanup(cancel)
	x := &tab{t: t, ctx: ctx}
	x.must(chromedp.Listen(ctx, x.hear))
	call(x, network.Enable, network.EnableParams{})
	call(x, cdplog.Enable, struct{}{})
	call(x, runtime.Enable, struct{}{})
	call(x, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: v.noScript})
	call(x, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: v.media, Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: v.scheme}}})
	x.do(chromedp.EmulateViewport(v.width, 900), chromedp.Navigate("file://"+file))
	t.Cleanup(func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		if len(x.said)+len(x.opened) > 0 {
			t.Errorf("the page said %q and opened %q", x.said, x.opened)
		}
		if want := []string{"file://" + file}; !slices.Equal(x.asked, want) {
			t.Errorf("the page asked for %q, want %q", x.asked, want)
		}
	})
	return x
}

func (x *tab) hear(event any) {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		x.asked = append(x.asked, e.Request.URL)
	case *cdplog.EventEntryAdded:
		x.said = append(x.said, e.Entry.Text)
	case *runtime.EventConsoleAPICalled:
		x.said = append(x.said, string(e.Type))
	case *runtime.EventExceptionThrown:
		x.said = append(x.said, e.ExceptionDetails.Text)
	case *cdppage.EventJavascriptDialogOpening:
		x.opened = append(x.opened, e.Message)
	}
}

func (x *tab) must(err error) {
	x.t.Helper()
	if err != nil {
		x.t.Fatal(err)
	}
}

func (x *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	x.t.Helper()
	ctx, cancel := context.WithTimeout(x.ctx, limit)
	defer cancel()
	x.must(chromedp.Do(ctx, steps...))
}

func call[P, R any](x *tab, c cdp.Command[P, R], params P) {
	x.t.Helper()
	_, err := chromedp.Call(x.ctx, c, params)
	x.must(err)
}

// eval is the value of an expression in the page.
func eval[T any](x *tab, expression string) T {
	x.t.Helper()
	ctx, cancel := context.WithTimeout(x.ctx, limit)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	x.must(err)
	return v
}

// column is the text of a column of a table, of the rows that are shown.
func (x *tab) column(table, name string) []string {
	x.t.Helper()
	return eval[[]string](x, `(function() {
		var t = document.getElementById("`+table+`"), heads = Array.from(t.tHead.rows[0].cells);
		var i = heads.findIndex(function(th) { return th.textContent === "`+name+`"; });
		return Array.from(t.tBodies[0].rows).filter(function(r) { return !r.hidden; }).map(function(r) { return r.cells[i].textContent; });
	})()`)
}

func (x *tab) head(table, name string) string {
	return `Array.from(document.querySelectorAll("#` + table + ` th")).find(function(th) { return th.textContent === "` + name + `"; })`
}

func TestBrowser(t *testing.T) {
	browser := startBrowser(t)
	text := write(t, "html", newWorld(tame).ticket(t, 30))
	desktop := view{width: 1280, scheme: "light"}

	t.Run("sort", func(t *testing.T) { testSort(t, open(t, browser, text, desktop)) })
	t.Run("filter", func(t *testing.T) { testFilter(t, open(t, browser, text, desktop)) })
	t.Run("hostile", func(t *testing.T) {
		// every hostile name twice or more on one page
		testHostile(t, open(t, browser, write(t, "html", newWorld(rude()).ticket(t, 3)), desktop))
	})
	t.Run("no script", func(t *testing.T) { testNoScript(t, browser, text) })
	t.Run("print", func(t *testing.T) { testPrint(t, browser, text) })
	for _, v := range []view{desktop, {width: 390, scheme: "light"}, {width: 390, scheme: "dark"}} {
		t.Run(fmt.Sprintf("%s %d", v.scheme, v.width), func(t *testing.T) {
			x := open(t, browser, text, v)
			testFits(t, x, v)
			testContrast(t, x)
			testNames(t, x)
			x = open(t, browser, write(t, "html", newWorld(rude()).ticket(t, 3)), v)
			testFits(t, x, v)
		})
	}
}

// testSort: by mouse and by key, numbers as numbers, addresses as addresses, and
// equal ones stay in order.
func testSort(t *testing.T, x *tab) {
	const table = "stale-flows"
	for _, c := range []struct{ column, first, last string }{
		{"Source", "10.0.0.0:1024", "10.0.0.44:1068"},
		{"Id", "4021521188", "4021521232"},
		{"Goes to", "192.168.0.30:80", "192.168.1.80:80"},
	} {
		before := x.column(table, c.column)
		click := `(function() { var b = ` + x.head(table, c.column) + `.querySelector("button"); b.focus(); return document.activeElement === b; })()`
		if !eval[bool](x, click) {
			t.Fatalf("%s cannot be reached by keyboard", c.column)
		}
		x.do(chromedp.KeyEvent("\r"))
		up := x.column(table, c.column)
		if up[0] != c.first || up[len(up)-1] != c.last {
			t.Errorf("%s upwards is %s to %s, want %s to %s", c.column, up[0], up[len(up)-1], c.first, c.last)
		}
		if got := eval[string](x, x.head(table, c.column)+`.getAttribute("aria-sort")`); got != "ascending" {
			t.Errorf("aria-sort of %s is %q", c.column, got)
		}
		eval[any](x, x.head(table, c.column)+`.querySelector("button").click()`)
		down := x.column(table, c.column)
		if down[0] != c.last || down[len(down)-1] != c.first {
			t.Errorf("%s downwards is %s to %s", c.column, down[0], down[len(down)-1])
		}
		if got := eval[int](x, `document.querySelectorAll("#`+table+` [aria-sort=descending]").length`); got != 1 {
			t.Errorf("%d columns are said to be sorted downwards", got)
		}
		slices.Sort(before)
		slices.Sort(down)
		if diff := cmp.Diff(before, down); diff != "" {
			t.Errorf("sorting changed the rows (-before +after):\n%s", diff)
		}
	}
	// 12 CPUs counted 0, 1000, … 11000: as text 10,000 comes before 2,000
	eval[any](x, x.head("counter-cpus", "insert_failed")+`.querySelector("button").click()`)
	if got := x.column("counter-cpus", "CPU"); got[2] != "2" || got[11] != "11" {
		t.Errorf("CPUs by insert_failed are %v", got)
	}
}

func testFilter(t *testing.T, x *tab) {
	x.do(chromedp.SendKeys(chromedp.CSS(`#stale .filter input`), "LIKELY packet"))
	label := eval[string](x, `document.querySelector("#stale .filter input").closest(".filter").querySelector("label").textContent`)
	if !strings.HasPrefix(label, "Filter ") {
		t.Errorf("the label of the filter is %q", label)
	}
	shown := eval[int](x, `document.querySelectorAll("#stale-groups tbody tr:not([hidden])").length`)
	all := eval[int](x, `document.querySelectorAll("#stale-groups tbody tr").length`)
	if shown != 0 || all != 16 { // "packet" is of another table
		t.Errorf("%d of %d groups fit", shown, all)
	}
	eval[any](x, `(function() { var i = document.querySelector("#stale .filter input"); i.value = ""; i.dispatchEvent(new Event("input")); })()`)
	x.do(chromedp.SendKeys(chromedp.CSS(`#stale .filter input`), "likely 192.168.0.3"))
	want := []string{"192.168.0.30:80", "192.168.0.31:80", "192.168.0.32:80", "192.168.0.33:80", "192.168.0.34:80", "192.168.0.35:80", "192.168.0.36:80", "192.168.0.37:80", "192.168.0.38:80", "192.168.0.39:80"}
	got := x.column("stale-groups", "Is")
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows that fit (-want +got):\n%s", diff)
	}
	if got := eval[string](x, `document.querySelector("#stale .told").textContent`); got != "10 of 16" {
		t.Errorf("it says %q", got)
	}
}

// testHostile: nothing ran, and there is no element that is not the page's own.
func testHostile(t *testing.T, x *tab) {
	if eval[bool](x, `"pwned" in window`) {
		t.Error("a name ran as a script")
	}
	got := eval[[]string](x, `Array.from(new Set(Array.from(document.querySelectorAll("*")).map(function(e) { return e.tagName.toLowerCase(); })))`)
	for _, name := range got {
		if !slices.Contains(append([]string{"button", "label", "input"}, allowed...), name) {
			t.Errorf("there is a %s", name)
		}
	}
	if n := eval[int](x, `document.scripts.length`); n != 1 {
		t.Errorf("%d scripts", n)
	}
	if n := eval[int](x, `document.querySelectorAll("[style], [src], [onerror], [onload], [onmouseover], a[href]:not([href^='#'])").length`); n != 0 {
		t.Errorf("%d elements with what names must not make", n)
	}
}

// testNoScript: without it all the text is there, and no control that does
// nothing.
func testNoScript(t *testing.T, browser context.Context, text string) {
	x := open(t, browser, text, view{width: 1280, scheme: "light", noScript: true})
	if n := eval[int](x, `document.querySelectorAll("button, input, [aria-sort]").length`); n != 0 {
		t.Errorf("%d controls without a script", n)
	}
	if diff := cmp.Diff(textOf(parse(t, text)), strings.Join(strings.Fields(eval[string](x, `Array.from((function*() {
		var w = document.createTreeWalker(document, NodeFilter.SHOW_TEXT);
		while (w.nextNode()) yield w.currentNode.data;
	})()).join(" ")`)), " ")); diff != "" {
		t.Errorf("the text is not the same (-file +browser):\n%s", diff)
	}
	// what is folded can be opened
	x.do(chromedp.Click(chromedp.CSS("#rules details.fold > summary")))
	if !eval[bool](x, `document.querySelector("#chains").getBoundingClientRect().height > 0`) {
		t.Error("what is folded does not open")
	}
}

// testPrint: paper shows what is folded, and no control.
func testPrint(t *testing.T, browser context.Context, text string) {
	x := open(t, browser, text, view{width: 800, scheme: "dark", media: "print"})
	if n := eval[int](x, `Array.from(document.querySelectorAll("details table, details li")).filter(function(e) { return e.getClientRects().length === 0 || e.getBoundingClientRect().height === 0; }).length`); n != 0 {
		t.Errorf("%d folded things are not on paper", n)
	}
	if n := eval[int](x, `Array.from(document.querySelectorAll("nav, .filter")).filter(function(e) { return e.getClientRects().length > 0; }).length`); n != 0 {
		t.Errorf("%d controls are on paper", n)
	}
	if got := eval[string](x, `getComputedStyle(document.body).backgroundColor`); got != "rgb(255, 255, 255)" {
		t.Errorf("paper is %s", got)
	}
	pdf, err := chromedp.Run(x.ctx, chromedp.PrintToPDF())
	x.must(err)
	if !strings.HasPrefix(string(pdf), "%PDF-") {
		t.Error("it does not print")
	}
}

// testFits: the page does not scroll sideways, and nothing but what scrolls by
// itself is wider than it.
func testFits(t *testing.T, x *tab, v view) {
	if got := eval[int64](x, `document.documentElement.scrollWidth`); got > v.width {
		t.Errorf("at %d the page is %d wide", v.width, got)
	}
	wide := eval[[]string](x, `Array.from(document.querySelectorAll("body *")).filter(function(e) {
		if (e.closest(".scroll, .skip, caption.hidden")) return false;
		var r = e.getBoundingClientRect();
		return r.width > 0 && r.right > innerWidth + 1;
	}).slice(0, 5).map(function(e) { return e.tagName + "." + (e.className.baseVal || e.className) + ": " + e.textContent.slice(0, 80); })`)
	if len(wide) > 0 {
		t.Errorf("at %d wider than the page: %q", v.width, wide)
	}
	// text of a picture stays within it
	out := eval[[]string](x, `Array.from(document.querySelectorAll("svg")).filter(function(s) { return s.getClientRects().length > 0; }).flatMap(function(s) {
		var box = s.getBoundingClientRect();
		return Array.from(s.querySelectorAll("text")).filter(function(e) { return e.getBoundingClientRect().right > box.right + 1; }).map(function(e) { return e.textContent; });
	}).slice(0, 5)`)
	if len(out) > 0 {
		t.Errorf("at %d beyond its picture: %q", v.width, out)
	}
}

// testContrast: every text has a ratio of 4.5 at least to what is behind it
// (WCAG 2, 1.4.3).
func testContrast(t *testing.T, x *tab) {
	bad := eval[[]string](x, `(function() {
		function rgb(s) { return (s.match(/[\d.]+/g) || []).map(Number); }
		function light(c) {
			var v = c.slice(0, 3).map(function(n) { n /= 255; return n <= 0.03928 ? n / 12.92 : Math.pow((n + 0.055) / 1.055, 2.4); });
			return 0.2126 * v[0] + 0.7152 * v[1] + 0.0722 * v[2];
		}
		function ratio(a, b) { var x = light(a), y = light(b); return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05); }
		function behind(e) {
			for (; e; e = e.parentElement) {
				var c = rgb(getComputedStyle(e).backgroundColor);
				if (c.length < 4 || c[3] > 0) return c;
			}
			return [255, 255, 255];
		}
		var root = getComputedStyle(document.documentElement), bad = {};
		document.querySelectorAll("body *").forEach(function(e) {
			if (e.closest("script, title") || !Array.from(e.childNodes).some(function(n) { return n.nodeType === 3 && n.data.trim(); })) return;
			var style = getComputedStyle(e), pairs = [];
			if (e.closest("svg")) {
				[".end", ".hook", ".host"].forEach(function(c) { pairs.push([rgb(style.fill), rgb(getComputedStyle(document.querySelector("svg rect" + c)).fill)]); });
			} else pairs.push([rgb(style.color), behind(e)]);
			pairs.forEach(function(p) { var r = ratio(p[0], p[1]); if (r < 4.5) bad[(e.tagName + "." + (e.className.baseVal || e.className)) + " " + r.toFixed(2)] = 1; });
		});
		return Object.keys(bad);
	})()`)
	if len(bad) > 0 {
		t.Errorf("too little contrast: %q", bad)
	}
}

// testNames: what a reader of the screen goes by.
func testNames(t *testing.T, x *tab) {
	for what, expression := range map[string]string{
		"ids that are there twice":     `Array.from(document.querySelectorAll("[id]")).filter(function(e, i, all) { return all.findIndex(function(o) { return o.id === e.id; }) !== i; }).map(function(e) { return e.id; })`,
		"links to nothing":             `Array.from(document.querySelectorAll("a")).filter(function(a) { return !document.getElementById(a.hash.slice(1)); }).map(function(a) { return a.hash; })`,
		"labels that are not there":    `Array.from(document.querySelectorAll("[aria-labelledby]")).filter(function(e) { var l = document.getElementById(e.getAttribute("aria-labelledby")); return !l || !l.textContent; }).map(function(e) { return e.tagName + "#" + e.id; })`,
		"tables without a caption":     `Array.from(document.querySelectorAll("table")).filter(function(e) { return !e.caption || !e.caption.textContent; }).map(function(e) { return e.id; })`,
		"sections without a name":      `Array.from(document.querySelectorAll("main > section, nav")).filter(function(e) { return !e.hasAttribute("aria-labelledby") && !e.hasAttribute("aria-label"); }).map(function(e) { return e.id; })`,
		"fields without a label":       `Array.from(document.querySelectorAll("input")).filter(function(e) { return !e.labels.length; }).map(function(e) { return e.outerHTML; })`,
		"headings that skip a level":   `(function() { var last = 0; return Array.from(document.querySelectorAll("h1, h2, h3, h4")).filter(function(h) { var n = +h.tagName[1], bad = n > last + 1; last = n; return bad; }).map(function(h) { return h.textContent; }); })()`,
		"pictures without alternative": `Array.from(document.querySelectorAll("svg")).filter(function(e) { return e.getAttribute("role") !== "img" || !e.querySelector("title").textContent; }).map(function(e) { return e.parentNode.id; })`,
	} {
		if bad := eval[[]string](x, expression); len(bad) > 0 {
			t.Errorf("%s: %q", what, bad)
		}
	}
}
