package invalid

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

// row is a message as some kernels print it.
type row struct {
	kernels string // 4.19=error+invalid 6.18=none/accepted
	reason  string
	args    string
	packet  string
	line    string
}

// messages reads testdata/messages.tsv: kernels and the counters that they
// move, the reason, its values, the packet, and the line; \n is a newline.
func messages(t testing.TB) []row {
	t.Helper()
	text, err := os.ReadFile("testdata/messages.tsv")
	if err != nil {
		t.Fatal(err)
	}
	var out []row
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") {
			continue
		}
		col := strings.Split(line, "\t")
		if len(col) != 5 {
			t.Fatalf("testdata/messages.tsv: %d columns, want 5: %s", len(col), line)
		}
		out = append(out, row{col[0], col[1], col[2], col[3], strings.ReplaceAll(col[4], `\n`, "\n")})
	}
	return out
}

func TestMessages(t *testing.T) {
	var m Message
	for _, r := range messages(t) {
		if !Parse([]byte(r.line), &m) {
			t.Errorf("not ours: %s", r.line)
			continue
		}
		name := ""
		if m.Reason != nil {
			name = m.Reason.Name
		}
		if name != r.reason || showArgs(&m) != r.args {
			t.Errorf("reason %s (%s), want %s (%s): %s", name, showArgs(&m), r.reason, r.args, r.line)
		}
		if got := show(&m); got != r.packet {
			t.Errorf("%s\n got %s\nwant %s", r.line, got, r.packet)
		}
		if m.Rest != nil {
			t.Errorf("left over %q: %s", m.Rest, r.line)
		}
		if got := moves(t, &m, r.kernels); got != r.kernels {
			t.Errorf("%s\n got %s\nwant %s", r.line, got, r.kernels)
		}
	}
}

// moves writes what the packet of m moves on the kernels that want names.
func moves(t *testing.T, m *Message, want string) string {
	var out []string
	for field := range strings.FieldsSeq(want) {
		name, _, _ := strings.Cut(field, "=")
		k, ok := host.ParseRelease(name)
		if !ok {
			t.Fatalf("no release: %q", name)
		}
		moved := slices.Sorted(slices.Values(m.Moved(k)))
		if moved == nil {
			moved = []string{"none"}
		}
		s := name + "=" + strings.Join(moved, "+")
		if m.Accepted(k) {
			s += "/accepted"
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

// TestForms: every wording is read by its own form, so none stands behind one
// that takes it first.
func TestForms(t *testing.T) {
	values := strings.NewReplacer("%pI4", "192.0.2.1", "%pI6", "2001:0db8:0000:0000:0000:0000:0000:0001",
		"%u", "75", "%d", "7", "%x", "1f", "%s", "ESTABLISHED")
	var m Message
	for i := range Table {
		r := &Table[i]
		for k := range r.Forms {
			f := &r.Forms[k]
			if f.Since.Known() && f.Before.Known() && f.Since.In(f.Before, host.Release{}) {
				t.Errorf("%q: from %v until %v", f.Text, f.Since, f.Before)
			}
			for _, after := range []string{"", " ", " IN= OUT= ", " SRC=192.0.2.1 "} {
				if r.Kind > KindHelper && after != "" {
					continue
				}
				text := values.Replace(f.Text) + after
				if !read([]byte(text), &m, strings.TrimSpace(after) == "") || m.Reason != r || m.Form != f || m.Kind != r.Kind {
					t.Errorf("%q is read as %v, want %s", text, m.Form, r.Name)
				}
			}
		}
	}
}

// TestTable: what a row must have.
func TestTable(t *testing.T) {
	type key struct {
		proto uint8
		name  string
	}
	have := map[key]bool{}
	for i := range Table {
		r := &Table[i]
		k := key{r.Proto, r.Name}
		if have[k] {
			t.Errorf("%s of %d stands twice", r.Name, r.Proto)
		}
		have[k] = true
		if r.Kind == KindNone || r.Cause == "" || r.Function == "" || len(r.Forms) == 0 {
			t.Errorf("%s of %d lacks something", r.Name, r.Proto)
		}
		if r.Cost != "" && r.Fix == "" {
			t.Errorf("%s of %d costs, and fixes nothing", r.Name, r.Proto)
		}
	}
	for i := range Silents {
		if s := &Silents[i]; s.Counter == "" || s.What == "" || s.Cause == "" || s.Function == "" {
			t.Errorf("%q lacks something", s.What)
		}
	}
}
