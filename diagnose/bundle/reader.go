package bundle

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/flowjson"
	"github.com/ntdiag/ntdiag/diagnose/host"
)

// ErrNoBundle: the file or directory is something else.
var ErrNoBundle = errors.New("no bundle")

// Reader reads a bundle. Everything was verified when it was opened.
type Reader struct {
	path     string
	from     store
	manifest Manifest
	members  map[string]*Member
	reads    *format
}

// store is where the members are: an archive or a directory.
type store interface {
	// walk hands over every member in their order, to be read before fn returns.
	walk(ctx context.Context, fn func(name string, size int64, r io.Reader) error) error
	// read hands over members that walk has found.
	read(ctx context.Context, names []string, fn func(name string, r io.Reader) error) error
	close() error
}

// format is how one format is read. A row stays for as long as bundles of its
// format are read.
type format struct {
	state func(io.Reader) (*State, error)
	flow  func([]byte, *host.Flow) error
}

var formats = map[int]*format{
	1: {DecodeState, flowjson.Read},
}

// Open opens a bundle and verifies it: a file as it was written or packed again
// (tar with zstd, gzip or nothing, by its first bytes), a directory that it was
// unpacked into, or "-" for standard input. Nothing is written but, for a
// pipe, a file without a name. ErrNoBundle says that it is something else.
func Open(ctx context.Context, path string) (*Reader, error) {
	r := &Reader{path: path}
	if path == "-" {
		r.path = "standard input"
	}
	var err error
	if r.from, err = openStore(ctx, path); err != nil {
		return nil, fmt.Errorf("%s: %w", r.path, err)
	}
	if err := r.verify(ctx); err != nil {
		return nil, fmt.Errorf("%s: %w", r.path, errors.Join(err, r.from.close()))
	}
	return r, nil
}

// Close frees what the Reader holds.
func (r *Reader) Close() error { return r.from.close() }

// Path is what was opened.
func (r *Reader) Path() string { return r.path }

// Manifest is what the bundle says of itself. It is not to be changed.
func (r *Reader) Manifest() *Manifest { return &r.manifest }

// Namespace finds a namespace by its name, path or directory; "" is the one of
// the command, or the only one.
func (r *Reader) Namespace(name string) (*Namespace, error) {
	all := r.manifest.Namespaces
	if name == "" && len(all) == 1 {
		return &all[0], nil
	}
	var names []string
	for i := range all {
		n := &all[i]
		if n.Name == name || name != "" && (n.Dir == name || n.Path == name) {
			return n, nil
		}
		names = append(names, n.label())
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: holds no network namespace", r.path)
	}
	return nil, fmt.Errorf("%s: no network namespace %q: it holds %s", r.path, name, strings.Join(names, ", "))
}

// label is what a namespace is called to a person.
func (n *Namespace) label() string {
	switch {
	case n.Name != "":
		return n.Name
	case n.Path != "":
		return n.Path
	}
	return n.Dir
}

// State reads all of a namespace but its flows.
func (r *Reader) State(ctx context.Context, n *Namespace) (*State, error) {
	var s *State
	err := r.one(ctx, n.Dir+"/state.json", func(in io.Reader) (err error) {
		s, err = r.reads.state(in)
		return err
	})
	return s, err
}

// Round finds a round of flows.
func (n *Namespace) Round(round int) (*Round, bool) {
	for i := range n.Rounds {
		if n.Rounds[i].Round == round {
			return &n.Rounds[i], true
		}
	}
	return nil, false
}

// Missing is what a round lacks.
func (r *Round) Missing() []host.Missing {
	var out []host.Missing
	if left := r.Seen - r.Kept; left > 0 {
		out = append(out, host.Missing{What: "flows", Why: fmt.Sprintf("%d of %d were left out to keep the bundle small", left, r.Seen)})
	}
	if r.Unparsed > 0 {
		out = append(out, host.Missing{What: "flows", Why: fmt.Sprintf("%d could not be read: %s", r.Unparsed, r.Why)})
	}
	return append(out, capture.FlowsInfo{Turnover: r.turnover()}.Missing()...)
}

// Flows streams a round of flows: one struct is used again for each. It ends
// without an error when fn returns capture.ErrStop. What the round lacks is
// told by Round.Missing.
func (r *Reader) Flows(ctx context.Context, n *Namespace, round int, fn func(*host.Flow) error) error {
	return r.flows(ctx, n, round, nil, fn)
}

// flows leaves out lines without the text has.
func (r *Reader) flows(ctx context.Context, n *Namespace, round int, has []byte, fn func(*host.Flow) error) error {
	if _, ok := n.Round(round); !ok {
		return fmt.Errorf("%s: flows were not read a %s time", r.path, ordinal(round))
	}
	var f host.Flow
	err := r.some(ctx, fmt.Sprintf("%s/flows-%d/", n.Dir, round), func(name string, in io.Reader) error {
		lines := bufio.NewReaderSize(in, maxLine)
		for i := 1; ; i++ {
			line, err := lines.ReadSlice('\n')
			switch {
			case errors.Is(err, io.EOF) && len(line) == 0:
				return nil
			case errors.Is(err, bufio.ErrBufferFull):
				return fmt.Errorf("line %d is longer than %d bytes", i, maxLine)
			case err != nil && !errors.Is(err, io.EOF):
				return err
			}
			if has != nil && !bytes.Contains(line, has) {
				continue
			}
			if err := r.reads.flow(line, &f); err != nil {
				return fmt.Errorf("line %d: %w", i, err)
			}
			if err := fn(&f); err != nil {
				return caller{err}
			}
		}
	})
	var c caller
	if errors.As(err, &c) {
		if errors.Is(c.err, capture.ErrStop) {
			return nil
		}
		return c.err
	}
	return err
}

// caller is an error of the caller's function: it is not of the bundle.
type caller struct{ err error }

func (c caller) Error() string { return c.err.Error() }

func ordinal(n int) string {
	if n == 1 {
		return "first"
	}
	if n == 2 {
		return "second"
	}
	return fmt.Sprintf("%dth", n)
}

// Finding reads what a command said when the bundle was made, ErrAbsent where
// it said nothing.
func (r *Reader) Finding(ctx context.Context, n *Namespace, command string) (json.RawMessage, error) {
	var doc json.RawMessage
	err := r.one(ctx, n.Dir+"/findings/"+command+".json", func(in io.Reader) (err error) {
		doc, err = io.ReadAll(in)
		return err
	})
	return doc, err
}

// Text streams a plain text: "ruleset.nft"; "conntrack-1" is all of its parts.
// n is nil for one of no namespace.
func (r *Reader) Text(ctx context.Context, n *Namespace, name string, w io.Writer) error {
	dir := "text/"
	if n != nil {
		dir = n.Dir + "/text/"
	}
	if r.members[dir+name] != nil {
		return r.one(ctx, dir+name, func(in io.Reader) error {
			_, err := io.Copy(w, in)
			return err
		})
	}
	found := false
	err := r.some(ctx, dir+name+"/", func(_ string, in io.Reader) error {
		found = true
		_, err := io.Copy(w, in)
		return err
	})
	if err == nil && !found {
		err = fmt.Errorf("%s: %s: %w", r.path, dir+name, ErrAbsent)
	}
	return err
}

// Each streams every member but the manifest, in the order that it lists them.
func (r *Reader) Each(ctx context.Context, fn func(name string, in io.Reader) error) error {
	return r.some(ctx, "", fn)
}

// ErrAbsent: the bundle does not hold it.
var ErrAbsent = os.ErrNotExist

// one reads one member.
func (r *Reader) one(ctx context.Context, name string, fn func(io.Reader) error) error {
	if r.members[name] == nil {
		return fmt.Errorf("%s: %s: %w", r.path, name, ErrAbsent)
	}
	return r.read(ctx, []string{name}, func(_ string, in io.Reader) error { return fn(in) })
}

// some reads the members whose names begin with prefix.
func (r *Reader) some(ctx context.Context, prefix string, fn func(name string, in io.Reader) error) error {
	var names []string
	for _, m := range r.manifest.Members {
		if strings.HasPrefix(m.Name, prefix) {
			names = append(names, m.Name)
		}
	}
	return r.read(ctx, names, fn)
}

func (r *Reader) read(ctx context.Context, names []string, fn func(name string, in io.Reader) error) error {
	err := r.from.read(ctx, names, func(name string, in io.Reader) error {
		err := fn(name, in)
		if err == nil || ctx.Err() != nil || errors.As(err, new(caller)) {
			return err
		}
		return fmt.Errorf("%s: %w", name, err)
	})
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("%s: %w", r.path, err)
	}
	return err
}
