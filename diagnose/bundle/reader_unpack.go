package bundle

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// unpacker is a file without its compression. It can be read from anywhere:
// zstd frames are independent of each other, and a Writer begins one with every
// member.
type unpacker struct {
	file   io.ReaderAt
	size   int64
	ctx    context.Context
	frames []frame
	cur    int // frame that is read
	raw    *counted
	r      io.Reader
	pos    int64 // bytes read, unpacked
	packed packed
	zstd   *zstd.Decoder
}

// frame is a part of the file that is unpacked by itself.
type frame struct {
	at, end int64 // in the file
	pos     int64 // unpacked; -1 while it is not known
}

// packed is how a file is compressed.
type packed uint8

const (
	packedNot packed = iota
	packedGzip
	packedZstd
)

var magic = []struct {
	begin string
	is    packed
}{{"\x28\xb5\x2f\xfd", packedZstd}, {"\x1f\x8b", packedGzip}}

func newUnpacker(file io.ReaderAt, size int64) (*unpacker, error) {
	u := &unpacker{file: file, size: size, ctx: context.Background(), frames: []frame{{0, size, 0}}}
	head := make([]byte, 4)
	if n, err := file.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, cause(err)
	} else if n == 0 {
		return nil, fmt.Errorf("%w: it is empty", ErrNoBundle)
	}
	for _, m := range magic {
		if bytes.HasPrefix(head, []byte(m.begin)) {
			u.packed = m.is
		}
	}
	if u.packed != packedZstd {
		return u, u.open(0)
	}
	var err error
	if u.zstd, err = zstd.NewReader(nil, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true)); err != nil {
		return nil, err
	}
	if u.frames, err = zstdFrames(file, size); err == nil {
		err = u.open(0)
	}
	if err != nil {
		u.zstd.Close()
	}
	return u, err
}

func (u *unpacker) close() {
	if u.zstd != nil {
		u.zstd.Close()
	}
}

// open begins to read a frame.
func (u *unpacker) open(i int) error {
	f := u.frames[i]
	u.cur, u.pos = i, f.pos
	u.raw = &counted{r: io.NewSectionReader(u.file, f.at, f.end-f.at)}
	in := bufio.NewReaderSize(u.raw, 64<<10)
	var err error
	switch u.packed {
	case packedZstd:
		err = u.zstd.Reset(in)
		u.r = u.zstd
	case packedGzip:
		u.r, err = gzip.NewReader(in)
	default:
		u.r = in
	}
	return err
}

func (u *unpacker) Read(b []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	for {
		n, err := u.r.Read(b)
		u.pos += int64(n)
		if u.pos > freeBytes+maxRatio*(u.frames[u.cur].at+u.raw.n) {
			return n, &limitError{fmt.Sprintf("unpacks to more than %d times its size", maxRatio)}
		}
		switch {
		case !errors.Is(err, io.EOF) || u.cur+1 == len(u.frames):
			return n, err
		case n > 0:
			return n, nil
		}
		u.frames[u.cur+1].pos = u.pos
		if err := u.open(u.cur + 1); err != nil {
			return 0, err
		}
	}
}

// ended tells whether all was read, and nothing of it is wrong.
func (u *unpacker) ended() bool {
	_, err := u.Read(make([]byte, 1))
	return errors.Is(err, io.EOF)
}

// seek goes to a place that was read before.
func (u *unpacker) seek(ctx context.Context, pos int64) error {
	u.ctx = ctx
	best := 0
	for lo, hi := 0, len(u.frames); lo < hi; {
		mid := (lo + hi) / 2
		if f := u.frames[mid]; f.pos >= 0 && f.pos <= pos {
			best, lo = mid, mid+1
		} else {
			hi = mid
		}
	}
	if pos == 0 || pos < u.pos || best != u.cur {
		if err := u.open(best); err != nil {
			return err
		}
	}
	_, err := io.CopyN(io.Discard, u, pos-u.pos)
	return err
}

// drain reads on to the end of the file: what follows the archive is zeros, or
// it is no archive of one piece.
func (u *unpacker) drain() error {
	buf := make([]byte, 32<<10)
	for {
		n, err := u.Read(buf)
		for _, c := range buf[:n] {
			if c != 0 {
				return errors.New("something follows the end of the archive")
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("after the last member: %w", readError(err))
		}
	}
}

type counted struct {
	r io.Reader
	n int64
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

// limitError: a bound of what is read was met.
type limitError struct{ text string }

func (e *limitError) Error() string { return e.text }

// zstdFrames finds where frames begin, without unpacking (RFC 8878, 3.1). What
// is not understood is one frame to the end: unpacking tells what is wrong.
func zstdFrames(file io.ReaderAt, size int64) ([]frame, error) {
	in := &counted{r: io.NewSectionReader(file, 0, size)}
	buf := bufio.NewReaderSize(in, 256<<10)
	var frames []frame
	for at := int64(0); at < size; at = in.n - int64(buf.Buffered()) {
		if len(frames) > maxFrames {
			return nil, fmt.Errorf("more than %d zstd frames", maxFrames)
		}
		frames = append(frames, frame{at, size, -1})
		if !skipFrame(buf) {
			break
		}
		frames[len(frames)-1].end = in.n - int64(buf.Buffered())
	}
	frames[0].pos = 0
	return frames, nil
}

// skipFrame passes over one frame, and tells whether it is whole.
func skipFrame(in *bufio.Reader) bool {
	head, err := in.Peek(zstd.HeaderMaxSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return false
	}
	var h zstd.Header
	if h.Decode(head) != nil {
		return false
	}
	skip := int64(h.HeaderSize)
	if h.Skippable {
		return discard(in, skip+int64(h.SkippableSize))
	}
	for last := false; !last; {
		if !discard(in, skip) {
			return false
		}
		b, err := in.Peek(3)
		if err != nil {
			return false
		}
		block := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16
		last = block&1 != 0
		skip = 3 + int64(block>>3)
		if kind := block >> 1 & 3; kind == 1 { // RLE: one byte
			skip = 3 + 1
		} else if kind == 3 { // reserved
			return false
		}
	}
	if h.HasCheckSum {
		skip += 4
	}
	return discard(in, skip)
}

func discard(in *bufio.Reader, n int64) bool {
	got, err := in.Discard(int(n))
	return err == nil && int64(got) == n
}
