package ticket

import (
	"encoding/hex"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ntdiag/ntdiag/report"
)

// table is rows that can be sorted and filtered.
type table struct {
	ID      string
	Caption string
	Columns []column
	Rows    [][]cell
	// More is how many rows were left out; What they are.
	More   int
	What   string
	Folded bool // shown when asked for
}

// kind is how the cells of a column are compared and set.
type kind string

const (
	words    kind = "text"
	long     kind = "long" // sentences and rules, which need room
	number   kind = "num"
	address  kind = "addr" // by its bytes, then by port
	severity kind = "sev"
	moment   kind = "time"
)

type column struct {
	Name string
	Kind kind
}

// cell is the parts of a cell, a line each, and what it is sorted by, "" for its
// text.
type cell struct {
	Key   string
	Parts []part
}

// part is a piece of text and how it is set: code, dim, strong, or a severity.
type part struct {
	Text  string
	Class string
}

// maxRows is how many rows of a table a page has: a browser has to lay them out.
const maxRows = 500

// add adds a row, or counts it.
func (t *table) add(cells ...cell) {
	if len(t.Rows) >= maxRows {
		t.More++
		return
	}
	t.Rows = append(t.Rows, cells)
}

func text(s string) cell { return cell{Parts: parts("", s)} }
func code(s string) cell { return cell{Parts: parts("code", s)} }

// parts are one part a text, without those that are empty.
func parts(class string, texts ...string) []part {
	var out []part
	for _, s := range texts {
		if s != "" {
			out = append(out, part{s, class})
		}
	}
	return out
}

func num[N int | uint64 | uint32](n N) cell {
	return cell{Key: strconv.FormatUint(uint64(n), 10), Parts: parts("", report.Thousands(int(n)))}
}

// addr is one or two ends; it is sorted by the bytes of the first address.
func addr(s string) cell { return cell{Key: addrKey(s), Parts: parts("code", s)} }

// addrKey is the first word of s as an address, or an address with a port, in
// hexadecimal: so that text order is the order of addresses.
func addrKey(s string) string {
	first, _, _ := strings.Cut(s, " ")
	ap, err := netip.ParseAddrPort(first)
	if err != nil {
		a, err := netip.ParseAddr(strings.Trim(first, "[]"))
		if err != nil {
			return "~" + s // behind all addresses
		}
		ap = netip.AddrPortFrom(a, 0)
	}
	b := ap.Addr().As16()
	return hex.EncodeToString(append(b[:], byte(ap.Port()>>8), byte(ap.Port())))
}

func graded(sev, s string) cell {
	return cell{Key: strconv.Itoa(rank(sev)), Parts: []part{{s, class(sev)}}}
}

// class is how a severity is set.
func class(sev string) string {
	switch sev {
	case report.Critical, report.Warning:
		return sev
	}
	return "dim"
}

// rank is 0 for the gravest.
func rank(sev string) int {
	for i, s := range report.Severities {
		if s == sev {
			return i
		}
	}
	return len(report.Severities)
}

func at(t *time.Time) cell {
	if t == nil || t.IsZero() {
		return cell{Key: ""}
	}
	return cell{Key: t.UTC().Format("20060102150405.000"), Parts: parts("", t.UTC().Format(time.DateTime))}
}

// clock is a time as pages show it; columns of times have UTC in their name.
func clock(t time.Time) string { return t.UTC().Format(time.DateTime + " UTC") }

// ruleCell names a rule, with its text.
func ruleCell(r *report.Rule) cell {
	if r == nil {
		return cell{}
	}
	return cell{Parts: []part{{r.Name(), ""}, {r.Text, "code"}}}
}

// prune leaves out columns in which no cell has anything.
func (t *table) prune() {
	for i := len(t.Columns) - 1; i >= 0; i-- {
		has := func(row []cell) bool { return len(row[i].Parts) > 0 }
		if slices.ContainsFunc(t.Rows, has) {
			continue
		}
		t.Columns = slices.Delete(t.Columns, i, i+1)
		for j := range t.Rows {
			t.Rows[j] = slices.Delete(t.Rows[j], i, i+1)
		}
	}
}

// Count is how many rows there are, shown or not.
func (t table) Count() int { return len(t.Rows) + t.More }
