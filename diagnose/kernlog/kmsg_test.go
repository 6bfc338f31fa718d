package kernlog

import (
	"testing"
	"time"
)

func TestParseKmsg(t *testing.T) {
	for _, tc := range []struct {
		rec       string
		text      string
		seq       uint64
		uptime    time.Duration
		continues bool
		foreign   bool
	}{
		{"5,419,989920824,-;nf_ct_proto_6: invalid new \n", "nf_ct_proto_6: invalid new ", 419, 989920824 * time.Microsecond, false, false},
		{"5,420,1,-,caller=T12;text", "text", 420, time.Microsecond, false, false},
		{"6,1,0,-;eth0: up\n SUBSYSTEM=net\n DEVICE=n2\n", "eth0: up", 1, 0, false, false},
		{"5,2,3,-;nf_ct_proto_132: \\x0aIN=r0 \n", "nf_ct_proto_132: \nIN=r0 ", 2, 3 * time.Microsecond, false, false},
		{"5,2,3,-;a\\x5cx0a\\x1b[31m\\xzz\\x4", "a\\x0a\x1b[31m\\xzz\\x4", 2, 3 * time.Microsecond, false, false},
		{"4,7,9,+;second part", "second part", 7, 9 * time.Microsecond, true, false},
		{"30,8,9,-;systemd[1]: up", "systemd[1]: up", 8, 9 * time.Microsecond, false, true},
		{"4,9,9,-;", "", 9, 9 * time.Microsecond, false, false},
		{"4,9,9,-;a;b", "a;b", 9, 9 * time.Microsecond, false, false},
	} {
		var r Record
		if err := ParseKmsg([]byte(tc.rec), &r); err != nil {
			t.Errorf("%q: %v", tc.rec, err)
			continue
		}
		up, ok := r.Uptime()
		if string(r.Text) != tc.text || r.Seq != tc.seq || !r.HasSeq || up != tc.uptime || !ok || r.Continues != tc.continues || r.Foreign != tc.foreign {
			t.Errorf("%q: %q seq %d uptime %v %v continues %v foreign %v", tc.rec, r.Text, r.Seq, up, ok, r.Continues, r.Foreign)
		}
		if !r.Time().IsZero() {
			t.Errorf("%q: a time of day", tc.rec)
		}
	}
	for _, bad := range []string{"", "text", "5;text", "5,4;x", "5,4,3;x", "5,4,3,;x", "x,4,3,-;x", ",4,3,-;x", "5,99999999999999999999999,3,-;x", "-5,4,3,-;x"} {
		var r Record
		if err := ParseKmsg([]byte(bad), &r); err == nil {
			t.Errorf("%q: read as %+v", bad, r)
		}
	}
}

func FuzzParseKmsg(f *testing.F) {
	f.Add([]byte("5,419,989920824,-;nf_ct_proto_6: invalid\\x0anew \n KEY=value\n"))
	f.Fuzz(func(t *testing.T, rec []byte) {
		n := len(rec)
		var r Record
		if err := ParseKmsg(rec, &r); err != nil {
			return
		}
		if len(r.Text) >= n {
			t.Errorf("text of %d bytes from a record of %d", len(r.Text), n)
		}
		if up, ok := r.Uptime(); ok && up < 0 {
			t.Errorf("uptime %v", up)
		}
	})
}

func TestParseUptime(t *testing.T) {
	for in, want := range map[string]uint64{
		"994.671234": 994671234, "   12.3": 12300000, "7": 7000000, "0.000001": 1, "1.123456789": 1123456,
	} {
		if got, ok := parseUptime([]byte(in)); !ok || got != want {
			t.Errorf("%q: %d %v", in, got, ok)
		}
	}
	for _, bad := range []string{"", " ", ".5", "1.2.3", "-1", "1e3", "99999999999999999999"} {
		if got, ok := parseUptime([]byte(bad)); ok {
			t.Errorf("%q: %d", bad, got)
		}
	}
}
