package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/klauspost/compress/zstd"
)

// errNoRoom: the member does not fit into what is left of the file.
var errNoRoom = errors.New("no room is left in the file")

// member is one whose length is not known before it is written.
type member struct {
	w       *Writer
	name    string
	size    int64
	records uint64
	sum     hash.Hash
	spool   spool
	err     error
}

// member begins one. Close or drop has to follow before the next.
func (w *Writer) member(name string) *member {
	m := &member{w: w, name: name, sum: sha256.New()}
	m.err = w.ready()
	if m.err == nil && w.seen[name] {
		m.err = fmt.Errorf("bundle: %s is written twice", name)
	}
	w.stream.Reset(&m.spool)
	return m
}

func (m *member) Write(b []byte) (int, error) {
	if m.err != nil {
		return 0, m.err
	}
	m.size += int64(len(b))
	m.sum.Write(b)
	n, err := m.w.stream.Write(b)
	if err != nil {
		m.err = fmt.Errorf("bundle: %s: %w", m.name, err)
	}
	return n, m.err
}

// close puts the member into the archive; errNoRoom and nothing written where
// it does not fit.
func (m *member) close() error {
	if err := m.finish(); err != nil {
		return err
	}
	header, err := tarHeader(m.name, m.size, m.w.info.Created)
	if err != nil {
		return fmt.Errorf("bundle: %s: %w", m.name, err)
	}
	header = m.w.enc.EncodeAll(header, nil)
	if int64(len(header))+m.spool.size+memberBound > m.w.room() {
		return errNoRoom
	}
	if err := m.w.put(header); err != nil {
		return err
	}
	if _, err := io.Copy(putter{m.w}, m.spool.reader()); err != nil {
		return err
	}
	m.w.listed(Member{Name: m.name, Size: m.size, SHA256: hex.EncodeToString(m.sum.Sum(nil)), Records: m.records})
	return m.spool.clear()
}

// finish ends the compressed form.
func (m *member) finish() error {
	if m.err != nil {
		return errors.Join(m.err, m.spool.clear())
	}
	if _, err := m.w.stream.Write(make([]byte, padding(m.size))); err != nil {
		return fmt.Errorf("bundle: %s: %w", m.name, err)
	}
	if err := m.w.stream.Close(); err != nil {
		return fmt.Errorf("bundle: %s: %w", m.name, err)
	}
	return nil
}

// raw is what was written, again.
func (m *member) raw() (io.ReadCloser, error) {
	z, err := zstd.NewReader(m.spool.reader(), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.LimitReader(z, m.size), z.IOReadCloser()}, nil
}

type putter struct{ w *Writer }

func (p putter) Write(b []byte) (int, error) { return len(b), p.w.put(b) }

func (w *Writer) listed(m Member) {
	w.seen[m.Name] = true
	w.manifest.Members = append(w.manifest.Members, m)
}
