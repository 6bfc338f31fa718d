// Package kernlog reads the kernel's log as it is kept in files: what dmesg and
// /dev/kmsg give, what syslog daemons and the journal write, compressed or not,
// known by what is in it, also where forms are mixed.
//
// Only the kernel's messages come out. What programs write is read and counted: a
// line whose tag is not "kernel", and what has another facility than kern, for
// that is how a program writes to /dev/kmsg. A line without a time and a tag is
// taken for the kernel's text alone.
package kernlog

import "time"

// Record is one message of the kernel's log. It is reused for the next: slices
// are good until then.
type Record struct {
	// Text is the message as the kernel wrote it, without what the log put
	// before it. A newline within is one: /dev/kmsg writes it as \x0a.
	Text []byte
	// Seq is its number in /dev/kmsg, when HasSeq: one that is missing was lost.
	Seq    uint64
	HasSeq bool
	// Continues: it goes on with the message before. The kernel's own newline
	// made two lines of one message (dmesg, journalctl), or printk wrote it in
	// parts (KERN_CONT).
	Continues bool
	// Foreign: a program wrote it to /dev/kmsg (its facility is not kern; the
	// kernel lets no program use that).
	Foreign bool
	// Cut: it was longer than MaxLine, and this is its beginning; or it is the
	// last of a file that ends within a line.
	Cut bool
	// Repeats: the log wrote "repeated n times" in place of n messages with this
	// text. 0 for an ordinary record, which is one message.
	Repeats uint32

	// stamp is when it was written, as the log has it: read only when asked for.
	stamp []byte
	read  func(stamp []byte) time.Time
	at    time.Time
	// mono is the time since boot as text, seconds with a fraction; uptime is
	// the same in microseconds when hasUptime.
	mono      []byte
	uptime    uint64
	hasUptime bool
}

// Time is when the message was written; the zero Time where the log does not
// tell.
func (r *Record) Time() time.Time {
	if r.at.IsZero() && r.read != nil && len(r.stamp) > 0 {
		r.at = r.read(r.stamp)
	}
	return r.at
}

// Uptime is how long after boot it was written; false where the log does not
// tell. It stops while the machine sleeps.
func (r *Record) Uptime() (time.Duration, bool) {
	if !r.hasUptime && len(r.mono) > 0 {
		r.uptime, r.hasUptime = parseUptime(r.mono)
		r.mono = nil
	}
	return time.Duration(r.uptime) * time.Microsecond, r.hasUptime
}

// Messages is how many messages of the kernel the record stands for.
func (r *Record) Messages() uint64 { return max(1, uint64(r.Repeats)) }

// SetTime says when the message was written, where the log has only the time
// since boot.
func (r *Record) SetTime(at time.Time) { r.at = at }
