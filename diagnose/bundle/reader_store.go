package bundle

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/klauspost/compress/gzip"
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
	return &archive{file: f, size: info.Size(), done: f.Close}, nil
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
	return &archive{file: f, size: n, done: func() error { return closeUnnamed(f) }}, nil
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

// archive is a tar archive.
type archive struct {
	file io.ReaderAt
	size int64
	done func() error
}

func (a *archive) close() error { return a.done() }

func (a *archive) walk(ctx context.Context, fn func(name string, size int64, r io.Reader) error) error {
	in, end, err := a.unpacked(ctx)
	if err != nil {
		return err
	}
	defer end()
	t := tar.NewReader(in)
	var names namer
	for count := 0; ; count++ {
		h, err := t.Next()
		switch {
		case errors.Is(err, io.EOF) && count > 0:
			return nil
		case err != nil && count == 0 && !errors.As(err, new(*limitError)) && ctx.Err() == nil:
			return fmt.Errorf("%w: it is no tar archive", ErrNoBundle)
		case err != nil:
			return fmt.Errorf("after %s: %w", names.last, readError(err))
		case count == maxMembers:
			return fmt.Errorf("more than %d members", maxMembers)
		}
		name, err := names.header(h)
		if err != nil {
			return err
		}
		if name == "" {
			continue
		}
		if err := fn(name, h.Size, t); errors.Is(err, errStop) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// unpacked is the archive without its compression.
func (a *archive) unpacked(ctx context.Context) (io.Reader, func(), error) {
	raw := &counted{r: cancelled{ctx, io.NewSectionReader(a.file, 0, a.size)}}
	buf := bufio.NewReaderSize(raw, 256<<10)
	head, err := buf.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	end := func() {}
	var in io.Reader = buf
	switch {
	case bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")):
		z, err := zstd.NewReader(buf, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, nil, err
		}
		in, end = z, z.Close
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		if in, err = gzip.NewReader(buf); err != nil {
			return nil, nil, readError(err)
		}
	}
	return &bounded{r: in, of: raw}, end, nil
}

type counted struct {
	r io.Reader
	n int64
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

// bounded ends reading where the archive is out of proportion to its file.
type bounded struct {
	r  io.Reader
	of *counted
	n  int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.n += int64(n)
	if b.n > freeBytes+maxRatio*b.of.n {
		return n, &limitError{fmt.Sprintf("unpacks to more than %d times its size", maxRatio)}
	}
	return n, err
}

// limitError: a bound of what is read was met.
type limitError struct{ text string }

func (e *limitError) Error() string { return e.text }

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

// namer checks what the headers say.
type namer struct {
	top  string // directory that all is in, "" for none
	set  bool
	last string
}

// header is the name of a member as bundles have it, "" for a directory.
func (n *namer) header(h *tar.Header) (string, error) {
	n.last = fmt.Sprintf("%.200q", h.Name)
	if what, bad := refused[h.Typeflag]; bad {
		return "", fmt.Errorf("%s: is %s: a bundle has plain files only", n.last, what)
	}
	if h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeDir {
		return "", fmt.Errorf("%s: is of type %q: a bundle has plain files only", n.last, h.Typeflag)
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return "", fmt.Errorf("%s: is a sparse file: a bundle has plain files only", n.last)
		}
	}
	name := strings.TrimPrefix(h.Name, "./")
	if h.Typeflag == tar.TypeDir {
		name = strings.TrimSuffix(name, "/")
		if name == "" || name == "." {
			return "", nil
		}
		return "", checkPath(name)
	}
	if err := checkPath(name); err != nil {
		return "", err
	}
	if !n.set {
		n.set = true
		if first, rest, ok := strings.Cut(name, "/"); ok && kindOf(name) == nil && kindOf(rest) != nil {
			n.top = first + "/"
		}
	}
	rest, ok := strings.CutPrefix(name, n.top)
	if !ok {
		return "", fmt.Errorf("%.200q: is not in %.200q as the others", name, n.top)
	}
	n.last = rest
	return rest, nil
}

var refused = map[byte]string{
	tar.TypeLink: "a hard link", tar.TypeSymlink: "a symbolic link", tar.TypeChar: "a device", tar.TypeBlock: "a device",
	tar.TypeFifo: "a named pipe", tar.TypeGNUSparse: "a sparse file", tar.TypeCont: "a contiguous file",
}

// checkPath refuses names that lead elsewhere on any system.
func checkPath(name string) error {
	switch {
	case len(name) > maxName:
		return fmt.Errorf("%.60q…: a name of %d bytes", name, len(name))
	case strings.HasPrefix(name, "/"), strings.ContainsAny(name, "\\:\x00"), path.Clean("/"+name) != "/"+name:
		return fmt.Errorf("%q: the name leads elsewhere", name)
	}
	return nil
}
