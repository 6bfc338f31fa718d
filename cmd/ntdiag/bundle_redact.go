package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"slices"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/bundle"
	"github.com/ntdiag/ntdiag/diagnose/history"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/redact"
)

// hider is what hides addresses and names of one bundle; nil hides nothing.
type hider struct {
	keys    *redact.Keys
	use     int // of the key
	mapper  *redact.Mapper
	sources []*redact.Source
}

// hide puts what redacts before every namespace. All of them map alike.
func (r *bundleRun) hide(ctx context.Context) error {
	c := &redact.Constraints{}
	recorded := make([]*history.History, len(r.of))
	var addrs []netip.Addr
	for i, s := range r.of {
		var err error
		if recorded[i], err = s.Source.History(); err != nil {
			recorded[i] = nil // Wrap asks again, and says why
		}
		c.Add(redact.Collect(s.Snapshot, recorded[i]))
		addrs = append(addrs, addressesOf(s.Snapshot)...)
	}
	keys, err := keysOf(r.flags.keyFile, c, addrs)
	if err != nil {
		return err
	}
	h := &hider{keys: keys}
	h.mapper, h.use = keys.Mapper(c)
	if keys.Warning != "" {
		fmt.Fprintf(r.cmd.ErrOrStderr(), "ntdiag: %s\n", keys.Warning)
	}
	for i, s := range r.of {
		src, err := redact.Wrap(ctx, s.Source, keys.Key(), redact.Options{Mapper: h.mapper, Snapshot: s.Snapshot, History: recorded[i]})
		if err != nil {
			return cannot(err)
		}
		if s.Snapshot, err = src.Snapshot(ctx); err != nil {
			return cannot(err)
		}
		s.Source = src
		if s.Name, s.Path = s.Snapshot.Netns, ""; strings.Contains(s.Name, "/") {
			s.Name, s.Path = "", s.Snapshot.Netns
		}
		h.sources = append(h.sources, src)
	}
	r.hider = h
	return nil
}

// keysOf reads the key file, or makes a key.
func keysOf(path string, c *redact.Constraints, addrs []netip.Addr) (*redact.Keys, error) {
	if path != "" {
		keys, err := redact.ReadKeys(path)
		if err == nil {
			return keys, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, usage(fmt.Errorf("--key-file: %w", err))
		}
	}
	keys, err := redact.NewKeys(c, addrs)
	if err != nil {
		return nil, incomplete(err)
	}
	return keys, nil
}

// addressesOf are those that the network of a host is made of.
func addressesOf(s *host.Snapshot) []netip.Addr {
	var out []netip.Addr
	for _, a := range s.Addrs {
		out = append(out, a.Prefix.Addr())
	}
	for _, r := range s.Routes {
		if r.Gateway.IsValid() {
			out = append(out, r.Gateway)
		}
	}
	return out
}

// missing is m without the names of namespaces, which begin no word of it else.
func (h *hider) missing(m []host.Missing, names []string) []host.Missing {
	if h == nil {
		return m
	}
	for _, n := range names {
		h.mapper.Name(redact.Namespace, n)
	}
	out := slices.Clone(m)
	for i := range out {
		out[i].What, out[i].Why = h.mapper.Text(out[i].What), h.mapper.Text(out[i].Why)
	}
	return out
}

// said is what the bundle tells of it. Two with one mapping name one thing
// alike.
func (h *hider) said() bundle.Redaction {
	key := h.keys.Key()
	sum := sha256.Sum256(append([]byte("ntdiag mapping "), key[:]...))
	r := bundle.Redaction{Mapping: fmt.Sprintf("%s-%d", hex.EncodeToString(sum[:8]), h.use), Kept: []bundle.Kept{}}
	for _, k := range h.mapper.Kept() {
		r.Kept = append(r.Kept, bundle.Kept{What: k.What, Why: k.Why})
	}
	return r
}

// differs is what redacted rules leave open that the rules do not.
func (h *hider) differs() []string {
	var out []string
	if h == nil {
		return out
	}
	for _, s := range h.sources {
		for _, d := range s.Differs() {
			if !slices.Contains(out, d) {
				out = append(out, d)
			}
		}
	}
	return out
}

// scan looks for originals in all that the file holds.
func (h *hider) scan(ctx context.Context, in *bundle.Reader) error {
	if h == nil {
		return nil
	}
	h.mapper.Ordinary(vocabulary())
	return in.Each(ctx, func(name string, r io.Reader) error {
		got, err := h.mapper.Scan(r)
		if err == nil && len(got.Hits) > 0 {
			hit := got.Hits[0]
			err = fmt.Errorf("redaction failed: %s holds an original %s, as %s at byte %d (%d in all): the file is removed", name, hit.What, hit.Form, hit.Offset, uint64(len(got.Hits))+got.More)
		}
		return err
	})
}

// vocabulary is what ntdiag itself writes.
func vocabulary() string {
	a := &app{}
	root := newRoot(a)
	var b strings.Builder
	for _, c := range append(root.Commands(), root) {
		b.WriteString(a.long.of(c))
		b.WriteString(c.Short)
	}
	return b.String()
}

// save keeps the key where that was asked for.
func (h *hider) save(path string) error {
	if h == nil || path == "" {
		return nil
	}
	h.keys.Learn(h.mapper)
	return h.keys.Save(path)
}
