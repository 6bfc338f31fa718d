package invalid_test

import (
	"os"
	"strings"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/invalid"
)

// TestFixes does what the tables say that can be done: a command must be one
// that can be pasted. What holds for the whole machine is only looked for.
func TestFixes(t *testing.T) {
	b := newBed(t)
	fixes := map[string]bool{}
	for i := range invalid.Table {
		if r := &invalid.Table[i]; !r.Gone().Known() {
			fixes[r.Fix] = true
		}
	}
	for i := range invalid.Silents {
		fixes[invalid.Silents[i].Fix] = true
	}
	for _, fix := range causeFixes(t) {
		fixes[fix] = true
	}
	commands := 0
	for fix := range fixes {
		name, rest, _ := strings.Cut(fix, " ")
		switch name {
		case "nft":
			if out, err := b.router.Run("", "sh", "-c", fix); err != nil {
				t.Errorf("%s: %v %s", fix, err, out)
			}
			if _, err := b.router.Run("", "nft", "flush", "ruleset"); err != nil {
				t.Fatal(err)
			}
		case "sysctl":
			key, value, _ := strings.Cut(strings.TrimPrefix(rest, "-w "), "=")
			err := b.router.Do(func() error {
				_, err := os.Stat("/proc/sys/" + strings.ReplaceAll(key, ".", "/"))
				return err
			})
			if err == nil && !strings.HasPrefix(value, "$") {
				err = b.router.Sysctl(key + "=" + value)
			}
			if err != nil {
				t.Errorf("%s: %v", fix, err)
			}
		default:
			continue
		}
		commands++
	}
	if commands < 10 {
		t.Errorf("%d commands: where are the others?", commands)
	}
}

// causeFixes are commands that causes make with what the log tells.
func causeFixes(t *testing.T) (out []string) {
	tally := invalid.NewTally()
	var m invalid.Message
	for _, ends := range []string{"SRC=192.168.1.80 DST=10.0.0.10", "SRC=2001:0db8:0000:0000:0000:0000:0000:0001 DST=fd00:0000:0000:0000:0000:0000:0000:0010"} {
		line := "nf_ct_proto_6: packet (index 3) in dir 0 invalid, state SYN_SENT IN=s0 OUT= " + ends + " LEN=40 PROTO=TCP SPT=80 DPT=1 SEQ=1 ACK=1 WINDOW=1 RES=0x00 ACK URGP=0 "
		if !invalid.Parse([]byte(line), &m) {
			t.Fatal(line)
		}
		tally.Add(&m, 1)
		d := invalid.Diagnose(&invalid.Case{Groups: tally.Groups()})
		for _, c := range d.Causes {
			for _, f := range c.Fixes {
				out = append(out, f.Do)
			}
		}
		tally = invalid.NewTally()
	}
	return out
}
