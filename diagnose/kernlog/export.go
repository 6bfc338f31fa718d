package kernlog

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
)

// isExport tells whether a line begins an entry of the Journal Export Format:
// its address fields come first.
func isExport(b []byte) bool {
	return bytes.HasPrefix(b, []byte("__CURSOR=")) || bytes.HasPrefix(b, []byte("__REALTIME_TIMESTAMP=")) || bytes.HasPrefix(b, []byte("__SEQNUM="))
}

// maxField is more than journald lets a field have (DATA_SIZE_MAX).
const maxField = 1 << 30

var errField = errors.New("journalctl -o export: a field of more than 1 GiB")

// export reads the entry that begins with line: fields to an empty line, each
// NAME=value, or where the value is binary NAME, its length (64 bit, little
// endian), the value and a newline.
func (r *Reader) export(line []byte, rec *Record) verdict {
	e := &r.entry
	e.reset()
	r.p.met |= 1 << metExport
	for {
		line = bytes.TrimSuffix(line, []byte("\n"))
		if len(line) == 0 {
			break
		}
		name, value, ok := bytes.Cut(line, []byte("="))
		if !isField(name) {
			r.again, r.skip, r.pending = true, false, nil // of another form
			break
		}
		set := entryFields[string(name)]
		if ok {
			if set != nil {
				set(e, value)
			}
		} else if err := r.exportBinary(set); err != nil {
			if !errors.Is(err, errField) {
				r.pending = err
			} else {
				r.bad(err)
			}
			break
		}
		r.discard()
		if r.pending != nil {
			break
		}
		var err error
		if line, err = r.slice(); err == bufio.ErrBufferFull {
			r.skip = true
		} else if err != nil {
			r.pending = err
		}
	}
	if r.pending != nil && len(line) > 0 {
		e.cut = true
		r.stats.Half++
	}
	return r.p.record(e, rec)
}

// isField tells whether b is a name that a field of the journal may have.
func isField(b []byte) bool {
	for _, c := range b {
		if c != '_' && (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return false
		}
	}
	return len(b) > 0 && len(b) <= 64
}

// exportBinary reads a binary value.
func (r *Reader) exportBinary(set func(*entry, []byte)) error {
	var size [8]byte
	if _, err := io.ReadFull(r.br, size[:]); err != nil {
		return err
	}
	n := binary.LittleEndian.Uint64(size[:])
	if n > maxField {
		return errField
	}
	if set != nil {
		value, err := r.br.Peek(int(min(n, MaxLine+1))) // the buffer is larger
		if err != nil {
			return err
		}
		set(&r.entry, value)
	}
	_, err := r.br.Discard(int(n) + 1)
	return err
}
