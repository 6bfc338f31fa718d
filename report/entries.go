package report

import (
	"io"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

// Entries is the document of `flows get` and `flows insert`: entries with all
// that the kernel tells of them.
type Entries struct {
	Header
	Query string `json:"query"`
	// ReadAs is what the query was taken for, when it was a pasted line.
	ReadAs string `json:"read_as,omitempty"`
	Flows  []Flow `json:"flows"`
	// More is how many entries fit beyond those in Flows.
	More int `json:"more,omitempty"`
	// Nearest are entries that fit the query in part, when none fits.
	Nearest []Flow `json:"nearest,omitempty"`
}

func entriesJSON(w io.Writer, d *Entries, _ Style) error { return encode(w, d, "  ") }

func entriesJSONL(w io.Writer, d *Entries, _ Style) error {
	for i := range d.Flows {
		if err := encode(w, &d.Flows[i], ""); err != nil {
			return err
		}
	}
	return nil
}

func entriesText(w io.Writer, d *Entries, s Style) error {
	var b strings.Builder
	if len(d.Flows) == 0 {
		explainNothing(&b, &Explain{Query: d.Query, ReadAs: d.ReadAs, Nearest: d.Nearest}, s)
	}
	for i := range d.Flows {
		if i > 0 {
			b.WriteByte('\n')
		}
		entryText(&b, &d.Flows[i].Flow, s)
	}
	if d.More > 0 {
		wrap(&b, s.width(), "\n", "", counted(d.More, "more flow fits", "more flows fit")+", not shown: name more of the flow, or use --all")
	}
	missingText(&b, d.Header, s)
	_, err := io.WriteString(w, b.String())
	return err
}

// entryText is one entry, a line for each thing that it has.
func entryText(b *strings.Builder, f *host.Flow, s Style) {
	b.WriteString(s.paint(bold, FlowName(f)) + "\n")
	for _, row := range entryRows {
		if text := row.text(f, s); text != "" {
			const indent = 2 + 12
			first := "  " + row.name + strings.Repeat(" ", 12-len(row.name))
			wrap(b, s.width(), first, strings.Repeat(" ", indent), text)
		}
	}
}
