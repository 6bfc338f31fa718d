// Package kernlog reads the kernel's log as it is kept in files: text, what
// syslog and the journal write, compressed or not.
package kernlog

import "time"

// Record is one message of the kernel's log. It is reused for the next.
type Record struct {
	// Text is the message as the kernel wrote it, without what the log put
	// before it. A newline within is one: /dev/kmsg writes it as \x0a.
	Text []byte
	// Seq is its number in /dev/kmsg, when HasSeq: one that is missing was lost.
	Seq    uint64
	HasSeq bool

	// stamp is when it was written, as the log has it: read only when asked for.
	stamp []byte
	read  func(stamp []byte) time.Time
	at    time.Time
}

// Time is when the message was written; the zero Time where the log does not
// tell.
func (r *Record) Time() time.Time {
	if r.at.IsZero() && r.read != nil && len(r.stamp) > 0 {
		r.at = r.read(r.stamp)
	}
	return r.at
}

// Set fills r: at is when the message was written.
func (r *Record) Set(text []byte, at time.Time) {
	*r = Record{Text: text, at: at}
}
