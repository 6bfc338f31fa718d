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
