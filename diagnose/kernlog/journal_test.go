package kernlog

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// longText is what is long enough for journald to pack it.
var longText = strings.Repeat("nf_ct_proto_6: invalid new ", 40)

// longXZ is "MESSAGE=" and longText, by xz.
const longXZ = "/Td6WFoAAATm1rRGAgAhARYAAAB0L+Wj4AQ/ADBdACaRRsDRlFfklIivEDnzBQCQbX6ZIN0cX0+ZtYtSVmOfzvrULr4NNQ8Y08MI7kEMAACm3TBsQj0cdgABTMAIAAAA/t5ul7HEZ/sCAAAAAARZWg=="

// journalKind is a way to write a journal file.
type journalKind struct {
	name    string
	compact bool
	flag    byte   // of the object, for what packs
	feature uint32 // of the header
}

var journalKinds = []journalKind{
	{"plain", false, 0, 0},
	{"compact", true, 0, journalCompact | journalKeyed},
	{"zstd", false, dataZstd, journalZstd | journalKeyed},
	{"zstd compact", true, dataZstd, journalZstd | journalCompact | journalKeyed},
	{"lz4", false, dataLZ4, journalLZ4},
	{"lz4 compact", true, dataLZ4, journalLZ4 | journalCompact},
	{"xz", false, dataXZ, journalXZ},
}

// pack packs a field as journald does.
func (k journalKind) pack(tb testing.TB, field string) (data []byte, flag byte) {
	tb.Helper()
	if len(field) < 512 {
		return []byte(field), 0
	}
	var err error
	switch k.flag {
	case dataZstd:
		var z *zstd.Encoder
		if z, err = zstd.NewWriter(nil); err == nil {
			data = z.EncodeAll([]byte(field), nil)
		}
	case dataLZ4:
		out := make([]byte, 8+lz4.CompressBlockBound(len(field)))
		binary.LittleEndian.PutUint64(out, uint64(len(field)))
		var n int
		n, err = lz4.CompressBlock([]byte(field), out[8:], nil)
		data = out[:8+n]
	case dataXZ:
		data, err = base64.StdEncoding.DecodeString(longXZ)
	default:
		return []byte(field), 0
	}
	if err != nil {
		tb.Fatal(err)
	}
	return data, k.flag
}

// journalWriter writes objects one after the other.
type journalWriter struct {
	b    []byte
	kind journalKind
	data map[string]uint64
}

func (w *journalWriter) object(typ, flag byte, body ...any) uint64 {
	at := uint64(len(w.b))
	w.b = append(w.b, typ, flag, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	for _, v := range body {
		w.b, _ = binary.Append(w.b, binary.LittleEndian, v)
	}
	binary.LittleEndian.PutUint64(w.b[at+8:], uint64(len(w.b))-at)
	for len(w.b)%8 != 0 {
		w.b = append(w.b, 0)
	}
	return at
}

// item is an offset in an array or an entry.
func (w *journalWriter) item(at uint64) any {
	if w.kind.compact {
		return uint32(at)
	}
	return at
}

func (w *journalWriter) field(tb testing.TB, field string) uint64 {
	if at, ok := w.data[field]; ok {
		return at
	}
	data, flag := w.kind.pack(tb, field)
	body := []any{[6]uint64{}}
	if w.kind.compact {
		body = append(body, [2]uint32{})
	}
	at := w.object(objectData, flag, append(body, data)...)
	w.data[field] = at
	return at
}

// writeJournal writes n entries: the kernel's, one of a program after each third.
// An array has room for four.
func writeJournal(tb testing.TB, kind journalKind, n int) []byte {
	tb.Helper()
	w := &journalWriter{b: make([]byte, 272), kind: kind, data: map[string]uint64{}}
	copy(w.b, journalMagic)
	put := binary.LittleEndian.PutUint64
	binary.LittleEndian.PutUint32(w.b[12:], kind.feature)
	put(w.b[88:], 272)
	put(w.b[152:], uint64(n))
	link := uint64(176) // where the offset of the next array goes
	var slots uint64
	for i := range n {
		fields := []string{"_TRANSPORT=kernel", "SYSLOG_FACILITY=0", "SYSLOG_IDENTIFIER=kernel", "PRIORITY=5", "_HOSTNAME=fw1",
			fmt.Sprintf("_SOURCE_MONOTONIC_TIMESTAMP=%d", 994671134+i)}
		switch i % 4 {
		case 1:
			fields = append(fields, "MESSAGE="+longText)
		case 3:
			fields = []string{"_TRANSPORT=syslog", "SYSLOG_IDENTIFIER=sshd", "MESSAGE=kernel: nf_ct_proto_6: invalid new"}
		default:
			fields = append(fields, fmt.Sprintf("MESSAGE=message %d\nsecond line", i))
		}
		body := []any{uint64(i + 1), uint64(1795788001_000000 + i), uint64(994671234 + i), [16]byte{0xb}, uint64(0)}
		for _, f := range fields {
			at := w.field(tb, f)
			body = append(body, w.item(at))
			if !kind.compact {
				body = append(body, uint64(0))
			}
		}
		entry := w.object(objectEntry, 0, body...)
		if i%4 == 0 {
			var array any = [4]uint64{}
			if kind.compact {
				array = [4]uint32{}
			}
			at := w.object(objectEntryArray, 0, uint64(0), array)
			put(w.b[link:], at)
			link, slots = at+16, at+24
		}
		if kind.compact {
			binary.LittleEndian.PutUint32(w.b[slots+uint64(i%4)*4:], uint32(entry))
		} else {
			put(w.b[slots+uint64(i%4)*8:], entry)
		}
	}
	return w.b
}

// openBytes is a reader of a journal file.
func openBytes(t testing.TB, data []byte) *Reader {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.journal")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return openFiles(t, nil, path)
}

func TestJournalKinds(t *testing.T) {
	for _, kind := range journalKinds {
		r := openBytes(t, writeJournal(t, kind, 11))
		want := []string{"message 0\nsecond line", longText, "message 2\nsecond line", "message 4\nsecond line", longText, "message 6\nsecond line",
			"message 8\nsecond line", longText, "message 10\nsecond line"}
		var rec Record
		for i, text := range want {
			if err := r.Next(&rec); err != nil {
				t.Fatalf("%s: %v, %v", kind.name, err, r.Missing())
			}
			at := time.UnixMicro(int64(1795788001_000000 + i + i/3))
			up, _ := rec.Uptime()
			if string(rec.Text) != text || !rec.Time().Equal(at) || up != time.Duration(994671134+i+i/3)*time.Microsecond {
				t.Errorf("%s: %.40q at %v, up %v; want %.40q at %v", kind.name, rec.Text, rec.Time(), up, text, at)
			}
		}
		if err := r.Next(&rec); err != io.EOF || len(r.Missing()) > 0 {
			t.Errorf("%s: %v, %v", kind.name, err, r.Missing())
		}
		if s := r.Stats(); s.Lines != 11 || s.Records != 9 || s.Programs != 2 || !slices.Equal(s.Forms, []string{"journal file"}) {
			t.Errorf("%s: %+v", kind.name, s)
		}
	}
}

// TestJournalDamage: what can be read is, and where it ended is said.
func TestJournalDamage(t *testing.T) {
	plain := journalKinds[0]
	whole := writeJournal(t, plain, 12)
	// the third array of entries, and the entry that is its second
	at := func(b []byte, i uint64) uint64 { return binary.LittleEndian.Uint64(b[i:]) }
	second := at(whole, at(whole, 176)+16)
	third := at(whole, second+16)
	entry := at(whole, second+24+8)
	message := at(whole, entry+64+6*16)
	for _, tc := range []struct {
		name    string
		change  func(b []byte) []byte
		records int
		missing []string
	}{
		{"whole", func(b []byte) []byte { return b }, 9, nil},
		{"cut in the header", func(b []byte) []byte { return b[:100] }, 0, []string{"journal: ends within its header"}},
		{"newer", func(b []byte) []byte { b[12] = 64; return b }, 0, []string{"journal: made by a newer systemd (incompatible flags 0x40)"}},
		{"cut before the third array", func(b []byte) []byte { return b[:third] }, 6, []string{fmt.Sprintf("after 8 entries: journal: no object at byte %d", third)}},
		{"an array of another type", func(b []byte) []byte { b[third] = 7; return b }, 6,
			[]string{fmt.Sprintf("after 8 entries: journal: not the object that should be there at byte %d", third)}},
		{"a loop", func(b []byte) []byte { copy(b[third+16:], b[176:184]); return b }, 9,
			[]string{fmt.Sprintf("after 12 entries: journal: an array of entries out of order at byte %d", at(whole, 176))}},
		{"the chain ends", func(b []byte) []byte { copy(b[second+16:], make([]byte, 8)); return b }, 6,
			[]string{"after 8 entries: journal: 4 of 12 entries are not to be found"}},
		{"an entry", func(b []byte) []byte { b[entry] = 1; return b }, 8,
			[]string{fmt.Sprintf("journal: not the object that should be there at byte %d", entry)}},
		{"a message's size", func(b []byte) []byte { b[message+8], b[message+15] = 1, 1; return b }, 6,
			[]string{fmt.Sprintf("journal: an object of the wrong size at byte %d, and 2 more", message)}},
		{"a message's compression", func(b []byte) []byte { b[message+1] = 8; return b }, 6,
			[]string{fmt.Sprintf("journal: a compression that is not known (flags 0x8) at byte %d, and 2 more", message)}},
		{"no zstd", func(b []byte) []byte { b[message+1] = dataZstd; return b }, 6,
			[]string{fmt.Sprintf("journal: invalid input: magic number mismatch at byte %d, and 2 more", message)}},
	} {
		r := openBytes(t, tc.change(bytes.Clone(whole)))
		got := texts(t, r)
		var missing []string
		for _, m := range r.Missing() {
			missing = append(missing, m.Why)
		}
		if len(got) != tc.records || !slices.Equal(missing, tc.missing) {
			t.Errorf("%s: %d records, missing %q; want %d, %q", tc.name, len(got), missing, tc.records, tc.missing)
		}
	}
}
