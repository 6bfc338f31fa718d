package report

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Action is what became of a flow that was to be changed.
type Action string

const (
	ActionUpdated Action = "updated"
	ActionGone    Action = "gone"    // it ended before
	ActionChanged Action = "changed" // another entry has its tuple; not touched
	ActionFailed  Action = "failed"  // the kernel refused
)

// Change is a flow with what became of it.
type Change struct {
	Flow   Flow   `json:"flow"`
	Action Action `json:"action"`
	Why    string `json:"why,omitempty"`
}

// ChangeWriter writes changes of any number.
type ChangeWriter interface {
	Add(*Change) error
	Close(ChangesEnd) error
}

// ChangesEnd is what is known of a list of changes at its end.
type ChangesEnd struct {
	Header  Header
	What    string // what was set, in words
	Matched int
	Checked int // entries that were read, 0 where the kernel was asked for them
}

// changeJSONL is one change a line.
type changeJSONL struct{ w *bufio.Writer }

func newChangeJSONL(w io.Writer, _ Style) ChangeWriter {
	return &changeJSONL{bufio.NewWriterSize(w, 64<<10)}
}

func (j *changeJSONL) Add(c *Change) error    { return encode(j.w, c, "") }
func (j *changeJSONL) Close(ChangesEnd) error { return j.w.Flush() }

// changeJSON is one document; as of a listing of flows, the header stands at
// the end.
type changeJSON struct {
	changeJSONL
	counts map[Action]int
	n      int
}

func newChangeJSON(w io.Writer, _ Style) ChangeWriter {
	return &changeJSON{changeJSONL{bufio.NewWriterSize(w, 64<<10)}, map[Action]int{}, 0}
}

func (j *changeJSON) Add(c *Change) error {
	sep := ","
	if j.n == 0 {
		sep = "{\"changes\":[\n"
	}
	j.n++
	j.counts[c.Action]++
	if _, err := j.w.WriteString(sep); err != nil {
		return err
	}
	return encode(j.w, c, "")
}

func (j *changeJSON) Close(end ChangesEnd) error {
	if j.n == 0 {
		if _, err := j.w.WriteString("{\"changes\":["); err != nil {
			return err
		}
	}
	tail, err := json.Marshal(struct {
		Header
		Set     string         `json:"set"`
		Counts  map[Action]int `json:"counts"`
		Matched int            `json:"matched"`
		Checked int            `json:"checked"`
	}{end.Header, end.What, j.counts, end.Matched, end.Checked})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(j.w, "],\n%s\n", tail[1:])
	return errors.Join(err, j.w.Flush())
}

// maxNamed is how many flows the text names for one reason.
const maxNamed = 3

// changeText counts, and names what was not done; wide names every flow.
type changeText struct {
	w      io.Writer
	s      Style
	counts map[Action]int
	whys   map[string]*unchanged
}

// unchanged are flows that one reason left as they were.
type unchanged struct {
	n     int
	names []string
}

func newChangeText(w io.Writer, s Style) ChangeWriter {
	return &changeText{w, s, map[Action]int{}, map[string]*unchanged{}}
}

func (t *changeText) Add(c *Change) error {
	t.counts[c.Action]++
	if c.Why != "" {
		u := t.whys[c.Why]
		if u == nil {
			u = &unchanged{}
			t.whys[c.Why] = u
		}
		if u.n++; len(u.names) < maxNamed {
			u.names = append(u.names, FlowName(&c.Flow.Flow))
		}
	}
	if !t.s.Wide {
		return nil
	}
	_, err := fmt.Fprintf(t.w, "%-8s %s\n", c.Action, FlowName(&c.Flow.Flow))
	return err
}

func (t *changeText) Close(end ChangesEnd) error {
	var b strings.Builder
	switch {
	case end.Matched == 0 && end.Checked == 0:
		b.WriteString("no flow fits\n")
	case end.Matched == 0:
		fmt.Fprintf(&b, "no flow fits (%s looked at)\n", counted(end.Checked, "entry", "entries"))
	default:
		wrap(&b, t.s.width(), "", "  ", fmt.Sprintf("%s updated: %s", counted(t.counts[ActionUpdated], "flow", "flows"), end.What))
	}
	for _, why := range slices.Sorted(maps.Keys(t.whys)) {
		u := t.whys[why]
		text := fmt.Sprintf("%s not changed: %s", counted(u.n, "flow", "flows"), safe(why))
		wrap(&b, t.s.width(), "", "  ", t.s.paint(yellow, text))
		for _, name := range u.names {
			b.WriteString("    " + name + "\n")
		}
		if more := u.n - len(u.names); more > 0 {
			fmt.Fprintf(&b, "    and %s\n", counted(more, "more", "more"))
		}
	}
	missingText(&b, end.Header, t.s)
	_, err := io.WriteString(t.w, b.String())
	return err
}
