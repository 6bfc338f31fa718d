package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Writer writes one journal. It is not for concurrent use.
type Writer struct {
	f    *os.File
	path string
	end  int64 // of the last whole record
	n    int   // intents written
	made bool  // by Create
	b    []byte
}

// maxNames is how many names are tried for journals of one second.
const maxNames = 1000

// Create makes a journal in dir, which it makes too, with its header on the
// disk. Nobody but its owner may read it: it holds addresses.
func Create(dir string, h Header) (*Writer, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	h.Schema = Schema
	w, err := create(dir, h.Created)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	err = w.lock()
	if err == nil {
		err = w.write(h)
	}
	if err == nil {
		err = w.sync()
	}
	// the names of the file and of the directory
	for _, d := range [...]string{dir, filepath.Dir(dir)} {
		if err == nil {
			err = syncDir(d)
		}
	}
	if err != nil {
		w.f.Close()
		os.Remove(w.path)
		return nil, fmt.Errorf("journal: %w", err)
	}
	return w, nil
}

func create(dir string, at time.Time) (*Writer, error) {
	for i := range maxNames {
		name := fmt.Sprintf("%s-%d.jsonl", at.UTC().Format("20060102T150405Z"), i+1)
		path := filepath.Join(dir, name)
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		switch {
		case err == nil:
			return &Writer{f: f, path: path, made: true}, nil
		case !errors.Is(err, fs.ErrExist):
			return nil, err
		}
	}
	return nil, fmt.Errorf("%s: %d journals of this second already", dir, maxNames)
}

// Open reads a journal and lets records be added to it. Where it may only be
// read the Writer is nil.
func Open(path string) (*Journal, *Writer, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	readOnly := errors.Is(err, fs.ErrPermission) || errors.Is(err, errReadOnly)
	if readOnly {
		f, err = os.Open(path)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("journal: %w", err)
	}
	w := &Writer{f: f, path: path}
	j, err := w.open(readOnly)
	if err != nil || readOnly {
		f.Close()
		w = nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("journal %s: %w", path, err)
	}
	return j, w, nil
}

func (w *Writer) open(readOnly bool) (*Journal, error) {
	if !readOnly {
		if err := w.lock(); err != nil {
			return nil, err
		}
	}
	j, err := Read(w.f)
	if err != nil {
		return nil, err
	}
	w.end, w.n = j.end, len(j.Entries)
	return j, nil
}

// Path is where the journal is.
func (w *Writer) Path() string { return w.path }

// Intend numbers the intents and brings them to the disk. When it fails none
// of them is there, and none of their entries may be deleted.
func (w *Writer) Intend(batch []Intent) error {
	n := w.n
	var all []any
	for i := range batch {
		n++
		batch[i].N = n
		all = append(all, batch[i].record())
	}
	before := w.end
	err := w.write(all...)
	if err == nil {
		err = w.sync()
	}
	if err != nil {
		w.end = before
		return fmt.Errorf("journal: %w", errors.Join(err, w.f.Truncate(w.end)))
	}
	w.n = n
	return nil
}

// Results adds what came of intents. They need not be on the disk: without
// them an undo looks for each entry.
func (w *Writer) Results(results []Result) error {
	var all []any
	for i := range results {
		all = append(all, results[i].record())
	}
	if err := w.write(all...); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}

// Restored adds what came of putting entries back.
func (w *Writer) Restored(batch []Restore) error {
	var all []any
	for i := range batch {
		all = append(all, batch[i].record())
	}
	if err := w.write(all...); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}

// Undone adds that all of it was put back.
func (w *Writer) Undone(at time.Time) error {
	if err := w.write(record{Record: kindUndone, At: &at}); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}

// Close brings all to the disk. A new journal that names no entry is removed.
func (w *Writer) Close() error {
	err := w.sync()
	if w.made && w.n == 0 {
		err = os.Remove(w.path)
	}
	if err := errors.Join(err, w.f.Close()); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}

// Empty tells whether no entry is named.
func (w *Writer) Empty() bool { return w.n == 0 }

// write adds lines behind the last whole record: what a writer that was killed
// left behind goes.
func (w *Writer) write(records ...any) (err error) {
	w.b = w.b[:0]
	for _, r := range records {
		if w.b, err = appendLine(w.b, r); err != nil {
			return err
		}
	}
	if err := w.f.Truncate(w.end); err != nil {
		return err
	}
	if _, err := w.f.Seek(w.end, io.SeekStart); err != nil {
		return err
	}
	n, err := w.f.Write(w.b)
	if err != nil {
		return err
	}
	w.end += int64(n)
	return nil
}

func (w *Writer) sync() error { return w.f.Sync() }

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
