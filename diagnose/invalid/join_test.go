package invalid

import (
	"bytes"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/kernlog"
)

// readAll reads lines as a log's reader does. A line that is not ours counts as
// a message without a kind.
func readAll(lines []string) []Message {
	var (
		out []Message
		j   Joiner
		r   kernlog.Record
		m   Message
	)
	keep := func() {
		c := m
		c.Text, c.Rest = bytes.Clone(m.Text), bytes.Clone(m.Rest)
		c.In, c.Out = bytes.Clone(m.In), bytes.Clone(m.Out)
		out = append(out, c)
	}
	for i, line := range lines {
		for again := true; again; {
			var ok bool
			r.Set([]byte(line), time.Unix(int64(i), 0))
			ok, again = j.Next(&r, &m)
			switch {
			case ok:
				keep()
			case !j.held:
				out = append(out, Message{})
			}
		}
	}
	if j.Flush(&m) {
		keep()
	}
	return out
}
