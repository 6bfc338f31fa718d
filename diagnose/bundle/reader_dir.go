package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// directory is a bundle that was unpacked. Nothing outside of it is read.
type directory struct{ root *os.Root }

func openDirectory(path string) (store, error) {
	root, err := os.OpenRoot(filepath.Clean(path))
	if err != nil {
		return nil, cause(err)
	}
	if _, err := root.Lstat(formatName); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: a directory without %s", ErrNoBundle, formatName), root.Close())
	}
	return &directory{root}, nil
}

func (d *directory) close() error { return d.root.Close() }

func (d *directory) walk(ctx context.Context, fn func(name string, size int64, r io.Reader) error) error {
	count := 0
	return fs.WalkDir(d.root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("%s: %w", name, cause(err))
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if count++; count > maxMembers {
			return fmt.Errorf("more than %d members", maxMembers)
		}
		if e.IsDir() {
			return nil
		}
		if !e.Type().IsRegular() {
			return fmt.Errorf("%q: a bundle has plain files only", name)
		}
		if err := checkPath(name); err != nil {
			return err
		}
		return d.file(ctx, name, fn)
	})
}

func (d *directory) read(ctx context.Context, names []string, fn func(name string, r io.Reader) error) error {
	for _, name := range names {
		if err := d.file(ctx, name, func(_ string, _ int64, r io.Reader) error { return fn(name, r) }); err != nil {
			return err
		}
	}
	return nil
}

func (d *directory) file(ctx context.Context, name string, fn func(name string, size int64, r io.Reader) error) error {
	f, err := d.root.Open(name)
	if err != nil {
		return fmt.Errorf("%s: %w", name, cause(err))
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("%s: %w", name, cause(err))
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%q: a bundle has plain files only", name)
	}
	return fn(name, info.Size(), io.LimitReader(cancelled{ctx, f}, info.Size()))
}
