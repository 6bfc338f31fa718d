package ticket

import (
	"bufio"
	"crypto/sha256"
	_ "embed" // the parts of the page
	"encoding/base64"
	"html/template"
	"io"
	"strings"
	"sync"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

//go:embed page.js
var pageJS string

var pageTemplate = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("page").Funcs(template.FuncMap{
		"css":    func() template.CSS { return template.CSS(pageCSS) },
		"js":     func() template.JS { return template.JS(pageJS) },
		"policy": policy,
		"words":  func(s string) []string { return strings.Split(s, " ") },
	}).Parse(pageHTML))
})

// policy lets the page use its own style and script, known by their sums, and
// nothing else, from nowhere.
func policy() string {
	sum := func(s string) string {
		h := sha256.Sum256([]byte(s))
		return "'sha256-" + base64.StdEncoding.EncodeToString(h[:]) + "'"
	}
	return "default-src 'none'; style-src " + sum(pageCSS) + "; script-src " + sum(pageJS) + "; base-uri 'none'; form-action 'none'"
}

// writeHTML writes one file that needs no other.
func writeHTML(w io.Writer, t *Ticket) error {
	p, err := newPage(t)
	if err != nil {
		return err
	}
	b := bufio.NewWriter(w)
	if err := pageTemplate().Execute(b, p); err != nil {
		return err
	}
	return b.Flush()
}
