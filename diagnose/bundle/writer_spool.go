package bundle

import (
	"bytes"
	"errors"
	"io"
	"os"
)

// spool keeps what is written: in memory while it is short, then in a file
// that no other program finds.
type spool struct {
	mem  bytes.Buffer
	file *os.File
	size int64
}

func (s *spool) Write(b []byte) (int, error) {
	if s.file == nil && s.mem.Len()+len(b) > spoolMemory {
		f, err := unnamedFile()
		if err != nil {
			return 0, err
		}
		s.file = f
		if _, err := s.mem.WriteTo(f); err != nil {
			return 0, err
		}
		s.mem = bytes.Buffer{}
	}
	s.size += int64(len(b))
	if s.file != nil {
		return s.file.Write(b)
	}
	return s.mem.Write(b)
}

// reader reads it from the beginning.
func (s *spool) reader() io.Reader {
	if s.file != nil {
		return io.NewSectionReader(s.file, 0, s.size)
	}
	return bytes.NewReader(s.mem.Bytes())
}

// clear empties it; memory is used again.
func (s *spool) clear() error {
	s.mem.Reset()
	s.size = 0
	if s.file == nil {
		return nil
	}
	f := s.file
	s.file = nil
	return closeUnnamed(f)
}

// unnamedFile makes a file that goes with its descriptor: where a file can be
// removed that is open, nobody finds it. Elsewhere closeUnnamed removes it.
func unnamedFile() (*os.File, error) {
	f, err := os.CreateTemp("", "ntdiag-*")
	if err != nil {
		return nil, err
	}
	// an error here is that of a system that removes no open file
	_ = os.Remove(f.Name())
	return f, nil
}

func closeUnnamed(f *os.File) error {
	err := f.Close()
	if e := os.Remove(f.Name()); e != nil && !errors.Is(e, os.ErrNotExist) {
		err = errors.Join(err, e)
	}
	return err
}
