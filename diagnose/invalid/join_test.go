package invalid

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/kernlog"
)

// readAll reads lines as a log's reader does. A line that is not ours counts as
// a message without a kind.
func readAll(lines []string) []Message {
	var (
		out []Message
		j   Joiner
		r   kernlog.Record
		m   Message
	)
	keep := func() {
		c := m
		c.Text, c.Rest = bytes.Clone(m.Text), bytes.Clone(m.Rest)
		c.In, c.Out = bytes.Clone(m.In), bytes.Clone(m.Out)
		out = append(out, c)
	}
	for i, line := range lines {
		for again := true; again; {
			var ok bool
			r = kernlog.Record{Text: []byte(line)}
			r.SetTime(time.Unix(int64(i), 0))
			ok, again = j.Next(&r, &m)
			switch {
			case ok:
				keep()
			case !j.held:
				out = append(out, Message{})
			}
		}
	}
	if j.Flush(&m) {
		keep()
	}
	return out
}

const (
	firstHalf  = "nf_ct_proto_132: do_basic_checks failed. chunk num 1, type 0, len 4096 flag 1"
	secondHalf = "IN=r0 OUT= SRC=10.77.1.99 DST=10.77.2.99 LEN=68 TOS=0x00 PREC=0x00 TTL=64 ID=4660 PROTO=132"
	another    = "nf_ct_proto_6: invalid new IN=r1 OUT= SRC=10.77.1.98 DST=10.77.2.99 PROTO=TCP "
)

// TestJoiner: a message in two lines is one, and nothing is lost when the
// second never comes.
func TestJoiner(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string
		want  []string // the devices that they came in by, "-" for none, "" for a line that is not ours
	}{
		{"dmesg", []string{firstHalf, "                " + secondHalf}, []string{"r0"}},
		{"syslog", []string{firstHalf, " " + secondHalf, another}, []string{"r0", "r1"}},
		{"blank lost", []string{firstHalf, secondHalf}, []string{"r0"}},
		{"one line", []string{firstHalf + "\n " + secondHalf}, []string{"r0"}},
		{"one line, escaped", []string{firstHalf + `\x0a ` + secondHalf}, []string{"r0"}},
		{"another in between", []string{firstHalf, another, "eth0: link up"}, []string{"-", "r1", ""}},
		{"a LOG rule's line", []string{firstHalf, "IN=r3 OUT= SRC=10.77.1.99 DST=10.77.2.99 PROTO=UDP"}, []string{"-", ""}},
		{"twice the half", []string{firstHalf, firstHalf, " " + secondHalf}, []string{"-", "r0"}},
		{"end of the log", []string{another, firstHalf}, []string{"r1", "-"}},
		{"no first half", []string{" " + secondHalf}, []string{""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, m := range readAll(c.lines) {
				switch {
				case m.Kind == KindNone:
					got = append(got, "")
				case len(m.In) == 0:
					got = append(got, "-")
				default:
					got = append(got, string(m.In))
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// TestJoinerRecord: what a record says of itself counts, and so does when the
// first half was written.
func TestJoinerRecord(t *testing.T) {
	var (
		j Joiner
		r kernlog.Record
		m Message
	)
	at := time.Unix(1000, 0)
	r = kernlog.Record{Text: []byte(firstHalf)}
	r.SetTime(at)
	if ok, again := j.Next(&r, &m); ok || again {
		t.Fatalf("the first half alone: %v %v", ok, again)
	}
	r = kernlog.Record{Text: []byte(secondHalf[:40])}
	r.SetTime(at.Add(time.Second))
	r.Continues = true
	if ok, again := j.Next(&r, &m); !ok || again || !m.At.Equal(at) || string(m.In) != "r0" || m.Count != 1 {
		t.Errorf("both halves: %v %v at %v in %q count %d", ok, again, m.At, m.In, m.Count)
	}
	r = kernlog.Record{Text: []byte(another)}
	r.SetTime(at)
	r.Foreign = true
	if ok, again := j.Next(&r, &m); ok || again || m.Kind != KindNone {
		t.Error("a program's line is taken for the kernel's")
	}
	r = kernlog.Record{Text: []byte(another)}
	r.SetTime(at)
	r.Repeats = 7
	if ok, _ := j.Next(&r, &m); !ok || m.Count != 7 {
		t.Errorf("%d messages, want 7", m.Count)
	}
}
