package kernlog

import (
	"bufio"
	"bytes"
)

// verboseIndent is what journalctl -o verbose puts before a field.
var verboseIndent = []byte("    ")

// verbose reads the fields of an entry of journalctl -o verbose, behind its first
// line, which rec has the time of:
//
//	Fri 2026-11-27 14:00:01.000000 UTC [s=c97a…;i=1;…]
//	    _TRANSPORT=kernel
//	    MESSAGE=text
func (r *Reader) verbose(rec *Record) verdict {
	e := &r.entry
	e.reset()
	e.full = keep(e.full, rec.stamp)
	r.p.met |= 1 << metVerbose
	message := false // the field before was MESSAGE
	for r.pending == nil {
		r.discard()
		line, err := r.slice()
		if err == bufio.ErrBufferFull {
			r.skip, e.cut = true, true
		} else if err != nil {
			r.pending = err
		}
		if !bytes.HasPrefix(line, verboseIndent) {
			if len(line) > 0 {
				r.again, r.skip, r.pending = true, false, nil
			}
			break
		}
		line = bytes.TrimRight(line[len(verboseIndent):], "\r\n")
		name, value, ok := bytes.Cut(line, []byte("="))
		switch {
		case ok && isField(name):
			if set := entryFields[string(name)]; set != nil {
				set(e, value)
			}
			message = string(name) == "MESSAGE"
		case message && len(e.message)+len(line) < MaxLine:
			e.message = append(append(e.message, '\n'), bytes.TrimLeft(line, " ")...)
		}
	}
	return r.p.record(e, rec)
}
