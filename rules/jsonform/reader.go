package jsonform

import (
	"errors"
	"fmt"
	"io"
	"strconv"
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
