package evidence

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/kernlog"
)

// maxUnpacked is how much an archive may hold, all that is passed over
// included.
const maxUnpacked = 16 << 30

// stream reads an archive or one file, packed or not.
func (o *opener) stream(ctx context.Context, name string, r io.Reader, when time.Time) error {
	plain, done, err := kernlog.Unpack(r)
	if err != nil {
		return err
	}
	defer done()
	in := bufio.NewReaderSize(plain, 64<<10)
	if head, _ := in.Peek(512); isTar(head) {
		return o.tar(ctx, in)
	}
	if head, _ := in.Peek(4); string(head) == "PK\x03\x04" {
		return errors.New("zip archives are not read: unpack it, and name the directory")
	}
	b, err := readAll(in, maxFile)
	if err != nil {
		return err
	}
	return o.file(name, bytes.NewReader(b), when)
}

// isTar: the magic stands behind the fields of the first header.
func isTar(head []byte) bool {
	return len(head) == 512 && bytes.HasPrefix(head[257:], []byte("ustar"))
}

// counted ends a stream that holds more than it may.
type counted struct {
	r    io.Reader
	left int64
}

var errTooMuch = fmt.Errorf("more than %d bytes unpacked", int64(maxUnpacked))

func (c *counted) Read(b []byte) (int, error) {
	if c.left <= 0 {
		return 0, errTooMuch
	}
	n, err := c.r.Read(b[:min(int64(len(b)), c.left)])
	c.left -= int64(n)
	return n, err
}

// tar reads the files of an archive. Nothing is written; links, devices and the
// like are passed over.
func (o *opener) tar(ctx context.Context, r io.Reader) error {
	in := tar.NewReader(&counted{r, maxUnpacked})
	for {
		h, err := in.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && len(o.texts) > 0:
			o.notUnderstood = append(o.notUnderstood, fmt.Sprintf("the archive is damaged behind what was read: %v", err))
			return nil
		case err != nil:
			return err
		}
		if err := errors.Join(ctx.Err(), o.room()); err != nil {
			return err
		}
		name := path.Clean("/" + strings.ToValidUTF8(h.Name, "?"))[1:]
		if h.Typeflag != tar.TypeReg || !o.wanted(name) {
			continue
		}
		if err := o.file(name, in, h.ModTime); err != nil {
			return err
		}
	}
}
