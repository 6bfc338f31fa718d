package counters

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

func read(t *testing.T, name string) *Reading {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	r, err := Read(strings.NewReader(string(b)), name)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRead(t *testing.T) {
	tests := []struct {
		file     string
		cpus     int
		readings int
		entries  uint64
		total    map[ID]uint64
		lacks    []ID
		kernel   string // of the columns
		says     string
	}{
		{"conntrack-1.4.7.txt", 2, 1, 0, map[ID]uint64{Found: 3, Invalid: 13, InsertFailed: 7, Drop: 5, Error: 1, ClashResolve: 2, ChainTooLong: 1}, []ID{Ignore, Searched}, "", "since 5.15"},
		{"conntrack-ignore.txt", 2, 1, 0, map[ID]uint64{Found: 48, Ignore: 85245, InsertFailed: 26, Drop: 0}, []ID{ClashResolve, Searched}, "5.4", "from 4.9 to 5.9"},
		{"conntrack-searched.txt", 1, 1, 0, map[ID]uint64{Searched: 16052, New: 500, DeleteList: 470, Error: 0, SearchRestart: 0}, []ID{ClashResolve}, "4.8", "before 4.9"},
		{"proc-5.4.txt", 2, 1, 42, map[ID]uint64{Found: 27, Error: 1, InsertFailed: 15, SearchRestart: 13}, []ID{ClashResolve}, "5.4", "from 4.9 to 5.9"},
		{"proc-6.18.txt", 2, 2, 9, map[ID]uint64{InsertFailed: 2, Drop: 2, Found: 0, Invalid: 0}, []ID{Searched}, "", "since 5.15"},
	}
	for _, tt := range tests {
		r := read(t, tt.file)
		if len(r.Stats.CPUs) != tt.cpus || r.Readings != tt.readings || r.Stats.Entries != tt.entries || (r.First != nil) != (tt.readings > 1) {
			t.Errorf("%s: %d CPUs, %d readings, %d entries", tt.file, len(r.Stats.CPUs), r.Readings, r.Stats.Entries)
		}
		total := r.Stats.Total()
		for id, n := range tt.total {
			if !total.Has[id] || total.Values[id] != n {
				t.Errorf("%s: %s %d (%v), want %d", tt.file, id, total.Values[id], total.Has[id], n)
			}
		}
		for _, id := range tt.lacks {
			if total.Has[id] {
				t.Errorf("%s: has %s", tt.file, id)
			}
		}
		k := KernelBy(r.Stats.Columns, host.Release{}, "")
		if k.Release.String() != tt.kernel || !strings.Contains(k.Why, tt.says) {
			t.Errorf("%s: kernel %q, %s", tt.file, k.Release, k.Why)
		}
	}
}

func TestReadWrong(t *testing.T) {
	for in, want := range map[string]string{
		"":                                  "empty",
		"hello world":                       `line 1: neither a line of conntrack -S`,
		"cpu=0 found=1\n\ncpu=1 tx_bytes=4": `line 3: "tx_bytes": conntrack counts nothing of that name`,
		"cpu=0 found=x":                     `line 1: "found=x": not a number of 32 bits`,
		"cpu=0 found=4294967296":            "not a number of 32 bits",
		"cpu=0 found=1 found=2":             "found comes twice for cpu 0",
		"cpu=0\ncpu=1\n":                    "reading 1: no counter in it",
		"cpu=70000 found=1":                 "no such CPU",
		"cpu=0 found=9\ncpu=0 found=2\n":    "reading 2: cpu 0: found is 2 and was 9 before",
		"entries  in_hit in_slow_tot in_no_route\n0 0 0 0":               "line 1: a header, but not that of nf_conntrack",
		"entries searched found new invalid drop error\n1 2 3":           "line 2: 3 columns, the header has 7",
		"entries searched found new invalid drop error\n1 2 3 4 5 6 xyz": `line 2: "error": "xyz" is no hexadecimal number`,
		`{"schema":"ntdiag.flows/1"}`:                                    `line 1: schema "ntdiag.flows/1", want ntdiag.counters/1`,
		`{"schema":"ntdiag.counters/1","cpus":[]}`:                       "no CPU in it",
		"{": "not JSON",
		"tcp 6 119 SYN_SENT src=10.0.0.1 dst=10.0.0.2": "line 1: neither a line of conntrack -S",
	} {
		_, err := Read(strings.NewReader(in), "f")
		if err == nil || !strings.HasPrefix(err.Error(), "f: ") || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, want %q", in, err, want)
		}
	}
}

// TestReadWrap: a counter that went round between two readings.
func TestReadWrap(t *testing.T) {
	r, err := Read(strings.NewReader("cpu=0 found=4294967290\ncpu=0 found=4\ncpu=0 found=10\n"), "f")
	if err != nil || r.Readings != 3 || r.Stats.CPUs[0].Values[Found] != 16 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestReadDocument(t *testing.T) {
	const cpu = `"cpus":[{"cpu":1,"found":%d,"later":{"a":1}}],"table":{"count":5,"max":10}}`
	one := func(interval, found string) string {
		return `{"schema":"ntdiag.counters/1","host":{"hostname":"gw","kernel":"5.4.0-9"},"interval_s":` + interval + `,` + strings.Replace(cpu, "%d", found, 1) + "\n"
	}
	r, err := Read(strings.NewReader(one("0", "3")+one("0", "9")), "f")
	if err != nil || r.Readings != 2 || r.Stats.CPUs[0].Values[Found] != 6 || r.Stats.CPUs[0].CPU != 1 || r.Kernel.String() != "5.4" || r.Stats.Max != 10 {
		t.Errorf("%+v, %v", r, err)
	}
	r, err = Read(strings.NewReader(one("1.5", "3")+one("1.5", "9")), "f")
	if err != nil || r.Stats.CPUs[0].Values[Found] != 12 || r.Seconds != 3 || r.First == nil {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestKernelBy(t *testing.T) {
	told := host.Release{Major: 4, Minor: 18}
	for c, want := range map[Columns]string{0: "4.18", ColumnClash: "5.10", ColumnClash | ColumnChain: "5.15"} {
		if k := KernelBy(c, told, ""); k.Release.String() != want {
			t.Errorf("%b: %s, want %s", c, k.Release, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.txt")
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	f.Add(`{"schema":"ntdiag.counters/1","interval_s":1,"cpus":[{"cpu":0,"found":1}],"table":{"count":1,"max":2}}`)
	f.Fuzz(func(t *testing.T, in string) {
		r, err := Read(strings.NewReader(in), "f")
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Errorf("%q", err)
			}
			return
		}
		if len(r.Stats.CPUs) == 0 || r.Readings < 1 {
			t.Errorf("%+v", r)
		}
		KernelBy(r.Stats.Columns, host.Release{}, "")
	})
}
