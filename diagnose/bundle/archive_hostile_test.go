package bundle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/ntdiag/ntdiag/diagnose/flowjson"
	"github.com/ntdiag/ntdiag/diagnose/host"
)

// raw is a member as somebody may have made it.
type raw struct {
	tar.Header
	data []byte
}

// crafted is an archive that somebody made by hand.
type crafted struct {
	members  []raw
	manifest Manifest
}

// honest is a small bundle to spoil.
func honest() *crafted {
	c := &crafted{manifest: Manifest{
		Schema: Schema, Format: Format, Namespaces: []Namespace{{Dir: "netns-0", Rounds: []Round{{Round: 1, Seen: 2, Kept: 2}}}},
	}}
	var lines []byte
	for i := range 2 {
		var f host.Flow
		testFlow(&f, i)
		lines = append(flowjson.Append(lines, &f), '\n')
	}
	c.add(formatName, `{"schema":"ntdiag.bundle/1","format":1,"tool":"ntdiag","version":"test"}`)
	var state bytes.Buffer
	if err := EncodeState(&state, testState()); err != nil {
		panic(err)
	}
	c.add("netns-0/state.json", state.String())
	c.add("netns-0/flows-1/0001.jsonl", string(lines))
	c.add("netns-0/text/ruleset.nft", "table ip nat {\n}\n")
	c.add("netns-0/findings/stale.json", `{"stale":[]}`)
	c.manifest.Members[2].Records = 2
	return c
}

// add adds a plain member and lists it.
func (c *crafted) add(name, data string) {
	c.put(raw{tar.Header{Name: name, Typeflag: tar.TypeReg, Size: int64(len(data)), Mode: 0o600}, []byte(data)})
	c.list(name)
}

func (c *crafted) put(r raw) { c.members = append(c.members, r) }

// list puts the last member into the manifest under a name.
func (c *crafted) list(name string) {
	data := c.members[len(c.members)-1].data
	c.manifest.Members = append(c.manifest.Members, Member{Name: name, Size: int64(len(data)), SHA256: sumOf(string(data))})
}

func (c *crafted) replace(name, data string) {
	i := slices.IndexFunc(c.members, func(r raw) bool { return r.Name == name })
	c.members[i].data, c.members[i].Size = []byte(data), int64(len(data))
	j := slices.IndexFunc(c.manifest.Members, func(m Member) bool { return m.Name == name })
	c.manifest.Members[j] = Member{Name: name, Size: int64(len(data)), SHA256: sumOf(data)}
}

// tar is the archive; nil manifest bytes stand for the manifest as it is.
func (c *crafted) tar(t testing.TB) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	members := c.members
	if !slices.ContainsFunc(members, func(r raw) bool { return r.Name == manifestName }) {
		doc, err := json.Marshal(&c.manifest)
		must(t, err)
		members = append(members, raw{tar.Header{Name: manifestName, Typeflag: tar.TypeReg, Size: int64(len(doc)), Mode: 0o600}, doc})
	}
	for _, m := range members {
		must(t, w.WriteHeader(&m.Header))
		_, err := w.Write(m.data)
		must(t, err)
	}
	must(t, w.Close())
	return out.Bytes()
}

func sumOf(data string) string {
	sum := sha256.Sum256([]byte(data))
	return hex.EncodeToString(sum[:])
}

func zstdOf(t testing.TB, b []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	must(t, err)
	return w.EncodeAll(b, nil)
}

func gzipOf(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(b)
	must(t, err)
	must(t, w.Close())
	return out.Bytes()
}

// zeroBomb is n zeros behind the header of a member.
func zeroBomb(t testing.TB, name string, n int64) []byte {
	t.Helper()
	var out bytes.Buffer
	z, err := zstd.NewWriter(&out)
	must(t, err)
	head, err := tarHeader(name, n, created)
	must(t, err)
	_, err = z.Write(head)
	must(t, err)
	_, err = io.CopyN(z, zeroReader{}, n)
	must(t, err)
	must(t, z.Close())
	return out.Bytes()
}

type zeroReader struct{}

func (zeroReader) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestHostileMembers(t *testing.T) {
	plain := func(name string) raw { return raw{Header: tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o600}} }
	special := func(typ byte) raw {
		return raw{Header: tar.Header{Name: "netns-0/state.json", Linkname: "/etc/shadow", Typeflag: typ}}
	}
	for _, tt := range []struct {
		name  string
		spoil func(c *crafted)
		want  string
	}{
		{"absolute path", func(c *crafted) { c.put(plain("/etc/cron.d/x")) }, `"/etc/cron.d/x": the name leads elsewhere`},
		{"parent", func(c *crafted) { c.put(plain("netns-0/../../x")) }, `"netns-0/../../x": the name leads elsewhere`},
		{"parent directory", func(c *crafted) { c.put(raw{Header: tar.Header{Name: "../", Typeflag: tar.TypeDir}}) }, `"..": the name leads elsewhere`},
		{"backslash", func(c *crafted) { c.put(plain(`netns-0\..\x`)) }, `"netns-0\\..\\x": the name leads elsewhere`},
		{"drive", func(c *crafted) { c.put(plain(`C:x`)) }, `"C:x": the name leads elsewhere`},
		{"empty part", func(c *crafted) { c.put(plain("netns-0//state.json")) }, `"netns-0//state.json": the name leads elsewhere`},
		{"long name", func(c *crafted) { c.put(plain(strings.Repeat("n", 5000))) }, `"` + strings.Repeat("n", 60) + `"…: a name of 5000 bytes`},
		{"symbolic link", func(c *crafted) { c.put(special(tar.TypeSymlink)) }, `"netns-0/state.json": is a symbolic link: a bundle has plain files only`},
		{"hard link", func(c *crafted) { c.put(special(tar.TypeLink)) }, `"netns-0/state.json": is a hard link: a bundle has plain files only`},
		{"device", func(c *crafted) { c.put(special(tar.TypeChar)) }, `"netns-0/state.json": is a device: a bundle has plain files only`},
		{"pipe", func(c *crafted) { c.put(special(tar.TypeFifo)) }, `"netns-0/state.json": is a named pipe: a bundle has plain files only`},
		{"duplicate", func(c *crafted) { c.put(plain("netns-0/state.json")) }, `netns-0/state.json: stands twice in the archive`},
		{"not listed", func(c *crafted) { c.put(plain("netns-0/text/more.txt")) }, `netns-0/text/more.txt: is not in the manifest`},
		{"unknown and not listed", func(c *crafted) { c.put(plain("netns-0/run.sh")) }, `"netns-0/run.sh": is not in the manifest`},
		{"not there", func(c *crafted) { c.manifest.Members = append(c.manifest.Members, Member{Name: "netns-1/state.json"}) }, `"netns-1/state.json": is in the manifest and not in the archive`},
		{"listed twice", func(c *crafted) { c.list("netns-0/state.json") }, `manifest.json: "netns-0/state.json": is listed twice`},
		{"wrong hash", func(c *crafted) { c.members[4].data = []byte(`{"stale":{}}`) }, "netns-0/findings/stale.json: was changed: its sha256 is " + sumOf(`{"stale":{}}`) + `, by the manifest "` + sumOf(`{"stale":[]}`) + `"`},
		{"wrong size", func(c *crafted) { c.manifest.Members[3].Size = 3 }, `netns-0/text/ruleset.nft: has 17 bytes, by the manifest 3`},
		{"wrong records", func(c *crafted) { c.manifest.Members[2].Records = 1 << 60 }, `netns-0/flows-1/0001.jsonl: has 2 records, by the manifest 1152921504606846976`},
		{"wrong count of flows", func(c *crafted) {
			c.manifest.Namespaces[0].Rounds[0].Seen = 1 << 40
			c.manifest.Namespaces[0].Rounds[0].Kept = 1 << 40
		}, `netns-0: holds 2 flows of round 1, by the manifest 1099511627776`},
		{"more kept than seen", func(c *crafted) { c.manifest.Namespaces[0].Rounds[0].Seen = 1 }, `manifest.json: netns-0: round 1 keeps 2 of 1 flows`},
		{"round twice", func(c *crafted) {
			c.manifest.Namespaces[0].Rounds = append(c.manifest.Namespaces[0].Rounds, Round{Round: 1})
		}, `manifest.json: netns-0: round 1 of flows: want each once, from 1`},
		{"namespace twice", func(c *crafted) { c.manifest.Namespaces = append(c.manifest.Namespaces, Namespace{Dir: "netns-0"}) }, `manifest.json: two namespaces in netns-0`},
		{"namespace elsewhere", func(c *crafted) { c.manifest.Namespaces[0].Dir = "../../etc" }, `manifest.json: namespace in directory "../../etc"`},
		{"newer", func(c *crafted) {
			c.replace(formatName, `{"schema":"ntdiag.bundle/9","format":9,"tool":"ntdiag","version":"v9.1"}`)
		}, `needs an ntdiag that reads bundles of format 9 (written by "ntdiag", version "v9.1"); this one reads up to 1`},
		{"no such format", func(c *crafted) { c.replace(formatName, `{"schema":"ntdiag.bundle/1","format":0}`) }, `format.json: there is no format 0`},
		{"formats differ", func(c *crafted) { c.manifest.Format = 2 }, `manifest.json: is of format 2, format.json of 1`},
		{"no bundle", func(c *crafted) { c.replace(formatName, `{"format":1}`) }, `no bundle: format.json names no format`},
		{"no format", func(c *crafted) { c.members = c.members[1:] }, `no bundle: format.json is missing`},
		{"UTF-8", func(c *crafted) { c.replace("netns-0/text/ruleset.nft", "caf\xe9 au lait") }, `netns-0/text/ruleset.nft: holds bytes that are no UTF-8`},
		{"UTF-8 at the end", func(c *crafted) { c.replace("netns-0/text/ruleset.nft", "caf\xc3") }, `netns-0/text/ruleset.nft: ends within a character`},
		{"nested", func(c *crafted) {
			c.replace("netns-0/state.json", strings.Repeat("[", 10000)+strings.Repeat("]", 10000))
		}, `netns-0/state.json: is nested deeper than ` + fmt.Sprint(maxDepth)},
		{"nested finding", func(c *crafted) { c.replace("netns-0/findings/stale.json", strings.Repeat(`{"a":`, 10000)) }, `netns-0/findings/stale.json: is nested deeper than ` + fmt.Sprint(maxDepth)},
		{"nested manifest", func(c *crafted) { c.add(manifestName, strings.Repeat("[", 10000)) }, `manifest.json: is nested deeper than ` + fmt.Sprint(maxDepth)},
		{"manifest of many", func(c *crafted) { c.add(manifestName, `{"members":[`+strings.Repeat("{},", 2_000_000)+`{}]}`) }, `manifest.json: holds more than 1000000 values`},
		{"manifest is no JSON", func(c *crafted) { c.add(manifestName, `{"members":[}`) }, `manifest.json: invalid character '}' looking for beginning of value`},
		{"long line", func(c *crafted) { c.replace("netns-0/flows-1/0001.jsonl", "{}\n"+strings.Repeat("x", 70000)) }, `netns-0/flows-1/0001.jsonl: line 2 is longer than 65536 bytes`},
		{"long format", func(c *crafted) { c.replace(formatName, strings.Repeat(" ", 5000)) }, `format.json: takes 4.9 KiB, more than the 4.0 KiB that one may`},
		{"out of the directory", func(c *crafted) {
			for i := range c.members {
				c.members[i].Name = "case-7/" + c.members[i].Name
			}
		}, `"manifest.json": is not in "case-7/" as the others`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := honest()
			tt.spoil(c)
			refuses(t, zstdOf(t, c.tar(t)), tt.want)
		})
	}
}

// TestHostileBytes are files that are no archive, or not a whole one.
func TestHostileBytes(t *testing.T) {
	plain := honest().tar(t)
	packed := zstdOf(t, plain)
	whole := writeTest(t, testInfo(), 100)
	wide := []byte("\x28\xb5\x2f\xfd\x04\xb0") // a window of 4 GiB
	for _, tt := range []struct {
		name string
		file []byte
		want string
	}{
		{"empty", nil, "no bundle: it is empty"},
		{"text", []byte("ipv4 2 tcp 6 431999 ESTABLISHED src=10.0.0.1"), "no bundle: it is no tar archive"},
		{"zstd of text", zstdOf(t, []byte("hello")), "no bundle: it is no tar archive"},
		{"cut", packed[:len(packed)/2], "after the beginning: the archive ends too early"},
		{"cut gzip", gzipOf(t, plain)[:300], "netns-0/flows-1/0001.jsonl: the archive ends too early"},
		{"cut tar", plain[:550], "format.json: the archive ends too early"},
		{"cut between members", plain[:2048], "manifest.json is missing: the bundle is not complete"},
		{"cut between frames", whole[:lastFrame(t, whole)], "manifest.json is missing: the bundle is not complete"},
		{"something behind", append(slices.Clone(whole), zstdOf(t, []byte("hello"))...), "something follows the end of the archive"},
		{"window", wide, "after the beginning: zstd asks for more than 64.0 MiB of memory"},
		{"bomb of zeros", zeroBomb(t, "netns-0/state.json", 100<<20), "netns-0/state.json: unpacks to more than 200 times its size"},
		{"bomb in a text", zeroBomb(t, "netns-0/text/x", 100<<20), "netns-0/text/x: unpacks to more than 200 times its size"},
		{"bomb in what is not known", zeroBomb(t, "x", 100<<20), "x: unpacks to more than 200 times its size"},
		{"absurd size", zeroBombOf(t, "netns-0/state.json", 7<<30), "netns-0/state.json: takes 7.0 GiB, more than the 512.0 MiB that one may"},
		{"sparse", sparseTar(t), `"netns-0/state.json": is a sparse file: a bundle has plain files only`},
		{"many members", manyMembers(t), "more than 100000 members"},
		{"many frames", bytes.Repeat(zstdOf(t, nil), maxFrames+2), "more than 400000 zstd frames"},
	} {
		t.Run(tt.name, func(t *testing.T) { refuses(t, tt.file, tt.want) })
	}
}

// refuses opens a file that is to be refused with one line, in bounded memory
// and time, and nothing written.
func refuses(t *testing.T, file []byte, want string) {
	t.Helper()
	path := saved(t, file)
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	var err error
	heap := peakHeap(func() {
		var r *Reader
		if r, err = Open(ctx, path); err == nil {
			_ = r.Close()
		}
	})
	if err == nil {
		t.Fatalf("was opened, want %s", want)
	}
	if got := strings.TrimPrefix(err.Error(), path+": "); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("more than a line: %q", err)
	}
	if heap > 192<<20 {
		t.Errorf("took %s of memory", SizeText(int64(heap)))
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("written beside the bundle: %v, %v", left, err)
	}
	if strings.HasPrefix(want, "no bundle") != errors.Is(err, ErrNoBundle) {
		t.Errorf("ErrNoBundle: %v", !strings.HasPrefix(want, "no bundle"))
	}
}

// lastFrame is where the frame of the manifest begins.
func lastFrame(t *testing.T, b []byte) int64 {
	t.Helper()
	frames, err := zstdFrames(bytes.NewReader(b), int64(len(b)))
	must(t, err)
	return frames[len(frames)-1].at
}

// zeroBombOf has a header that promises more than is there.
func zeroBombOf(t *testing.T, name string, size int64) []byte {
	t.Helper()
	head, err := tarHeader(name, size, created)
	must(t, err)
	return zstdOf(t, append(head, make([]byte, 4096)...))
}

// sparseTar has a member that claims a terabyte of nothing.
func sparseTar(t *testing.T) []byte {
	t.Helper()
	records := ""
	for _, r := range []string{"GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.name=netns-0/state.json", "GNU.sparse.realsize=1099511627776"} {
		n := len(r) + 2
		for len(fmt.Sprint(n))+len(r)+2 != n {
			n = len(fmt.Sprint(n)) + len(r) + 2
		}
		records += fmt.Sprintf("%d %s\n", n, r)
	}
	var out bytes.Buffer
	ext, err := tarHeader("PaxHeaders/x", int64(len(records)), created)
	must(t, err)
	ext[156] = 'x'
	out.Write(checksummed(ext))
	out.WriteString(records)
	out.Write(make([]byte, padding(int64(len(records)))))
	head, err := tarHeader("GNUSparseFile.0/state.json", 1024, created)
	must(t, err)
	out.Write(head)
	sparse := append([]byte("1\n1099511627776\n0\n"), make([]byte, 1024-18)...)
	out.Write(sparse[:1024])
	out.Write(make([]byte, 1024))
	return out.Bytes()
}

// checksummed makes the sum of a header right again.
func checksummed(head []byte) []byte {
	copy(head[148:156], "        ")
	sum := 0
	for _, c := range head {
		sum += int(c)
	}
	copy(head[148:156], fmt.Sprintf("%06o\x00 ", sum))
	return head
}

func manyMembers(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	z, err := zstd.NewWriter(&out)
	must(t, err)
	for i := range maxMembers + 10 {
		head, err := tarHeader(fmt.Sprintf("netns-0/text/x%d", i), 0, created)
		must(t, err)
		_, err = z.Write(head)
		must(t, err)
	}
	must(t, z.Close())
	return out.Bytes()
}

// TestRepacked: what tar makes of an unpacked bundle is read as well, and so
// is the directory.
func TestRepacked(t *testing.T) {
	plain := honest().tar(t)
	moved := honest()
	doc, err := json.Marshal(&moved.manifest)
	must(t, err)
	moved.put(raw{tar.Header{Name: manifestName, Typeflag: tar.TypeReg, Size: int64(len(doc)), Mode: 0o600}, doc})
	slices.Reverse(moved.members)
	for i := range moved.members {
		moved.members[i].Name = "./case-7/" + moved.members[i].Name
		moved.members[i].Format = tar.FormatPAX
		moved.members[i].PAXRecords = map[string]string{"LIBARCHIVE.creationtime": "1"}
	}
	moved.members = append([]raw{{Header: tar.Header{Name: "./case-7/", Typeflag: tar.TypeDir}}}, moved.members...)
	// GNU tar does not write the manifest a second time
	movedTar := func() []byte {
		var out bytes.Buffer
		w := tar.NewWriter(&out)
		for _, m := range moved.members {
			must(t, w.WriteHeader(&m.Header))
			_, err := w.Write(m.data)
			must(t, err)
		}
		must(t, w.Close())
		return append(out.Bytes(), make([]byte, 8192)...)
	}()
	dir := t.TempDir()
	for _, m := range honest().members {
		must(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(m.Name)), 0o700))
		must(t, os.WriteFile(filepath.Join(dir, m.Name), m.data, 0o600))
	}
	must(t, os.WriteFile(filepath.Join(dir, manifestName), doc, 0o600))
	for name, path := range map[string]string{
		"zstd": saved(t, zstdOf(t, plain)), "gzip": saved(t, gzipOf(t, plain)), "tar": saved(t, plain),
		"moved": saved(t, movedTar), "moved gzip": saved(t, gzipOf(t, movedTar)), "directory": dir,
	} {
		t.Run(name, func(t *testing.T) {
			r, err := Open(context.Background(), path)
			must(t, err)
			defer r.Close()
			ns, err := r.Namespace("netns-0")
			must(t, err)
			// twice, and backwards
			for range 2 {
				n := 0
				must(t, r.Flows(context.Background(), ns, 1, func(*host.Flow) error { n++; return nil }))
				_, err = r.State(context.Background(), ns)
				must(t, err)
				doc, err := r.Finding(context.Background(), ns, "stale")
				if err != nil || string(doc) != `{"stale":[]}` || n != 2 {
					t.Errorf("%d flows, %s, %v", n, doc, err)
				}
			}
			if _, err := r.Finding(context.Background(), ns, "explain"); !errors.Is(err, ErrAbsent) {
				t.Errorf("a finding that is not there: %v", err)
			}
		})
	}
}

// TestLaterMinor: members that a later version of the format has are passed
// over when the manifest lists them.
func TestLaterMinor(t *testing.T) {
	c := honest()
	c.add("netns-0/bpf.bin", "\xff\xfe")
	r, err := Open(context.Background(), saved(t, c.tar(t)))
	must(t, err)
	must(t, r.Close())
}

// TestDirectoryLinks: an unpacked bundle leads nowhere else.
func TestDirectoryLinks(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, formatName), honest().members[0].data, 0o600))
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "manifest.json")); err != nil {
		t.Skip(err)
	}
	_, err := Open(context.Background(), dir)
	if want := dir + `: "manifest.json": a bundle has plain files only`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
