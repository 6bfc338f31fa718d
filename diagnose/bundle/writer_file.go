package bundle

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// File is a file that is there when it is complete, or not at all. Until then
// it has another name in the same directory, and nobody else can read it.
type File struct {
	ctx  context.Context
	path string
	tmp  *os.File
	over bool
}

// CreateFile begins a file. One that exists is replaced only with overwrite,
// and only a plain one. Writing ends with the context.
func CreateFile(ctx context.Context, path string, overwrite bool) (*File, error) {
	f := &File{ctx: ctx, path: path, over: overwrite}
	if err := f.free(); err != nil {
		return nil, err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, cause(err))
	}
	f.tmp = tmp
	return f, nil
}

// free tells whether the name can be taken.
func (f *File) free() error {
	info, err := os.Lstat(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("%s: %w", f.path, cause(err))
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s: exists and is no plain file", f.path)
	case !f.over:
		return fmt.Errorf("%s: %w", f.path, fs.ErrExist)
	}
	return nil
}

func (f *File) Write(b []byte) (int, error) {
	if err := f.ctx.Err(); err != nil {
		return 0, context.Cause(f.ctx)
	}
	return f.tmp.Write(b)
}

// ReadAt reads what was written, so that it can be looked at before it is
// there for others.
func (f *File) ReadAt(b []byte, off int64) (int, error) { return f.tmp.ReadAt(b, off) }

// Temporary is the name that the file has now.
func (f *File) Temporary() string { return f.tmp.Name() }

// Commit gives the file its name, when it is on the disk.
func (f *File) Commit() error {
	if err := f.ctx.Err(); err != nil {
		return errors.Join(context.Cause(f.ctx), f.Abort())
	}
	if err := f.commit(); err != nil {
		return errors.Join(fmt.Errorf("%s: %w", f.path, err), f.Abort())
	}
	f.tmp = nil
	return nil
}

func (f *File) commit() error {
	if err := f.tmp.Sync(); err != nil {
		return cause(err)
	}
	if err := f.tmp.Close(); err != nil {
		return cause(err)
	}
	if !f.over {
		// a link takes no name that another has taken meanwhile
		err := os.Link(f.tmp.Name(), f.path)
		if err == nil {
			return cause(os.Remove(f.tmp.Name()))
		}
		if errors.Is(err, fs.ErrExist) {
			return fs.ErrExist
		}
	}
	if err := f.free(); err != nil {
		return cause(errors.Unwrap(err))
	}
	return cause(os.Rename(f.tmp.Name(), f.path))
}

// Abort removes the file, unless Commit has been there.
func (f *File) Abort() error {
	if f.tmp == nil {
		return nil
	}
	err := f.tmp.Close()
	if errors.Is(err, fs.ErrClosed) {
		err = nil
	}
	if e := os.Remove(f.tmp.Name()); e != nil && !errors.Is(e, fs.ErrNotExist) {
		err = errors.Join(err, e)
	}
	f.tmp = nil
	return err
}
