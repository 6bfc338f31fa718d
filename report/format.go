package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

// Format writes documents of every kind in one format.
type Format struct {
	Name string
	// Human tells whether it is for people: bounded, escaped, perhaps coloured.
	Human    bool
	Explain  func(io.Writer, *Explain, Style) error
	Rules    func(io.Writer, *Rules, Style) error
	Simulate func(io.Writer, *Simulate, Style) error
	Counters func(io.Writer, *Counters, Style) error
	Invalid  func(io.Writer, *Invalid, Style) error
	History  func(io.Writer, *History, Style) error
	Diff     func(io.Writer, *Diff, Style) error
	// Flows begins a listing that is fed flow by flow.
	Flows func(io.Writer, Style) FlowWriter
	// FlowsDelete and Undo are of what changes the table.
	FlowsDelete func(io.Writer, *FlowsDelete, Style) error
	Undo        func(io.Writer, *Undo, Style) error
	// Entries writes entries with all that is known of them.
	Entries func(io.Writer, *Entries, Style) error
	// Changes begins a list of what became of flows.
	Changes func(io.Writer, Style) ChangeWriter
	// Stale begins one of stale flows.
	Stale func(io.Writer, Style) StaleWriter
}

// FlowWriter writes a listing of flows of any length.
type FlowWriter interface {
	// Add takes one flow, which is reused after the call.
	Add(*host.Flow) error
	// Close ends the listing.
	Close(FlowsEnd) error
}

// FlowsEnd is what is known of a listing at its end.
type FlowsEnd struct {
	Header  Header
	Matched int // entries that passed the filters
	Shown   int // entries that were written
	Checked int // entries that were read
	// Unread is about how many more entries there are, which were not read; they
	// all pass the filters.
	Unread int
}

// formats is every format, the default first.
var formats = []Format{
	{
		Name:        "table",
		Human:       true,
		Explain:     explainText,
		Rules:       rulesText,
		Simulate:    simulateText,
		Counters:    countersText,
		Invalid:     invalidText,
		History:     historyText,
		Diff:        diffText,
		Flows:       newFlowTable,
		Entries:     entriesText,
		Changes:     newChangeText,
		Stale:       newStaleTable,
		FlowsDelete: flowsDeleteText,
		Undo:        undoText,
	},
	{
		Name:        "wide",
		Human:       true,
		Explain:     explainText,
		Rules:       rulesText,
		Simulate:    simulateText,
		Counters:    countersText,
		Invalid:     invalidText,
		History:     historyText,
		Diff:        diffText,
		Flows:       newFlowTable,
		Entries:     entriesText,
		Changes:     newChangeText,
		Stale:       newStaleTable,
		FlowsDelete: flowsDeleteText,
		Undo:        undoText,
	},
	{
		Name:        "json",
		Explain:     explainJSON,
		Rules:       rulesJSON,
		Simulate:    simulateJSON,
		Counters:    countersJSON,
		Invalid:     invalidJSON,
		History:     historyJSON,
		Diff:        diffJSON,
		Flows:       newFlowJSON,
		Entries:     entriesJSON,
		Changes:     newChangeJSON,
		Stale:       newStaleJSON,
		FlowsDelete: flowsDeleteJSON,
		Undo:        undoJSON,
	},
	{
		Name:        "jsonl",
		Explain:     explainJSONL,
		Rules:       rulesJSONL,
		Simulate:    simulateJSONL,
		Counters:    countersJSONL,
		Invalid:     invalidJSONL,
		History:     historyJSONL,
		Diff:        diffJSONL,
		Flows:       newFlowJSONL,
		Entries:     entriesJSONL,
		Changes:     newChangeJSONL,
		Stale:       newStaleJSONL,
		FlowsDelete: flowsDeleteJSONL,
		Undo:        undoJSONL,
	},
}

// Formats names the formats, the default first.
func Formats() []string {
	var out []string
	for _, f := range formats {
		out = append(out, f.Name)
	}
	return out
}

// FormatByName finds a format.
func FormatByName(name string) (Format, error) {
	for _, f := range formats {
		if f.Name == name {
			return f, nil
		}
	}
	return Format{}, fmt.Errorf("unknown output format %q (known: %s)", name, strings.Join(Formats(), ", "))
}
