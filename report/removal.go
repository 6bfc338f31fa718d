package report

import (
	"io"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/journal"
	"github.com/ntdiag/ntdiag/diagnose/remove"
	"github.com/ntdiag/ntdiag/diagnose/stale"
)

// Removal is what became of flows that were to be deleted.
type Removal struct {
	Flows []RemovedFlow `json:"flows"`
	// Journal is the file that keeps them; absent when nothing was deleted.
	Journal string `json:"journal,omitempty"`
	DryRun  bool   `json:"dry_run,omitempty"`
}

// RemovedFlow is one of them.
type RemovedFlow struct {
	Flow   Flow           `json:"flow"`
	Action journal.Action `json:"action"`
	Why    string         `json:"why,omitempty"`
	Risk   []stale.Risk   `json:"risk"`
	// Back is what stands there again: fresh, same, plain, other or reversed;
	// Now that entry, or the one that an entry changed into.
	Back remove.Back `json:"back,omitempty"`
	Now  *Flow       `json:"now,omitempty"`
}

// NewRemoval describes results.
func NewRemoval(results []remove.Result, path string, dryRun bool) Removal {
	d := Removal{Flows: []RemovedFlow{}, Journal: path, DryRun: dryRun}
	for i := range results {
		d.Flows = append(d.Flows, newRemoved(&results[i]))
	}
	return d
}

func newRemoved(r *remove.Result) RemovedFlow {
	f := RemovedFlow{
		Flow: Flow{r.Flow}, Action: r.Action, Why: r.Said, Back: r.Back, Now: flowOf(r.Now),
		Risk: append([]stale.Risk{}, r.Risks...),
	}
	if what, _ := remove.BackText(r.Back, &r.Flow); f.Why == "" {
		f.Why = what
	}
	return f
}

func flowOf(f *host.Flow) *Flow {
	if f == nil {
		return nil
	}
	return &Flow{*f}
}

// Count is how many flows had that action.
func (d *Removal) Count(a journal.Action) int {
	n := 0
	for i := range d.Flows {
		if d.Flows[i].Action == a {
			n++
		}
	}
	return n
}

// Left tells whether a flow is there that was to go, or came back wrong.
func (d *Removal) Left() bool {
	for i := range d.Flows {
		f := &d.Flows[i]
		if f.Action == journal.Changed || f.Action == journal.Failed || f.Back.Wrong() {
			return true
		}
	}
	return false
}

// FlowsDelete is the document of `flows delete`.
type FlowsDelete struct {
	Header
	Removal
	Checked int `json:"checked"` // entries that were looked at
}

// Undo is the document of `undo`.
type Undo struct {
	Header
	Journal string       `json:"journal"`
	Command string       `json:"command"` // that deleted them
	Flows   []UndoneFlow `json:"flows"`
	// Torn is how many bytes at the end of the journal are no record.
	Torn int64 `json:"torn,omitempty"`
	// Before tells that an undo before this one had put all of it back.
	Before bool `json:"before,omitempty"`
	// Lost is what could not be put back of the flows that were.
	Lost []Lost `json:"lost"`
}

// UndoneFlow is one flow that was to be put back.
type UndoneFlow struct {
	Flow    Flow            `json:"flow"`
	Outcome journal.Outcome `json:"outcome"`
	Why     string          `json:"why,omitempty"`
	Now     *Flow           `json:"now,omitempty"`
}

// Lost is a part of entries that ctnetlink does not take.
type Lost struct {
	What  string `json:"what"`
	Why   string `json:"why"`
	Flows int    `json:"flows"`
}

// NewUndo describes what came of an undo.
func NewUndo(h Header, path string, j *journal.Journal, undone []remove.Undone) *Undo {
	d := &Undo{Header: h, Journal: path, Command: j.Command, Torn: j.Torn, Before: !j.Undone.IsZero(), Flows: []UndoneFlow{}, Lost: []Lost{}}
	lost := make([]int, len(capture.InsertLoses))
	for i := range undone {
		u := &undone[i]
		d.Flows = append(d.Flows, UndoneFlow{Flow: Flow{u.Flow}, Outcome: u.Outcome, Why: u.Why, Now: flowOf(u.Now)})
		if u.Outcome != journal.Restored {
			continue
		}
		for k, l := range capture.InsertLoses {
			if l.Of == nil || l.Of(&u.Flow) {
				lost[k]++
			}
		}
	}
	for k, l := range capture.InsertLoses {
		if lost[k] > 0 {
			d.Lost = append(d.Lost, Lost{l.What, l.Why, lost[k]})
		}
	}
	return d
}

// Count is how many flows had that outcome.
func (d *Undo) Count(o journal.Outcome) int {
	n := 0
	for i := range d.Flows {
		if d.Flows[i].Outcome == o {
			n++
		}
	}
	return n
}

func flowsDeleteJSON(w io.Writer, d *FlowsDelete, _ Style) error { return encode(w, d, "  ") }

// flowsDeleteJSONL is one flow a line.
func flowsDeleteJSONL(w io.Writer, d *FlowsDelete, _ Style) error {
	for i := range d.Flows {
		if err := encode(w, &d.Flows[i], ""); err != nil {
			return err
		}
	}
	return nil
}

func undoJSON(w io.Writer, d *Undo, _ Style) error { return encode(w, d, "  ") }

// undoJSONL is one flow a line.
func undoJSONL(w io.Writer, d *Undo, _ Style) error {
	for i := range d.Flows {
		if err := encode(w, &d.Flows[i], ""); err != nil {
			return err
		}
	}
	return nil
}
