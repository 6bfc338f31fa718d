package kernlog

import (
	"bytes"
	"io"
	"runtime"
	"strings"
	"testing"
)

// TestMemory reads many lines, through a pipe and packed, and lines without an
// end: what is in use stays small, and no line takes any.
func TestMemory(t *testing.T) {
	const lines, most = 500_000, 8 << 20
	for name, from := range map[string]func() io.Reader{
		"pipe": func() io.Reader {
			r, w := io.Pipe()
			go func() {
				_, err := io.Copy(w, newMixedLog(lines))
				w.CloseWithError(err)
			}()
			return r
		},
		"gzip": func() io.Reader { return bytes.NewReader(packedLog(t, lines)) },
	} {
		in := from()
		before := inUse()
		r := openFiles(t, in, "-")
		var rec Record
		var peak, n uint64
		for r.Next(&rec) == nil {
			if n++; n%50_000 == 0 {
				peak = max(peak, inUse())
			}
		}
		if s := r.Stats(); s.Lines != lines || peak == 0 {
			t.Fatalf("%s: %+v", name, s)
		}
		if peak > before+most {
			t.Errorf("%s: %d bytes in use, %d before", name, peak, before)
		}
	}
	before := inUse()
	r := openFiles(t, io.LimitReader(endless{}, 256<<20), "-")
	var rec Record
	if err := r.Next(&rec); err != nil || len(rec.Text) != MaxLine || !rec.Cut {
		t.Errorf("%v: %d bytes", err, len(rec.Text))
	}
	if err := r.Next(&rec); err != io.EOF {
		t.Error(err)
	}
	if after := inUse(); after > before+most {
		t.Errorf("a line without an end: %d bytes in use, %d before", after, before)
	}
}

// endless is a line that does not end.
type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	return len(b), nil
}

func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestNoAllocations: a line takes no memory of its own, in any form of one line.
func TestNoAllocations(t *testing.T) {
	for _, line := range []string{
		"Nov 27 14:00:01 fw1 kernel: [  994.671234] nf_ct_proto_6: invalid new IN=r0",
		"Nov 27 14:00:01 fw1 sshd[12]: Accepted publickey",
		"2026-11-27T14:00:01.123456+00:00 fw1 kernel: [  994.671234] nf_ct_proto_6: invalid new IN=r0",
		"<5>1 2026-11-27T14:00:01Z fw1 kernel - - - nf_ct_proto_6: invalid new IN=r0",
		"Fri Nov 27 14:00:01 2026 kern.notice kernel: [  994.671234] nf_ct_proto_6: invalid new IN=r0",
		"5,419,989920824,-;nf_ct_proto_6: invalid new\\x0aIN=r0",
		"[  994.671234] nf_ct_proto_6: invalid new IN=r0",
		"kern  :notice: [  994.671234] nf_ct_proto_6: invalid new IN=r0",
		"[  994.671234] fw1 kernel: nf_ct_proto_6: invalid new IN=r0",
		`{"MESSAGE":"nf_ct_proto_6: invalid new\nIN=r0","_TRANSPORT":"kernel","__REALTIME_TIMESTAMP":"1795788001000000","_HOSTNAME":"fw1"}`,
		"nf_ct_proto_6: invalid new IN=r0",
	} {
		const lines = 2000
		r := openFiles(t, strings.NewReader(strings.Repeat(line+"\n", lines)), "-")
		var rec Record
		_ = r.Next(&rec) // opens
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		n := 0
		for r.Next(&rec) == nil {
			n++
		}
		runtime.ReadMemStats(&after)
		if got := after.Mallocs - before.Mallocs; got > lines/20 {
			t.Errorf("%s: %d allocations for %d lines", line, got, lines)
		}
		if s := r.Stats(); s.Lines != lines || len(r.Missing()) > 0 {
			t.Errorf("%s: %+v %v", line, s, r.Missing())
		}
	}
}
