package ticket

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := "testdata/" + name
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func parse(t testing.TB, page string) *html.Node {
	t.Helper()
	n, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func textOf(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data + " ")
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func elements(n *html.Node, name string) []*html.Node {
	var out []*html.Node
	for d := range n.Descendants() {
		if d.Type == html.ElementNode && d.Data == name {
			out = append(out, d)
		}
	}
	return out
}

// outline is what a page is made of: headings, tables with their columns and how
// many rows they have, what is folded.
func outline(doc *html.Node) string {
	var b strings.Builder
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		switch n.Data {
		case "h1", "h2", "h3", "h4":
			fmt.Fprintf(&b, "%s%s\n", strings.Repeat("  ", int(n.Data[1]-'1')), textOf(n))
		case "table":
			var columns []string
			for _, th := range elements(n, "th") {
				columns = append(columns, textOf(th))
			}
			caption := ""
			for _, c := range elements(n, "caption") {
				caption = textOf(c)
			}
			fmt.Fprintf(&b, "    table %q, %d rows: %s\n", caption, len(elements(elements(n, "tbody")[0], "tr")), strings.Join(columns, " | "))
		case "summary":
			fmt.Fprintf(&b, "    folded: %s\n", textOf(n))
		case "svg":
			fmt.Fprintf(&b, "    picture %s: %s\n", attribute(n, "class"), textOf(elements(n, "title")[0]))
		case "ol":
			for _, li := range elements(n, "li") {
				fmt.Fprintf(&b, "      - %s\n", textOf(li))
			}
		}
	}
	return b.String()
}

func TestOutline(t *testing.T) {
	golden(t, "outline.txt", outline(parse(t, write(t, "html", newWorld(tame).ticket(t, 2)))))
}

// TestQuiet: a ticket without anything wrong, and one without any document.
func TestQuiet(t *testing.T) {
	w := newWorld(tame)
	quiet := &Ticket{Host: w.header("").Host, Made: now, Now: now, Rules: w.rules(0)}
	quiet.Rules.Findings, quiet.Rules.Missing = nil, nil
	for i := range quiet.Rules.Rules {
		quiet.Rules.Rules[i].Details = nil
	}
	for name, x := range map[string]*Ticket{"quiet": quiet, "empty": {Made: now, Now: now}} {
		doc := parse(t, write(t, "html", x))
		if got := textOf(elements(doc, "h2")[0]); !strings.Contains(got, "Nothing wrong was found") {
			t.Errorf("%s: the verdict is %q", name, got)
		}
		if got := write(t, "markdown", x); !strings.Contains(got, "Nothing wrong was found") {
			t.Errorf("%s: markdown says\n%s", name, got)
		}
		if x.Found() {
			t.Errorf("%s: something was found", name)
		}
	}
}

// TestVerdict: the gravest finding is what is read first.
func TestVerdict(t *testing.T) {
	x := newWorld(tame).ticket(t, 2)
	doc := parse(t, write(t, "html", x))
	if got, want := textOf(elements(doc, "h2")[0]), "critical 2 tcp flows still go to 192.168.1.80:80"; !strings.HasPrefix(got, want) {
		t.Errorf("the verdict is %q, want %q…", got, want)
	}
	list := elements(elements(doc, "ol")[0], "li")
	for i := 1; i < len(list); i++ {
		if a, b := rank(attribute(list[i-1], "class")), rank(attribute(list[i], "class")); a > b {
			t.Errorf("finding %d is graver than the one before", i+1)
		}
	}
	if !x.Found() {
		t.Error("nothing was found")
	}
}

// hostile is what is put into names: markup of HTML and Markdown, scripts, what
// turns text round, bytes that are no text.
var hostile = []string{
	`<script>window.pwned=1</script>`, `"><img src=x onerror="window.pwned=1">`, `</style></title></script><script>alert(1)</script>`,
	`' onmouseover='window.pwned=1`, `javascript:alert(1)`, `{{.Verdict}}`, `<!--`, `&lt;b&gt;&#60;i>`, `<svg onload=alert(1)>`, `]]></text></svg><script>alert(1)</script>`,
	"\u202egnp.exe\u2066\u200f", "\x1b[31m\a\x00", "\xff\xfe\x80", "two\nlines\r\n| of |", strings.Repeat("long", 30000), strings.Repeat("w i d e ", 3000),
	"`", "```\n# heading\n```", "| a | b |", `\`, `\|`, "`|`", "@octocat", "@octo/cat", "#123", "GH-123", "octo/cat#1", "https://evil.example/x", "www.evil.example",
	"[x](javascript:alert(1))", "![x](https://evil.example/x.png)", "a@evil.example", ":smile:", "1. one", "- two", "> three", "# four", "~~five~~ **six** _seven_ $8$",
	"</details>", "</code>", "0123456789abcdef0123456789abcdef01234567", "${IFS}", "\U0001f600", "ａｂｃ", "e\u0301\u0301\u0301",
}

// rude gives each name the next of them.
func rude() func(string) string {
	n := 0
	return func(string) string {
		n++
		return hostile[n%len(hostile)]
	}
}

// tickets with every hostile text in every place.
func hostileTickets(t testing.TB) []*Ticket {
	var out []*Ticket
	for i := range hostile {
		n := i
		out = append(out, newWorld(func(string) string { return hostile[n] }).ticket(t, 1))
	}
	return append(out, newWorld(rude()).ticket(t, 2))
}

// allowed are the elements of a page.
var allowed = strings.Fields(`html head meta title style body a header h1 h2 h3 h4 p main section span ol ul li code nav article pre figure svg rect path text
	figcaption details summary div dl dt dd table caption thead tbody tr th td footer script`)

// TestHostile: whatever a name is, it is text.
func TestHostile(t *testing.T) {
	for i, x := range hostileTickets(t) {
		page := write(t, "html", x)
		if !utf8.ValidString(page) {
			t.Errorf("ticket %d: not UTF-8", i)
		}
		if at := strings.IndexFunc(page, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); at >= 0 {
			t.Errorf("ticket %d: %q is not printable, at %q", i, page[at:at+4], page[max(0, at-40):at])
		}
		doc := parse(t, page)
		for n := range doc.Descendants() {
			if n.Type == html.CommentNode {
				t.Errorf("ticket %d: a comment: %q", i, n.Data)
			}
			if n.Type != html.ElementNode {
				continue
			}
			if !slices.Contains(allowed, n.Data) {
				t.Errorf("ticket %d: element %s", i, n.Data)
			}
			for _, a := range n.Attr {
				if strings.HasPrefix(a.Key, "on") || a.Key == "style" || a.Key == "src" || a.Key == "href" && !strings.HasPrefix(a.Val, "#") {
					t.Errorf("ticket %d: %s has %s=%q", i, n.Data, a.Key, a.Val)
				}
			}
		}
		for _, name := range []string{"script", "style"} {
			if n := len(elements(doc, name)); n != 1 {
				t.Errorf("ticket %d: %d %s", i, n, name)
			}
		}
	}
}

// TestNothingLost: text that is escaped is still all there.
func TestNothingLost(t *testing.T) {
	x := &Ticket{Made: now, Now: now, About: []Fact{{"name", `<b> & "quoted" 'single'`}, {"control", "a\x1bb\u202ec\xff"}}}
	text := textOf(parse(t, write(t, "html", x)))
	for _, want := range []string{`<b> & "quoted" 'single'`, `a\x1bb\u202ec\xff`} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not on the page", want)
		}
	}
}

// TestRedacted: the page says that it is, and what that does not hide.
func TestRedacted(t *testing.T) {
	x := &Ticket{Made: now, Now: now, From: "ticket.tar.zst", Redacted: true, Kept: []Fact{{"lengths of names", "they are those of tokens"}}}
	text := textOf(parse(t, write(t, "html", x)))
	for _, want := range []string{"redacted: names and addresses stand for others", "What redaction keeps", "Kept: lengths of names they are those of tokens", "Made of ticket.tar.zst"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not on the page", want)
		}
	}
	x.Redacted, x.Kept = false, nil
	if text := textOf(parse(t, write(t, "html", x))); !strings.Contains(text, "Redacted no: addresses, names and comments are those of the host") {
		t.Error("the page does not say that nothing is hidden")
	}
}

// TestBig: a page of a large machine stays small, and says what was left out.
func TestBig(t *testing.T) {
	x := newWorld(tame).ticket(t, 3000)
	page := write(t, "html", x)
	if len(page) > 5<<20 {
		t.Errorf("the page has %d bytes", len(page))
	}
	doc := parse(t, page)
	for _, n := range elements(doc, "table") {
		if rows := len(elements(elements(n, "tbody")[0], "tr")); rows > maxRows {
			t.Errorf("table %s has %d rows", attribute(n, "id"), rows)
		}
	}
	for _, want := range []string{"and 2503 more", "Stale flows"} { // of 3003 NAT rules
		if !strings.Contains(textOf(doc), want) {
			t.Errorf("%q is not said", want)
		}
	}
	md := write(t, "markdown", x)
	if n := utf8.RuneCountInString(md); n > maxMarkdown {
		t.Errorf("the markdown has %d characters", n)
	}
	if !strings.Contains(md, "Left out here") {
		t.Error("the markdown does not say what was left out")
	}
}

// TestWide: the longest names that nf_tables takes, of nothing but signs that are
// escaped.
func TestWide(t *testing.T) {
	long := strings.Repeat("\x1b", 255)
	page := write(t, "html", newWorld(func(string) string { return long }).ticket(t, 200))
	if len(page) > 16<<20 {
		t.Errorf("the page has %d bytes", len(page))
	}
}
