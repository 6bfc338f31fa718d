package invalid

import (
	"bytes"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/kernlog"
)

// Joiner parses the records of a log and puts a message together that the log
// wrote as two: the reason "do_basic_checks failed" ends with a newline, and
// dmesg and syslog begin a line there. The zero Joiner is ready.
type Joiner struct {
	buf   []byte
	at    time.Time // of what buf holds
	count uint64
	held  bool
}

// Next parses r into m. It reports whether m is a message, and whether r is to
// be given once more: then m is a half that r does not belong to. When the
// first half of a message comes, neither: it waits for the next record, or for
// Flush. m points into r.Text, or into the Joiner until the next call.
//
// What a program wrote to /dev/kmsg is no message of the kernel, whatever it
// says.
func (j *Joiner) Next(r *kernlog.Record, m *Message) (ok, again bool) {
	if j.held {
		j.held = false
		if !r.Foreign && continues(r) {
			j.buf = append(append(j.buf, '\n'), r.Text...)
			return j.emit(m), false
		}
		return j.emit(m), true
	}
	if r.Foreign || !Parse(r.Text, m) {
		m.Kind = KindNone
		return false, false
	}
	if m.half() {
		j.buf = append(j.buf[:0], r.Text...)
		j.at, j.count, j.held = r.Time(), r.Messages(), true
		m.Kind = KindNone
		return false, false
	}
	m.At, m.Count = r.Time(), r.Messages()
	return true, false
}

// Flush gives the half that still waits, when the log is at its end.
func (j *Joiner) Flush(m *Message) bool {
	if !j.held {
		return false
	}
	j.held = false
	return j.emit(m)
}

func (j *Joiner) emit(m *Message) bool {
	ok := Parse(j.buf, m)
	m.At, m.Count = j.at, j.count
	return ok
}

// half tells whether m ends where do_basic_checks ends its line.
func (m *Message) half() bool {
	return m.Reason != nil && m.Reason.Name == "bad-chunks" && m.Packet.Family == 0 && m.In == nil && m.Rest == nil
}

// continues tells whether r is the second half. A rule with -j LOG and no prefix
// prints the same but for the blank that the reason's format ends with, and
// seldom about SCTP.
func continues(r *kernlog.Record) bool {
	rest := bytes.TrimLeft(r.Text, " \t")
	return begins(rest, "IN=") &&
		(r.Continues || len(rest) < len(r.Text) || bytes.Contains(rest, []byte(" PROTO=132")))
}
