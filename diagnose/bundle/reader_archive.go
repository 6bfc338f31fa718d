package bundle

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
)

// archive is a tar archive in a file.
type archive struct {
	in   *unpacker
	at   map[string]int64 // where the header of each member is, unpacked
	done func() error
}

func newArchive(file io.ReaderAt, size int64, done func() error) (store, error) {
	in, err := newUnpacker(file, size)
	if err != nil {
		return nil, errors.Join(err, done())
	}
	return &archive{in: in, at: map[string]int64{}, done: done}, nil
}

func (a *archive) close() error {
	a.in.close()
	return a.done()
}

func (a *archive) walk(ctx context.Context, fn func(name string, size int64, r io.Reader) error) error {
	if err := a.in.seek(ctx, 0); err != nil {
		return readError(err)
	}
	t := tar.NewReader(a.in)
	names := namer{last: "the beginning"}
	next := int64(0) // where the header is that comes, or what extends it
	for count := 0; ; count++ {
		h, err := t.Next()
		switch {
		case errors.Is(err, io.EOF) && count > 0:
			return a.in.drain()
		case err != nil && ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, io.EOF), err != nil && count == 0 && (errors.Is(err, tar.ErrHeader) || a.in.ended()):
			return fmt.Errorf("%w: it is no tar archive", ErrNoBundle)
		case err != nil:
			return fmt.Errorf("after %s: %w", names.last, readError(err))
		case count == maxMembers:
			return fmt.Errorf("more than %d members", maxMembers)
		}
		at := next
		next = a.in.pos + h.Size + int64(padding(h.Size))
		name, err := names.header(h)
		if err != nil {
			return err
		}
		if name == "" {
			continue
		}
		a.at[name] = at
		if err := fn(name, h.Size, t); err != nil {
			return err
		}
	}
}

func (a *archive) read(ctx context.Context, names []string, fn func(name string, r io.Reader) error) error {
	for _, name := range names {
		if err := a.in.seek(ctx, a.at[name]); err != nil {
			return fmt.Errorf("%s: %w", name, readError(err))
		}
		t := tar.NewReader(a.in)
		if _, err := t.Next(); err != nil {
			return fmt.Errorf("%s: %w", name, readError(err))
		}
		if err := fn(name, t); err != nil {
			return err
		}
	}
	return nil
}
