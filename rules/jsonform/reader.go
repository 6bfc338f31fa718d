package jsonform

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	// MaxDepth is how deep objects and lists may be nested. A value of a rule is
	// computed from at most 256 others.
	MaxDepth = 1000
	// DefaultMemory bounds what a Reader takes, in bytes.
	DefaultMemory = 2 << 30

	chunkSize  = 64 << 10
	maxInterns = 1 << 16
)

var (
	// ErrMemory: what is read would take more memory than it may.
	ErrMemory  = errors.New("it takes more memory than it may")
	errTooDeep = fmt.Errorf("nested more than %d deep", MaxDepth)
)

// Error is what is wrong, and where.
type Error struct {
	Path   string // "tables[0].chains[3].rules[17]", "" for the whole
	Offset int64  // in bytes
	Err    error
}

func (e *Error) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("byte %d: %v", e.Offset, e.Err)
	}
	return fmt.Sprintf("%s, byte %d: %v", e.Path, e.Offset, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// Reader reads JSON as it comes.
type Reader struct {
	// Ctx is for the functions of a Form.
	Ctx any

	from    io.Reader
	b       []byte // what is read and not yet taken begins at at
	at      int
	mark    int   // what is from here on is kept, -1 for none
	base    int64 // offset of b[0]
	readErr error
	scratch []byte
	depth   int
	memory  int64
	chunk   []byte
	interns map[string]string

	// tolerant: what is not understood is noted in unknown and passed over.
	tolerant bool
	unknown  string

	shared *sharedIn
}

// NewReader makes a Reader that takes at most so many bytes of memory, and the
// default for 0.
func NewReader(from io.Reader, memory int64) *Reader {
	if memory <= 0 {
		memory = DefaultMemory
	}
	return &Reader{from: from, mark: -1, memory: memory, b: make([]byte, 0, chunkSize), interns: map[string]string{}}
}

// Offset is how many bytes are taken.
func (r *Reader) Offset() int64 { return r.base + int64(r.at) }

// in says where an error is.
func (r *Reader) in(err error, part string) error {
	if err == nil {
		return nil
	}
	e, ok := err.(*Error)
	if !ok {
		return &Error{Path: part, Offset: r.Offset(), Err: err}
	}
	if e.Path != "" && e.Path[0] != '[' {
		part += "."
	}
	e.Path = part + e.Path
	return e
}

// Spend takes n bytes of the memory that there may be.
func (r *Reader) Spend(n int64) error { return r.spend(n) }

func (r *Reader) spend(n int64) error {
	if r.memory -= n; r.memory < 0 {
		return ErrMemory
	}
	return nil
}

// fill reads more, keeping what is from at on.
func (r *Reader) fill() error {
	if r.readErr != nil {
		return r.readErr
	}
	keep := r.at
	if r.mark >= 0 {
		keep = r.mark
		r.mark = 0
	}
	n := copy(r.b, r.b[keep:])
	r.base += int64(keep)
	r.b, r.at = r.b[:n], r.at-keep
	if n == cap(r.b) {
		if err := r.spend(int64(n)); err != nil {
			return err
		}
		r.b = append(make([]byte, 0, 2*n), r.b...)
	}
	for range 100 {
		m, err := r.from.Read(r.b[n:cap(r.b)])
		r.b = r.b[:n+m]
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		r.readErr = err
		if m > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// Peek is the next byte that is no space; it is not taken.
func (r *Reader) Peek() (byte, error) { return r.peek() }

// peek is the next byte that is no space.
func (r *Reader) peek() (byte, error) {
	for {
		for ; r.at < len(r.b); r.at++ {
			switch c := r.b[r.at]; c {
			case ' ', '\t', '\n', '\r':
			default:
				return c, nil
			}
		}
		if err := r.fill(); err != nil {
			return 0, err
		}
	}
}

// want takes the byte c.
func (r *Reader) want(c byte) error {
	got, err := r.peek()
	if err != nil {
		return err
	}
	if got != c {
		return fmt.Errorf("%q where %q has to be", rune(got), rune(c))
	}
	r.at++
	return nil
}

// End tells whether nothing follows but spaces.
func (r *Reader) End() error {
	switch c, err := r.peek(); {
	case err == nil:
		return r.in(fmt.Errorf("%q behind the end", rune(c)), "")
	case err != io.ErrUnexpectedEOF:
		return r.in(err, "")
	}
	return nil
}

func (r *Reader) enter(c byte) error {
	if err := r.want(c); err != nil {
		return err
	}
	if r.depth++; r.depth > MaxDepth {
		return errTooDeep
	}
	return nil
}

// more tells whether another member or element follows, before the closing
// byte; first: none has come yet.
func (r *Reader) more(closing byte, first bool) (bool, error) {
	c, err := r.peek()
	switch {
	case err != nil:
		return false, err
	case c == closing:
		r.at++
		r.depth--
		return false, nil
	case first:
		return true, nil
	}
	return true, r.want(',')
}

// list calls f at each element.
func (r *Reader) list(f func(i int) error) error {
	if err := r.enter('['); err != nil {
		return err
	}
	for i := 0; ; i++ {
		more, err := r.more(']', i == 0)
		if err != nil || !more {
			return err
		}
		if err := f(i); err != nil {
			return r.in(err, "["+strconv.Itoa(i)+"]")
		}
	}
}

// List is list for the functions of a Form.
func (r *Reader) List(f func(i int) error) error { return r.list(f) }

// Object calls f at the value of each member.
func (r *Reader) Object(f func(key string) error) error {
	if err := r.enter('{'); err != nil {
		return err
	}
	for first := true; ; first = false {
		more, err := r.more('}', first)
		if err != nil || !more {
			return err
		}
		key, err := r.String()
		if err == nil {
			err = r.want(':')
		}
		if err == nil {
			err = f(key)
		}
		if err != nil {
			return r.in(err, key)
		}
	}
}

// text takes a string; it is good until more is read.
func (r *Reader) text() ([]byte, error) {
	if err := r.want('"'); err != nil {
		return nil, err
	}
	ascii := true
	for i := r.at; ; i++ {
		if i == len(r.b) {
			n := i - r.at
			if err := r.fill(); err != nil {
				return nil, err
			}
			i = r.at + n
		}
		switch c := r.b[i]; {
		case c == '"':
			s := r.b[r.at:i]
			r.at = i + 1
			if !ascii && !utf8.Valid(s) {
				return nil, errors.New("string is not UTF-8")
			}
			return s, nil
		case c == '\\':
			return r.escaped(i - r.at)
		case c < 0x20:
			return nil, fmt.Errorf("control character %#x in a string", c)
		case c >= 0x80:
			ascii = false
		}
	}
}

// escaped is text with an escape behind the first n bytes.
func (r *Reader) escaped(n int) ([]byte, error) {
	out := append(r.scratch[:0], r.b[r.at:r.at+n]...)
	r.at += n
	for {
		c, err := r.byte()
		switch {
		case err != nil:
			return nil, err
		case c == '"':
			if cap(out) > cap(r.scratch) {
				if err := r.spend(int64(cap(out))); err != nil {
					return nil, err
				}
			}
			r.scratch = out
			if !utf8.Valid(out) {
				return nil, errors.New("string is not UTF-8")
			}
			return out, nil
		case c < 0x20:
			return nil, fmt.Errorf("control character %#x in a string", c)
		case c == '\\':
			if out, err = r.escape(out); err != nil {
				return nil, err
			}
		default:
			out = append(out, c)
		}
	}
}

func (r *Reader) byte() (byte, error) {
	if r.at == len(r.b) {
		if err := r.fill(); err != nil {
			return 0, err
		}
	}
	c := r.b[r.at]
	r.at++
	return c, nil
}

var escapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

func (r *Reader) escape(out []byte) ([]byte, error) {
	c, err := r.byte()
	if err != nil {
		return nil, err
	}
	if c != 'u' {
		if escapes[c] == 0 {
			return nil, fmt.Errorf("escape %q in a string", rune(c))
		}
		return append(out, escapes[c]), nil
	}
	u, err := r.unit()
	if err != nil || !utf16.IsSurrogate(u) {
		return utf8.AppendRune(out, u), err
	}
	for _, want := range [...]byte{'\\', 'u'} {
		if c, err := r.byte(); err != nil || c != want {
			return nil, errors.Join(errors.New("half a surrogate pair in a string"), err)
		}
	}
	low, err := r.unit()
	if err != nil {
		return nil, err
	}
	both := utf16.DecodeRune(u, low)
	if both == utf8.RuneError {
		return nil, errors.New("half a surrogate pair in a string")
	}
	return utf8.AppendRune(out, both), nil
}

// unit takes four hexadecimal digits.
func (r *Reader) unit() (rune, error) {
	var digits [4]byte
	for i := range digits {
		c, err := r.byte()
		if err != nil {
			return 0, err
		}
		digits[i] = c
	}
	n, err := strconv.ParseUint(string(digits[:]), 16, 16)
	if err != nil || digits[0] == '+' {
		return 0, fmt.Errorf("escape \\u%s in a string", digits[:])
	}
	return rune(n), nil
}

// String takes a string.
func (r *Reader) String() (string, error) {
	b, err := r.text()
	if err != nil {
		return "", err
	}
	return r.stringOf(b)
}

func (r *Reader) stringOf(b []byte) (string, error) {
	if s, ok := r.interns[string(b)]; ok {
		return s, nil
	}
	if err := r.spend(int64(len(b)) + 16); err != nil {
		return "", err
	}
	if len(b) >= len(hexPrefix) && string(b[:len(hexPrefix)]) == hexPrefix {
		raw, err := hex.DecodeString(string(b[len(hexPrefix):]))
		if err != nil {
			return "", fmt.Errorf("string as bytes: %w", err)
		}
		return string(raw), nil
	}
	s := string(b)
	if len(s) <= 32 && len(r.interns) < maxInterns {
		r.interns[s] = s
	}
	return s, nil
}

// Bytes takes a string of hexadecimal digits.
func (r *Reader) Bytes() ([]byte, error) {
	s, err := r.text()
	if err != nil {
		return nil, err
	}
	if len(s)%2 != 0 {
		return nil, errors.New("odd number of hexadecimal digits")
	}
	out, err := r.alloc(len(s) / 2)
	if err != nil {
		return nil, err
	}
	if _, err := hex.Decode(out, s); err != nil {
		return nil, fmt.Errorf("bytes: %w", err)
	}
	return out, nil
}

// alloc makes short lists of bytes out of one long one.
func (r *Reader) alloc(n int) ([]byte, error) {
	if n == 0 {
		return []byte{}, nil
	}
	if n > len(r.chunk) {
		size := n
		if n < chunkSize/8 {
			size = chunkSize
		}
		if err := r.spend(int64(size)); err != nil {
			return nil, err
		}
		fresh := make([]byte, size)
		if size == n {
			return fresh, nil
		}
		r.chunk = fresh
	}
	out := r.chunk[:n:n]
	r.chunk = r.chunk[n:]
	return out, nil
}

// number takes the text of a number; it is good until more is read.
func (r *Reader) number() ([]byte, error) {
	c, err := r.peek()
	if err != nil {
		return nil, err
	}
	if c != '-' && (c < '0' || c > '9') {
		return nil, fmt.Errorf("%q where a number has to be", rune(c))
	}
	n := 0
	for ; ; n++ {
		if r.at+n == len(r.b) {
			if err := r.fill(); err == io.ErrUnexpectedEOF {
				break
			} else if err != nil {
				return nil, err
			}
		}
		c := r.b[r.at+n]
		if (c < '0' || c > '9') && c != '-' && c != '+' && c != '.' && c != 'e' && c != 'E' {
			break
		}
		if n > 400 {
			return nil, errors.New("number of more than 400 digits")
		}
	}
	s := r.b[r.at : r.at+n]
	r.at += n
	if digits := s[min(1, len(s)):]; s[0] == '0' && len(digits) > 0 && digits[0] >= '0' && digits[0] <= '9' {
		return nil, fmt.Errorf("number %s begins with 0", s)
	}
	return s, nil
}

// Uint takes a whole number that is not negative.
func (r *Reader) Uint() (uint64, error) {
	s, err := r.number()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(string(s), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("bad number %s", s)
	}
	return n, nil
}

// Int takes a whole number.
func (r *Reader) Int() (int64, error) {
	s, err := r.number()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(string(s), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("bad number %s", s)
	}
	return n, nil
}

// Bool takes true or false.
func (r *Reader) Bool() (bool, error) {
	w, err := r.word()
	if err != nil {
		return false, err
	}
	switch w {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, fmt.Errorf("%s where true or false has to be", w)
}

// word takes true, false or null.
func (r *Reader) word() (string, error) {
	c, err := r.peek()
	if err != nil {
		return "", err
	}
	words := map[byte]string{'t': "true", 'f': "false", 'n': "null"}
	w := words[c]
	if w == "" {
		return "", fmt.Errorf("%q where a value has to be", rune(c))
	}
	for i := range len(w) {
		if c, err := r.byte(); err != nil {
			return "", err
		} else if c != w[i] {
			return "", fmt.Errorf("%q in a value", rune(c))
		}
	}
	return w, nil
}

// Raw takes a value as it stands there; it is good until more is read.
func (r *Reader) Raw() ([]byte, error) {
	if _, err := r.peek(); err != nil {
		return nil, err
	}
	outer := r.mark
	r.mark = r.at
	err := r.Skip()
	b := r.b[r.mark:r.at]
	r.mark = outer
	return b, err
}

// Skip passes over a value, whatever it is.
func (r *Reader) Skip() error {
	c, err := r.peek()
	if err != nil {
		return err
	}
	switch {
	case c == '{':
		return r.Object(func(string) error { return r.Skip() })
	case c == '[':
		return r.list(func(int) error { return r.Skip() })
	case c == '"':
		_, err = r.text()
	case c == '-' || c >= '0' && c <= '9':
		var s []byte
		if s, err = r.number(); err == nil {
			if _, err = strconv.ParseFloat(string(s), 64); errors.Is(err, strconv.ErrRange) {
				err = nil
			}
		}
	default:
		_, err = r.word()
	}
	return err
}
