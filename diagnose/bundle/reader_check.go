package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"unicode/utf8"
)

// utf8Check looks whether what passes is UTF-8.
type utf8Check struct {
	rest [utf8.UTFMax]byte
	n    int
}

func (u *utf8Check) add(b []byte) bool {
	for u.n > 0 && len(b) > 0 {
		u.rest[u.n] = b[0]
		u.n++
		b = b[1:]
		if utf8.FullRune(u.rest[:u.n]) {
			if !utf8.Valid(u.rest[:u.n]) {
				return false
			}
			u.n = 0
		}
	}
	if utf8.Valid(b) {
		return true
	}
	// a character that goes on in what is to come
	for back := 1; back < utf8.UTFMax && back <= len(b); back++ {
		if tail := b[len(b)-back:]; utf8.RuneStart(tail[0]) {
			if utf8.FullRune(tail) || !utf8.Valid(b[:len(b)-back]) {
				return false
			}
			u.n = copy(u.rest[:], tail)
			return true
		}
	}
	return false
}

func (u *utf8Check) whole() bool { return u.n == 0 }

// jsonCheck looks how deep JSON is nested and how many values it has, before
// anything is made of them.
type jsonCheck struct {
	depth, values  int
	quoted, escape bool
}

func (j *jsonCheck) add(b []byte, values int) error {
	for _, c := range b {
		switch {
		case j.escape:
			j.escape = false
		case j.quoted:
			j.escape = c == '\\'
			j.quoted = c != '"'
		case c == '"':
			j.quoted = true
		case c == '{' || c == '[':
			j.values++
			if j.depth++; j.depth > maxDepth {
				return fmt.Errorf("is nested deeper than %d", maxDepth)
			}
		case c == '}' || c == ']':
			j.depth--
		case c == ',':
			j.values++
		}
	}
	if j.values > values {
		return fmt.Errorf("holds more than %d values", values)
	}
	return nil
}

// checker looks at a member as it passes.
type checker struct {
	k      *kind
	sum    hash.Hash
	size   int64
	kept   []byte // of the format and the manifest
	text   utf8Check
	nested jsonCheck
	lines  uint64
	run    int // bytes since the last line feed
}

func newChecker(k *kind) *checker { return &checker{k: k, sum: sha256.New()} }

func (c *checker) Write(b []byte) (int, error) {
	c.size += int64(len(b))
	if c.size > c.k.max {
		return 0, &limitError{fmt.Sprintf("takes more than the %s that one may", SizeText(c.k.max))}
	}
	c.sum.Write(b)
	if c.k == &other {
		return len(b), nil
	}
	if !c.text.add(b) {
		return 0, errors.New("holds bytes that are no UTF-8")
	}
	if c.k.values > 0 {
		if err := c.nested.add(b, c.k.values); err != nil {
			return 0, err
		}
	}
	if c.k.lines && !c.line(b) {
		return 0, fmt.Errorf("line %d is longer than %d bytes", c.lines+1, maxLine)
	}
	if c.k.keep {
		c.kept = append(c.kept, b...)
	}
	return len(b), nil
}

func (c *checker) line(b []byte) bool {
	for {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			c.run += len(b)
			return c.run <= maxLine
		}
		if c.run+i > maxLine {
			return false
		}
		c.lines++
		c.run = 0
		b = b[i+1:]
	}
}

// member is what passed.
func (c *checker) member(name string, size int64) (*Member, error) {
	if c.size != size {
		return nil, fmt.Errorf("ends after %d of %d bytes", c.size, size)
	}
	if !c.text.whole() {
		return nil, errors.New("ends within a character")
	}
	return &Member{Name: name, Size: size, SHA256: hex.EncodeToString(c.sum.Sum(nil)), Records: c.lines}, nil
}
