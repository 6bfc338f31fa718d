package kernlog

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
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
	skip    bool  // the rest of a line that was cut is still to be read
	cut     bool  // the line is not whole
	pending error // why the file ends, once what was read of it is given out
	p       parser
	stats   Stats
	missing []host.Missing

	now  func() time.Time
	zone *time.Location
}

// input is one file.
type input struct {
	name    string
	open    func() (io.ReadCloser, error)
	changed time.Time

	file  io.Closer
	s     *stream
	lines uint64
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
		line, err := r.line()
		if err != nil {
			r.endInput(err)
			continue
		}
		if len(line) == 0 {
			continue
		}
		switch r.p.line(line, rec) {
		case kernel:
			r.stats.Records++
			rec.Cut = r.cut
			return nil
		case program:
			r.stats.Programs++
		}
	}
}

// line is the next line of the file, without its end. io.EOF is the file's end,
// any other error why it cannot be read further.
func (r *Reader) line() ([]byte, error) {
	if r.pending != nil {
		return nil, r.pending
	}
	for r.skip {
		_, err := r.br.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			continue
		}
		r.skip = false
		if err != nil {
			return nil, err
		}
	}
	b, err := r.br.ReadSlice('\n')
	r.cut = err != nil
	switch {
	case err == nil:
		b = b[:len(b)-1]
	case err == bufio.ErrBufferFull:
		r.skip = true
	case len(b) == 0:
		return nil, err
	default:
		r.pending = err
		r.stats.Half++
	}
	if len(b) > MaxLine {
		b, r.cut = b[:MaxLine], true
		r.stats.Cut++
	}
	r.stats.Lines++
	r.in.lines++
	if n := len(b); n > 0 && (b[n-1] == '\r' || b[0] == 0) {
		b = bytes.TrimSuffix(b, []byte("\r"))
		b = bytes.TrimLeft(b, "\x00") // of a machine that crashed
	}
	return b, nil
}

var utf8BOM = []byte("\xef\xbb\xbf")

var errUTF16 = errors.New("UTF-16 text is not read (iconv -f UTF-16 -t UTF-8 makes it UTF-8)")

// nextInput begins the next file; io.EOF when there is none.
func (r *Reader) nextInput() error {
	if len(r.inputs) == 0 {
		return io.EOF
	}
	r.in, r.inputs = r.inputs[0], r.inputs[1:]
	r.pending, r.skip = nil, false
	file, err := r.in.open()
	if err != nil {
		r.endInput(err)
		return nil
	}
	r.in.file = file
	r.in.s, err = open(file)
	if err != nil {
		r.endInput(err)
		return nil
	}
	r.br.Reset(r.in.s)
	head, _ := r.br.Peek(3)
	switch {
	case bytes.HasPrefix(head, utf8BOM):
		_, _ = r.br.Discard(len(utf8BOM))
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("\xfe\xff")):
		r.endInput(errUTF16)
		return nil
	}
	r.p.begin(newClock(r.now, r.in.changed, r.zone))
	return nil
}

// endInput closes the file; err is why, io.EOF at its end.
func (r *Reader) endInput(err error) {
	in := r.in
	if err != io.EOF {
		if in.s != nil && err != errUTF16 {
			err = in.s.where(err)
		}
		if in.lines > 0 {
			err = fmt.Errorf("after line %d: %w", in.lines, err)
		}
		r.missing = append(r.missing, host.Missing{What: in.name, Why: err.Error()})
	}
	r.closeInput()
}

func (r *Reader) closeInput() {
	if r.in == nil {
		return
	}
	if r.in.s != nil {
		r.in.s.Close()
	}
	if r.in.file != nil {
		_ = r.in.file.Close() // only read
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
	return s
}

// Close ends the reading.
func (r *Reader) Close() error {
	r.closeInput()
	r.inputs = nil
	return nil
}

// begin forgets what belongs to the file before.
func (p *parser) begin(c clock) {
	*p = parser{clock: c, met: p.met, lost: p.lost, gaps: p.gaps, repeated: p.repeated, host: p.host[:0], last: p.last[:0]}
}
