package kernlog

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/therootcompany/xz"
)

// maxWindow is the most memory that a compressed file may ask for: what zstd
// --long asks, twice what xz -9 does.
const maxWindow = 128 << 20

// maxLayers is how often a file may be compressed.
const maxLayers = 3

// A compression is known by how its files begin.
type compression struct {
	name  string
	magic string
	open  func(*bufio.Reader) (io.Reader, func(), error)
}

var compressions = []compression{
	{"gzip", "\x1f\x8b", func(r *bufio.Reader) (io.Reader, func(), error) {
		z, err := gzip.NewReader(r)
		return z, nil, err
	}},
	{"zstd", "\x28\xb5\x2f\xfd", func(r *bufio.Reader) (io.Reader, func(), error) {
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	}},
	{"xz", "\xfd7zXZ\x00", func(r *bufio.Reader) (io.Reader, func(), error) {
		z, err := xz.NewReader(r, maxWindow)
		return z, nil, err
	}},
	{"bzip2", "BZh", func(r *bufio.Reader) (io.Reader, func(), error) {
		return bzip2.NewReader(r), nil, nil
	}},
	{"lz4", "\x04\x22\x4d\x18", func(r *bufio.Reader) (io.Reader, func(), error) {
		return lz4.NewReader(r), nil, nil
	}},
}

// counted counts the bytes that are read of a file.
type counted struct {
	r io.Reader
	n int64
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

// stream is a file without its compression. Its errors name the compression and
// the place in the file.
type stream struct {
	io.Reader
	name string // of the compressions, outermost first; "" for none
	raw  *counted
	buf  *bufio.Reader // the file itself
	done []func()
}

// open takes the compression off r, known by its first bytes.
func open(r io.Reader) (*stream, error) {
	raw := &counted{r: r}
	s := &stream{raw: raw, buf: bufio.NewReaderSize(raw, 64<<10)}
	in := s.buf
	for range maxLayers {
		head, err := in.Peek(6)
		if err != nil && err != io.EOF {
			return s, s.where(err)
		}
		c := compressionOf(head)
		if c == nil {
			break
		}
		if s.name != "" {
			s.name += ", "
		}
		s.name += c.name
		z, done, err := c.open(in)
		if err != nil {
			return s, s.where(err)
		}
		if done != nil {
			s.done = append(s.done, done)
		}
		in = bufio.NewReaderSize(z, 4<<10)
	}
	s.Reader = in
	return s, nil
}

// Unpack takes the compression off r, known by its first bytes: gzip, zstd, xz,
// bzip2 or lz4, one in another up to three deep. It may hold more memory until
// close is called.
func Unpack(r io.Reader) (plain io.Reader, close func(), err error) {
	s, err := open(r)
	return s.Reader, s.close, err
}

func compressionOf(head []byte) *compression {
	for i, c := range compressions {
		if bytes.HasPrefix(head, []byte(c.magic)) {
			return &compressions[i]
		}
	}
	return nil
}

// where adds the place to an error.
func (s *stream) where(err error) error {
	at := s.raw.n - int64(s.buf.Buffered())
	if s.name == "" {
		return fmt.Errorf("%w at byte %d", err, at)
	}
	if err == io.ErrUnexpectedEOF || err == io.EOF {
		return fmt.Errorf("%s: ends too early at byte %d", s.name, at)
	}
	if bytes.HasPrefix([]byte(err.Error()), []byte(s.name+": ")) {
		return fmt.Errorf("%w at byte %d", err, at)
	}
	return fmt.Errorf("%s: %w at byte %d", s.name, err, at)
}

// close frees what the decompression holds; the file stays open.
func (s *stream) close() {
	for _, f := range s.done {
		f()
	}
}
