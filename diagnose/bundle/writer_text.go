package bundle

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

func (w *Writer) text(dir, name string, write func(io.Writer) error) error {
	if err := checkWord("text", name); err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	m := w.member(dir + "text/" + name)
	if m.err != nil {
		return m.close()
	}
	b := bufio.NewWriterSize(m, 64<<10)
	e := &escaper{w: b}
	if err := write(e); err != nil {
		m.err = fmt.Errorf("bundle: %s: %w", m.name, err)
	}
	if err := errors.Join(e.flush(), b.Flush()); err != nil && m.err == nil {
		m.err = err
	}
	return w.fitted(m)
}

// fitted closes a text; of one that is too long, fewer lines.
func (w *Writer) fitted(m *member) error {
	if err := m.close(); !errors.Is(err, errNoRoom) {
		return err
	}
	lines, total := uint64(0), uint64(0)
	for keep := m.check.size; ; keep /= 2 {
		if room := w.room() - w.info.MaxBytes/32; room < m.spool.size {
			keep = min(keep, int64(float64(m.check.size)*0.9*float64(max(room, 0))/float64(m.spool.size)))
		}
		short := w.member(m.name)
		var err error
		if lines, total, err = m.copyLines(short, keep); err != nil {
			return err
		}
		if lines == 0 {
			w.truncated(m.name, "lines", 0, total)
			return errors.Join(short.spool.clear(), m.spool.clear())
		}
		if err := short.close(); !errors.Is(err, errNoRoom) {
			w.truncated(m.name, "lines", lines, total-lines)
			return errors.Join(err, m.spool.clear())
		}
		if err := short.spool.clear(); err != nil {
			return err
		}
	}
}

// copyLines copies whole lines, keep bytes at most, and counts all. What is
// longer than its buffer counts as more than one.
func (m *member) copyLines(to io.Writer, keep int64) (lines, total uint64, err error) {
	raw, err := m.raw()
	if err != nil {
		return 0, 0, err
	}
	defer raw.Close()
	in := bufio.NewReaderSize(raw, 1<<20)
	for open := true; ; {
		line, err := in.ReadSlice('\n')
		if len(line) > 0 {
			total++
			keep -= int64(len(line))
			if open = open && keep >= 0; open {
				lines++
				if _, err := to.Write(line); err != nil {
					return lines, total, err
				}
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return lines, total, nil
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return lines, total, err
		}
	}
}

// escaper passes UTF-8 on; other bytes become \xNN.
type escaper struct {
	w    io.Writer
	rest []byte // of a character that is not complete
}

func (e *escaper) Write(b []byte) (int, error) {
	if len(e.rest) == 0 && utf8.Valid(b) {
		return e.w.Write(b)
	}
	var out []byte
	out, e.rest = appendEscaped(nil, append(e.rest, b...))
	if _, err := e.w.Write(out); err != nil {
		return 0, err
	}
	return len(b), nil
}

// appendEscaped appends in with each byte that is no UTF-8 as \xNN; rest may be
// the beginning of a character.
func appendEscaped(out, in []byte) (_, rest []byte) {
	for len(in) > 0 && utf8.FullRune(in) {
		r, n := utf8.DecodeRune(in)
		if r == utf8.RuneError && n == 1 {
			out = fmt.Appendf(out, `\x%02x`, in[0])
		} else {
			out = append(out, in[:n]...)
		}
		in = in[n:]
	}
	return out, append([]byte(nil), in...)
}

func (e *escaper) flush() error {
	for _, c := range e.rest {
		if _, err := fmt.Fprintf(e.w, `\x%02x`, c); err != nil {
			return err
		}
	}
	e.rest = nil
	return nil
}
