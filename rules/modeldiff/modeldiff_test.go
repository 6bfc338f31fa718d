package modeldiff

import (
	"net/netip"
	"testing"
	"time"
)

type part struct {
	Name string
	Next *part
	own  int
}

type model struct {
	Parts []*part
	Any   any
	Text  map[string][]byte
	Addr  netip.Addr
	At    time.Time
	Do    func()
}

func ring(names ...string) *model {
	m := &model{Text: map[string][]byte{"a": {}}, At: time.Unix(1, 0)}
	for i, n := range names {
		m.Parts = append(m.Parts, &part{Name: n, own: i})
	}
	for i, p := range m.Parts {
		p.Next = m.Parts[(i+1)%len(m.Parts)]
	}
	return m
}

func TestFirst(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*model)
		want   string
	}{
		{"nothing", func(m *model) { m.Do, m.Parts[0].own = func() {}, 9 }, ""},
		{"a name", func(m *model) { m.Parts[2].Name = "x" }, `.Parts[0].Next.Next.Name: "c", then "x"`},
		{"who is who", func(m *model) { m.Parts[2].Next = &part{"a", m.Parts[1], 0} }, `.Parts[0].Next.Next.Next: "the same as before", then "another"`},
		{"nil", func(m *model) { m.Text["a"] = nil }, `.Text[a]: false, then true`},
		{"a type", func(m *model) { m.Any = 1 }, `.Any: false, then true`},
		{"an address", func(m *model) { m.Addr = netip.IPv6Loopback() }, `.Addr: "invalid IP", then "::1"`},
		{"a time", func(m *model) { m.At = m.At.Add(1) }, `.At: time.Date(1970, time.January, 1, 0, 0, 1, 0, time.UTC), then time.Date(1970, time.January, 1, 0, 0, 1, 1, time.UTC)`},
		{"one more", func(m *model) { m.Parts = append(m.Parts, m.Parts[0]) }, `.Parts: 3, then 4`},
	} {
		a, b := ring("a", "b", "c"), ring("a", "b", "c")
		a.At, b.At = a.At.UTC(), b.At.UTC()
		tc.change(b)
		if got := First(a, b); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}
