package bundle

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"strings"
)

// verify reads every member once and compares it with the manifest.
func (r *Reader) verify(ctx context.Context) error {
	found := map[string]*Member{}
	var unknown []string
	var manifest []byte
	buf := make([]byte, 128<<10)
	err := r.from.walk(ctx, func(name string, size int64, in io.Reader) error {
		if found[name] != nil {
			return fmt.Errorf("%s: stands twice in the archive", name)
		}
		k := kindOf(name)
		if k == nil {
			unknown = append(unknown, name)
			k = &other
		}
		if size > k.max {
			return fmt.Errorf("%s: takes %s, more than the %s that one may", name, SizeText(size), SizeText(k.max))
		}
		c := newChecker(k)
		if _, err := io.CopyBuffer(c, struct{ io.Reader }{in}, buf); err != nil {
			return fmt.Errorf("%s: %w", name, readError(err))
		}
		m, err := c.member(name, size)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		found[name] = m
		switch name {
		case formatName:
			return r.format(c.kept)
		case manifestName:
			manifest = c.kept
		}
		return nil
	})
	if err != nil {
		return err
	}
	if found[formatName] == nil {
		return fmt.Errorf("%w: %s is missing", ErrNoBundle, formatName)
	}
	if found[manifestName] == nil {
		return fmt.Errorf("%s is missing: the bundle is not complete", manifestName)
	}
	if err := r.readManifest(manifest); err != nil {
		return fmt.Errorf("%s: %w", manifestName, err)
	}
	return r.compare(found, unknown)
}

// other is what a later version of the same format may have beside.
var other = kind{name: "other", max: maxText}

// format reads format.json.
func (r *Reader) format(doc []byte) error {
	var f formatDoc
	if err := json.Unmarshal(doc, &f); err != nil || !strings.HasPrefix(f.Schema, "ntdiag.bundle/") {
		return fmt.Errorf("%w: %s names no format", ErrNoBundle, formatName)
	}
	if r.reads = formats[f.Format]; r.reads == nil {
		if f.Format > Format {
			return fmt.Errorf("needs an ntdiag that reads bundles of format %d (written by %.40q, version %.40q); this one reads up to %d", f.Format, f.Tool, f.Version, Format)
		}
		return fmt.Errorf("%s: there is no format %d", formatName, f.Format)
	}
	r.manifest.Format = f.Format
	return nil
}

func (r *Reader) readManifest(doc []byte) error {
	format := r.manifest.Format
	if err := json.Unmarshal(doc, &r.manifest); err != nil {
		return err
	}
	m := &r.manifest
	if m.Format != format {
		return fmt.Errorf("is of format %d, %s of %d", m.Format, formatName, format)
	}
	dirs := map[string]bool{}
	for _, n := range m.Namespaces {
		if !namespaceDir.MatchString(n.Dir) {
			return fmt.Errorf("namespace in directory %.60q", n.Dir)
		}
		if dirs[n.Dir] {
			return fmt.Errorf("two namespaces in %s", n.Dir)
		}
		dirs[n.Dir] = true
		if err := n.checkRounds(); err != nil {
			return fmt.Errorf("%s: %w", n.Dir, err)
		}
	}
	r.members = make(map[string]*Member, len(m.Members))
	for i := range m.Members {
		e := &m.Members[i]
		if r.members[e.Name] != nil {
			return fmt.Errorf("%.200q: is listed twice", e.Name)
		}
		r.members[e.Name] = e
	}
	return nil
}

func (n *Namespace) checkRounds() error {
	rounds := map[int]bool{}
	for _, r := range n.Rounds {
		switch {
		case rounds[r.Round] || r.Round < 1 || r.Round > 999:
			return fmt.Errorf("round %d of flows: want each once, from 1", r.Round)
		case r.Kept > r.Seen:
			return fmt.Errorf("round %d keeps %d of %d flows", r.Round, r.Kept, r.Seen)
		}
		rounds[r.Round] = true
	}
	return nil
}

// compare holds what was found against what the manifest lists.
func (r *Reader) compare(found map[string]*Member, unknown []string) error {
	for _, name := range unknown {
		if r.members[name] == nil {
			return fmt.Errorf("%q: is not in the manifest", name)
		}
	}
	for name, m := range found {
		if name == manifestName {
			continue
		}
		e := r.members[name]
		switch {
		case e == nil:
			return fmt.Errorf("%s: is not in the manifest", name)
		case e.Size != m.Size:
			return fmt.Errorf("%s: has %d bytes, by the manifest %d", name, m.Size, e.Size)
		case e.Records != m.Records && m.Records > 0:
			return fmt.Errorf("%s: has %d records, by the manifest %d", name, m.Records, e.Records)
		case e.SHA256 != m.SHA256:
			return fmt.Errorf("%s: was changed: its sha256 is %s, by the manifest %.64q", name, m.SHA256, e.SHA256)
		}
	}
	flows := map[string]uint64{}
	for _, e := range r.manifest.Members {
		if found[e.Name] == nil {
			return fmt.Errorf("%.200q: is in the manifest and not in the archive", e.Name)
		}
		flows[path.Dir(e.Name)] += found[e.Name].Records
	}
	for _, n := range r.manifest.Namespaces {
		for _, round := range n.Rounds {
			if got := flows[fmt.Sprintf("%s/flows-%d", n.Dir, round.Round)]; got != round.Kept {
				return fmt.Errorf("%s: holds %d flows of round %d, by the manifest %d", n.Dir, got, round.Round, round.Kept)
			}
		}
	}
	return nil
}
