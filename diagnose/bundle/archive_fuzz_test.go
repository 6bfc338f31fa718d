package bundle

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/flowjson"
	"github.com/ntdiag/ntdiag/diagnose/host"
)

// readAll opens an archive and reads all of it. An error is one line.
func readAll(t *testing.T, b []byte) error {
	t.Helper()
	err := func() error {
		from, err := newArchive(bytes.NewReader(b), int64(len(b)), func() error { return nil })
		if err != nil {
			return err
		}
		defer from.close()
		r := &Reader{path: "file", from: from}
		ctx := context.Background()
		if err := r.verify(ctx); err != nil {
			return err
		}
		all := r.Manifest().Namespaces
		for i := range all {
			n := &all[i]
			for _, round := range n.Rounds {
				kept := uint64(0)
				if err := r.Flows(ctx, n, round.Round, func(*host.Flow) error { kept++; return nil }); err != nil {
					return err
				}
				if kept != round.Kept {
					t.Errorf("%d flows of %d", kept, round.Kept)
				}
			}
			if _, err := r.State(ctx, n); err != nil && !errors.Is(err, ErrAbsent) {
				return err
			}
		}
		return r.Each(ctx, func(name string, in io.Reader) error {
			n, err := io.Copy(io.Discard, in)
			if err == nil && n != r.members[name].Size {
				t.Errorf("%q: read %d bytes of %d", name, n, r.members[name].Size)
			}
			return err
		})
	}()
	if err != nil && strings.ContainsAny(err.Error(), "\n\r\x1b") {
		t.Errorf("not one plain line: %q", err)
	}
	return err
}

func FuzzArchive(f *testing.F) {
	plain, written := honest().tar(f), writeTest(f, testInfo(), 20)
	for _, b := range [][]byte{plain, zstdOf(f, plain), gzipOf(f, plain), written, written[:len(written)/2], plain[:2048]} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) { _ = readAll(t, b) })
}

// FuzzManifest puts any manifest beside members that are right.
func FuzzManifest(f *testing.F) {
	c := honest()
	archive := c.tar(f)
	at := bytes.LastIndex(archive, []byte(`{"schema":"ntdiag.bundle/1"`))
	f.Add(string(bytes.TrimRight(archive[at:], "\x00")))
	f.Fuzz(func(t *testing.T, doc string) {
		c := honest()
		c.put(raw{tar.Header{Name: manifestName, Typeflag: tar.TypeReg, Size: int64(len(doc)), Mode: 0o600}, []byte(doc)})
		_ = readAll(t, c.tar(t))
	})
}

// FuzzMembers puts anything into members whose sums are right.
func FuzzMembers(f *testing.F) {
	c := honest()
	var flow host.Flow
	testFlow(&flow, 1)
	f.Add(string(c.members[1].data), string(flowjson.Append(nil, &flow))+"\n", "text\n", `{"a":[1,"\u00e9"]}`)
	f.Fuzz(func(t *testing.T, state, flows, text, finding string) {
		c := honest()
		lines := uint64(strings.Count(flows, "\n"))
		for name, data := range map[string]string{
			"netns-0/state.json": state, "netns-0/flows-1/0001.jsonl": flows, "netns-0/text/ruleset.nft": text, "netns-0/findings/stale.json": finding,
		} {
			c.replace(name, data)
		}
		c.manifest.Members[2].Records = lines
		c.manifest.Namespaces[0].Rounds[0] = Round{Round: 1, Seen: lines, Kept: lines}
		_ = readAll(t, c.tar(t))
	})
}
