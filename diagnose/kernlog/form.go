package kernlog

import "bytes"

// verdict is what a form says of a line.
type verdict uint8

const (
	notMine verdict = iota // of another form
	kernel                 // a message of the kernel: the record is filled
	program                // a message of a program
	nothing                // no message: a mark of the log's own
	verbose                // the first line of an entry of journalctl -o verbose
)

// A form is one way to write the log down, one message a line.
type form struct {
	name  string
	first string // what a line of it may begin with
	read  func(*parser, []byte, *Record) verdict
}

const (
	digits  = "0123456789"
	letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// forms are tried in this order. A line that none of them takes is a text alone:
// dmesg -t, journalctl -o cat.
var forms = []form{
	{"syslog", "JFMASOND", syslogLine},
	{"kmsg", digits, kmsgLine},
	{"syslog, ISO time", digits, isoLine},
	{"journalctl -o short-unix", digits, unixLine},
	{"dmesg", "[", dmesgLine},
	{"dmesg --raw", "<", rawLine},
	{"syslog, RFC 5424", "<", rfc5424Line},
	{"syslog, priority", "<", priorityLine},
	{"dmesg --decode", letters, decodedLine},
	{"journalctl -o short-full", letters, fullLine},
	{"logread", letters, logreadLine},
	{"journalctl, marks", "-", markLine},
}

// byFirst are the numbers of the forms that a line may be of, by its first byte.
var byFirst = func() (t [256][]uint8) {
	for i, f := range forms {
		for _, c := range []byte(f.first) {
			t[c] = append(t[c], uint8(i))
		}
	}
	return t
}()

// parser is what has to be known of the lines before, in one file.
type parser struct {
	clock *clock
	met   uint32 // forms met, by number

	after    verdict // what the line before was
	indented bool    // the line before had a prefix: a line that begins with blanks goes on with it

	seq    uint64 // of the record before, when hasSeq
	hasSeq bool
	lost   uint64
	gaps   uint64 // losses of unknown size

	host     []byte // who the lines of journalctl -o short-monotonic are from
	last     []byte // the last text of a form that has "last message repeated"
	repeated uint64 // messages that the log did not write again
}

// line reads one line, which is not empty.
func (p *parser) line(b []byte, rec *Record) verdict {
	for _, i := range byFirst[b[0]] {
		if v := forms[i].read(p, b, rec); v != notMine {
			if v != verbose {
				p.met |= 1 << i
			}
			p.after, p.indented = v, true
			return v
		}
	}
	if (b[0] == ' ' || b[0] == '\t') && p.indented {
		return p.further(b, rec)
	}
	p.after, p.indented = kernel, false
	p.met |= 1 << metText
	*rec = Record{Text: b}
	return lost(p, b, kernel)
}

// further reads a line that begins with blanks, after one with a prefix: a
// property of a /dev/kmsg record, or what follows a newline in a message.
func (p *parser) further(b []byte, rec *Record) verdict {
	if p.after != kernel {
		return p.after
	}
	if p.hasSeq {
		return nothing // " SUBSYSTEM=net": newlines are \x0a there
	}
	*rec = Record{Text: bytes.TrimLeft(b, " \t"), Continues: true}
	return kernel
}

// number marks a gap in the sequence of /dev/kmsg. One that is not higher is
// another boot's.
func (p *parser) number(seq uint64) {
	if p.hasSeq && seq > p.seq+1 {
		p.lost += seq - p.seq - 1
	}
	p.seq, p.hasSeq = seq, true
}

// body takes the time since boot off a text that syslog or the journal has, and
// the printk caller: "[   12.345678] [T12] text".
func (p *parser) body(b []byte, rec *Record) {
	if len(b) > 0 && b[0] == '[' {
		if s, rest := bracket(b); s.kind == bracketUptime {
			rec.mono = s.text
			b = cutCaller(rest)
		}
	}
	rec.Text = newlines(b)
}

// newlines puts back what rsyslog writes of a newline in a message, in place.
func newlines(b []byte) []byte {
	i := bytes.IndexByte(b, '#')
	if i < 0 || !bytes.Contains(b[i:], escapedNewline) {
		return b
	}
	out := b[:i]
	for i < len(b) {
		if bytes.HasPrefix(b[i:], escapedNewline) {
			out = append(out, '\n')
			i += len(escapedNewline)
			continue
		}
		out = append(out, b[i])
		i++
	}
	return out
}

var escapedNewline = []byte("#012")
