package kernlog

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

// MaxLine is how much of a line is read; what is longer is cut, and counted.
const MaxLine = 64 << 10

// Stats is what a Reader has met so far.
type Stats struct {
	// Lines are all that were read: of a journal, its entries.
	Lines uint64
	// Records are those of the kernel: what Next gave.
	Records uint64
	// Programs are lines that programs wrote (sshd, or one that writes to
	// /dev/kmsg): passed by.
	Programs uint64
	// Lost are messages that are known to be missing: gaps in the sequence of
	// /dev/kmsg, and what journald, rsyslog and the console say they lost.
	Lost uint64
	// Gaps are losses of which nothing tells how many messages they were.
	Gaps uint64
	// Repeated are messages that the log holds as "repeated n times" only.
	Repeated uint64
	// Half are lines without an end: the last of a file that is cut off, or is
	// still written to.
	Half uint64
	// Cut are lines longer than MaxLine.
	Cut uint64
	// Forms are the names of the forms met.
	Forms []string
}

// Reader reads the kernel's messages from files, one after the other, in
// constant memory. It is not safe for concurrent use.
type Reader struct {
	inputs  []*input
	in      *input // the one that is read; nil between two
	br      *bufio.Reader
	skip    bool  // the rest of a line is still to be passed over
	pending error // why the file ends, once what was read of it is given out
	last    []byte
	lastErr error
	again   bool // last is to be read again
	inJSON  bool // j is to be read further
	j       jsonIn
	entry   entry
	p       parser
	stats   Stats
	missing []host.Missing

	ctx  context.Context // ends what follows; nil when nothing does
	now  func() time.Time
	zone *time.Location
}

// input is one file.
type input struct {
	name    string
	path    string // "" for standard input
	open    func() (io.Reader, error)
	changed time.Time
	next    func() *input // of a file that is followed: what comes behind its end

	file    io.Reader
	s       *stream
	journal *journal
	lines   uint64
	bad     uint64 // places that could not be read
	// firstBad is why, of the first.
	firstBad error
}

func newReader() *Reader {
	return &Reader{br: bufio.NewReaderSize(nil, 4*MaxLine), now: time.Now, zone: time.Local}
}

// Next fills rec with the next message of the kernel; io.EOF at the end. A file
// that cannot be read, or not to its end, is left for the next one: Missing has
// it.
func (r *Reader) Next(rec *Record) error {
	for {
		if r.in == nil {
			if err := r.nextInput(); err != nil {
				return err
			}
			continue
		}
		v, err := r.message(rec)
		if err != nil {
			r.endInput(err)
			continue
		}
		switch v {
		case kernel:
			r.stats.Records++
			return nil
		case program:
			r.stats.Programs++
		}
	}
}

// message reads one line, or one entry. io.EOF is the file's end, any other error
// why it cannot be read further.
func (r *Reader) message(rec *Record) (verdict, error) {
	if r.inJSON {
		return r.json(rec), nil
	}
	if r.in.journal != nil {
		return r.journalEntry(rec)
	}
	raw, err := r.line()
	if err != nil {
		return nothing, err
	}
	if raw[0] == 'd' && bytes.HasPrefix(raw, []byte("data: {")) { // journalctl -o json-sse
		raw = raw[len("data: "):]
	}
	switch {
	case raw[0] == '_' && isExport(raw):
		return r.export(raw, rec), nil
	case (raw[0] == '{' || raw[0] == '[' || raw[0] == 0x1e) && isJSON(raw):
		r.stats.Lines-- // its objects are counted
		r.in.lines--
		r.beginJSON(raw)
		return r.json(rec), nil
	}
	b, cut := raw, r.pending != nil
	if n := len(b); b[n-1] == '\n' {
		b = b[:n-1]
	}
	if len(b) > MaxLine {
		b, cut = b[:MaxLine], true
		r.stats.Cut++
	}
	if n := len(b); n > 0 && (b[n-1] == '\r' || b[0] == 0) {
		b = bytes.TrimSuffix(b, []byte("\r"))
		b = bytes.TrimLeft(b, "\x00") // of a machine that crashed
	}
	if len(b) == 0 {
		return nothing, nil
	}
	v := r.p.line(b, rec)
	if v == verbose {
		return r.verbose(rec), nil
	}
	rec.Cut = cut
	return v, nil
}

// line is the next line of the file, with its end when it has one; of a line
// longer than the buffer the beginning.
func (r *Reader) line() ([]byte, error) {
	r.discard()
	if r.pending != nil {
		return nil, r.pending
	}
	b, err := r.slice()
	switch {
	case err == bufio.ErrBufferFull:
		r.skip = true
	case err != nil && len(b) == 0:
		return nil, err
	case err != nil:
		r.pending = err
		r.stats.Half++
	}
	r.stats.Lines++
	r.in.lines++
	return b, nil
}

// slice is bufio's ReadSlice; with again, what it gave before.
func (r *Reader) slice() ([]byte, error) {
	if r.again {
		r.again = false
	} else {
		r.last, r.lastErr = r.br.ReadSlice('\n')
	}
	return r.last, r.lastErr
}

// discard passes over what is left of a line.
func (r *Reader) discard() {
	for r.skip && r.pending == nil {
		_, err := r.br.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			continue
		}
		r.skip, r.pending = false, err
	}
}

// journalEntry reads one entry of a journal file.
func (r *Reader) journalEntry(rec *Record) (verdict, error) {
	r.entry.reset()
	more, err := r.in.journal.next(&r.entry)
	if !more {
		return nothing, err
	}
	r.stats.Lines++
	r.in.lines++
	r.p.met |= 1 << metJournal
	if err != nil {
		r.bad(err)
		return nothing, nil
	}
	return r.p.record(&r.entry, rec), nil
}

// bad is something in the file that is not as it should be; what follows is
// read.
func (r *Reader) bad(err error) {
	if r.in.bad++; r.in.bad == 1 {
		r.in.firstBad = err
		if r.in.journal == nil {
			r.in.firstBad = fmt.Errorf("line %d: %w", r.in.lines, err)
		}
	}
}

var utf8BOM = []byte("\xef\xbb\xbf")

var errUTF16 = errors.New("UTF-16 text is not read (iconv -f UTF-16 -t UTF-8 makes it UTF-8)")

var errBinary = errors.New("it is not text, and no journal")

// notRead are the forms that are not read, wherever in the file that is known.
var notRead = []error{errUTF16, errBinary, errJournalStream, errFollowJournal}

// nextInput begins the next file; io.EOF when there is none.
func (r *Reader) nextInput() error {
	if r.ctx != nil && r.ctx.Err() != nil {
		return r.ctx.Err()
	}
	if len(r.inputs) == 0 {
		return io.EOF
	}
	r.in, r.inputs = r.inputs[0], r.inputs[1:]
	r.pending, r.skip, r.again, r.inJSON = nil, false, false, false
	r.p.begin(newClock(r.now, r.in.changed, r.zone))
	if err := r.in.begin(); err != nil {
		r.endInput(err)
		return nil
	}
	if r.in.journal != nil {
		return nil
	}
	r.br.Reset(r.in.s)
	head, _ := r.br.Peek(len(journalMagic))
	switch {
	case bytes.HasPrefix(head, utf8BOM):
		_, _ = r.br.Discard(len(utf8BOM))
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("\xfe\xff")):
		r.endInput(errUTF16)
	case isJournal(head) && r.in.next != nil:
		r.endInput(errFollowJournal)
	case isJournal(head):
		r.endInput(errJournalStream)
	case bytes.ContainsFunc(head, inNoText):
		r.endInput(errBinary)
	}
	return nil
}

// inNoText tells the bytes that no log begins with. NULs are what a crash leaves
// in one; journalctl -o json-seq begins its entries with RS.
func inNoText(c rune) bool { return c < ' ' && !strings.ContainsRune("\x00\t\n\r\x1b\x1e", c) }

// begin opens the file, and finds out whether it is a journal's or a stream.
func (in *input) begin() (err error) {
	if in.file, err = in.open(); err != nil {
		return err
	}
	if f, ok := in.file.(*os.File); ok {
		info, err := f.Stat()
		head := make([]byte, len(journalMagic))
		if err == nil && info.Mode().IsRegular() {
			if _, err := f.ReadAt(head, 0); err == nil && isJournal(head) {
				in.journal, err = openJournal(f, info.Size())
				return err
			}
		}
	}
	in.s, err = open(in.file)
	return err
}

// endInput closes the file; err is why, io.EOF at its end.
func (r *Reader) endInput(err error) {
	in := r.in
	if in.bad > 0 {
		why := in.firstBad.Error()
		if in.bad > 1 {
			why += fmt.Sprintf(", and %d more", in.bad-1)
		}
		r.missing = append(r.missing, host.Missing{What: in.name, Why: why})
	}
	if err == io.EOF && in.next != nil {
		r.inputs = append(r.inputs, in.next())
	}
	stopped := r.ctx != nil && r.ctx.Err() != nil
	if err != io.EOF && !stopped {
		if in.s != nil && in.s.Reader != nil && !slices.Contains(notRead, err) {
			err = in.s.where(err)
		}
		if in.lines > 0 {
			err = fmt.Errorf("after %d %s: %w", in.lines, in.unit(), err)
		}
		r.missing = append(r.missing, host.Missing{What: in.name, Why: err.Error()})
	}
	r.closeInput()
}

// unit is what in.lines counts.
func (in *input) unit() string {
	if in.journal != nil {
		return "entries"
	}
	return "lines"
}

func (r *Reader) closeInput() {
	if r.in == nil {
		return
	}
	if r.in.s != nil {
		r.in.s.close()
	}
	if r.in.journal != nil {
		r.in.journal.unpack.close()
	}
	if c, ok := r.in.file.(io.Closer); ok && r.in.path != "" {
		_ = c.Close() // only read
	}
	r.in = nil
}

// Missing is what could not be read, by file.
func (r *Reader) Missing() []host.Missing { return r.missing }

// Stats is what was met so far.
func (r *Reader) Stats() Stats {
	s := r.stats
	s.Lost, s.Gaps, s.Repeated = r.p.lost, r.p.gaps, r.p.repeated
	for i, f := range forms {
		if r.p.met&(1<<i) != 0 {
			s.Forms = append(s.Forms, f.name)
		}
	}
	for i, name := range otherForms {
		if r.p.met&(1<<(metText+i)) != 0 {
			s.Forms = append(s.Forms, name)
		}
	}
	return s
}

// Lost is how many losses were met so far: messages, or gaps of which nothing
// tells how many they were.
func (r *Reader) Lost() uint64 { return r.p.lost + r.p.gaps }

// Source is where the messages are from: "journal" when journald kept all that
// was met, and its form tells so; "file" else.
func (r *Reader) Source() string {
	forms := r.Stats().Forms
	for _, f := range forms {
		if !strings.HasPrefix(f, "journal") {
			return "file"
		}
	}
	if len(forms) == 0 {
		return "file"
	}
	return "journal"
}

// Close ends the reading.
func (r *Reader) Close() error {
	r.closeInput()
	r.inputs = nil
	return nil
}

// begin forgets what belongs to the file before.
func (p *parser) begin(c *clock) {
	*p = parser{clock: c, met: p.met, lost: p.lost, gaps: p.gaps, repeated: p.repeated, host: p.host[:0], last: p.last[:0]}
}
