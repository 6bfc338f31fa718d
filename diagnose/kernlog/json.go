package kernlog

import (
	"bufio"
	"bytes"
	"errors"
	"unicode/utf16"
	"unicode/utf8"
)

var (
	errJSON     = errors.New("JSON: not as it should be")
	errJSONEnds = errors.New("JSON: ends within an object")
	// errRecords: the object is no message, but the list of dmesg --json.
	errRecords = errors.New("list of records")
)

// maxDepth is how deep values may lie in each other.
const maxDepth = 16

// isJSON tells whether a line begins a JSON object, or a list of them. The
// kernel's own "{1}[Hardware Error]: " does not.
func isJSON(b []byte) bool {
	for i, c := range b[:min(len(b), 64)] {
		switch c {
		case ' ', '\t', '\r', '[', 0x1e: // RFC 7464, journalctl -o json-seq
		case '{':
			rest := b[i+1:]
			rest = bytes.TrimLeft(rest, " \t\r\n")
			return len(rest) == 0 || rest[0] == '"'
		default:
			return false
		}
	}
	return false
}

// jsonIn reads JSON from a line, and from those that follow where an object has
// more than one.
type jsonIn struct {
	r     *Reader
	b     []byte // what is left of the line
	first bool   // it is the line that the object began in
	list  bool   // within a list of objects
	outer bool   // the list is in an object: dmesg --json
	key   []byte
	value []byte
	cut   bool
	depth int
}

// peek is the next byte; 0 at the end of the file.
func (j *jsonIn) peek() byte {
	for len(j.b) == 0 {
		if !j.fill() {
			return 0
		}
	}
	return j.b[0]
}

func (j *jsonIn) fill() bool {
	if j.r.pending != nil {
		return false
	}
	b, err := j.r.slice()
	if err != nil && err != bufio.ErrBufferFull {
		j.r.pending = err
	}
	j.b, j.first, j.r.skip = b, false, err == bufio.ErrBufferFull
	return len(b) > 0
}

// blank skips what separates; it does not leave the line when line is set.
func (j *jsonIn) blank(line bool, more string) byte {
	for {
		if len(j.b) == 0 && (line || !j.fill()) {
			return 0
		}
		c := j.b[0]
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' && c != 0x1e && !contains(more, c) {
			return c
		}
		j.b = j.b[1:]
	}
}

func contains(s string, c byte) bool {
	for i := range len(s) {
		if s[i] == c {
			return true
		}
	}
	return false
}

// beginJSON begins with a line.
func (r *Reader) beginJSON(line []byte) {
	r.inJSON = true
	r.j = jsonIn{r: r, b: line, first: true, key: r.j.key[:0], value: r.j.value[:0]}
}

// json reads the next object; nothing when there is none any more.
func (r *Reader) json(rec *Record) verdict {
	j := &r.j
	c := j.blank(!j.list && !j.outer, ",")
	for c == '[' || c == ']' || c == '}' {
		j.list = c == '['
		j.outer = j.outer && c == ']'
		j.b = j.b[1:]
		c = j.blank(!j.list && !j.outer, ",")
	}
	if c != '{' {
		if c != 0 {
			r.badJSON(errJSON)
		} else if j.list {
			r.badJSON(errJSONEnds)
		}
		j.stop()
		return nothing
	}
	j.b = j.b[1:]
	j.first = true
	r.entry.reset()
	j.depth = 0
	if err := j.object(&r.entry); err == errRecords {
		j.list, j.outer = true, true
		return nothing
	} else if err != nil {
		r.badJSON(err)
		j.stop()
		return nothing
	}
	r.stats.Lines++
	r.in.lines++
	if len(r.entry.seconds) > 0 {
		r.p.met |= 1 << metDmesgJSON
	} else {
		r.p.met |= 1 << metJSON
	}
	return r.p.record(&r.entry, rec)
}

// badJSON counts what cannot be read as an object that was.
func (r *Reader) badJSON(err error) {
	r.stats.Lines++
	r.in.lines++
	r.bad(err)
}

// stop leaves JSON. What is left of the line that an object began in is passed
// over; a line after that is read anew.
func (j *jsonIn) stop() {
	j.r.inJSON = false
	if !j.first && len(j.b) > 0 {
		j.r.again, j.r.skip, j.r.pending = true, false, nil
	}
	j.b = nil
}

// object reads an object behind its brace, and sets e's fields.
func (j *jsonIn) object(e *entry) error {
	for first := true; ; first = false {
		c := j.blank(false, "")
		if c == '}' && first {
			j.b = j.b[1:]
			return nil
		}
		if c != '"' {
			return j.wrong(c)
		}
		j.key, j.cut = j.key[:0], false
		if err := j.text(&j.key, 64); err != nil {
			return err
		}
		if c = j.blank(false, ""); c != ':' {
			return j.wrong(c)
		}
		j.b = j.b[1:]
		c = j.blank(false, "")
		if c == '[' && string(j.key) == "dmesg" && e != nil && first {
			j.b = j.b[1:]
			return errRecords
		}
		var set func(*entry, []byte)
		if e != nil {
			set = entryFields[string(j.key)]
		}
		j.value, j.cut = j.value[:0], false
		if err := j.any(set != nil, false); err != nil {
			return err
		}
		if set != nil {
			e.cut = e.cut || j.cut
			set(e, j.value)
		}
		switch c = j.blank(false, ""); c {
		case ',':
			j.b = j.b[1:]
		case '}':
			j.b = j.b[1:]
			return nil
		default:
			return j.wrong(c)
		}
	}
}

func (j *jsonIn) wrong(c byte) error {
	if c == 0 && j.r.pending != nil {
		return errJSONEnds
	}
	return errJSON
}

// any reads a value; what it says is added to j.value when wanted. A list of
// numbers is bytes; of a list of texts the first counts (a field that the entry
// has more than once).
func (j *jsonIn) any(wanted, listed bool) error {
	if j.depth++; j.depth > maxDepth {
		return errJSON
	}
	defer func() { j.depth-- }()
	limit := 0
	if wanted {
		limit = MaxLine
	}
	switch c := j.blank(false, ""); c {
	case '"':
		return j.text(&j.value, limit)
	case '{':
		j.b = j.b[1:]
		return j.object(nil)
	case '[':
		j.b = j.b[1:]
		return j.array(wanted)
	default:
		return j.word(wanted, listed)
	}
}

// array reads a list behind its bracket.
func (j *jsonIn) array(wanted bool) error {
	if j.blank(false, "") == ']' {
		j.b = j.b[1:]
		return nil
	}
	for {
		c := j.blank(false, "")
		if err := j.any(wanted, true); err != nil {
			return err
		}
		if c == '"' || c == '[' || c == '{' {
			wanted = false
		}
		c = j.blank(false, "")
		if c != ',' && c != ']' {
			return j.wrong(c)
		}
		j.b = j.b[1:]
		if c == ']' {
			return nil
		}
	}
}

// word reads a number, true, false or null. In a list a number is a byte.
func (j *jsonIn) word(wanted, listed bool) error {
	n, digits := 0, 0
	for {
		c := j.peek()
		if c != '-' && c != '+' && c != '.' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && c != 'E' {
			if digits == 0 {
				return j.wrong(c)
			}
			break
		}
		if digits++; digits > 40 {
			return errJSON
		}
		if !listed && wanted {
			j.value = append(j.value, c)
		}
		n = n*10 + int(c-'0')
		j.b = j.b[1:]
	}
	if listed && wanted {
		if n < 0 || n > 255 {
			return errJSON
		}
		j.add(&j.value, MaxLine, byte(n))
	}
	return nil
}

func (j *jsonIn) add(dst *[]byte, limit int, b ...byte) {
	if len(*dst)+len(b) > limit {
		j.cut = j.cut || limit == MaxLine
		return
	}
	*dst = append(*dst, b...)
}

// text reads a string, quotes and all; of what is longer than limit, the
// beginning.
func (j *jsonIn) text(dst *[]byte, limit int) error {
	j.b = j.b[1:]
	for {
		c := j.peek()
		if c == 0 && j.r.pending != nil && len(j.b) == 0 {
			return errJSONEnds
		}
		if c == '\n' {
			return errJSON
		}
		// what needs no care, at once
		n := 0
		for n < len(j.b) && j.b[n] != '"' && j.b[n] != '\\' && j.b[n] != '\n' {
			n++
		}
		if room := limit - len(*dst); n > room {
			*dst = append(*dst, j.b[:max(0, room)]...)
			j.cut = j.cut || limit == MaxLine
		} else {
			*dst = append(*dst, j.b[:n]...)
		}
		j.b = j.b[n:]
		if len(j.b) == 0 || j.b[0] == '\n' {
			continue
		}
		c = j.b[0]
		j.b = j.b[1:]
		if c == '"' {
			return nil
		}
		if err := j.escape(dst, limit); err != nil {
			return err
		}
	}
}

var jsonEscapes = map[byte]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// escape reads what is behind a backslash.
func (j *jsonIn) escape(dst *[]byte, limit int) error {
	c := j.peek()
	if c != 'u' {
		b, ok := jsonEscapes[c]
		if !ok {
			return j.wrong(c)
		}
		j.b = j.b[1:]
		j.add(dst, limit, b)
		return nil
	}
	j.b = j.b[1:]
	u, err := j.hex4()
	if err != nil {
		return err
	}
	if utf16.IsSurrogate(u) && j.peek() == '\\' {
		j.b = j.b[1:]
		if j.peek() != 'u' {
			j.add(dst, limit, []byte("\ufffd")...)
			return j.escape(dst, limit)
		}
		j.b = j.b[1:]
		low, err := j.hex4()
		if err != nil {
			return err
		}
		u = utf16.DecodeRune(u, low)
	}
	j.add(dst, limit, utf8.AppendRune(nil, u)...)
	return nil
}

func (j *jsonIn) hex4() (u rune, err error) {
	for range 4 {
		d, ok := hexDigit(j.peek())
		if !ok {
			return 0, j.wrong(j.peek())
		}
		u = u<<4 | rune(d)
		j.b = j.b[1:]
	}
	return u, nil
}
