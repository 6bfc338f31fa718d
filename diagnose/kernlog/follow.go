package kernlog

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"
)

// followEvery is how often a file is looked at that has no more to read.
const followEvery = 250 * time.Millisecond

// followQuiet is how often a file that was renamed is looked at before it is left:
// the log's writer goes on with it until it is told.
const followQuiet = 8

var errFollowJournal = errors.New("a journal file is not followed: read journalctl -kf -o export as standard input")

// Follow is Open, and goes on with what is written to the last of the files,
// in their order, until ctx ends: Next waits, and then gives ctx's error. The
// file may be renamed and made anew, as logrotate does, or cut to nothing; what
// was written before it was cut, and not read yet, is lost: a gap. Standard input
// ends when it ends, or with ctx; a read of it that waits then is left alone.
func Follow(ctx context.Context, paths []string, stdin io.Reader) (*Reader, error) {
	r, err := Open(paths, waiting(ctx, stdin))
	if err != nil {
		return nil, err
	}
	r.follow(ctx, followEvery)
	return r, nil
}

// waiting is stdin as a reader that ends with ctx. A file is read as it is: it
// does not wait, and a journal's is read by offset.
func waiting(ctx context.Context, stdin io.Reader) io.Reader {
	if f, ok := stdin.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			return stdin
		}
	}
	return &untilDone{ctx: ctx, from: stdin}
}

// untilDone hands on what another reader gives.
type untilDone struct {
	ctx  context.Context
	from io.Reader
	pipe *io.PipeReader // nil until the first read
}

func (u *untilDone) Read(b []byte) (int, error) {
	if u.pipe == nil {
		r, w := io.Pipe()
		u.pipe = r
		context.AfterFunc(u.ctx, func() { _ = w.CloseWithError(u.ctx.Err()) })
		go func() {
			_, err := io.Copy(w, u.from)
			_ = w.CloseWithError(err)
		}()
	}
	return u.pipe.Read(b)
}

func (r *Reader) follow(ctx context.Context, every time.Duration) {
	r.ctx = ctx
	last := len(r.inputs) - 1
	if last < 0 || r.inputs[last].path == "" {
		return
	}
	path := r.inputs[last].path
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		// a named pipe, or a device: it waits by itself, some when opened already
		r.inputs[last].open = func() (io.Reader, error) { return &untilDone{ctx: ctx, from: &lateFile{path: path}}, nil }
		return
	}
	r.inputs[last] = r.followed(path, every)
}

// lateFile is opened by the first read.
type lateFile struct {
	path string
	f    *os.File
}

func (l *lateFile) Read(b []byte) (n int, err error) {
	if l.f == nil {
		if l.f, err = openFile(l.path); err != nil {
			return 0, err
		}
	}
	return l.f.Read(b)
}

// followed is path as an input whose end is where another begins.
func (r *Reader) followed(path string, every time.Duration) *input {
	in := &input{name: path, path: path}
	in.open = func() (io.Reader, error) {
		f, err := openFile(path)
		if err != nil {
			return nil, err
		}
		return &tail{ctx: r.ctx, f: f, path: path, every: every, cut: func() { r.p.gaps++ }}, nil
	}
	in.next = func() *input { return r.followed(path, every) }
	return in
}

// tail reads a file that is written to. io.EOF is not the end of what is written,
// but of this file: it was renamed or cut.
type tail struct {
	ctx   context.Context
	f     *os.File
	path  string
	every time.Duration
	cut   func()
	read  int64
	quiet int // how often there was nothing more since it was renamed
}

func (t *tail) Read(b []byte) (int, error) {
	for {
		n, err := t.f.Read(b)
		t.read += int64(n)
		if n > 0 {
			t.quiet = 0
			return n, nil
		}
		if err != nil && err != io.EOF {
			return 0, err
		}
		over, err := t.over()
		if over || err != nil {
			return 0, err
		}
		wait := time.NewTimer(t.every)
		select {
		case <-t.ctx.Done():
			wait.Stop()
			return 0, t.ctx.Err()
		case <-wait.C:
		}
	}
}

// over tells, with io.EOF, whether nothing more comes.
func (t *tail) over() (bool, error) {
	own, err := t.f.Stat()
	if err != nil {
		return true, err
	}
	if own.Size() < t.read {
		t.cut()
		return true, io.EOF
	}
	now, err := os.Stat(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // another is not made yet
	}
	if err != nil {
		return true, err
	}
	if os.SameFile(own, now) || own.Size() > t.read {
		return false, nil
	}
	t.quiet++
	if now.Size() == 0 && t.quiet < followQuiet {
		return false, nil
	}
	return true, io.EOF
}

func (t *tail) Close() error { return t.f.Close() }
