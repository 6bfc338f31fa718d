package journal

import (
	"bytes"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

var exact = []cmp.Option{cmpopts.EquateComparable(netip.Addr{}), cmpopts.IgnoreUnexported(Journal{}), cmpopts.EquateEmpty()}

func flow(port uint16) host.Flow {
	a, b := netip.MustParseAddr("10.0.0.10"), netip.MustParseAddr("10.8.2.12")
	return host.Flow{
		Family: rules.FamilyIPv4, ID: uint32(port) << 8, Status: host.StatusConfirmed | host.StatusSrcNAT,
		Has:      host.HasID | host.HasMark | host.HasTCPState | host.HasTimeout,
		Original: rules.Tuple{Proto: 6, Src: a, Dst: b, SrcPort: port, DstPort: 80},
		Reply:    rules.Tuple{Proto: 6, Src: b, Dst: a, SrcPort: 80, DstPort: port},
		TCPState: 3, Timeout: 100,
	}
}

var head = Header{
	Schema: Schema, Host: Host{"gw", "6.18.0"}, Netns: "blue",
	Place:   host.Place{BootID: "b00t", Inode: 4026532599, Cookie: 1 << 60},
	Command: "ntdiag flows delete --proto tcp", Created: time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC),
}

// written is a journal of two batches with what it holds.
func written(t *testing.T) (string, *Journal) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "state", "journal")
	w, err := Create(dir, head)
	if err != nil {
		t.Fatal(err)
	}
	why := Why{"rule-gone", "certain", "inet nat prerouting handle 7", "it goes to 192.168.1.80:80"}
	first := []Intent{{Flow: flow(1), Why: why}, {Flow: flow(2)}}
	second := []Intent{{Flow: flow(3)}, {Flow: flow(4)}}
	results := []Result{{1, Deleted, ""}, {2, Changed, "another reply tuple"}}
	restores := []Restore{{1, Restored, ""}, {3, NotBack, "no memory"}}
	at := time.Date(2026, 3, 1, 13, 0, 0, 0, time.UTC)
	for i, step := range []func() error{
		func() error { return w.Intend(first) },
		func() error { return w.Results(results) },
		func() error { return w.Intend(second) },
		func() error { return w.Results([]Result{{3, Deleted, ""}}) },
		func() error { return w.Restored(restores) },
		func() error { return w.Undone(at) },
		w.Close,
	} {
		if err := step(); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
	want := &Journal{Header: head, Undone: at, Entries: []Entry{
		{Intent{1, flow(1), why}, &results[0], &restores[0]},
		{Intent{2, flow(2), Why{}}, &results[1], nil},
		{Intent{3, flow(3), Why{}}, &Result{3, Deleted, ""}, &restores[1]},
		{Intent{4, flow(4), Why{}}, nil, nil},
	}}
	return w.Path(), want
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestReadsWhatItWrites(t *testing.T) {
	path, want := written(t)
	got, err := Read(bytes.NewReader(read(t, path)))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, exact...); d != "" {
		t.Errorf("written -, read +:\n%s", d)
	}
	var wanted []int
	for i := range got.Entries {
		if got.Entries[i].Wanted() {
			wanted = append(wanted, got.Entries[i].N)
		}
	}
	if d := cmp.Diff([]int{3, 4}, wanted); d != "" {
		t.Errorf("to be put back:\n%s", d)
	}
	for path, mode := range map[string]fs.FileMode{path: 0o600, filepath.Dir(path): fs.ModeDir | 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode() != mode {
			t.Errorf("%s: mode %v, want %v: %v", path, info.Mode(), mode, err)
		}
	}
}

// TestTorn: a writer may be killed at any byte. What was whole is read, the
// rest is told, and what is added goes behind the last whole record.
func TestTorn(t *testing.T) {
	path, want := written(t)
	whole := read(t, path)
	first := bytes.IndexByte(whole, '\n') + 1
	for n := range len(whole) {
		j, err := Read(bytes.NewReader(whole[:n]))
		if n < first {
			if err == nil {
				t.Fatalf("%d bytes of the header are no journal", n)
			}
			continue
		}
		if err != nil {
			t.Fatalf("cut at %d: %v", n, err)
		}
		tail := n - 1 - bytes.LastIndexByte(whole[:n], '\n')
		if int(j.Torn) != tail || int(j.end) != n-tail {
			t.Fatalf("cut at %d: torn %d, end %d, want %d and %d", n, j.Torn, j.end, tail, n-tail)
		}
		for i := range j.Entries {
			if d := cmp.Diff(want.Entries[i].Intent, j.Entries[i].Intent, exact...); d != "" {
				t.Fatalf("cut at %d: %s", n, d)
			}
		}
	}
	garbage := append(bytes.Clone(whole), bytes.Repeat([]byte{0}, 2*maxLine)...)
	if err := os.WriteFile(path, append(garbage, "\n{\"record\":\"int"...), 0o600); err != nil {
		t.Fatal(err)
	}
	j, w, err := Open(path)
	if err != nil || j.Torn != int64(2*maxLine+15) || len(j.Entries) != 4 {
		t.Fatalf("%+v: %v", j, err)
	}
	if err := errors.Join(w.Restored([]Restore{{4, There, ""}}), w.Close()); err != nil {
		t.Fatal(err)
	}
	if got := read(t, path); !bytes.HasPrefix(got, whole) || string(got[len(whole):]) != `{"record":"restored","n":4,"outcome":"there"}`+"\n" {
		t.Errorf("added: %q", got[len(whole):])
	}
}

func TestReadRefuses(t *testing.T) {
	path, _ := written(t)
	lines := strings.SplitAfter(string(read(t, path)), "\n")
	lines = lines[:len(lines)-1]
	with := func(i int, line string) string {
		out := append([]string{}, lines...)
		out[i] = line
		return strings.Join(out, "")
	}
	for _, tt := range []struct{ name, text, want string }{
		{"empty", "", "line 1: empty: no journal"},
		{"another file", "10.0.0.1 gw\n", "line 1: no header of a journal (want schema ntdiag.journal/1)"},
		{"another version", with(0, `{"schema":"ntdiag.journal/2"}`+"\n"), "line 1: no header of a journal (want schema ntdiag.journal/1)"},
		{"garbage in the middle", with(1, "garbage\n"), "line 2: invalid character 'g' looking for beginning of value"},
		{"bad flow", with(1, `{"record":"intent","n":1,"flow":{}}`+"\n"), "line 2: flow: no protonum"},
		{"unknown record", with(1, `{"record":"remark"}`+"\n"), `line 2: unknown record "remark"`},
		{"an intent left out", strings.Join(append(lines[:1:1], lines[2:]...), ""), "line 2: intent 2 follows intent 0"},
		{"result of none", with(3, `{"record":"result","n":9,"action":"deleted"}`+"\n"), "line 4: result of 9, of which there is no intent"},
		{"two results", strings.Join(append(lines[:4:4], lines[3:]...), ""), "line 5: a second result of 1"},
		{"unknown action", with(3, `{"record":"result","n":1,"action":"perhaps"}`+"\n"), `line 4: unknown action "perhaps"`},
		{"long line", with(1, strings.Repeat("x", maxLine)+"\n"), "line 2: line too long"},
	} {
		_, err := Read(strings.NewReader(tt.text))
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.want)
		}
	}
}

// TestNames: journals of one second do not meet, one that is empty goes, and
// one that is open is not opened again.
func TestNames(t *testing.T) {
	dir := t.TempDir()
	one, err := Create(dir, head)
	if err != nil {
		t.Fatal(err)
	}
	two, err := Create(dir, head)
	if err != nil || one.Path() == two.Path() {
		t.Fatalf("%s and %v: %v", one.Path(), two, err)
	}
	if _, _, err := Open(one.Path()); err == nil || !strings.HasSuffix(err.Error(), ": in use by another ntdiag") {
		t.Errorf("opened twice: %v", err)
	}
	if err := errors.Join(one.Intend([]Intent{{Flow: flow(1)}}), one.Close(), two.Close()); err != nil {
		t.Fatal(err)
	}
	if _, w, err := Open(one.Path()); err != nil || w.Close() != nil {
		t.Errorf("opened again: %v", err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 || files[0].Name() != "20260301T120000Z-1.jsonl" {
		t.Errorf("left: %v %v", files, err)
	}
}

// TestOpenKeeps: a journal that names nothing stays when it is only looked at.
func TestOpenKeeps(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	b, err := appendLine(nil, head)
	if err == nil {
		err = os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	_, w, err := Open(path)
	if err == nil {
		err = w.Close()
	}
	if err != nil || !bytes.Equal(read(t, path), b) {
		t.Errorf("is not what it was: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	var b []byte
	for _, v := range []any{head, (&Intent{1, flow(1), Why{}}).record(), (&Result{1, Deleted, ""}).record(), (&Restore{1, Taken, "x"}).record()} {
		b, _ = appendLine(b, v)
	}
	f.Add(b)
	f.Add(append(bytes.Clone(b), `{"record":"int`...))
	f.Fuzz(func(t *testing.T, b []byte) {
		j, err := Read(bytes.NewReader(b))
		if err != nil {
			return
		}
		if j.end+j.Torn != int64(len(b)) {
			t.Fatalf("%d bytes of records and %d torn ones of %d", j.end, j.Torn, len(b))
		}
		again, err := Read(bytes.NewReader(b[:j.end]))
		if err != nil || again.Torn != 0 {
			t.Fatalf("what was whole is not: %v", err)
		}
		j.Torn = 0
		if d := cmp.Diff(j, again, exact...); d != "" {
			t.Errorf("with a torn end -, without +:\n%s", d)
		}
	})
}
