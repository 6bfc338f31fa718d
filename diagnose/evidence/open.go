package evidence

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/bundle"
)

// Named is a file that an option says the kind of: Flag of a Kind.
type Named struct{ Flag, Path string }

// ErrNothing: no text was given that is understood.
var ErrNothing = errors.New("no bundle, and no text of conntrack, iptables-save, nft or ip in it")

// Limits of what is read.
const (
	maxFile  = 256 << 20
	maxTotal = 1 << 30
	maxFiles = 20000
)

// Open makes a Source of what is at path, a directory, an archive or one file,
// and of the files that options name; path may be "". "-" is stdin. netns names
// a namespace of which a sos report has texts, "" the one that it was made in.
// Scratch loads texts of nft; nil where that cannot be done.
func Open(ctx context.Context, at string, named []Named, netns string, stdin io.Reader, scratch Scratch) (*bundle.Source, error) {
	o := &opener{netns: netns, stdin: stdin}
	if at != "" {
		if err := o.walk(ctx, at); err != nil {
			return nil, fmt.Errorf("--from %s: %w", at, err)
		}
	}
	for _, n := range named {
		if err := o.named(n); err != nil {
			return nil, fmt.Errorf("--%s %s: %w", n.Flag, n.Path, err)
		}
	}
	if netns != "" && !o.inNetns {
		return nil, fmt.Errorf("--from %s: no text of network namespace %q in it%s", at, netns, otherNetns(o.others))
	}
	if len(o.texts) == 0 {
		return nil, fmt.Errorf("--from %s: %w", at, ErrNothing)
	}
	b := newBuilder(o.newest)
	b.snap.Netns = netns
	b.scratch = scratch
	for _, k := range kinds { // sets stand before the rules that name them
		for _, t := range o.texts {
			if t.kind == k {
				k.read(b, &t.section)
			}
		}
	}
	if b.snap.Hostname == "" {
		b.snap.Hostname = o.hostname
	}
	b.problems = append(b.problems, o.notUnderstood...)
	return b.finish(ctx), nil
}

func otherNetns(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return "; there are " + strings.Join(names, ", ")
}

// known is a section whose kind is known.
type known struct {
	section
	kind *Kind
}

type opener struct {
	netns         string
	stdin         io.Reader
	texts         []known
	newest        time.Time // of the files
	hostname      string
	inNetns       bool
	others        []string // namespaces of which there are texts
	notUnderstood []string
	total         int64
	files         int
}

// named reads a file that an option names.
func (o *opener) named(n Named) error {
	at := slices.IndexFunc(kinds, func(k *Kind) bool { return k.Flag == n.Flag })
	if at < 0 {
		return errors.New("no such kind of text")
	}
	b, when, err := o.readPath(n.Path)
	if err != nil {
		return err
	}
	parts := sections(n.Path, b)
	if len(parts) == 0 {
		return errors.New("it is empty")
	}
	o.seen(when)
	for _, s := range parts {
		k := kinds[at]
		if s.command != "" && len(parts) > 1 {
			if own := kindOfCommand(s.command); own != nil && own != k {
				k = own
			}
		}
		o.texts = append(o.texts, known{s, k})
	}
	return nil
}

func (o *opener) readPath(name string) ([]byte, time.Time, error) {
	if name == "-" {
		b, err := readAll(o.stdin, maxFile)
		return b, time.Now(), err
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, time.Time{}, plainError(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, time.Time{}, plainError(err)
	}
	if info.IsDir() {
		return nil, time.Time{}, errors.New("it is a directory")
	}
	b, err := readAll(f, maxFile)
	return b, info.ModTime(), err
}

// plainError is an error without the path, which is named before it.
func plainError(err error) error {
	var at *os.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

func readAll(r io.Reader, most int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("more than %d bytes", most)
	}
	return b, err
}

func (o *opener) seen(at time.Time) {
	if at.After(o.newest) {
		o.newest = at
	}
}

// walk reads a directory, an archive or a file.
func (o *opener) walk(ctx context.Context, at string) error {
	if at == "-" {
		return o.stream(ctx, "standard input", o.stdin, time.Now())
	}
	info, err := os.Stat(at)
	if err != nil {
		return plainError(err)
	}
	if info.IsDir() {
		return o.directory(ctx, at)
	}
	f, err := os.Open(at)
	if err != nil {
		return plainError(err)
	}
	defer f.Close()
	return o.stream(ctx, at, f, info.ModTime())
}

// directory reads the files below a directory. Links are not followed.
func (o *opener) directory(ctx context.Context, at string) error {
	root, err := os.OpenRoot(at)
	if err != nil {
		return plainError(err)
	}
	defer root.Close()
	return filepath.WalkDir(at, func(p string, d os.DirEntry, err error) error {
		if err := errors.Join(ctx.Err(), err); err != nil {
			return plainError(err)
		}
		name, err := filepath.Rel(at, p)
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		name = filepath.ToSlash(name)
		if !o.wanted(name) {
			return nil
		}
		if err := o.room(); err != nil {
			return err
		}
		f, err := root.Open(filepath.FromSlash(name))
		if err != nil {
			o.notUnderstood = append(o.notUnderstood, fmt.Sprintf("%s: %v", name, plainError(err)))
			return nil
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil || !info.Mode().IsRegular() {
			return nil
		}
		return o.file(name, f, info.ModTime())
	})
}

// room counts the files.
func (o *opener) room() error {
	if o.files++; o.files > maxFiles {
		return fmt.Errorf("more than %d files", maxFiles)
	}
	return nil
}

// file reads one file of several.
func (o *opener) file(name string, r io.Reader, when time.Time) error {
	b, err := readAll(r, min(maxFile, maxTotal-o.total))
	if o.total += int64(len(b)); o.total >= maxTotal {
		return fmt.Errorf("more than %d bytes of texts", int64(maxTotal))
	}
	if err != nil {
		o.notUnderstood = append(o.notUnderstood, fmt.Sprintf("%s: %v", name, err))
		return nil
	}
	if base(name) == "hostname" && len(b) < 300 {
		o.hostname = strings.TrimSpace(string(b))
		return nil
	}
	netns := netnsOf(name)
	if netns != "" && !slices.Contains(o.others, netns) {
		o.others = append(o.others, netns)
	}
	for _, s := range sections(name, b) {
		if s.command == "" {
			s.command = commandOf(name)
		}
		k := kindOf(&s)
		if k == nil || ofMachine[k.Flag] && netns != "" {
			continue
		}
		if netns != o.netns && !(ofMachine[k.Flag] && netns == "") {
			continue
		}
		o.inNetns = o.inNetns || netns == o.netns
		o.texts = append(o.texts, known{s, k})
		o.seen(when)
	}
	return nil
}

// ofMachine are kinds that all namespaces share.
var ofMachine = map[string]bool{"uname": true, "dmesg": true}

func base(name string) string { return path.Base(filepath.ToSlash(name)) }
