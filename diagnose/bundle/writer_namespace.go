package bundle

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

// NamespaceWriter writes what is of one network namespace. Its parts may come
// in any order, and between those of others.
type NamespaceWriter struct {
	w   *Writer
	i   int
	dir string
}

// Namespace begins a network namespace: name is that of ip netns, path that of
// its file; both may be empty.
func (w *Writer) Namespace(name, path string, place host.Place) *NamespaceWriter {
	i := len(w.manifest.Namespaces)
	n := &NamespaceWriter{w: w, i: i, dir: fmt.Sprintf("netns-%d", i)}
	w.manifest.Namespaces = append(w.manifest.Namespaces, Namespace{
		Dir: n.dir, Name: name, Path: path, Place: place, Rounds: []Round{}, Missing: []host.Missing{},
	})
	return n
}

// Dir is its directory in the archive.
func (n *NamespaceWriter) Dir() string { return n.dir }

func (n *NamespaceWriter) entry() *Namespace { return &n.w.manifest.Namespaces[n.i] }

// Missing names things that could not be read, beside those that State has.
func (n *NamespaceWriter) Missing(m ...host.Missing) {
	n.entry().Missing = append(n.entry().Missing, m...)
}

// State writes all but the flows. Of the kernel's log and of the history the
// oldest are left out where they take too much. A state for which there is no
// room is an error: without it the bundle answers nothing.
func (n *NamespaceWriter) State(s *State) error {
	name := n.dir + "/state.json"
	s, cut := trim(s, name, n.w.info.MaxBytes/8)
	m := n.w.member(name)
	if m.err == nil {
		m.err = EncodeState(m, s)
	}
	err := m.close()
	if errors.Is(err, errNoRoom) {
		size := m.spool.size
		return errors.Join(fmt.Errorf("bundle: the state of %s takes %d bytes, of %d there are %d left", n.dir, size, n.w.info.MaxBytes, n.w.room()), m.spool.clear())
	}
	if err == nil {
		n.w.manifest.Truncated = append(n.w.manifest.Truncated, cut...)
	}
	return err
}

// Text writes what a person reads without ntdiag: name is "ruleset.nft",
// "routes.txt", … Bytes that are no UTF-8 become \xNN. Lines for which there is
// no room are left out at the end, and counted.
func (n *NamespaceWriter) Text(name string, write func(io.Writer) error) error {
	return n.w.text(n.dir+"/", name, write)
}

// Finding writes what a command said: its document as -o json has it.
func (n *NamespaceWriter) Finding(command string, doc []byte) error {
	if err := checkWord("finding", command); err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	if !json.Valid(doc) {
		return fmt.Errorf("bundle: finding %q is no JSON", command)
	}
	name := n.dir + "/findings/" + command + ".json"
	if len(doc) > maxDoc {
		n.w.truncated(name, "documents", 0, 1)
		return n.w.ready()
	}
	m := n.w.member(name)
	// an error of Write comes again
	_, _ = m.Write(doc)
	err := m.close()
	if errors.Is(err, errNoRoom) {
		n.w.truncated(name, "documents", 0, 1)
		return m.spool.clear()
	}
	return err
}

func (w *Writer) truncated(member, what string, kept, leftOut uint64) {
	w.manifest.Truncated = append(w.manifest.Truncated, Truncated{
		Member: member, What: what, Kept: kept, LeftOut: leftOut, Why: w.why(),
	})
}

// why is why something is left out.
func (w *Writer) why() string {
	return fmt.Sprintf("the file is to take at most %s", SizeText(w.info.MaxBytes))
}

// SizeText is a size for people.
func SizeText(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d bytes", n)
}
