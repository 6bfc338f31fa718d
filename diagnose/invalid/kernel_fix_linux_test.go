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
	if commands < 8 {
		t.Errorf("%d commands: where are the others?", commands)
	}
}
