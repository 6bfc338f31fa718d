package xt

import (
	"fmt"
	"maps"
	"slices"

	"github.com/ntdiag/ntdiag/rules"
)

// row is one revision of one extension.
type row struct {
	name     string
	revision uint8
	// families that it is for, any when empty: some revisions have a layout of
	// their own in each (SNAT, MASQUERADE).
	family rules.Family
	// decode reads the struct. It need not look at the reader's error: what was
	// cut short is thrown away.
	decode func(c *Context, r *reader) Extension
}

// indexRows are the rows by name.
func indexRows(groups ...[]row) map[string][]row {
	out := map[string][]row{}
	for _, rows := range groups {
		for _, r := range rows {
			out[r.name] = append(out[r.name], r)
		}
	}
	return out
}

// find prefers a row of the family to one for any.
func find(table map[string][]row, f rules.Family, b *Blob) (*row, error) {
	rows := table[b.Name]
	for _, family := range [...]rules.Family{f, rules.FamilyUnspec} {
		for i := range rows {
			if r := &rows[i]; r.revision == b.Revision && r.family == family {
				return r, nil
			}
		}
	}
	if len(rows) > 0 {
		return nil, fmt.Errorf("revision %d is not known for %s", b.Revision, f)
	}
	return nil, fmt.Errorf("xtables extension is not known")
}

// decodeBlob reads one blob by its row.
func decodeBlob(table map[string][]row, c *Context, b *Blob) (Extension, error) {
	if c.Family != rules.FamilyIPv4 && c.Family != rules.FamilyIPv6 {
		return nil, fmt.Errorf("xtables extension of family %s", c.Family)
	}
	row, err := find(table, c.Family, b)
	if err != nil {
		return nil, err
	}
	r := &c.reader
	*r = reader{order: c.Order, b: b.Info}
	x := row.decode(c, r)
	if r.err != nil {
		return nil, r.err
	}
	return x, nil
}

// DecodeMatch reads a match.
func DecodeMatch(c *Context, b *Blob) (Extension, error) { return decodeBlob(matches, c, b) }

// DecodeTarget reads a target.
func DecodeTarget(c *Context, b *Blob) (Extension, error) { return decodeBlob(targets, c, b) }

// natTargets can set up NAT.
var natTargets = map[string]bool{
	"SNAT": true, "DNAT": true, "MASQUERADE": true, "REDIRECT": true, "NETMAP": true,
}

// IsNAT tells whether the target of that name sets up NAT.
func IsNAT(target string) bool { return natTargets[target] }

// Match is what a match asks of a packet. One that is not understood is opaque.
func Match(c *Context, b *Blob) []rules.Statement {
	x, err := DecodeMatch(c, b)
	if err != nil {
		return []rules.Statement{&rules.Opaque{Span: c.Span, Name: "match " + b.Name, Raw: b.Info, Why: err.Error()}}
	}
	return orRemark(c, b, x.Statements(c))
}

// Target is what a target does. One that is not understood is opaque: it may
// end the packet's way, and set up NAT if its name says so.
func Target(c *Context, b *Blob) []rules.Statement {
	x, err := DecodeTarget(c, b)
	if err != nil {
		return []rules.Statement{&rules.Opaque{
			Span: c.Span, Name: "target " + b.Name, Raw: b.Info, Why: err.Error(), MayEnd: true, MayNAT: natTargets[b.Name],
		}}
	}
	return orRemark(c, b, x.Statements(c))
}

// orRemark sees to it that every blob is accounted for.
func orRemark(c *Context, b *Blob, s []rules.Statement) []rules.Statement {
	if len(s) == 0 {
		return []rules.Statement{&rules.Remark{Span: c.Span, Name: b.Name}}
	}
	return s
}

// Extensions lists the names of the matches and targets that are decoded,
// sorted.
func Extensions() (match, target []string) {
	return names(matches), names(targets)
}

func names(table map[string][]row) []string { return slices.Sorted(maps.Keys(table)) }
