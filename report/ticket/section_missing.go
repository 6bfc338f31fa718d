package ticket

import (
	"github.com/ntdiag/ntdiag/diagnose/host"
)

// missing is what could not be known, and why.
func (t *Ticket) missing() *section {
	all := t.allMissing()
	s := &section{ID: "missing", Title: "Not known", Lead: "All that was asked for could be read."}
	if len(all) == 0 {
		return s
	}
	s.Lead = "What could not be read or was left out. Answers that rest on it say so."
	x := table{ID: "missing-list", Caption: "What is missing, and why", What: "things", Columns: []column{{"What and why", long}}}
	for _, m := range host.MissingText(all) {
		x.add(text(m))
	}
	s.Tables = append(s.Tables, x)
	return s
}
