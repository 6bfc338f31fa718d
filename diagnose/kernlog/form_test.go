package kernlog

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"
)

// testNow is when the tests read.
var testNow = time.Date(2026, 11, 27, 14, 30, 0, 0, time.UTC)

// openText is a reader of one text, as from standard input.
func openText(t testing.TB, text string) *Reader {
	t.Helper()
	return openFiles(t, strings.NewReader(text), "-")
}

func openFiles(t testing.TB, stdin io.Reader, paths ...string) *Reader {
	t.Helper()
	r, err := openAt(paths, stdin, func() time.Time { return testNow }, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// TestLines has one line of each form: all have the same text.
func TestLines(t *testing.T) {
	const text = "nf_ct_proto_6: invalid new IN=r0 OUT= SRC=192.0.2.1"
	const day = "2026-11-27T14:00:01Z"
	for _, tc := range []struct {
		line string // TEXT for the text
		time string // "" where the line tells none
		up   time.Duration
	}{
		{"TEXT", "", 0},
		{"5,419,994671234,-;TEXT", "", 994671234 * time.Microsecond},
		{"5,419,994671234,-,caller=T12;TEXT", "", 994671234 * time.Microsecond},
		{"[  994.671234] TEXT", "", 994671234 * time.Microsecond},
		{"[  994.671234][   T12] TEXT", "", 994671234 * time.Microsecond},
		{"[  994.671234] [T12] TEXT", "", 994671234 * time.Microsecond},
		{"[  994.671234 <    0.000012>] TEXT", "", 994671234 * time.Microsecond},
		{"[Fri Nov 27 14:00:01 2026] TEXT", day, 0},
		{"[Fr Nov 27 14:00:01 2026] TEXT", "", 0},
		{"[Fri Nov 27 14:00:01 2026 <    0.000012>] TEXT", day, 0},
		{"[Nov27 14:00] TEXT", "", 0},
		{"[  +0.000012] TEXT", "", 0},
		{"<5>[  994.671234] TEXT", "", 994671234 * time.Microsecond},
		{"kern  :notice: [  994.671234] TEXT", "", 994671234 * time.Microsecond},
		{"kern  :warn  : [Fri Nov 27 14:00:01 2026] TEXT", day, 0},
		{"kern  :notice: 2026-11-27T15:00:01,500000+01:00 TEXT", "2026-11-27T14:00:01.5Z", 0},
		{"kern  :notice: TEXT", "", 0},
		{"2026-11-27T15:00:01,500000+01:00 TEXT", "2026-11-27T14:00:01.5Z", 0},
		{"Nov 27 14:00:01 fw1 kernel: TEXT", day, 0},
		{"Nov 27 14:00:01 fw1 kernel: [  994.671234] TEXT", day, 994671234 * time.Microsecond},
		{"Nov 27 14:00:01 fw1 kernel: [994.671234] TEXT", day, 994671234 * time.Microsecond},
		{"Nov 27 14:00:01 kernel: TEXT", day, 0},
		{"Nov 27 14:00:01.123456 fw1 kernel: TEXT", "2026-11-27T14:00:01.123456Z", 0},
		{"Nov 27 14:00:01 fw1 kern.notice kernel: [  994.671234] TEXT", day, 994671234 * time.Microsecond},
		{"Nov 27 14:00:01 kern.notice kernel: TEXT", day, 0},
		{"<5>Nov 27 14:00:01 fw1 kernel: [  994.671234] TEXT", day, 994671234 * time.Microsecond},
		{"2026-11-27T14:00:01+00:00 fw1 kernel: [  994.671234] TEXT", day, 994671234 * time.Microsecond},
		{"2026-11-27T14:00:01.123456-05:30 fw1 kernel: TEXT", "2026-11-27T19:30:01.123456Z", 0},
		{"2026-11-27T14:00:01+0000 fw1 kernel: TEXT", day, 0},
		{"2026-11-27 14:00:01 fw1 kernel: TEXT", day, 0},
		{"2026-11-27T14:00:01Z TEXT", day, 0},
		{"1795788001.123456 fw1 kernel: TEXT", "2026-11-27T14:00:01.123456Z", 0},
		{"Fri 2026-11-27 14:00:01 UTC fw1 kernel: TEXT", day, 0},
		{"Fri 2026-11-27 14:00:01.500000 UTC fw1 kernel: TEXT", "2026-11-27T14:00:01.5Z", 0},
		{"Fri 2026-11-27 14:00:01 CET fw1 kernel: TEXT", "", 0},
		{"Fri 2026-11-27 15:00:01 +01 fw1 kernel: TEXT", day, 0},
		{"[  994.671234] fw1 kernel: TEXT", "", 994671234 * time.Microsecond},
		{"<5>1 2026-11-27T14:00:01.000000+00:00 fw1 kernel - - - [  994.671234] TEXT", day, 994671234 * time.Microsecond},
		{"<5>1 2026-11-27T14:00:01Z fw1 kernel - - [a@1 b=\"c]\\\"\"][d@1] \xef\xbb\xbfTEXT", day, 0},
		{"<5>1 - fw1 kernel - - - TEXT", "", 0},
		{"Fri Nov 27 14:00:01 2026 kern.notice kernel: [  994.671234] TEXT", day, 994671234 * time.Microsecond},
	} {
		r := openText(t, strings.Replace(tc.line, "TEXT", text, 1)+"\r\n")
		var rec Record
		if err := r.Next(&rec); err != nil {
			t.Errorf("%s: %v, %+v", tc.line, err, r.Stats())
			continue
		}
		at := ""
		if when := rec.Time(); !when.IsZero() {
			at = when.UTC().Format(time.RFC3339Nano)
		}
		up, ok := rec.Uptime()
		if string(rec.Text) != text || at != tc.time || up != tc.up || ok != (up != 0) || rec.Cut || rec.Continues || rec.Foreign {
			t.Errorf("%s:\n%+v\n%q at %q, up %v", tc.line, rec, rec.Text, at, up)
		}
		if err := r.Next(&rec); err != io.EOF {
			t.Errorf("%s: %v after the line", tc.line, err)
		}
	}
}

// TestPassedBy has lines of programs, which may hold what looks like the
// kernel's.
func TestPassedBy(t *testing.T) {
	for _, line := range []string{
		"Nov 27 14:00:01 fw1 sshd[12]: kernel: nf_ct_proto_6: invalid new",
		"Nov 27 14:00:01 fw1 sshd: kernel: nf_ct_proto_6: invalid new",
		"Nov 27 14:00:01 fw1 daemon.info dnsmasq[2]: kernel: nf_ct_proto_6: invalid new",
		"Nov 27 14:00:01 fw1 user.notice kernel: nf_ct_proto_6: invalid new",
		"Nov 27 14:00:01 sshd[12]: nf_ct_proto_6: invalid new",
		"Nov 27 14:00:01 nf_ct_proto_6: invalid new",
		"2026-11-27T14:00:01+00:00 fw1 kernelx: nf_ct_proto_6: invalid new",
		"2026-11-27T14:00:01+00:00 sshd[1]: nf_ct_proto_6: invalid new",
		"1795788001.123456 fw1 sudo[1]: kernel: nf_ct_proto_6: invalid new",
		"Fri 2026-11-27 14:00:01 UTC fw1 sshd[1]: kernel: x",
		"<13>1 2026-11-27T14:00:01Z fw1 kernel - - - nf_ct_proto_6: invalid new",
		"<5>1 2026-11-27T14:00:01Z fw1 sshd 12 - - kernel: nf_ct_proto_6: invalid new",
		"Fri Nov 27 14:00:01 2026 daemon.info dnsmasq[2]: kernel: nf_ct_proto_6: invalid new",
		"13,4,5,-;nf_ct_proto_6: invalid new",
		"<13>[    1.000000] nf_ct_proto_6: invalid new",
		"user  :notice: [    1.000000] nf_ct_proto_6: invalid new",
	} {
		r := openText(t, line+"\n")
		var rec Record
		if err := r.Next(&rec); err != io.EOF {
			t.Errorf("%s: %q", line, rec.Text)
		}
		if s := r.Stats(); s.Lines != 1 || s.Programs != 1 {
			t.Errorf("%s: %+v", line, s)
		}
	}
}

func TestLosses(t *testing.T) {
	for _, tc := range []struct {
		name, text           string
		lost, gaps, repeated uint64
		records              []string
	}{
		{"sequence", "5,10,1,-;a\n5,11,2,-;b\n5,15,3,-;c\n30,17,4,-;systemd\n5,18,5,-;d\n", 4, 0, 0, []string{"a", "b", "c", "d"}},
		{"another boot", "5,10,1,-;a\n5,0,2,-;b\n5,1,3,-;c\n", 0, 0, 0, []string{"a", "b", "c"}},
		{"properties", "6,1,0,-;a\n SUBSYSTEM=net\n DEVICE=n2\n6,2,0,-;b\n", 0, 0, 0, []string{"a", "b"}},
		{"journald", "Nov 27 14:00:01 fw1 systemd-journald[212]: Missed 31 kernel messages\n" +
			"Nov 27 14:00:01 fw1 systemd-journald[212]: /dev/kmsg buffer overrun, some messages lost.\n" +
			"Nov 27 14:00:01 fw1 sshd[212]: Missed 31 kernel messages\n", 31, 1, 0, nil},
		{"rsyslog", "Nov 27 14:00:01 fw1 rsyslogd[212]: imjournal: 123 messages lost due to rate-limiting (20000 allowed within 600 seconds)\n", 123, 0, 0, nil},
		{"console", "[    1.000000] a\n** 45 printk messages dropped **\n[    2.000000] ** 5 printk messages dropped **\n", 50, 0, 0,
			[]string{"a", "** 45 printk messages dropped **", "** 5 printk messages dropped **"}},
		{"rsyslog, repeated", "Nov 27 14:00:01 fw1 kernel: [   12.3] a\nNov 27 14:00:02 fw1 kernel: message repeated 3 times: [ [   12.3] a]\n" +
			"Nov 27 14:00:02 fw1 kernel: message repeated a times: [x]\n", 0, 0, 3, []string{"a", "3 a", "message repeated a times: [x]"}},
		{"sysklogd, repeated", "Nov 27 14:00:01 fw1 kernel: a\nNov 27 14:00:02 fw1 last message repeated 7 times\nNov 27 14:00:03 fw1 sshd[1]: b\n" +
			"Nov 27 14:00:02 fw1 last message repeated 9 times\nNov 27 14:00:02 last message repeated 9 times\n", 0, 0, 7, []string{"a", "7 a"}},
		{"two lines", "[    1.000000] nf_ct_proto_132: \n               IN=r0 OUT=\n[    2.000000] b\n", 0, 0, 0,
			[]string{"nf_ct_proto_132: ", "+IN=r0 OUT=", "b"}},
		{"two lines of syslog", "Nov 27 14:00:01 fw1 kernel: [    1.000000] nf_ct_proto_132: \nNov 27 14:00:01 fw1 kernel: [    1.000000] IN=r0 OUT=\n" +
			"Nov 27 14:00:01 fw1 kernel: [    1.000001] b\n", 0, 0, 0, []string{"nf_ct_proto_132: ", "IN=r0 OUT=", "b"}},
		{"two lines of a program", "Nov 27 14:00:01 fw1 app[1]: a\n                            nf_ct_proto_6: invalid new\n", 0, 0, 0, nil},
		{"rsyslog, newline", "Nov 27 14:00:01 fw1 kernel: nf_ct_proto_132: #012IN=r0 #011\n", 0, 0, 0, []string{"nf_ct_proto_132: \nIN=r0 #011"}},
		{"monotonic", "[    1.000000] fw1 sshd[1]: early\n[    1.100000] fw1 kernel: a\n[    1.200000] fw1 sshd[1]: kernel: b\n", 0, 0, 0,
			[]string{"fw1 sshd[1]: early", "a"}},
		{"marks", "-- Boot 5c1a7b --\nNov 27 14:00:01 fw1 kernel: a\n-- no mark\n", 0, 0, 0, []string{"a", "-- no mark"}},
		{"empty lines, NUL, CR", "\n\r\n\x00\x00\x00[    1.000000] a\r\n\x00\x00\n", 0, 0, 0, []string{"a"}},
		{"no UTF-8", "[    1.000000] a\xff\xfeb\n", 0, 0, 0, []string{"a\xff\xfeb"}},
		{"BOM", "\xef\xbb\xbf[    1.000000] a\n", 0, 0, 0, []string{"a"}},
		{"not syslog", "Nov is a month\nMay 99 is no day\n<5>\n[\n[]\n5,\n{1}[Hardware Error]: x\n", 0, 0, 0,
			[]string{"Nov is a month", "May 99 is no day", "<5>", "[", "[]", "5,", "{1}[Hardware Error]: x"}},
	} {
		r := openText(t, tc.text)
		var got []string
		var rec Record
		for r.Next(&rec) == nil {
			mark := ""
			switch {
			case rec.Repeats > 0:
				mark = string('0'+rune(rec.Repeats)) + " "
			case rec.Continues:
				mark = "+"
			}
			got = append(got, mark+string(rec.Text))
		}
		s := r.Stats()
		if strings.Join(got, "|") != strings.Join(tc.records, "|") || s.Lost != tc.lost || s.Gaps != tc.gaps || s.Repeated != tc.repeated {
			t.Errorf("%s: %q\n%+v", tc.name, got, s)
		}
		if n := uint64(bytes.Count([]byte(tc.text), []byte("\n"))); s.Lines != n || s.Half+s.Cut != 0 {
			t.Errorf("%s: %d lines of %d: %+v", tc.name, s.Lines, n, s)
		}
		if len(r.Missing()) > 0 {
			t.Errorf("%s: missing %v", tc.name, r.Missing())
		}
	}
}

func TestLongAndHalf(t *testing.T) {
	long := strings.Repeat("x", 5<<20)
	r := openText(t, "[    1.000000] a\n[    2.000000] "+long+"\n"+long[:MaxLine+1]+"\n[    3.000000] b\n[    4.000000] hal")
	var rec Record
	for _, want := range []struct {
		length int
		cut    bool
	}{{1, false}, {MaxLine - 15, true}, {MaxLine, true}, {1, false}, {3, true}} {
		if err := r.Next(&rec); err != nil {
			t.Fatal(err)
		}
		if len(rec.Text) != want.length || rec.Cut != want.cut {
			t.Errorf("%d bytes, cut %v: want %+v", len(rec.Text), rec.Cut, want)
		}
	}
	if err := r.Next(&rec); err != io.EOF {
		t.Error(err)
	}
	if s := r.Stats(); s.Lines != 5 || s.Cut != 2 || s.Half != 1 {
		t.Errorf("%+v", s)
	}
}

// TestNotText: what is no text at all is told, once, and not taken for lines.
func TestNotText(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       error
	}{
		{"ELF", "\x7fELF\x02\x01\x01\x00\x00", errBinary},
		{"zip", "PK\x03\x04\x14\x00", errBinary},
		{"pcap", "\xd4\xc3\xb2\xa1\x02\x00\x04\x00", errBinary},
		{"UTF-16", "\xff\xfen\x00f\x00", errUTF16},
	} {
		r := openText(t, tc.text)
		var rec Record
		if err := r.Next(&rec); err != io.EOF {
			t.Errorf("%s: %v %q", tc.name, err, rec.Text)
		}
		if m := r.Missing(); len(m) != 1 || m[0].Why != tc.want.Error() {
			t.Errorf("%s: missing %v", tc.name, m)
		}
	}
}
