package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/klauspost/compress/zstd"
)

// openStore opens what path names.
func openStore(ctx context.Context, path string) (store, error) {
	if path == "-" {
		return spooled(ctx, os.Stdin)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, cause(err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(cause(err), f.Close())
	}
	switch {
	case info.IsDir():
		if err := f.Close(); err != nil {
			return nil, cause(err)
		}
		return openDirectory(path)
	case !info.Mode().IsRegular():
		s, err := spooled(ctx, f)
		return s, errors.Join(err, f.Close())
	}
	return newArchive(f, info.Size(), f.Close)
}

// cause is an error without the path, which stands before it.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// spooled is an archive that came through a pipe.
func spooled(ctx context.Context, in io.Reader) (store, error) {
	f, err := unnamedFile()
	if err != nil {
		return nil, err
	}
	n, err := io.Copy(f, io.LimitReader(cancelled{ctx, in}, maxInput+1))
	if err == nil && n > maxInput {
		err = fmt.Errorf("is longer than %s", SizeText(maxInput))
	}
	if err != nil {
		return nil, errors.Join(err, closeUnnamed(f))
	}
	return newArchive(f, n, func() error { return closeUnnamed(f) })
}

// cancelled ends reading when the context does.
type cancelled struct {
	ctx context.Context
	r   io.Reader
}

func (c cancelled) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(b)
}

// readError is an error of unpacking in the words of a person.
func readError(err error) error {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return errors.New("the archive ends too early")
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return fmt.Errorf("zstd asks for more than %s of memory", SizeText(maxWindow))
	}
	return err
}
