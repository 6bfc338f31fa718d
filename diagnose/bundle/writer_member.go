package bundle

import (
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// errNoRoom: the member does not fit into what is left of the file.
var errNoRoom = errors.New("no room is left in the file")

// member is one whose length is not known before it is written.
type member struct {
	w     *Writer
	name  string
	check *checker // a Reader refuses what it refuses
	spool spool
	err   error
}

// member begins one. Close or drop has to follow before the next.
func (w *Writer) member(name string) *member {
	m := &member{w: w, name: name, check: newChecker(kindOf(name))}
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
	_, err := m.check.Write(b)
	if err == nil {
		_, err = m.w.stream.Write(b)
	}
	if err != nil {
		m.err = fmt.Errorf("bundle: %s: %w", m.name, err)
		return 0, m.err
	}
	return len(b), nil
}

// close puts the member into the archive; errNoRoom and nothing written where
// it does not fit.
func (m *member) close() error {
	if err := m.finish(); err != nil {
		return err
	}
	entry, err := m.check.member(m.name, m.check.size)
	if err != nil {
		return fmt.Errorf("bundle: %s: %w", m.name, err)
	}
	header, err := tarHeader(m.name, entry.Size, m.w.info.Created)
	if err != nil {
		return fmt.Errorf("bundle: %s: %w", m.name, err)
	}
	header = m.w.enc.EncodeAll(header, nil)
	if packed := int64(len(header)) + m.spool.size; packed+memberBound > m.w.room() || !m.w.believed(entry.Size, packed) {
		return errNoRoom
	}
	if err = m.w.put(header); err == nil {
		_, err = io.Copy(putter{m.w}, m.spool.reader())
	}
	if err != nil {
		return errors.Join(err, m.spool.clear())
	}
	m.w.listed(*entry)
	return m.spool.clear()
}

// finish ends the compressed form.
func (m *member) finish() error {
	if m.err != nil {
		return errors.Join(m.err, m.spool.clear())
	}
	if _, err := m.w.stream.Write(make([]byte, padding(m.check.size))); err != nil {
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
	}{io.LimitReader(z, m.check.size), z.IOReadCloser()}, nil
}

type putter struct{ w *Writer }

func (p putter) Write(b []byte) (int, error) { return len(b), p.w.put(b) }

// believed tells whether a Reader takes a member for honest, by how well it
// is compressed.
func (w *Writer) believed(size, packed int64) bool {
	return w.unpacked+size+blockSize < freeBytes/2+maxRatio/2*(w.written+packed)
}

func (w *Writer) listed(m Member) {
	w.seen[m.Name] = true
	w.unpacked += m.Size + 2*blockSize
	w.manifest.Members = append(w.manifest.Members, m)
}
