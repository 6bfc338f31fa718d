package kernlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/therootcompany/xz"
)

const (
	pageSize  = 32 << 10
	pageCount = 64
)

// pages reads a file in pages and keeps some: objects of one entry lie together,
// and those that every entry has at the beginning.
type pages struct {
	f     io.ReaderAt
	size  int64
	pages [pageCount]page
}

type page struct {
	at   int64
	data []byte // nil: not read
}

// read fills b from an offset. What the file does not have is io.ErrUnexpectedEOF.
func (p *pages) read(b []byte, at int64) error {
	for len(b) > 0 {
		if at < 0 || at >= p.size {
			return io.ErrUnexpectedEOF
		}
		base := at &^ (pageSize - 1)
		pg := &p.pages[base/pageSize%pageCount]
		if pg.data == nil || pg.at != base {
			if cap(pg.data) == 0 {
				pg.data = make([]byte, pageSize)
			}
			pg.data = pg.data[:pageSize]
			n, err := p.f.ReadAt(pg.data, base)
			if err != nil && err != io.EOF {
				pg.data = pg.data[:0]
				pg.at = -1
				return err
			}
			pg.at, pg.data = base, pg.data[:n]
		}
		if int(at-base) >= len(pg.data) {
			return io.ErrUnexpectedEOF
		}
		n := copy(b, pg.data[at-base:])
		b, at = b[n:], at+int64(n)
	}
	return nil
}

// ReadAt is for what reads a part of the file as a stream.
func (p *pages) ReadAt(b []byte, at int64) (int, error) {
	if err := p.read(b, at); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Flags of an object: how its payload is compressed.
const (
	dataXZ   = 1 << iota // OBJECT_COMPRESSED_XZ
	dataLZ4              // OBJECT_COMPRESSED_LZ4
	dataZstd             // OBJECT_COMPRESSED_ZSTD
)

// unpacker decompresses fields. It is reused, its results too.
type unpacker struct {
	zstd *zstd.Decoder
	xz   *xz.Reader
	out  []byte
	in   []byte
}

const (
	// maxFieldWindow is the most memory that a field in zstd or xz may ask for:
	// journald's xz asks for 1 MiB.
	maxFieldWindow = 8 << 20
	// maxFieldLZ4 is the most that a field in LZ4 may have unpacked: it is one
	// block, of which no part can be had.
	maxFieldLZ4 = 1 << 20
)

// errLarge is a field that asks for more: no message of the kernel is as large.
var errLarge = errors.New("a field that is too large")

// field unpacks at most limit bytes of a field.
func (u *unpacker) field(flags byte, r *io.SectionReader, limit int) ([]byte, error) {
	switch flags {
	case dataXZ:
		if u.xz == nil {
			u.xz, _ = xz.NewReader(nil, maxFieldWindow)
		}
		if err := u.xz.Reset(r); err != nil {
			return nil, err
		}
		return u.upTo(u.xz, limit)
	case dataZstd:
		if u.zstd == nil {
			z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxFieldWindow))
			if err != nil {
				return nil, err
			}
			u.zstd = z
		}
		if err := u.zstd.Reset(r); err != nil {
			return nil, err
		}
		return u.upTo(u.zstd, limit)
	case dataLZ4:
		return u.lz4(r)
	}
	return nil, fmt.Errorf("a compression that is not known (flags %#x)", flags)
}

// upTo reads at most limit bytes.
func (u *unpacker) upTo(r io.Reader, limit int) ([]byte, error) {
	u.out = append(u.out[:0], make([]byte, limit)...)
	n, err := io.ReadFull(r, u.out)
	switch err {
	case io.EOF:
		err = errors.New("an empty field")
	case io.ErrUnexpectedEOF:
		err = nil
	case zstd.ErrWindowSizeExceeded, zstd.ErrDecoderSizeExceeded, xz.ErrMemlimit:
		err = errLarge
	}
	return u.out[:n], err
}

var errLZ4 = errors.New("lz4: a field of the wrong size")

// lz4 unpacks a block, behind the size that it has unpacked (64 bits).
func (u *unpacker) lz4(r *io.SectionReader) ([]byte, error) {
	if r.Size() < 9 {
		return nil, errLZ4
	}
	if r.Size() > maxFieldLZ4 {
		return nil, errLarge
	}
	u.in = append(u.in[:0], make([]byte, r.Size())...)
	if _, err := r.ReadAt(u.in, 0); err != nil {
		return nil, err
	}
	size := binary.LittleEndian.Uint64(u.in)
	if size == 0 { // UncompressBlock writes to a buffer of none
		return nil, errLZ4
	}
	if size > maxFieldLZ4 {
		return nil, errLarge
	}
	u.out = append(u.out[:0], make([]byte, size)...)
	n, err := lz4.UncompressBlock(u.in[8:], u.out)
	if err != nil {
		return nil, err
	}
	return u.out[:n], nil
}

func (u *unpacker) close() {
	if u.zstd != nil {
		u.zstd.Close()
	}
}

var errJournalStream = errors.New("a journal file cannot be read from a pipe, nor compressed: name the file itself, or read journalctl -k -o export")

// isJournal tells whether a file begins as a journal's does.
func isJournal(head []byte) bool { return bytes.HasPrefix(head, []byte(journalMagic)) }
