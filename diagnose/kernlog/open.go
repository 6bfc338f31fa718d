package kernlog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"
)

// Open reads the files named, "-" for stdin, whatever their form and compression:
// each is known by its content. The files of one log's rotation are read in the
// order of time. A file that is not there or given twice, and a directory, are
// errors; one that cannot be read is Missing when its turn comes.
func Open(paths []string, stdin io.Reader) (*Reader, error) {
	return openAt(paths, stdin, time.Now, time.Local)
}

func openAt(paths []string, stdin io.Reader, now func() time.Time, zone *time.Location) (*Reader, error) {
	r := newReader()
	r.now, r.zone = now, zone
	var seen []fs.FileInfo
	for i, path := range paths {
		if slices.Contains(paths[:i], path) {
			return nil, fmt.Errorf("%s: given twice", path)
		}
		if path == "-" {
			r.inputs = append(r.inputs, &input{name: "standard input", open: func() (io.Reader, error) { return stdin, nil }})
			continue
		}
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("%s: no such file", path)
		case err == nil && info.IsDir():
			return nil, fmt.Errorf("%s: is a directory, not a file", path)
		case err == nil && slices.ContainsFunc(seen, func(s fs.FileInfo) bool { return os.SameFile(s, info) }):
			return nil, fmt.Errorf("%s: given twice, by another name", path)
		}
		seen = append(seen, info)
		in := &input{name: path, path: path, open: func() (io.Reader, error) {
			f, err := openFile(path)
			if err != nil {
				return nil, err
			}
			return f, nil
		}}
		if err == nil && info.Mode().IsRegular() {
			in.changed = info.ModTime()
		}
		r.inputs = append(r.inputs, in)
	}
	r.order()
	return r, nil
}

// openFile opens path; the error does not name it.
func openFile(path string) (*os.File, error) {
	f, err := os.Open(path)
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	return f, err
}
