package ticket

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/net/html"

	"github.com/ntdiag/ntdiag/diagnose/lab"
)

// rendered is what GitHub's own Markdown makes of a text.
func rendered(t testing.TB, text string) *html.Node {
	t.Helper()
	path, err := exec.LookPath("cmark-gfm")
	if err != nil {
		lab.LeaveOut(t, err)
	}
	c := exec.Command(path, "--unsafe", "-e", "table", "-e", "autolink", "-e", "strikethrough", "-e", "tasklist")
	c.Stdin = strings.NewReader(text)
	out, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, string(out))
}

func TestMarkdownOutline(t *testing.T) {
	golden(t, "outline-markdown.txt", outline(rendered(t, write(t, "markdown", newWorld(tame).ticket(t, 2)))))
}

// links is what GitHub makes more of in the text that Markdown leaves: mentions,
// issues, commits, addresses, emoji.
var links = regexp.MustCompile(`@[A-Za-z0-9]|#[0-9]|GH-[0-9]|://|www\.|\b[0-9a-f]{7,40}\b|:[a-z0-9_+-]+:|\$[^$]+\$`)

// own are the elements that the writer itself, or Markdown by its leave, makes.
var own = strings.Fields(`html head body h2 h3 p strong ul li code pre table thead tbody tr th td br details summary`)

// TestMarkdownHostile: names are text, or code.
func TestMarkdownHostile(t *testing.T) {
	want := 0
	for i, x := range append([]*Ticket{newWorld(tame).ticket(t, 1)}, hostileTickets(t)...) {
		text := write(t, "markdown", x)
		if n := utf8.RuneCountInString(text); n > maxMarkdown {
			t.Errorf("ticket %d: %d characters", i, n)
		}
		headings := 0
		for n := range rendered(t, text).Descendants() {
			switch {
			case n.Type == html.CommentNode:
				t.Errorf("ticket %d: a comment: %q", i, n.Data)
			case n.Type == html.TextNode && !inCode(n):
				if m := links.FindString(n.Data); m != "" {
					t.Errorf("ticket %d: %q in %q", i, m, n.Data)
				}
			case n.Type == html.ElementNode:
				if !strings.Contains(" "+strings.Join(own, " ")+" ", " "+n.Data+" ") {
					t.Errorf("ticket %d: element %s %v", i, n.Data, n.Attr)
				}
				if n.Data == "h2" || n.Data == "h3" {
					headings++
				}
			}
		}
		if i == 0 {
			want = headings
		}
		if headings > want || headings < want && !strings.Contains(text, "Left out here") {
			t.Errorf("ticket %d: %d headings, want %d", i, headings, want)
		}
	}
}

// inCode tells whether a node stands within code, of which GitHub makes nothing.
func inCode(n *html.Node) bool {
	for a := range n.Ancestors() {
		if a.Data == "code" || a.Data == "pre" {
			return true
		}
	}
	return false
}

func TestProse(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"1 tcp flow still goes to 192.168.1.86:3306, and no rule", "1 tcp flow still goes to `192.168.1.86:3306`, and no rule"},
		{"3,210 of 13 flows (all certain); new ones go", "3,210 of 13 flows (all certain); new ones go"},
		{"a@b #1 GH-1 c", "`a@b #1 GH-1` c"},
		{"the `tick` and ``more``", "the `` `tick` `` and ``` ``more`` ```"},
		{"1. one", "`1.` one"}, {"deadbeef0", "`deadbeef0`"}, {"deadbeef", "`deadbeef`"}, {"fd00:a::10", "`fd00:a::10`"},
		{"", ""},
		{"acme-snat rule 1 (handle 7): shadowed by rule 1 (handle 9)", "acme-snat rule 1 (handle 7): shadowed by rule 1 (handle 9)"},
		{"7) first", "`7)` first"},
	} {
		if got := prose(c.in); got != c.want {
			t.Errorf("prose(%q) = %q, want %q", c.in, got, c.want)
		}
	}
	if got, want := tableProse("a|b and `c` \\|"), "`a`&#124;`b` and `` `c` \\ ``&#124;"; got != want {
		t.Errorf("tableProse: %q, want %q", got, want)
	}
}
